"""Which runs belong to which ablation, as which of its arms, and under which control: from their configurations alone."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, combinations
from typing import Any

from omegaconf import OmegaConf

from a3c_exp.config.ablation import AblationReport, read_ablation_report
from a3c_exp.config.compose import CONFIG_DIR
from a3c_exp.report.curves import Axis
from a3c_exp.report.run_reader import RunData
from a3c_exp.runs.config_values import PER_RUN_KEYS, as_text, flatten_as_text, resolve_reference, select
from a3c_exp.runs.log_records import JsonObject
from a3c_exp.runs.run_directories import natural_sort_key
from a3c_exp.runs.run_summary import BUDGET_COUNTS
from a3c_exp.runs.tolerant_io import mapping
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.number_format import format_count

_MAX_BUDGET_RATIO = 1.1  # of runs that are compared: what the last rounds of small runs may add
_ENDED = ("finished", "failed", "pruned")  # of which no further session is to be expected
_Key = tuple[str, str]  # an ablation and its control
_Arms = dict[str, list[RunData]]
_IGNORED_KEYS = (*PER_RUN_KEYS, "compile", "device", "logger", "tags", "env.backend", "ablation", "checkpoint", "metrics")


@dataclass(frozen=True, eq=False)
class ControlledComparison:
    """The arms of one ablation under one control."""

    ablation: str
    control: str  #: empty for an ablation without controls
    #: The finished runs of each arm, by seed; named arms from the largest number down, values from the smallest up.
    arms: Mapping[str, tuple[RunData, ...]]
    report: AblationReport = field(default_factory=AblationReport)  #: the words of the ablation and its claims
    num_excluded: int = 0  #: runs that did not finish, or repeat a seed
    warnings: tuple[str, ...] = ()  #: what makes the comparison less sound, one sentence each
    #: Of each arm, of an ablation that goes on until it knows: its smallest seed, and how far from it are those whose runs have
    #: ended, finished or not.
    first_seeds: Mapping[str, int] = field(default_factory=dict)
    ended_seeds: Mapping[str, frozenset[int]] = field(default_factory=dict)
    unequal: str = ""  #: why the arms are not judged, which were not run as long as each other; empty if they were

    @property
    def key(self) -> str:
        """What distinguishes it from other comparisons by which the same claims are judged."""
        return self.ablation if self.report.column else self.control

    @property
    def title(self) -> str:
        return self.report.words.title or self.key.replace("_", " ") or "as configured"

    @property
    def label(self) -> str:
        """What its ablation varies, in a word or two."""
        return self.report.label or self.ablation.replace("_", " ")

    @property
    def axis(self) -> Axis:
        """What its budget is counted in, and so what its curves are drawn over."""
        configs = [run.config for runs in self.arms.values() for run in runs]
        return "episode" if configs and all(config.get("max_episodes") for config in configs) else "env_step"

    def arm_key(self, name: str) -> str:
        """What ``arms`` calls the arm that a claim calls ``name``, where 1 and 1.0 are one value."""
        values = [value for value, arm in self.report.stands_for.items() if arm == name]
        return values[0] if values else as_text(name) if self.report.varied else name

    def arm(self, name: str) -> tuple[RunData, ...]:
        """The runs of the arm that a claim calls ``name``; none if it was not run."""
        return self.arms.get(self.arm_key(name), ())

    def has_ended(self, names: Iterable[str], num_seeds: int) -> bool:
        """Whether of the arms that a claim calls so, all runs of as many first seeds have ended."""
        return all(set(range(num_seeds)) <= self.ended_seeds.get(self.arm_key(name), frozenset()) for name in names)

    def at_look(self, num_seeds: int) -> "ControlledComparison":
        """The same with the first seeds of each arm alone."""
        arms = {
            arm: tuple(run for run in runs if run.seed in {str(self.first_seeds[arm] + offset) for offset in range(num_seeds)})
            for arm, runs in self.arms.items()
        }
        found = replace(self, arms=arms)
        return replace(found, unequal=_unequal_budgets(found))

    def arm_label(self, arm: str) -> str:
        """One of ``arms`` in words: ``12 workers``, ``lag 11``."""
        if words := self.report.arms.get(arm):
            return words
        return self.report.arm_label.format(arm) if self.report.varied else arm_label(arm)

    def claim_label(self, name: str) -> str:
        """What a claim calls an arm, in words."""
        return self.report.arms.get(name) or arm_label(name)


def arm_label(arm: str) -> str:
    """``12 workers`` for ``workers_12``."""
    first, _, last = arm.rpartition("_")
    return f"{last} {first}" if first and last.isdigit() else arm.replace("_", " ")


def find_comparisons(runs: Iterable[RunData]) -> list[ControlledComparison]:
    """Every comparison that belongs to an ablation, in the order that the ablations and their controls ask for."""
    reports: dict[_Key, AblationReport] = {}
    by_key: dict[_Key, list[RunData]] = defaultdict(list)
    groups: dict[_Key, _Arms] = {}
    for run in runs:
        section = mapping(run.config.get("ablation"))
        if section.get("name"):
            key = str(section["name"]), str(section.get("control") or "")
            has_looks = bool(mapping(section.get("report")).get("looks"))
            if key not in reports or (has_looks and reports[key].looks is None):
                reports[key] = _ablation_report(section)
            by_key[key].append(run)
    for key, of_key in by_key.items():
        groups[key], reports[key] = _group_by_arm(of_key, reports[key])
    order = sorted(groups, key=lambda key: (reports[key].order, key[0], reports[key].words.order, key[1]))
    _add_shared_arms(groups, reports, order)
    return _warn_of_same_runs([_build_comparison(*key, groups[key], reports[key]) for key in order])


def _ablation_report(section: JsonObject) -> AblationReport:
    """What the run itself keeps; for one that keeps nothing, what ``conf`` says of its ablation and control."""
    try:
        report = read_ablation_report(mapping(section.get("report")) or _installed_report(section))
    except ConfigError:  # damaged
        return AblationReport()
    return replace(report, control=report.controls.get(str(section.get("control") or ""), report.control))


def _installed_report(section: JsonObject) -> JsonObject:
    found: Any = OmegaConf.create()
    for group, name in (("ablation", section.get("name")), ("control", section.get("control"))):
        path = CONFIG_DIR / group / f"{name}.yaml"
        if path.parent == CONFIG_DIR / group and path.is_file():
            content: Any = OmegaConf.load(path)
            for option in content.get("defaults", ()):
                if str(option).startswith("claims/"):
                    claim = OmegaConf.load(path.parent / f"{option}.yaml")
                    found = OmegaConf.merge(found, {"claims": {str(option).removeprefix("claims/"): claim}})
            found = OmegaConf.merge(found, OmegaConf.select(content, "ablation.report", default={}))
    return mapping(OmegaConf.to_container(found))


def _group_by_arm(runs: Sequence[RunData], report: AblationReport) -> tuple[_Arms, AblationReport]:
    """The runs of each arm: by the name that each has, else by the value of ``varied``, else by what differs between them."""
    arms: _Arms = defaultdict(list)
    names = [mapping(run.config.get("ablation")).get("arm") for run in runs]
    differing = () if report.varied or any(names) else _differing_keys(runs)
    if len(differing) == 1:
        report = replace(report, varied=differing[0])
    for run, name in zip(runs, names, strict=True):
        if not name:
            values = {key: _value(run, key) for key in ((report.varied,) if report.varied else differing)}
            name = ", ".join(value if report.varied else f"{key}={value}" for key, value in values.items()) or "all runs"
        arms[str(name)].append(run)
    return arms, report


def _differing_keys(runs: Sequence[RunData]) -> tuple[str, ...]:
    """The configuration values, seeds and the like aside, in which runs differ that finished."""
    flat = [dict(flatten_as_text(run.config, _IGNORED_KEYS)) for run in runs]
    return tuple(key for key in dict.fromkeys(chain(*flat)) if len({values.get(key) for values in flat}) > 1)


def _value(run: RunData, key: str) -> str:
    return as_text(resolve_reference(run.config, key, select(run.config, key)))


def _add_shared_arms(groups: Mapping[_Key, _Arms], reports: Mapping[_Key, AblationReport], order: Sequence[_Key]) -> None:
    """Arms that were not run are those of another ablation, where they are the same configuration; where the number of seeds is
    fixed here and was not there, those seeds that were planned."""
    for ablation in dict.fromkeys(name for name, _ in order):
        controls = [control for name, control in order if name == ablation]
        for shared in reports[ablation, controls[0]].same_runs:
            for control in controls:
                other = shared.ablation, shared.as_control or control
                missing = shared.arm not in groups[ablation, control] and shared.control in (control, None)
                if missing and other in groups and shared.as_arm in groups[other]:
                    runs = groups[other][shared.as_arm]
                    is_fixed = reports[ablation, control].looks is None
                    groups[ablation, control][shared.arm] = [run for run in runs if not is_fixed or _was_planned(run, runs)]


def _was_planned(run: RunData, runs: Sequence[RunData]) -> bool:
    """Whether a run would be among ``runs`` whatever they show: the first batch, of an ablation that goes on until it knows.
    Intervals for a fixed number of seeds hold for those alone."""
    sizes = select(run.config, "ablation.report.looks.sizes")
    if not sizes or not run.seed.isdecimal():
        return True
    first = min(int(other.seed) for other in runs if other.seed.isdecimal())
    return int(run.seed) < first + int(sizes[0])


def _build_comparison(ablation: str, control: str, arms: _Arms, report: AblationReport) -> ControlledComparison:
    kept: dict[str, tuple[RunData, ...]] = {}
    mixed, repeated = [], []
    for name in sorted(arms, key=_arm_sort_key):
        finished = [run for run in arms[name] if run.status == "finished"]
        kept[name] = tuple({run.seed: run for run in sorted(finished, key=lambda run: natural_sort_key(run.seed))}.values())
        if len(kept[name]) < len(finished):
            repeated.append(name)
        if len({tuple(flatten_as_text(run.config, _IGNORED_KEYS)) for run in finished}) > 1:
            mixed.append(name)
    num_excluded = sum(len(arms[name]) - len(runs) for name, runs in kept.items())
    found = ControlledComparison(ablation, control, kept, report, num_excluded)
    if report.looks is not None:
        numbered = {name: [run for run in runs if run.seed.isdecimal()] for name, runs in arms.items()}
        first = {name: min((int(run.seed) for run in runs), default=0) for name, runs in numbered.items()}
        ended = {
            name: frozenset(int(run.seed) - first[name] for run in runs if run.status in _ENDED)
            for name, runs in numbered.items()
        }
        found = replace(found, first_seeds=first, ended_seeds=ended)
    found = replace(found, unequal=_unequal_budgets(found))
    faults = {"Runs of one group differ in more than their seed": mixed}
    faults |= {"The same seed ran more than once and counts once": repeated}
    warnings = [f"{fault}: {', '.join(map(found.arm_label, names))}." for fault, names in faults.items() if names]
    if found.unequal:
        warnings.append(f"Its groups are not judged, {found.unequal}.")
    return replace(found, warnings=tuple(warnings))


def _unequal_budgets(comparison: ControlledComparison) -> str:
    """What says that groups are of several tasks or budgets; empty if they are of one, or if episodes are what is equal, which
    are compared over as many as all have, and at their ends only if they have as many."""
    runs = [run for arm in comparison.arms.values() for run in arm]
    if len(tasks := {run.task for run in runs} - {""}) > 1:
        return f"since they are of several tasks: {', '.join(sorted(tasks))}"
    budgets = {next((key for key in BUDGET_COUNTS if run.config.get(key)), "") for run in runs} - {""}
    if len(budgets) > 1:
        return f"since their budgets are of different kinds: {', '.join(sorted(budgets))}"
    unequal = (unequal_counts(runs, BUDGET_COUNTS[name]) for name in budgets - {"max_episodes", comparison.report.varied})
    return next((f"since their {text}" for text in unequal if text), "")


def unequal_counts(runs: Iterable[RunData], name: str) -> str:
    """``env steps are 30,000 to 100,000`` where runs have clearly different numbers of them; empty where they have not."""
    counts = [count for run in runs if math.isfinite(count := run.result(name))]
    low, high = min(counts, default=0.0), max(counts, default=0.0)
    return f"{name.replace('_', ' ')} are {format_count(low)} to {format_count(high)}" if high > _MAX_BUDGET_RATIO * low else ""


def _warn_of_same_runs(comparisons: Sequence[ControlledComparison]) -> list[ControlledComparison]:
    """Each with a warning where its runs are, number for number, those of an earlier control or of another group of its own."""
    numbers = {one: {arm: [run.numbers for run in runs] for arm, runs in one.arms.items() if runs} for one in comparisons}
    found = []
    for index, one in enumerate(comparisons):
        warnings = [
            f"Its runs are the same as those of {other.title}, number for number: what one shows, the other does not confirm."
            for other in comparisons[:index]
            if other.ablation == one.ablation and numbers[one] and numbers[other] == numbers[one]
        ]
        warnings += [
            f"{one.arm_label(first)} and {one.arm_label(second)} have the same runs, number for number."
            for first, second in combinations(numbers[one], 2)
            if numbers[one][first] == numbers[one][second] and any(numbers[one][first])
        ]
        found.append(replace(one, warnings=(*one.warnings, *warnings)))
    return found


def _arm_sort_key(arm: str) -> tuple[float, tuple[tuple[int, float, str], ...]]:
    first, _, last = arm.rpartition("_")
    return (-float(last), ()) if first and last.isdigit() else (0.0, natural_sort_key(arm))
