"""Interleaved repeats: A B C A B C, so that a machine that slows down slows every variant alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from a3c_exp.system.number_format import format_number


class MeasurementError(Exception):
    """A variant could not be measured; the table shows the message."""


@dataclass(frozen=True)
class Requirement:
    """A requirement on a variant's median.

    Attributes:
        quantity: the measured value itself, or its ratio to the baseline.
        relation: which side of ``bound`` meets the requirement.
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
    """One variant. ``measure`` returns one number, or raises."""

    name: str
    measure: Callable[[], float]
    requirement: Requirement | None = None


@dataclass
class VariantResult:
    """A variant's values in the order of repeats: equal indices were measured next to each other."""

    name: str
    requirement: Requirement | None = None
    values: list[float] = field(default_factory=list)
    failure: str | None = None


def interleave(variants: Sequence[Variant], repeats: int, log: Callable[[str], None]) -> list[VariantResult]:
    """Measure every variant ``repeats`` times in turn. A variant that fails once is left out from then on."""
    results = [VariantResult(variant.name, variant.requirement) for variant in variants]
    for repeat in range(repeats):
        for variant, result in zip(variants, results, strict=True):
            if result.failure is not None:
                continue
            try:
                result.values.append(variant.measure())
            except Exception as error:  # the other variants can still be measured
                kind = "" if isinstance(error, MeasurementError) else f"{type(error).__name__}: "
                result.failure = kind + " ".join(str(error).split())
                log(f"  {repeat + 1}/{repeats} {variant.name}: failed: {result.failure}")
            else:
                log(f"  {repeat + 1}/{repeats} {variant.name}: {format_number(result.values[-1])}")
    return results
