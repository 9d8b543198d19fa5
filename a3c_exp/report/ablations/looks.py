"""What a look at an ablation finds, whose seeds come in batches: which verdicts are decided, and which runs to repeat."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from a3c_exp.report.ablations.comparisons import ControlledComparison, find_comparisons
from a3c_exp.report.ablations.verdicts import Verdict, evaluate_claims
from a3c_exp.report.run_reader import RunData, read_runs
from a3c_exp.runs.sweep_plan import GroupCost, Look


def look_at(directory: Path) -> Look:
    """What the claims come to by the runs in a sweep's directory. Raises RunDirectoryError if there are none."""
    comparisons = find_comparisons(read_runs([directory]))
    verdicts = evaluate_claims(comparisons, describe=False)
    waiting = [one.comparison.arm(arm)[0] for one in verdicts for arm in one.waiting_arms]
    root = directory.resolve()
    looks = [effect.look for verdict in verdicts for effect in verdict.effects]
    sizes = next((one.report.looks.sizes for one in comparisons if one.report.looks is not None), [0])
    return Look(
        seeds=sizes[max([1, *looks]) - 1],
        num_verdicts=len(verdicts),
        undecided=tuple(_in_words(verdict) for verdict in verdicts if verdict.decision == "undecided"),
        waiting=tuple(sorted({str(run.path.resolve().relative_to(root)) for run in waiting})),
        costs=tuple(group_costs(comparisons)),
    )


def group_costs(comparisons: Sequence[ControlledComparison]) -> list[GroupCost]:
    """What every group of some comparisons has taken; the time of seeds that share a process is that process's."""
    costs = []
    for comparison in comparisons:
        for arm, runs in comparison.arms.items():
            seconds: dict[Path, float] = defaultdict(float)
            for run in runs:
                process = run.path.parent if run.num_seeds_in_process > 1 else run.path
                seconds[process] = max(seconds[process], run.result("wall_time"))
            name = f"{comparison.title}, {comparison.arm_label(arm)}"
            costs.append(GroupCost(name, len(runs), sum(_counts(runs)), sum(seconds.values())))
    return costs


def _counts(runs: Sequence[RunData]) -> list[float]:
    return [run.result("env_steps") for run in runs]


def _in_words(verdict: Verdict) -> str:
    reason = f" ({verdict.reason})" if verdict.reason else ""
    return f"{verdict.claim.number}. {verdict.claim.title}, {verdict.comparison.title}, by {verdict.measure}{reason}"
