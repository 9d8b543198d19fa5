"""Whether the report's conclusions hold: an effect, its interval and a verdict for each, under every protocol that was run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np

from a3c_exp.report.ablations.claims import CLAIMS, Claim, ClaimPart, Expected
from a3c_exp.report.ablations.comparisons import ControlledComparison, arm_label
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.quantities.curve_metrics import (
    MIN_EFFECT,
    MIN_EFFECT_RATIO,
    THRESHOLD,
    Measure,
    curve_metrics,
    learning_curve,
)
from a3c_exp.report.run_reader import RunData
from a3c_exp.report.run_results import run_result
from a3c_exp.stats.estimates import NO_INTERVAL, Interval, difference_interval, interquartile_mean, probability_of_improvement
from a3c_exp.stats.significance import Contrast, bonferroni_confidence, yuen_contrast
from a3c_exp.system.number_format import typographic

Decision = Literal["supported", "not supported", "reversed", "undecided"]
ClaimMeasure = Measure | Literal["clock"]

MIN_VERDICT_SEEDS = 5
"""No verdict from fewer, in either group."""
CONFIDENCE = 0.95
"""That all intervals behind the verdicts hold, taken together."""
_NUM_RESAMPLES = 4000  # of some two hundred intervals a report; their edges are then right to 2 % of their width


@dataclass(frozen=True)
class EffectEstimate:
    """What one part of a conclusion comes to, for one change, by one measure.

    Attributes:
        part: what the conclusion says.
        change: the two groups in words, ``12 to 4 workers``.
        effect: difference of interquartile means, to less from; for times and variabilities the natural logarithm of their
            ratio. Positive is what the conclusion says, whichever way the quantity itself went.
        interval: its 95 % bootstrap interval over seeds, taken alone.
        simultaneous_interval: the interval behind the verdict, which holds together with all others.
        min_effect: how large the effect has to be to be called clear.
        probability: probability that a run changed that way is, by this quantity, on the side that the conclusion says.
        decision: the verdict.
        uncorrected_decision: the same, and where that is undecided, what the effect's own interval would say: where it leans.
        reason: why it is undecided for want of something; empty where numbers decide.
        seeds: of the smaller group.
        paired: whether both groups have the same seeds.
    """

    part: ClaimPart
    change: str
    effect: float
    interval: Interval
    simultaneous_interval: Interval
    min_effect: float
    probability: float
    decision: Decision
    uncorrected_decision: Decision
    reason: str
    seeds: int
    paired: bool


@dataclass(frozen=True)
class Verdict:
    """Whether a conclusion holds under one protocol, by one measure.

    Attributes:
        claim, comparison: what, and where.
        measure: ``training`` curve, standard ``evaluation``, or the ``clock``.
        decision: ``supported`` if all findings are, ``reversed`` if all are, ``not supported`` if any is decided otherwise.
        uncorrected_decision: the same from what each finding would be alone.
        effects: one for each change and part.
        num_intervals: how many intervals hold together with these.
    """

    claim: Claim
    comparison: ControlledComparison
    measure: ClaimMeasure
    decision: Decision
    uncorrected_decision: Decision
    effects: tuple[EffectEstimate, ...]
    num_intervals: int

    @property
    def reason(self) -> str:
        """Why it is undecided, if not for the numbers themselves."""
        return next((finding.reason for finding in self.effects if finding.reason), "")

    @property
    def seeds(self) -> int:
        """Of the smallest group."""
        return min((finding.seeds for finding in self.effects), default=0)


def evaluate_claims(comparisons: Sequence[ControlledComparison]) -> list[Verdict]:
    """Every conclusion under every protocol that can say something of it, by both measures; the clock where it can be read.

    All intervals are those of Yuen's test at the confidence that lets all of them hold at once in 95 cases of 100 (Bonferroni
    over conclusions, changes, parts, measures and protocols). A verdict asks several things of its interval: is it above
    nothing, is it below what matters? It may ask them all of one that holds, where an adjusted p-value answers one question.
    """
    drafts = [
        (conclusion, protocol, measure, _samples(conclusion, protocol, measure))
        for conclusion in CLAIMS
        for protocol in comparisons
        if protocol.ablation in conclusion.ablations
        for measure in _measures(conclusion, protocol)
    ]
    ready = [sample for _, _, _, samples in drafts for sample in samples if not sample.reason]
    confidence = bonferroni_confidence(len(ready), CONFIDENCE)
    return [
        _combine_effects(
            conclusion, protocol, measure, [_estimate_effect(sample, confidence) for sample in samples], len(ready)
        )
        for conclusion, protocol, measure, samples in drafts
    ]


def decide(effect: float, interval: Interval, min_effect: float, expected: Expected = "clear") -> Decision:
    """The verdict that an interval allows, for an effect that is positive where the conclusion is right.

    ``supported``: the effect is surely above 0, and is as large as clear. ``reversed``: surely below 0, and as large.
    ``not supported``: surely smaller than clear. A conclusion that something ``hardly`` happens is supported by an interval
    within plus and minus clear, and not supported where the opposite one would be supported. Else ``undecided``.

    >>> answer(2.0, (1.2, 2.8), clear=0.5), answer(0.1, (-0.1, 0.3), clear=0.5), answer(0.4, (-0.2, 1.0), clear=0.5)
    ('supported', 'not supported', 'undecided')
    """
    low, high = interval
    if not math.isfinite(effect) or math.isnan(low + high):
        return "undecided"
    if high < 0 and effect <= -min_effect:
        return "reversed"
    if expected == "hardly":
        if low > 0 and effect >= min_effect:
            return "not supported"
        return "supported" if low > -min_effect and high < min_effect else "undecided"
    if low > 0 and effect >= min_effect:
        return "supported"
    return "not supported" if high < min_effect else "undecided"


def combine_decisions(decisions: Sequence[Decision]) -> Decision:
    """The verdict on a whole of which every part must hold."""
    seen = set(decisions)
    if len(seen) == 1:
        return decisions[0]
    return "not supported" if seen & {"not supported", "reversed"} else "undecided"


@dataclass(frozen=True)
class _Sample:
    """The numbers of two groups, one a seed, oriented: larger is what the conclusion says of the second."""

    part: ClaimPart
    change: str
    before: FloatArray
    after: FloatArray
    min_effect: float
    paired: bool
    reason: str


def _measures(claim: Claim, comparison: ControlledComparison) -> tuple[ClaimMeasure, ...]:
    if claim.parts[0].quantity == "seconds":
        return ("clock",)
    return ("training", "evaluation")


def _samples(claim: Claim, comparison: ControlledComparison, measure: ClaimMeasure) -> list[_Sample]:
    samples = []
    for before, after in claim.changes:
        first, second = comparison.arm(before), comparison.arm(after)
        change = f"{arm_label('', before).split()[0]} to {arm_label('', after)}"
        reason = _missing_seeds_reason(first, second, before, after)
        for part in claim.parts:
            if measure == "clock":
                samples.append(_wall_time_sample(part, change, first, second, reason))
            else:
                samples.append(_learning_sample(part, change, first, second, reason, comparison, measure))
    return samples


def _missing_seeds_reason(first: Sequence[RunData], second: Sequence[RunData], arm_before: str, arm_after: str) -> str:
    for runs, arm in ((first, arm_before), (second, arm_after)):
        if len(runs) < MIN_VERDICT_SEEDS:
            return f"{len(runs)} of {MIN_VERDICT_SEEDS} seeds of {arm_label('', arm)}"
    return ""


def _learning_sample(
    part: ClaimPart,
    change: str,
    first: Sequence[RunData],
    second: Sequence[RunData],
    reason: str,
    comparison: ControlledComparison,
    measure: Measure,
) -> _Sample:
    curves = [[learning_curve(run, measure, comparison.axis) for run in runs] for runs in (first, second)]
    known = [[one for one in group if one is not None] for group in curves]
    clear = math.log(MIN_EFFECT_RATIO) if part.is_ratio else MIN_EFFECT[measure]
    empty = np.zeros(0)
    if not reason and min(map(len, known)) < MIN_VERDICT_SEEDS:
        reason = f"too few runs have a curve of {measure}"
    if reason:
        return _Sample(part, change, empty, empty, clear, False, reason)
    horizon = min(one.x[-1] for one in chain(*known))
    told = [[curve_metrics(one, horizon, THRESHOLD[measure]) for one in group] for group in known]
    if part.quantity == "time" and all(sum(one.reached_threshold for one in group) < len(group) / 2 for group in told):
        level = typographic(f"{THRESHOLD[measure]:g}")
        reason = f"most runs of both groups never reach {level}"
    groups = [np.array([getattr(one, part.quantity) for one in group], dtype=np.float64) for group in told]
    if part.is_ratio:
        with np.errstate(divide="ignore"):
            groups = [np.log(group) for group in groups]
    if not reason and not all(np.isfinite(group).all() for group in groups):
        reason = f"too few points of {measure} at the end"
    paired = _have_same_seeds(*([one.run for one in group] for group in known))
    return _Sample(part, change, groups[0], groups[1], clear, paired, reason)


def _wall_time_sample(
    part: ClaimPart, change: str, first: Sequence[RunData], second: Sequence[RunData], reason: str
) -> _Sample:
    groups = [np.array([_seconds_per_episode(run) for run in runs], dtype=np.float64) for runs in (first, second)]
    if not reason and any(run.num_seeds_in_process > 1 for run in (*first, *second)):
        reason = "seeds shared a process: see hogwild"
    if not reason and not all(np.isfinite(group).all() and (group > 0).all() for group in groups):
        reason = "a run does not say how long it took"
    if not reason:
        groups = [np.log(group) for group in groups]
    return _Sample(part, change, groups[0], groups[1], math.log(MIN_EFFECT_RATIO), _have_same_seeds(first, second), reason)


def _seconds_per_episode(run: RunData) -> float:
    """Of training, an episode."""
    done = run_result(run)
    return done.wall_time / done.episodes if done.episodes > 0 else math.nan


def _have_same_seeds(first: Sequence[RunData], second: Sequence[RunData]) -> bool:
    return [run.seed for run in first] == [run.seed for run in second] and "?" not in {run.seed for run in first}


def _estimate_effect(sample: _Sample, confidence: float) -> EffectEstimate:
    blank = EffectEstimate(
        sample.part, sample.change, math.nan, NO_INTERVAL, NO_INTERVAL, sample.min_effect, math.nan, "undecided", "undecided",
        sample.reason, min(sample.before.size, sample.after.size), sample.paired,
    )  # fmt: skip
    if sample.reason:
        return blank
    before, after = sample.part.sign * sample.before, sample.part.sign * sample.after
    tested: Contrast = yuen_contrast(after, before)
    effect, expected = tested.difference, sample.part.expected
    together = tested.interval(confidence)
    interval = difference_interval(after, before, interquartile_mean, paired=sample.paired, resamples=_NUM_RESAMPLES)
    decided = decide(effect, together, sample.min_effect, expected)
    return replace(
        blank,
        effect=effect,
        interval=interval,
        simultaneous_interval=together,
        probability=probability_of_improvement(after, before, paired=sample.paired),
        decision=decided,
        uncorrected_decision=decided if decided != "undecided" else decide(effect, interval, sample.min_effect, expected),
    )


def _combine_effects(
    claim: Claim, comparison: ControlledComparison, measure: ClaimMeasure, effects: Sequence[EffectEstimate], num_intervals: int
) -> Verdict:
    whole = combine_decisions([finding.decision for finding in effects])
    alone = combine_decisions([finding.uncorrected_decision for finding in effects])
    return Verdict(claim, comparison, measure, whole, alone, tuple(effects), num_intervals)
