"""Whether the report's conclusions hold: an effect, its interval and a verdict for each, under every protocol that was run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np

from a3c_exp.report.ablations.claims import CONCLUSIONS, Conclusion, Expected, Part
from a3c_exp.report.ablations.comparisons import Protocol, arm_label
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.quantities.curve_metrics import CLEAR, CLEAR_RATIO, THRESHOLD, Measure, learning_curve, numbers
from a3c_exp.report.run_reader import Run
from a3c_exp.report.run_results import result
from a3c_exp.stats.estimates import NO_INTERVAL, Interval, difference_interval, interquartile_mean, probability_of_improvement
from a3c_exp.stats.significance import Contrast, contrast, simultaneous

Answer = Literal["supported", "not supported", "reversed", "undecided"]
Judged = Measure | Literal["clock"]

ENOUGH_SEEDS = 5
"""No verdict from fewer, in either group."""
CONFIDENCE = 0.95
"""That all intervals behind the verdicts hold, taken together."""
_RESAMPLES = 4000  # of some two hundred intervals a report; their edges are then right to 2 % of their width


@dataclass(frozen=True)
class Finding:
    """What one part of a conclusion comes to, for one change, by one measure.

    Attributes:
        part: what the conclusion says.
        change: the two groups in words, ``12 to 4 workers``.
        effect: difference of interquartile means, to less from; for times and variabilities the natural logarithm of their
            ratio. Positive is what the conclusion says, whichever way the quantity itself went.
        interval: its 95 % bootstrap interval over seeds, taken alone.
        together: the interval behind the verdict, which holds together with all others.
        clear: how large the effect has to be to be called clear.
        likely: probability that a run changed that way is, by this quantity, on the side that the conclusion says.
        answer: the verdict.
        alone: the same, and where that is undecided, what the effect's own interval would say: where it leans.
        reason: why it is undecided for want of something; empty where numbers decide.
        seeds: of the smaller group.
        paired: whether both groups have the same seeds.
    """

    part: Part
    change: str
    effect: float
    interval: Interval
    together: Interval
    clear: float
    likely: float
    answer: Answer
    alone: Answer
    reason: str
    seeds: int
    paired: bool


@dataclass(frozen=True)
class Verdict:
    """Whether a conclusion holds under one protocol, by one measure.

    Attributes:
        conclusion, protocol: what, and where.
        measure: ``training`` curve, standard ``evaluation``, or the ``clock``.
        answer: ``supported`` if all findings are, ``reversed`` if all are, ``not supported`` if any is decided otherwise.
        alone: the same from what each finding would be alone.
        findings: one for each change and part.
        comparisons: how many intervals hold together with these.
    """

    conclusion: Conclusion
    protocol: Protocol
    measure: Judged
    answer: Answer
    alone: Answer
    findings: tuple[Finding, ...]
    comparisons: int

    @property
    def reason(self) -> str:
        """Why it is undecided, if not for the numbers themselves."""
        return next((finding.reason for finding in self.findings if finding.reason), "")

    @property
    def seeds(self) -> int:
        """Of the smallest group."""
        return min((finding.seeds for finding in self.findings), default=0)


def judge(found: Sequence[Protocol]) -> list[Verdict]:
    """Every conclusion under every protocol that can say something of it, by both measures; the clock where it can be read.

    All intervals are those of Yuen's test at the confidence that lets all of them hold at once in 95 cases of 100 (Bonferroni
    over conclusions, changes, parts, measures and protocols). A verdict asks several things of its interval: is it above
    nothing, is it below what matters? It may ask them all of one that holds, where an adjusted p-value answers one question.
    """
    drafts = [
        (conclusion, protocol, measure, _samples(conclusion, protocol, measure))
        for conclusion in CONCLUSIONS
        for protocol in found
        if protocol.ablation in conclusion.ablations
        for measure in _measures(conclusion, protocol)
    ]
    ready = [sample for _, _, _, samples in drafts for sample in samples if not sample.reason]
    confidence = simultaneous(len(ready), CONFIDENCE)
    return [
        _verdict(conclusion, protocol, measure, [_finding(sample, confidence) for sample in samples], len(ready))
        for conclusion, protocol, measure, samples in drafts
    ]


def answer(effect: float, interval: Interval, clear: float, expected: Expected = "clear") -> Answer:
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
    if high < 0 and effect <= -clear:
        return "reversed"
    if expected == "hardly":
        if low > 0 and effect >= clear:
            return "not supported"
        return "supported" if low > -clear and high < clear else "undecided"
    if low > 0 and effect >= clear:
        return "supported"
    return "not supported" if high < clear else "undecided"


def combined(answers: Sequence[Answer]) -> Answer:
    """The verdict on a whole of which every part must hold."""
    seen = set(answers)
    if len(seen) == 1:
        return answers[0]
    return "not supported" if seen & {"not supported", "reversed"} else "undecided"


@dataclass(frozen=True)
class _Sample:
    """The numbers of two groups, one a seed, oriented: larger is what the conclusion says of the second."""

    part: Part
    change: str
    before: FloatArray
    after: FloatArray
    clear: float
    paired: bool
    reason: str


def _measures(conclusion: Conclusion, protocol: Protocol) -> tuple[Judged, ...]:
    if conclusion.parts[0].quantity == "seconds":
        return ("clock",)
    return ("training", "evaluation")


def _samples(conclusion: Conclusion, protocol: Protocol, measure: Judged) -> list[_Sample]:
    samples = []
    for before, after in conclusion.changes:
        first, second = protocol.arm(before), protocol.arm(after)
        change = f"{arm_label('', before).split()[0]} to {arm_label('', after)}"
        reason = _too_few(first, second, before, after)
        for part in conclusion.parts:
            if measure == "clock":
                samples.append(_clock(part, change, first, second, reason))
            else:
                samples.append(_learning(part, change, first, second, reason, protocol, measure))
    return samples


def _too_few(first: Sequence[Run], second: Sequence[Run], before: str, after: str) -> str:
    for runs, arm in ((first, before), (second, after)):
        if len(runs) < ENOUGH_SEEDS:
            return f"{len(runs)} of {ENOUGH_SEEDS} seeds of {arm_label('', arm)}"
    return ""


def _learning(
    part: Part, change: str, first: Sequence[Run], second: Sequence[Run], reason: str, protocol: Protocol, measure: Measure
) -> _Sample:
    curves = [[learning_curve(run, measure, protocol.axis) for run in runs] for runs in (first, second)]
    known = [[one for one in group if one is not None] for group in curves]
    clear = math.log(CLEAR_RATIO) if part.is_ratio else CLEAR[measure]
    empty = np.zeros(0)
    if not reason and min(map(len, known)) < ENOUGH_SEEDS:
        reason = f"too few runs have a curve of {measure}"
    if reason:
        return _Sample(part, change, empty, empty, clear, False, reason)
    horizon = min(one.x[-1] for one in chain(*known))
    told = [[numbers(one, horizon, THRESHOLD[measure]) for one in group] for group in known]
    if part.quantity == "time" and all(sum(one.reached for one in group) < len(group) / 2 for group in told):
        level = f"{THRESHOLD[measure]:g}".replace("-", "\N{MINUS SIGN}")
        reason = f"most runs of both groups never reach {level}"
    groups = [np.array([getattr(one, part.quantity) for one in group], dtype=np.float64) for group in told]
    if part.is_ratio:
        with np.errstate(divide="ignore"):
            groups = [np.log(group) for group in groups]
    if not reason and not all(np.isfinite(group).all() for group in groups):
        reason = f"too few points of {measure} at the end"
    paired = _paired(*([one.run for one in group] for group in known))
    return _Sample(part, change, groups[0], groups[1], clear, paired, reason)


def _clock(part: Part, change: str, first: Sequence[Run], second: Sequence[Run], reason: str) -> _Sample:
    groups = [np.array([_seconds(run) for run in runs], dtype=np.float64) for runs in (first, second)]
    if not reason and any(run.together > 1 for run in (*first, *second)):
        reason = "seeds shared a process: see hogwild"
    if not reason and not all(np.isfinite(group).all() and (group > 0).all() for group in groups):
        reason = "a run does not say how long it took"
    if not reason:
        groups = [np.log(group) for group in groups]
    return _Sample(part, change, groups[0], groups[1], math.log(CLEAR_RATIO), _paired(first, second), reason)


def _seconds(run: Run) -> float:
    """Of training, an episode."""
    done = result(run)
    return done.wall_time / done.episodes if done.episodes > 0 else math.nan


def _paired(first: Sequence[Run], second: Sequence[Run]) -> bool:
    return [run.seed for run in first] == [run.seed for run in second] and "?" not in {run.seed for run in first}


def _finding(sample: _Sample, confidence: float) -> Finding:
    blank = Finding(
        sample.part, sample.change, math.nan, NO_INTERVAL, NO_INTERVAL, sample.clear, math.nan, "undecided", "undecided",
        sample.reason, min(sample.before.size, sample.after.size), sample.paired,
    )  # fmt: skip
    if sample.reason:
        return blank
    before, after = sample.part.sign * sample.before, sample.part.sign * sample.after
    tested: Contrast = contrast(after, before)
    effect, expected = tested.difference, sample.part.expected
    together = tested.interval(confidence)
    interval = difference_interval(after, before, interquartile_mean, paired=sample.paired, resamples=_RESAMPLES)
    decided = answer(effect, together, sample.clear, expected)
    return replace(
        blank,
        effect=effect,
        interval=interval,
        together=together,
        likely=probability_of_improvement(after, before, paired=sample.paired),
        answer=decided,
        alone=decided if decided != "undecided" else answer(effect, interval, sample.clear, expected),
    )


def _verdict(
    conclusion: Conclusion, protocol: Protocol, measure: Judged, findings: Sequence[Finding], comparisons: int
) -> Verdict:
    whole = combined([finding.answer for finding in findings])
    alone = combined([finding.alone for finding in findings])
    return Verdict(conclusion, protocol, measure, whole, alone, tuple(findings), comparisons)
