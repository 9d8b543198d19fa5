"""One part of a claim, for one change, by one measure: the effect, its intervals, and what they decide."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np

from a3c_exp.config.ablation import Claim, ClaimPart, Expected, Margin, Quantity
from a3c_exp.report.ablations.comparisons import ControlledComparison, unequal_counts
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.curves import Measure, curve_metrics, learning_curves
from a3c_exp.report.run_reader import RunData
from a3c_exp.stats.estimates import NO_INTERVAL, Interval, difference_interval, interquartile_mean, probability_of_improvement
from a3c_exp.stats.sequential import seeds_to_decide
from a3c_exp.stats.significance import MIN_VERDICT_SEEDS, yuen_contrast
from a3c_exp.system.number_format import typographic

Decision = Literal["supported", "not supported", "no difference that matters", "reversed", "undecided"]
ClaimMeasure = Measure | Literal["clock"]

_NUM_RESAMPLES = 4000  # of some two hundred intervals a report; their edges are then right to 2 % of their width


@dataclass(frozen=True)
class EffectEstimate:
    """What one part of a claim comes to, for one change, by one measure."""

    part: ClaimPart
    arms: tuple[str, str]  #: from which to which, as the claim calls them
    change: str  #: the same in words, ``12 to 4 workers``
    min_effect: float  #: the margin: how large the effect has to be to matter, as a ratio's logarithm where it is one
    paired: bool  #: whether both arms have the same seeds
    seeds: int  #: of the smaller arm
    reason: str  #: why it is undecided for want of something; empty where numbers decide
    #: Difference of interquartile means, to less from; for times and variabilities the natural logarithm of their ratio.
    #: Positive is what the claim says, whichever way the quantity itself went.
    effect: float = math.nan
    interval: Interval = NO_INTERVAL  #: its 95 % bootstrap interval over seeds, taken alone
    simultaneous_interval: Interval = NO_INTERVAL  #: the one behind the verdict, which holds together with all others
    probability: float = math.nan  #: that a run changed that way is, by this quantity, on the side that the claim says
    decision: Decision = "undecided"
    uncorrected_decision: Decision = "undecided"  #: where that is undecided, what the effect's own interval would say
    #: Where that is undecided, how many seeds each arm would probably take (``seeds_to_decide``); infinite: more than a
    #: thousand; NaN: there is no telling.
    seeds_needed: float = math.nan
    look: int = 0  #: at which look the numbers were judged, from 1; 0: there are no looks

    @property
    def leans_against(self) -> bool:
        """Whether what is nearest to being decided contradicts the claim."""
        large = self.effect >= self.min_effect
        hardly = self.part.expected is Expected.hardly
        return (large or self.effect <= -self.min_effect) if hardly else not large


def decide(effect: float, interval: Interval, min_effect: float, expected: Expected = Expected.clear) -> Decision:
    """The verdict that an interval allows, for an effect that is positive where the claim is right.

    ``supported``: the effect is surely above 0, and is as large as clear. ``reversed``: surely below 0, and as large.
    ``no difference that matters``: surely smaller than clear in either direction, since the whole interval lies within plus and
    minus clear. Those are the two one-sided tests of equivalence (Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics
    1987), each at half of what the interval leaves: at the whole of it they would need a narrower interval of their own, and
    here one interval answers every question. ``not supported``: surely smaller than clear, and perhaps clearly the opposite.
    A claim that something ``hardly`` happens is supported by an interval within plus and minus clear, and not supported where
    the opposite one would be supported. Else ``undecided``.

    >>> decide(2.0, (1.2, 2.8), 0.5), decide(-0.1, (-0.7, 0.3), 0.5)
    ('supported', 'not supported')
    >>> decide(0.1, (-0.1, 0.3), 0.5), decide(0.4, (-0.2, 1.0), 0.5)
    ('no difference that matters', 'undecided')
    """
    low, high = interval
    if not math.isfinite(effect) or math.isnan(low + high):
        return "undecided"
    if high < 0 and effect <= -min_effect:
        return "reversed"
    clear, within = low > 0 and effect >= min_effect, -min_effect < low <= high < min_effect
    if expected is Expected.hardly:
        return "not supported" if clear else "supported" if within else "undecided"
    if clear:
        return "supported"
    if within:
        return "no difference that matters"
    return "not supported" if high < min_effect else "undecided"


def distance_to_decision(effect: float, min_effect: float, expected: Expected = Expected.clear) -> float:
    """How near to its middle the interval of an undecided effect has to end for ``decide`` to decide."""
    if expected is Expected.hardly:
        return abs(effect) if abs(effect) >= min_effect else min_effect - abs(effect)
    return effect if effect >= min_effect else min_effect - effect


# One number of each of some runs for both arms, these runs, the margin, and why they cannot be compared.
_Numbers = tuple[list[FloatArray], Sequence[Sequence[RunData]], float, str]
Draft = tuple[EffectEstimate, list[FloatArray]]  # one that is undecided as yet, and the numbers of both arms


def draft_effects(claim: Claim, comparison: ControlledComparison, measure: ClaimMeasure) -> list[Draft]:
    """Every change and part of a claim, as yet without numbers, and the numbers that it is to be judged by."""
    margin, drafts = comparison.report.margin_of(claim), []
    for before, after in claim.changes:
        arms = comparison.arm(before), comparison.arm(after)
        few = [f"{len(runs)} of {MIN_VERDICT_SEEDS} seeds of {comparison.claim_label(arm)}"
               for runs, arm in zip(arms, (before, after), strict=True) if len(runs) < MIN_VERDICT_SEEDS]  # fmt: skip
        for part in claim.parts:
            groups, runs, min_effect, reason = (
                _wall_times(arms, margin) if measure == "clock" else _learning_metrics(part, arms, comparison, measure, margin)
            )
            if part.is_ratio:
                with np.errstate(divide="ignore", invalid="ignore"):
                    groups = [np.log(group) for group in groups]
            reason = few[0] if few else comparison.unequal or reason
            if not reason and not all(np.isfinite(group).all() for group in groups):
                missing = f"too few points of {measure} at the end"
                reason = "a run does not say how long it took" if measure == "clock" else missing
            seeds = [[run.seed for run in arm] for arm in runs]
            paired, fewest = seeds[0] == seeds[1] and "?" not in seeds[0], min(group.size for group in groups)
            change = _change_label(comparison.claim_label(before), comparison.claim_label(after))
            drafts.append((EffectEstimate(part, (before, after), change, min_effect, paired, fewest, reason), groups))
    return drafts


def _change_label(first: str, second: str) -> str:
    """``12 to 4 workers`` for ``12 workers`` and ``4 workers``: what both arms are is said once."""
    shared = second.partition(" ")[2]
    return f"{first.removesuffix(f' {shared}') if shared else first} to {second}"


def _learning_metrics(
    part: ClaimPart, arms: Sequence[Sequence[RunData]], comparison: ControlledComparison, measure: Measure, margin: Margin
) -> _Numbers:
    threshold = getattr(comparison.report.learned, measure)
    min_effect = math.log(margin.ratio) if part.is_ratio else getattr(margin, measure)
    curves = [learning_curves(runs, measure, comparison.axis) for runs in arms]
    if min(map(len, curves)) < MIN_VERDICT_SEEDS:
        return [np.zeros(0)] * 2, arms, min_effect, f"too few runs have a curve of {measure}"
    horizon = min(curve.x[-1] for curve in chain(*curves))
    metrics = [[curve_metrics(curve, horizon, threshold) for curve in arm] for arm in curves]
    reason = ""
    if part.quantity is Quantity.time and all(sum(run.reached_threshold for run in arm) < len(arm) / 2 for arm in metrics):
        reason = f"most runs of both groups never reach {typographic(f'{threshold:g}')}"
    if comparison.axis == "episode" and part.quantity in (Quantity.final, Quantity.variability):
        # What looks at the way does so over the episodes that all have; an end after twice as many is no fair one.
        unequal = unequal_counts(chain(*arms), "episodes")
        reason = f"their {unequal}" if unequal else reason
    missing = "learned" if part.quantity is Quantity.time and math.isnan(threshold) else "min_effect" * math.isnan(min_effect)
    if missing:
        reason = f"ablation.report.{missing}.{measure} is not set"
    groups = [np.array([getattr(run, part.quantity) for run in arm], dtype=np.float64) for arm in metrics]
    return groups, [[curve.run for curve in arm] for arm in curves], min_effect, reason


def _wall_times(arms: Sequence[Sequence[RunData]], margin: Margin) -> _Numbers:
    """Seconds of training an episode."""
    groups = [
        np.array([run.result("wall_time") / run.result("episodes") if run.result("episodes") > 0 else math.nan for run in arm])
        for arm in arms
    ]
    shared = any(run.num_seeds_in_process > 1 for run in chain(*arms))
    return groups, arms, math.log(margin.ratio), "seeds shared a process: see hogwild" if shared else ""


def judge_effect(draft: EffectEstimate, groups: Sequence[FloatArray], level: float) -> EffectEstimate:
    """A draft with the effect, the interval that fails in ``level`` of all cases, and what follows from it."""
    if draft.reason:
        return draft
    before, after = (draft.part.sign * group for group in groups)
    contrast = yuen_contrast(after, before)
    effect, interval, expected = contrast.difference, contrast.interval(1.0 - level), draft.part.expected
    decision = decide(effect, interval, draft.min_effect, expected)
    distance = distance_to_decision(effect, draft.min_effect, expected) if decision == "undecided" else math.nan
    needed = seeds_to_decide(contrast, draft.seeds, distance, level)
    return replace(draft, effect=effect, simultaneous_interval=interval, decision=decision, seeds_needed=needed)


def describe_effect(judged: EffectEstimate, groups: Sequence[FloatArray]) -> EffectEstimate:
    """One that is judged, with what it would be alone."""
    if judged.reason:
        return judged
    before, after = (judged.part.sign * group for group in groups)
    interval = difference_interval(after, before, interquartile_mean, paired=judged.paired, resamples=_NUM_RESAMPLES)
    alone = decide(judged.effect, interval, judged.min_effect, judged.part.expected)
    return replace(
        judged,
        interval=interval,
        probability=probability_of_improvement(after, before, paired=judged.paired),
        uncorrected_decision=alone if judged.decision == "undecided" else judged.decision,
    )
