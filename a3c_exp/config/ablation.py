"""What a report says of an ablation: its words, and the claims that its runs can support or contradict.

It is data below the key ``ablation.report``, which ``conf/ablation`` and ``conf/control`` or the same folders of one's own
bring along; each run keeps it in its configuration, so that it can be evaluated after those files have changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from itertools import count
from math import nan
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from a3c_exp.system.errors import ConfigError, first_line

Quantity = StrEnum("Quantity", ["time", "area", "final", "variability", "seconds"])
"""What is measured on every run: on its curves (see ``curve_metrics``), or its seconds of training an episode."""

Effect = StrEnum("Effect", ["raises", "lowers"])
"""What a change does to a quantity, as a claim says."""

Expected = StrEnum("Expected", ["clear", "hardly"])
"""How large the effect is: ``clear``, or ``hardly``: not clear in that direction."""

CurveName = StrEnum("CurveName", ["training", "evaluation"])
"""By what a claim is judged: the training curve, the standard evaluations."""

MIN_EFFECT_RATIO = 1.25
"""The smallest ratio of times and of variabilities that matters, unless a claim names another: a quarter more."""

_USUAL_WORDS = {
    "time": ("learns later", "learns sooner"),
    "area": ("better on the way", "worse on the way"),
    "final": ("ends better", "ends worse"),
    "variability": ("is less steady", "is steadier"),
    "seconds": ("takes longer", "takes less time"),
}
"""What a part says unless it has a ``text``: where the change raises the quantity, and where it lowers it."""


@dataclass
class ClaimPart:
    """One thing that a claim says of a change from one arm to another."""

    quantity: Quantity = MISSING
    effect: Effect = MISSING
    text: str = ""  # in a few words; empty: the usual ones
    expected: Expected = Expected.clear

    @property
    def sign(self) -> int:
        return 1 if self.effect is Effect.raises else -1

    @property
    def is_ratio(self) -> bool:
        """Whether arms are compared by how many times, not by how much: times and variabilities."""
        return self.quantity in (Quantity.time, Quantity.variability, Quantity.seconds)


@dataclass
class MeasureValues:
    """One number for training curves (reward of a step), one for evaluations (return of an episode); NaN: none."""

    training: float = nan
    evaluation: float = nan


@dataclass
class Margin(MeasureValues):
    """The smallest difference that matters: in ``area`` and ``final`` in their own units, in other quantities a ratio."""

    ratio: float = MIN_EFFECT_RATIO  # of times, variabilities and seconds: how many times as much
    reason: str = ""  # why nothing smaller matters, in a sentence for the report


@dataclass
class Claim:
    """A statement about arms that runs can contradict. All its parts must hold, for all its changes."""

    title: str = MISSING  # in a few words
    number: int = 0  # by which a page names it; 0: the next free one
    text: str = ""  # what it says, in a sentence
    subject: str = "claims"  # claims about the same subject share a table
    changes: list[list[str]] = MISSING  # ``[from, to]`` arms that it speaks of; all of them must bear it out
    parts: list[ClaimPart] = MISSING  # what it says of each change; all are about ``seconds``, or none is
    measures: list[CurveName] = field(default_factory=list)  # by which it is judged; empty: by both
    controls: list[str] = field(default_factory=list)  # under which it is judged; empty: under all
    min_effect: Margin | None = None  # the smallest difference that matters, where it is not the ablation's

    @property
    def is_about_wall_time(self) -> bool:
        return self.parts[0].quantity is Quantity.seconds


@dataclass
class ControlWords:
    """What a control is called; ``order`` is its place among them, ``env`` the environment that it sets, if it sets one."""

    title: str | None = None
    description: str = "A control of its own."
    order: int = 1000
    env: str = ""


@dataclass
class SharedArm:
    """An arm that need not be run under ``control`` (``None``: any), since ``as_arm`` of another ablation is the same."""

    arm: str = MISSING
    ablation: str = MISSING
    as_arm: str = MISSING
    control: str | None = None
    as_control: str | None = None


@dataclass
class Asynchrony:
    """The controls of which one is asynchronous in virtual time and the other in real time, and all else is equal."""

    virtual: str = MISSING
    real: str = MISSING


@dataclass
class WallTimeTraining:
    """The training whose wall time is predicted for other machines, and how many cores the claim's own machine had."""

    episodes: int = MISSING
    steps: int = MISSING
    cores: int = MISSING


@dataclass
class Looks:
    """When the claims of an ablation that goes on until it knows are looked at, as its sweep planned it beforehand."""

    sizes: list[int] = MISSING  # seeds of a group at each look, increasing; the last is the most that there will be
    comparisons: int = MISSING  # how many intervals are to hold together


@dataclass
class AblationReport:
    """How an ablation is reported."""

    order: int = 1000  # its place among ablations
    label: str | None = None  # what its runs vary, in a word or two
    claims: dict[str, Claim] = field(default_factory=dict)  # by name
    # Where a curve counts as learned, for parts about ``time``; and the smallest difference that matters.
    learned: MeasureValues = field(default_factory=MeasureValues)
    min_effect: Margin = field(default_factory=Margin)
    control: ControlWords = field(default_factory=ControlWords)  # words for the control of the run
    controls: dict[str, ControlWords] = field(default_factory=dict)  # likewise by control, where one file has them all
    arms: dict[str, str] = field(default_factory=dict)  # arms in words, by their names
    column: ControlWords | None = None  # the same where its runs are evidence on claims of another ablation
    varied: str | None = None  # the key whose values are the arms, where no ``ablation.arm`` names them
    arm_label: str = "{}"  # such an arm in words, ``{}`` its value
    axis_label: str | None = None  # of the figure over the values of ``varied``, as is the heading
    heading: str | None = None
    stands_for: dict[str, str] = field(default_factory=dict)  # values of ``varied`` by the arm of the claims that they are
    same_runs: list[SharedArm] = field(default_factory=list)  # arms that another ablation may have run
    notes: dict[str, str] = field(default_factory=dict)  # what is to be said where a control was run, by control
    profiles: list[str] = field(default_factory=list)  # the two controls whose performance profiles are drawn
    asynchrony: Asynchrony | None = None  # the pair of controls whose policy lags and verdicts are compared
    wall_time: WallTimeTraining | None = None  # of what the wall time is predicted
    looks: Looks | None = None  # of ``ablation.seeds=until_decided``, whose sweep puts it there

    @property
    def words(self) -> ControlWords:
        """What its comparison is called in a table."""
        return self.column or self.control

    def margin_of(self, claim: Claim) -> Margin:
        """The smallest difference that matters to a claim: its own, or the ablation's."""
        return claim.min_effect or self.min_effect


def read_ablation_report(section: Mapping[str, Any]) -> AblationReport:
    """The typed form of ``ablation.report``; a ConfigError names the key that is wrong, and what is allowed."""
    try:
        node = OmegaConf.merge(_report_schema(), section)  # into a copy
        report = OmegaConf.to_object(node)
    except OmegaConfBaseException as error:
        key = f"ablation.report.{error.full_key}" if error.full_key else "ablation.report"
        raise ConfigError(f"{key}: {first_line(error)}") from None
    assert isinstance(report, AblationReport)
    _check_margin("ablation.report.min_effect", report.min_effect)
    numbers = (number for number in count(1) if number not in {claim.number for claim in report.claims.values()})
    for name, claim in report.claims.items():
        claim.number = claim.number or next(numbers)
        key = f"ablation.report.claims.{name}"
        if not claim.changes or any(len(change) != 2 for change in claim.changes):
            raise ConfigError(
                f"{key}.changes is {claim.changes}, but each is a pair of arms. Try changes: [[workers_12, workers_4]]"
            )
        if not claim.parts or len({part.quantity is Quantity.seconds for part in claim.parts}) > 1:
            raise ConfigError(f"{key}.parts: a claim has parts, and all or none are about seconds. Write a claim for each")
        _check_margin(f"{key}.min_effect", report.margin_of(claim))
        for part in claim.parts:
            part.text = part.text or _USUAL_WORDS[part.quantity][part.effect is Effect.lowers]
    return report


@cache
def _report_schema() -> DictConfig:
    """The empty report. OmegaConf takes milliseconds to make one of its class, and every composed run is checked against it."""
    schema: DictConfig = OmegaConf.structured(AblationReport)
    return schema


def _check_margin(key: str, margin: Margin) -> None:
    if margin.ratio <= 1.0:
        raise ConfigError(f"{key}.ratio is {margin.ratio:g}, but it is how many times as much matters. Try ratio: 1.25")
    for measure in CurveName:
        if (value := getattr(margin, measure)) <= 0.0:
            raise ConfigError(f"{key}.{measure} is {value:g}, but it is a size, above 0. Try {measure}: {abs(value) or 1:g}")


def num_comparisons(report: AblationReport, control: str, stacked: bool) -> int:
    """How many intervals a report's claims ask for under a control; none about wall time where seeds share a process."""
    found = 0
    for claim in report.claims.values():
        if not claim.controls or control in claim.controls:
            measures = int(not stacked) if claim.is_about_wall_time else len(claim.measures or CurveName)
            found += measures * len(claim.changes) * len(claim.parts)
    return found


def check_ablation(section: Mapping[str, Any]) -> None:
    """Raises ConfigError for an ``ablation`` whose claims could not be judged, with the first thing that is wrong."""
    report = read_ablation_report(section["report"])
    for kind in ("arm", "control"):
        names, chosen = list(section[f"{kind}s"]), section[kind]
        if names and chosen is None:
            raise ConfigError(f"ablation.{kind}s has {', '.join(names)}, and none is chosen. Try {kind}={names[0]}")
        if words := [name for name in getattr(report, f"{kind}s") if names and name not in names]:
            raise ConfigError(f"ablation.report.{kind}s.{words[0]}: there is no such {kind}. Use one of {', '.join(names)}")
    if not section["name"]:
        if section["arms"] or report.claims or report.varied:
            raise ConfigError("ablation.name is null, by which a report finds the runs. Try ablation: {name: mine} in its file")
        return
    for name, claim in report.claims.items():
        used = {
            "changes": ("arms", [arm for change in claim.changes for arm in change]),
            "controls": ("controls", claim.controls),
        }
        for key, (kind, mentioned) in used.items():
            if section[kind] and (unknown := [one for one in mentioned if one not in section[kind]]):
                raise ConfigError(
                    f"ablation.report.claims.{name}.{key} names {unknown[0]}, which is none of ablation.{kind}. "
                    f"Use one of {', '.join(section[kind])}"
                )
