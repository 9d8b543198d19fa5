"""Interleaved repeats: A B C A B C, so that a machine that slows down meanwhile slows every variant alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from a3c_exp.system.number_format import format_number


class MeasurementError(Exception):
    """A variant could not be measured; the message is the reason that the table shows."""


@dataclass(frozen=True)
class Requirement:
    """A promise about a variant's median.

    Attributes:
        quantity: the measured value itself, or its ratio to the baseline.
        relation: which side of ``bound`` is right.
    """

    quantity: str  # "value" or "ratio"
    relation: str  # "at least", "at most" or "less than"
    bound: float

    def is_met(self, number: float) -> bool:
        if self.relation == "at least":
            return number >= self.bound
        return number <= self.bound if self.relation == "at most" else number < self.bound


@dataclass(frozen=True)
class Variant:
    """One way to do the thing. ``measure`` returns one number, or raises if it cannot."""

    name: str
    measure: Callable[[], float]
    requirement: Requirement | None = None


@dataclass
class VariantResult:
    """A variant's numbers in the order of repeats, so that equal indices were measured next to each other."""

    name: str
    requirement: Requirement | None = None
    values: list[float] = field(default_factory=list)
    failure: str | None = None


def interleave(variants: Sequence[Variant], repeats: int, log: Callable[[str], None]) -> list[VariantResult]:
    """Measure every variant ``repeats`` times in turn. A variant that fails once is left out from then on."""
    series = [VariantResult(variant.name, variant.requirement) for variant in variants]
    for repeat in range(repeats):
        for variant, one in zip(variants, series, strict=True):
            if one.failure is not None:
                continue
            try:
                one.values.append(variant.measure())
            except Exception as error:  # whatever it was, the other variants are still worth measuring
                kind = "" if isinstance(error, MeasurementError) else f"{type(error).__name__}: "
                one.failure = kind + " ".join(str(error).split())
                log(f"  {repeat + 1}/{repeats} {variant.name}: failed: {one.failure}")
            else:
                log(f"  {repeat + 1}/{repeats} {variant.name}: {format_number(one.values[-1])}")
    return series
