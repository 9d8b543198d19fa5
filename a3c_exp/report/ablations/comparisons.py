"""Which runs belong to which comparison, as which of its groups, and under which control: from their configurations alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from a3c_exp.report.aggregate import Axis
from a3c_exp.report.columns import mapping
from a3c_exp.report.run_reader import RunData, natural_sort_key
from a3c_exp.runs.config_values import PER_RUN_KEYS, flatten_as_text

TITLES = {
    "published": "as published",
    "bootstrapped": "bootstrapped",
    "equal_steps": "equal steps",
    "equal_updates": "equal updates",
    "fair": "fair",
    "own_limit": "own limit",
    "same_lag": "fair, same lag",
    "staleness": "fair, lag alone",
    "worker_range": "fair, range",
    "hogwild": "hogwild",
    "pendulum_steps": "Pendulum, equal steps",
    "pendulum_updates": "Pendulum, equal updates",
    "cartpole_steps": "CartPole, equal steps",
    "cartpole_updates": "CartPole, equal updates",
}
"""What protocols are called on a page, in the order in which they stand there."""

DESCRIPTIONS = {
    "published": "The report's protocol: equal episodes, and the time limit counts as an end. Asynchrony in virtual time.",
    "bootstrapped": "As published, but a time limit is no end: what would have followed is estimated.",
    "equal_steps": "As published, but every group lives the same number of environment steps.",
    "equal_updates": "As published, but every group makes the same number of updates.",
    "fair": "Equal environment steps, and a time limit is no end.",
    "own_limit": "As published, but no episode is longer than the environment's own 200 steps.",
    "same_lag": "Fair, and every gradient is 11 updates stale, however many workers there are.",
    "staleness": "Fair, with 12 workers always, and gradients as stale as those of 12, 6 and 4.",
    "worker_range": "Fair, the groups of 12, 6 and 4 among one to thirty-two workers.",
    "hogwild": "As published, in real asynchrony: processes, shared weights, no lock.",
    "pendulum_steps": "A3C on Pendulum, the same number of environment steps for every window.",
    "pendulum_updates": "A3C on Pendulum, the same number of updates for every window.",
    "cartpole_steps": "A2C on CartPole, the same number of environment steps for every window.",
    "cartpole_updates": "A2C on CartPole, the same number of updates for every window.",
}
"""What they are, in a sentence."""

VARIED_KEYS = {"worker_range": "workers", "staleness": "parallelism.lag", "n_step": "n_step"}
"""The key that tells the groups of a comparison apart, where that is a single one."""

_ARM_OF_LAG = {
    "11": "workers_12",
    "5": "workers_6",
    "3": "workers_4",
}  # the mean lag of so many workers is one less than they are
# Groups that are the same configuration under two names, as the report's first groups are: one need not be run for the other.
# Who borrows, under which control and as what; who lends, under which and as what. None is any control, and the same.
_SHARED_ARMS = (
    ("max_episode_steps", None, "steps_4000", "worker_count", None, "workers_12"),
    ("worker_count", None, "workers_12", "max_episode_steps", None, "steps_4000"),
    ("worker_count", "same_lag", "workers_12", "staleness", "fair", "11"),
    ("worker_range", "fair", "12", "worker_count", "fair", "workers_12"),
    ("worker_range", "fair", "6", "worker_count", "fair", "workers_6"),
    ("worker_range", "fair", "4", "worker_count", "fair", "workers_4"),
    ("staleness", "fair", "11", "worker_count", "same_lag", "workers_12"),
)
_IGNORED_KEYS = (*PER_RUN_KEYS, "compile", "device", "logger", "tags", "env.backend", "ablation", "checkpoint", "metrics")


@dataclass(frozen=True, eq=False)
class ControlledComparison:
    """One comparison under one control.

    Attributes:
        ablation: the comparison, as its configuration is called.
        control: as its configuration is called.
        arms: the finished runs of each group, by seed; groups in the order of the report, or of their values.
        num_excluded: how many runs did not finish, or repeat a seed.
        warnings: what makes the comparison less sound, one sentence each.
    """

    ablation: str
    control: str
    arms: Mapping[str, tuple[RunData, ...]]
    num_excluded: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What tells it from other protocols of the same claims."""
        return self.ablation if self.ablation in VARIED_KEYS and self.ablation != "n_step" else self.control

    @property
    def title(self) -> str:
        return TITLES.get(self.key, self.key.replace("_", " "))

    @property
    def axis(self) -> Axis:
        """What its budget is counted in, and so what its curves are drawn over: episodes, as in the report, or steps."""
        configs = [run.config for runs in self.arms.values() for run in runs]
        return "episode" if configs and all(config.get("max_episodes") for config in configs) else "env_step"

    def arm(self, name: str) -> tuple[RunData, ...]:
        """The runs that stand for one of the report's groups, such as ``workers_6``; none if it was not run."""
        if self.ablation == "worker_range":
            return self.arms.get(name.removeprefix("workers_"), ())
        if self.ablation == "staleness":
            return next((runs for lag, runs in self.arms.items() if _ARM_OF_LAG.get(lag) == name), ())
        return self.arms.get(name, ())


def find_comparisons(runs: Iterable[RunData]) -> list[ControlledComparison]:
    """Every comparison among ``runs`` that some ablation asked for, in the order of the report and of ``TITLES``."""
    groups: dict[tuple[str, str], dict[str, list[RunData]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        said = mapping(run.config.get("ablation"))
        if said.get("name"):
            name = str(said["name"])
            groups[name, str(said.get("control"))][_arm_name(run, name, said.get("arm"))].append(run)
    for borrower, only, arm, lender, under, lent in _SHARED_ARMS:
        for name, control in list(groups):
            if name == borrower and only in (control, None) and arm not in groups[name, control]:
                lending = groups.get((lender, under or control), {})
                if lent in lending:
                    groups[name, control][arm] = lending[lent]
    found = [_build_comparison(name, control, arms) for (name, control), arms in groups.items()]
    order = list(TITLES)
    names = ["max_episode_steps", "worker_count", "worker_range", "staleness", "n_step"]
    return sorted(
        found,
        key=lambda one: (
            names.index(one.ablation) if one.ablation in names else len(names),
            order.index(one.key) if one.key in order else len(order),
            one.key,
        ),
    )


def arm_label(ablation: str, arm: str) -> str:
    """``12 workers``, ``500 steps``, ``lag 11``, ``window 5``: a group in words."""
    first, _, last = arm.rpartition("_")
    if first in ("workers", "steps"):
        return f"{last} {first}"
    word = {"worker_range": "workers", "staleness": "lag", "n_step": "window"}.get(ablation, "")
    return f"{arm} workers" if word == "workers" else f"{word} {arm}".strip()


def _arm_name(run: RunData, ablation: str, declared: object) -> str:
    if declared:
        return str(declared)
    value: object = run.config
    for key in VARIED_KEYS.get(ablation, "").split("."):
        value = mapping(value).get(key)
    return str(value)


def _build_comparison(ablation: str, control: str, arms: Mapping[str, Sequence[RunData]]) -> ControlledComparison:
    kept, left_out, mixed, twice = {}, 0, [], []
    for name in sorted(arms, key=_arm_sort_key):
        finished = [run for run in arms[name] if run.status == "finished"]
        by_seed = {run.seed: run for run in sorted(finished, key=lambda run: natural_sort_key(run.seed))}
        kept[name] = tuple(by_seed.values())
        left_out += len(arms[name]) - len(by_seed)
        if len(by_seed) < len(finished):
            twice.append(arm_label(ablation, name))
        if len({tuple(flatten_as_text(run.config, _IGNORED_KEYS)) for run in finished}) > 1:
            mixed.append(arm_label(ablation, name))
    cautions = []
    if mixed:
        cautions.append(f"Runs of one group differ in more than their seed: {', '.join(mixed)}.")
    if twice:
        cautions.append(f"The same seed ran more than once and counts once: {', '.join(twice)}.")
    return ControlledComparison(ablation, control, kept, left_out, tuple(cautions))


def _arm_sort_key(arm: str) -> tuple[float, tuple[tuple[int, float, str], ...]]:
    """The report's groups from the largest down; values from the smallest up."""
    first, _, last = arm.rpartition("_")
    return (-float(last), ()) if first in ("workers", "steps") and last.isdigit() else (0.0, natural_sort_key(arm))
