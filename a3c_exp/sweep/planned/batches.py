"""Ablations that go on until they know (``ablation.seeds=until_decided``): batches of seeds, and a look after each of them.

When there will be looks is planned before the first run and kept by every run, since the intervals that hold at all looks
together depend on it. Which groups get the next batch is decided by what the look before it found.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from omegaconf import OmegaConf

from a3c_exp.config.ablation import num_comparisons, read_ablation_report
from a3c_exp.config.compose import ComposedJob
from a3c_exp.runs.sweep_plan import Look, SweepPlan, read_sweep_plan
from a3c_exp.sweep.planned.planning import added_job, keep
from a3c_exp.sweep.planned.resume import compose_planned
from a3c_exp.system.cli import outcomes, print_notice
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.number_format import format_count, format_duration

_SEED_KEYS = ("seed", "num_seeds")
_ENDED = ("finished", "failed", "pruned")  # what no further session is to be expected of
_Group = tuple[str, ...]  # overrides without seeds


def with_looks(jobs: Sequence[ComposedJob], multirun: bool) -> tuple[list[ComposedJob], list[str]]:
    """The runs of the first batch, which keep when there will be looks, and the overrides that say so; other runs as they are.

    Raises:
        ConfigError: it is a command for one run; the ablation has no claims; its groups differ in their numbers of seeds, have
            too few, or more than the most.
    """
    if jobs[0].config.ablation.seeds != "until_decided":
        return list(jobs), []
    if not multirun:
        raise ConfigError("ablation.seeds=until_decided adds runs to a sweep. Add -m at the end of the command")
    from a3c_exp.stats.significance import MIN_VERDICT_SEEDS  # with numpy, which other commands need not wait for here

    config = jobs[0].config.ablation
    seeds, comparisons = dict[_Group, set[int]](), dict[str, int]()
    for job in jobs:
        seed, num_seeds, control = int(job.config.seed), int(job.config.num_seeds), str(job.config.ablation.control)
        seeds.setdefault(_group(job.overrides), set()).update(range(seed, seed + num_seeds))
        report = read_ablation_report(job.config.ablation.report)
        comparisons.setdefault(control, num_comparisons(report, control, stacked=num_seeds > 1))
    if not config.name or not (number := sum(comparisons.values())):
        name = f"+ablation={config.name} has none" if config.name else "this sweep is no ablation"
        raise ConfigError(f"ablation.seeds=until_decided asks for seeds until claims are decided, and {name}. Leave it out")
    sizes = {group: len(numbers) for group, numbers in seeds.items()}
    first, most = min(sizes.values()), int(config.max_seeds)
    for group, numbers in seeds.items():
        if len(numbers) > first or max(numbers) - min(numbers) >= len(numbers):
            raise ConfigError(
                f"ablation.seeds=until_decided starts from as many consecutive seeds in every group, and {' '.join(group)} has "
                f"{sorted(numbers)} where another has {first}. Try num_seeds=10 for all, and a sweep of its own for a control "
                "that cannot stack seeds, such as hogwild"
            )
    if not MIN_VERDICT_SEEDS <= first <= most:
        raise ConfigError(
            f"every group has {first} seeds at first, a verdict takes {MIN_VERDICT_SEEDS}, and ablation.max_seeds is {most}. "
            f"Try num_seeds={max(first, MIN_VERDICT_SEEDS)} ablation.max_seeds={max(most, 6 * first, 6 * MIN_VERDICT_SEEDS)}"
        )
    looks = [first, *range(first + (batch := int(config.batch_seeds or first)), most, batch), *([most] if most > first else [])]
    overrides = [f"++ablation.report.looks={{sizes:[{','.join(map(str, looks))}],comparisons:{number}}}"]
    kept = [replace(job, overrides=(*job.overrides, *overrides), config=job.config.copy()) for job in jobs]
    for job in kept:
        OmegaConf.update(job.config, "ablation.report.looks", {"sizes": looks, "comparisons": number}, force_add=True)
    return kept, overrides


def run_until_decided(typed: SweepPlan, look: Callable[[Path], Look], run: Callable[[SweepPlan], int]) -> int:
    """Go on with an ablation whose batches so far have been run, as far as that can be done now; returns an exit code.

    Args:
        typed: the plan with what the command says of Hydra, the launcher for instance, which the sweep's directory does not
            keep.
        look: says what the claims of the runs in a directory come to.
        run: runs all of a plan that has not ended, and returns an exit code.
    """
    directory, code = typed.directory, 0
    while True:
        plan = read_sweep_plan(directory)
        if left := sum(status not in _ENDED for status in plan.statuses().values()):
            print_notice(f"{directory}: {left} runs have not ended, and the look after them waits. Go on: resume={directory}")
            return max(code, 1)
        if len(plan.looks) < len(plan.batches):
            plan = replace(plan, looks=(*plan.looks, look(directory)))
            keep(plan)
        print_notice(_what_was_found(plan))
        if not plan.looks[-1].waiting or len(plan.batches) == len(plan.look_sizes):
            print_notice(_what_it_took(plan.looks[-1]))
            return code
        grown = with_next_batch(replace(plan, hydra_overrides=typed.hydra_overrides, config_dirs=typed.config_dirs))
        keep(replace(grown, hydra_overrides=plan.hydra_overrides, config_dirs=plan.config_dirs))
        outcomes.failures.clear()  # they have been printed with their own batch
        outcomes.reported.clear()
        code = max(code, run(grown))


def with_next_batch(plan: SweepPlan) -> SweepPlan:
    """A plan with the next seeds of the groups that wait for some. Raises ConfigError if one of the runs cannot be composed."""
    before, after = plan.look_sizes[len(plan.batches) - 1 :][:2]
    jobs = list(plan.jobs)
    for group in _waiting_groups(plan):
        members = [job for job in plan.first_jobs if _group(job.overrides) == group]
        values = [plan.values_of(job) for job in members]
        first, stacked = min(int(value["seed"]) for value in values), int(values[0]["num_seeds"]) > 1
        for seed in [first + before] if stacked else range(first + before, first + after):
            number = after - before if stacked else 1
            overrides = [*group, f"seed={seed}", f"num_seeds={number}"]
            job = replace(members[0], number=len(jobs), overrides=tuple(overrides))
            jobs.append(added_job(plan, compose_planned(plan, job), job.number))
    if len({job.folder for job in jobs}) < len(jobs):
        key = "hydra.job.config.override_dirname.exclude_keys"
        raise ConfigError(
            f"{plan.directory}: runs of several batches would have one folder, since {key} names seed. Leave it out"
        )
    return replace(plan, jobs=tuple(jobs), batches=(*plan.batches, len(jobs)))


def _waiting_groups(plan: SweepPlan) -> list[_Group]:
    waiting = {Path(text) for text in plan.looks[-1].waiting}
    folders = {Path(job.folder): _group(job.overrides) for job in plan.jobs}
    found = {group for folder, group in folders.items() if any(folder in (path, *path.parents) for path in waiting)}
    return [group for group in dict.fromkeys(_group(job.overrides) for job in plan.first_jobs) if group in found]


def _group(overrides: Iterable[str]) -> _Group:
    return tuple(text for text in overrides if _key(text) not in _SEED_KEYS and not _key(text).startswith(("hydra.", "hydra/")))


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _what_was_found(plan: SweepPlan) -> str:
    look, number, planned = plan.looks[-1], len(plan.looks), len(plan.look_sizes)
    decided = look.num_verdicts - len(look.undecided)
    text = f"look {number} of {planned}, {look.seeds} seeds: {decided} of {look.num_verdicts} verdicts decided"
    if look.waiting and number < planned:
        groups = len(_waiting_groups(plan))
        return f"{text}; {plan.look_sizes[number] - plan.look_sizes[number - 1]} more seeds each for {groups} groups"
    return "\n".join([text, *(f"undecided: {verdict}" for verdict in look.undecided)])


def _what_it_took(look: Look) -> str:
    lines = [
        f"{cost.name}: {cost.seeds} seeds, {format_count(cost.env_steps)} environment steps, {format_duration(cost.seconds)}"
        for cost in look.costs
    ]
    totals: Mapping[str, float] = {
        key: sum(getattr(cost, key) for cost in look.costs) for key in ("seeds", "env_steps", "seconds")
    }
    steps, time = format_count(totals["env_steps"]), format_duration(totals["seconds"])
    return "\n".join([*lines, f"all: {totals['seeds']:.0f} runs, {steps} environment steps, {time} of training"])
