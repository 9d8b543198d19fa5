"""What a report says of an ablation: its words, and the claims that its runs can support or contradict.

It is data below the key ``ablation.report``, which ``conf/ablation`` and ``conf/control`` or the same folders of one's own
bring along; each run keeps it in its configuration, so that it can be evaluated after those files have changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import nan
from typing import Any

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from a3c_exp.system.errors import ConfigError, first_line

Quantity = StrEnum("Quantity", ["time", "area", "final", "variability", "seconds"])
"""What is measured on every run: on its curves (see ``curve_metrics``), or its seconds of training an episode."""

Effect = StrEnum("Effect", ["raises", "lowers"])
"""What a change does to a quantity, as a claim says."""

Expected = StrEnum("Expected", ["clear", "hardly"])
"""How large the effect is: ``clear``, or ``hardly``: not clear in that direction."""


@dataclass
class ClaimPart:
    """One thing that a claim says of a change from one arm to another."""

    text: str = MISSING
    quantity: Quantity = MISSING
    effect: Effect = MISSING
    expected: Expected = Expected.clear

    @property
    def sign(self) -> int:
        return 1 if self.effect is Effect.raises else -1

    @property
    def is_ratio(self) -> bool:
        """Whether arms are compared by how many times, not by how much: times and variabilities."""
        return self.quantity in (Quantity.time, Quantity.variability, Quantity.seconds)


@dataclass
class Claim:
    """A statement about arms that runs can contradict. All its parts must hold, for all its changes."""

    number: int = MISSING  # by which a page names it
    title: str = MISSING  # in a few words
    text: str = ""  # what it says, in a sentence
    subject: str = "claims"  # claims about the same subject share a table
    changes: list[list[str]] = MISSING  # ``[from, to]`` arms that it speaks of; all of them must bear it out
    parts: list[ClaimPart] = MISSING  # what it says of each change; all are about ``seconds``, or none is

    @property
    def is_about_wall_time(self) -> bool:
        return self.parts[0].quantity is Quantity.seconds


@dataclass
class MeasureValues:
    """One number for training curves (reward of a step), one for evaluations (return of an episode); NaN: none."""

    training: float = nan
    evaluation: float = nan


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
class AblationReport:
    """How an ablation is reported."""

    order: int = 1000  # its place among ablations
    label: str | None = None  # what its runs vary, in a word or two
    claims: dict[str, Claim] = field(default_factory=dict)  # by name
    # Where a curve counts as learned, for parts about ``time``; and the smallest clear difference in ``area`` and ``final``.
    learned: MeasureValues = field(default_factory=MeasureValues)
    min_effect: MeasureValues = field(default_factory=MeasureValues)
    control: ControlWords = field(default_factory=ControlWords)  # words for the control of the run
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

    @property
    def words(self) -> ControlWords:
        """What its comparison is called in a table."""
        return self.column or self.control


def read_ablation_report(section: Mapping[str, Any]) -> AblationReport:
    """The typed form of ``ablation.report``; a ConfigError names the key that is wrong, and what is allowed."""
    try:
        node = OmegaConf.merge(OmegaConf.structured(AblationReport), section)
        report = OmegaConf.to_object(node)
    except OmegaConfBaseException as error:
        key = f"ablation.report.{error.full_key}" if error.full_key else "ablation.report"
        raise ConfigError(f"{key}: {first_line(error)}") from None
    assert isinstance(report, AblationReport)
    for name, claim in report.claims.items():
        key = f"ablation.report.claims.{name}"
        if not claim.changes or any(len(change) != 2 for change in claim.changes):
            raise ConfigError(
                f"{key}.changes is {claim.changes}, but each is a pair of arms. Try changes: [[workers_12, workers_4]]"
            )
        if not claim.parts or len({part.quantity is Quantity.seconds for part in claim.parts}) > 1:
            raise ConfigError(f"{key}.parts: a claim has parts, and all or none are about seconds. Write a claim for each")
    return report
