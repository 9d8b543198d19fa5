"""Whether claims hold: an effect, its interval and a verdict for each, under every control that was run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from a3c_exp.config.ablation import Claim, CurveName, Looks
from a3c_exp.report.ablations.comparisons import ControlledComparison
from a3c_exp.report.ablations.effect_estimates import (
    ClaimMeasure,
    Decision,
    Draft,
    EffectEstimate,
    describe_effect,
    draft_effects,
    judge_effect,
)
from a3c_exp.report.curves import MEASURES
from a3c_exp.stats.sequential import look_levels
from a3c_exp.stats.significance import bonferroni_confidence

CONFIDENCE = 0.95  # that all intervals behind the verdicts hold, taken together


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
        """What all effects are, if they agree; else ``not supported`` if any is decided against the claim."""
        return combine_decisions([effect.decision for effect in self.effects])

    @property
    def uncorrected_decision(self) -> Decision:
        """The same from what each effect would be alone."""
        return combine_decisions([effect.uncorrected_decision for effect in self.effects])

    @property
    def num_looks(self) -> int:
        """At how many looks it was judged; 0: it is of an ablation with a fixed number of seeds, or there was none yet."""
        return max((effect.look for effect in self.effects), default=0)

    @property
    def waiting_arms(self) -> frozenset[str]:
        """The arms, as the claim calls them, for which further seeds are planned that may decide it; none if it is decided."""
        looks = self.comparison.report.looks
        planned = len(looks.sizes) if looks is not None and self.decision == "undecided" else 0
        open_effects = [one for one in self.effects if one.decision == "undecided" and not one.reason and one.look < planned]
        return frozenset(arm for effect in open_effects for arm in effect.arms)

    @property
    def seeds_needed(self) -> float:
        """How many seeds an undecided claim would probably take, as its effects say: those of the first part that would be
        decided against it, else those of its last; infinite: more than a thousand; NaN: there is no telling, or no need."""
        if self.decision != "undecided":
            return math.nan
        undecided = [effect for effect in self.effects if effect.decision == "undecided"]
        against = [one.seeds_needed for one in undecided if one.leans_against and not math.isnan(one.seeds_needed)]
        return min(against) if against else max((effect.seeds_needed for effect in undecided), key=_or_infinite)

    @property
    def reason(self) -> str:
        """Why it is undecided, if not for the numbers themselves."""
        return next((effect.reason for effect in self.effects if effect.reason), "")


def evaluate_claims(comparisons: Sequence[ControlledComparison], describe: bool = True) -> list[Verdict]:
    """Every claim in every comparison that can say something of it, by both measures; the clock where it can be read.

    All intervals are those of Yuen's test at the confidence that lets all of them hold at once in 95 cases of 100 (Bonferroni
    over claims, changes, parts, measures and comparisons): so a verdict may ask several things of its interval, is it above
    nothing, is it below what matters, where an adjusted p-value answers one question.

    Those of an ablation that goes on until it knows hold together among themselves, at all of its looks (``look_levels``), and
    do not count among the others. To ``describe`` what effects would be alone takes most of the time.
    """
    cases = [
        (claim, comparison, measure)
        for claim, judged in _distinct_claims(comparisons)
        for comparison in judged
        for measure in _measures(claim)
    ]
    drafts = [[] if case[1].report.looks is not None else draft_effects(*case) for case in cases]
    num_intervals = sum(not draft.reason for of_case in drafts for draft, _ in of_case)
    level = 1.0 - bonferroni_confidence(num_intervals, CONFIDENCE)
    verdicts = []
    for (claim, comparison, measure), of_case in zip(cases, drafts, strict=True):
        if (looks := comparison.report.looks) is not None:
            effects, number = judge_at_looks(claim, comparison, measure, looks), looks.comparisons
        else:
            effects, number = [(judge_effect(draft, groups, level), groups) for draft, groups in of_case], num_intervals
        described = tuple(describe_effect(effect, groups) if describe else effect for effect, groups in effects)
        verdicts.append(Verdict(claim, comparison, measure, described, number))
    return verdicts


def judge_at_looks(claim: Claim, comparison: ControlledComparison, measure: ClaimMeasure, looks: Looks) -> list[Draft]:
    """Every effect of a claim as it was judged at the first look that decided it, else at the last one that there was, with the
    numbers of both arms; nothing is judged any more once the claim is decided."""
    levels = look_levels(tuple(looks.sizes), 1.0 - bonferroni_confidence(looks.comparisons, CONFIDENCE))
    judged: list[Draft] = []
    for number, (size, level) in enumerate(zip(looks.sizes, levels, strict=True), start=1):
        drafts = draft_effects(claim, comparison.at_look(size), measure)
        if not judged:
            waits = f"not all {size} seeds of the first batch have ended"
            judged = [(replace(draft, reason=draft.reason or waits), groups) for draft, groups in drafts]
        for index, (draft, groups) in enumerate(drafts):
            if judged[index][0].decision == "undecided" and comparison.has_ended(draft.arms, size):
                judged[index] = replace(judge_effect(draft, groups, level), look=number), groups
        if combine_decisions([effect.decision for effect, _ in judged]) != "undecided":
            break
    return judged


def _measures(claim: Claim) -> list[ClaimMeasure]:
    if claim.is_about_wall_time:
        return ["clock"]
    return [measure for measure in MEASURES if not claim.measures or CurveName(measure) in claim.measures]


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


def combine_decisions(decisions: Sequence[Decision]) -> Decision:
    """The verdict on a claim all of whose parts must hold."""
    distinct = set(decisions)
    if len(distinct) == 1:
        return decisions[0]
    against = {"not supported", "no difference that matters", "reversed"}
    return "not supported" if distinct & against else "undecided"


def _or_infinite(number: float) -> float:
    return math.inf if math.isnan(number) else number
