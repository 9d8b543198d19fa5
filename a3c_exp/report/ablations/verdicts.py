"""Whether claims hold: an effect, its interval and a verdict for each, under every control that was run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np

from a3c_exp.config.ablation import Claim, ClaimPart, CurveName, Expected, Quantity
from a3c_exp.report.ablations.comparisons import ControlledComparison, unequal_counts
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.curves import MEASURES, MIN_EFFECT_RATIO, Measure, curve_metrics, learning_curves
from a3c_exp.report.run_reader import RunData
from a3c_exp.stats.estimates import NO_INTERVAL, Interval, difference_interval, interquartile_mean, probability_of_improvement
from a3c_exp.stats.significance import MIN_VERDICT_SEEDS, bonferroni_confidence, yuen_contrast
from a3c_exp.system.number_format import typographic

Decision = Literal["supported", "not supported", "reversed", "undecided"]
ClaimMeasure = Measure | Literal["clock"]

CONFIDENCE = 0.95  # that all intervals behind the verdicts hold, taken together
_NUM_RESAMPLES = 4000  # of some two hundred intervals a report; their edges are then right to 2 % of their width


@dataclass(frozen=True)
class EffectEstimate:
    """What one part of a claim comes to, for one change, by one measure."""

    part: ClaimPart
    change: str  #: the two arms in words, ``12 to 4 workers``
    min_effect: float  #: how large the effect has to be to be called clear
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


@dataclass(frozen=True)
class Verdict:
    """Whether a claim holds in one comparison, by one measure."""

    claim: Claim
    comparison: ControlledComparison
    measure: ClaimMeasure  #: ``training`` curve, standard ``evaluation``, or the ``clock``
    effects: tuple[EffectEstimate, ...]  #: one for each change and part
    num_intervals: int  #: how many intervals hold together with these

    @property
    def decision(self) -> Decision:
        """``supported`` if all effects are, ``reversed`` if all are, ``not supported`` if any is decided otherwise."""
        return combine_decisions([effect.decision for effect in self.effects])

    @property
    def uncorrected_decision(self) -> Decision:
        """The same from what each effect would be alone."""
        return combine_decisions([effect.uncorrected_decision for effect in self.effects])

    @property
    def reason(self) -> str:
        """Why it is undecided, if not for the numbers themselves."""
        return next((effect.reason for effect in self.effects if effect.reason), "")


def evaluate_claims(comparisons: Sequence[ControlledComparison]) -> list[Verdict]:
    """Every claim in every comparison that can say something of it, by both measures; the clock where it can be read.

    All intervals are those of Yuen's test at the confidence that lets all of them hold at once in 95 cases of 100 (Bonferroni
    over claims, changes, parts, measures and comparisons): so a verdict may ask several things of its interval, is it above
    nothing, is it below what matters, where an adjusted p-value answers one question.
    """
    clock: tuple[ClaimMeasure, ...] = ("clock",)
    all_drafts = [
        (claim, comparison, measure, _drafts(claim, comparison, measure))
        for claim, judged in _distinct_claims(comparisons)
        for comparison in judged
        for measure in (clock if claim.is_about_wall_time else MEASURES)
        if measure == "clock" or not claim.measures or CurveName(measure) in claim.measures
    ]
    num_intervals = sum(not draft.reason for _, _, _, drafts in all_drafts for draft, _ in drafts)
    confidence = bonferroni_confidence(num_intervals, CONFIDENCE)
    return [
        Verdict(claim, comparison, measure, tuple(_estimate_effect(*draft, confidence) for draft in drafts), num_intervals)
        for claim, comparison, measure, drafts in all_drafts
    ]


def _distinct_claims(comparisons: Sequence[ControlledComparison]) -> list[tuple[Claim, list[ControlledComparison]]]:
    """Every claim, by number, with the comparisons that it is judged in. Ablations share a claim where both name and content
    are the same; of different ones with one number, the later takes the next free number."""
    found: list[tuple[str, Claim, list[ControlledComparison]]] = []
    for comparison in comparisons:
        for name, claim in comparison.report.claims.items():
            same = [
                judged
                for other, content, judged in found
                if other == name and (content == claim or judged[0].ablation == comparison.ablation)
            ]
            if same:
                same[0].append(comparison)
            else:
                found.append((name, claim, [comparison]))
    numbered, taken = [], set[int]()
    for _, claim, judged in found:
        number = claim.number if claim.number not in taken else max(taken | {one.number for _, one, _ in found}) + 1
        taken.add(number)
        under = [one for one in judged if not claim.controls or one.control in claim.controls]
        numbered.append((replace(claim, number=number), under))
    return sorted(numbered, key=lambda item: item[0].number)


def decide(effect: float, interval: Interval, min_effect: float, expected: Expected = Expected.clear) -> Decision:
    """The verdict that an interval allows, for an effect that is positive where the claim is right.

    ``supported``: the effect is surely above 0, and is as large as clear. ``reversed``: surely below 0, and as large.
    ``not supported``: surely smaller than clear. A claim that something ``hardly`` happens is supported by an interval
    within plus and minus clear, and not supported where the opposite one would be supported. Else ``undecided``.

    >>> decide(2.0, (1.2, 2.8), 0.5), decide(0.1, (-0.1, 0.3), 0.5), decide(0.4, (-0.2, 1.0), 0.5)
    ('supported', 'not supported', 'undecided')
    """
    low, high = interval
    if not math.isfinite(effect) or math.isnan(low + high):
        return "undecided"
    if high < 0 and effect <= -min_effect:
        return "reversed"
    if expected is Expected.hardly:
        if low > 0 and effect >= min_effect:
            return "not supported"
        return "supported" if low > -min_effect and high < min_effect else "undecided"
    if low > 0 and effect >= min_effect:
        return "supported"
    return "not supported" if high < min_effect else "undecided"


def combine_decisions(decisions: Sequence[Decision]) -> Decision:
    """The verdict on a claim all of whose parts must hold."""
    distinct = set(decisions)
    if len(distinct) == 1:
        return decisions[0]
    return "not supported" if distinct & {"not supported", "reversed"} else "undecided"


# One number of each of some runs for both arms, these runs, the smallest clear difference, and why they cannot be compared.
_Numbers = tuple[list[FloatArray], Sequence[Sequence[RunData]], float, str]
_Draft = tuple[EffectEstimate, list[FloatArray]]  # one that is undecided as yet, and the numbers of both arms


def _drafts(claim: Claim, comparison: ControlledComparison, measure: ClaimMeasure) -> list[_Draft]:
    drafts = []
    for before, after in claim.changes:
        arms = comparison.arm(before), comparison.arm(after)
        few = [f"{len(runs)} of {MIN_VERDICT_SEEDS} seeds of {comparison.claim_label(arm)}"
               for runs, arm in zip(arms, (before, after), strict=True) if len(runs) < MIN_VERDICT_SEEDS]  # fmt: skip
        for part in claim.parts:
            groups, runs, min_effect, reason = (
                _wall_times(arms) if measure == "clock" else _learning_metrics(claim, part, arms, comparison, measure)
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
            drafts.append((EffectEstimate(part, change, min_effect, paired, fewest, reason), groups))
    return drafts


def _change_label(first: str, second: str) -> str:
    """``12 to 4 workers`` for ``12 workers`` and ``4 workers``: what both arms are is said once."""
    shared = second.partition(" ")[2]
    return f"{first.removesuffix(f' {shared}') if shared else first} to {second}"


def _learning_metrics(
    claim: Claim, part: ClaimPart, arms: Sequence[Sequence[RunData]], comparison: ControlledComparison, measure: Measure
) -> _Numbers:
    threshold = getattr(comparison.report.learned, measure)
    clear = claim.min_effect or comparison.report.min_effect
    min_effect = math.log(MIN_EFFECT_RATIO) if part.is_ratio else getattr(clear, measure)
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


def _wall_times(arms: Sequence[Sequence[RunData]]) -> _Numbers:
    """Seconds of training an episode."""
    groups = [
        np.array([run.result("wall_time") / run.result("episodes") if run.result("episodes") > 0 else math.nan for run in arm])
        for arm in arms
    ]
    shared = any(run.num_seeds_in_process > 1 for run in chain(*arms))
    return groups, arms, math.log(MIN_EFFECT_RATIO), "seeds shared a process: see hogwild" if shared else ""


def _estimate_effect(draft: EffectEstimate, groups: Sequence[FloatArray], confidence: float) -> EffectEstimate:
    if draft.reason:
        return draft
    before, after = (draft.part.sign * group for group in groups)
    contrast = yuen_contrast(after, before)
    effect, simultaneous = contrast.difference, contrast.interval(confidence)
    interval = difference_interval(after, before, interquartile_mean, paired=draft.paired, resamples=_NUM_RESAMPLES)
    alone = decide(effect, interval, draft.min_effect, draft.part.expected)
    decision = decide(effect, simultaneous, draft.min_effect, draft.part.expected)
    return replace(
        draft,
        effect=effect,
        interval=interval,
        simultaneous_interval=simultaneous,
        probability=probability_of_improvement(after, before, paired=draft.paired),
        decision=decision,
        uncorrected_decision=alone if decision == "undecided" else decision,
    )
