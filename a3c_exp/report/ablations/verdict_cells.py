"""How verdicts, effects and numbers of seeds are written in tables."""

import math

from a3c_exp.report.ablations.effect_estimates import Decision, EffectEstimate
from a3c_exp.report.ablations.verdicts import Verdict
from a3c_exp.report.sections import Cell
from a3c_exp.stats.estimates import Interval
from a3c_exp.stats.sequential import MOST_SEEDS
from a3c_exp.system.number_format import NO_VALUE, format_number

TIMES_SIGN = "\N{MULTIPLICATION SIGN}"


def decision_cell(decision: Decision, note: str = "") -> Cell:
    """A verdict, which a page colors by itself."""
    return Cell(decision, note, status=decision.replace(" ", "-"))


def verdict_cell(verdict: Verdict | None) -> Cell:
    """A verdict with what there is to say where it is undecided."""
    if verdict is None:
        return Cell(NO_VALUE)
    leans = f"leans: {verdict.uncorrected_decision}" if verdict.uncorrected_decision != verdict.decision else ""
    needed = format_seeds(verdict.seeds_needed)
    note = verdict.reason or "; ".join(text for text in (leans, f"would take {needed} seeds" if needed else "") if text)
    return decision_cell(verdict.decision, f"({note})" if note else "")


def format_seeds(number: float) -> str:
    """How many seeds a decision would take; empty where there is no telling."""
    return "" if math.isnan(number) else f"over {MOST_SEEDS:,}" if math.isinf(number) else f"about {number:.0f}"


def effect_cell(effect: EffectEstimate) -> Cell:
    """An effect and its own interval; a ratio where it is one."""
    low, high = effect.interval
    known = math.isfinite(low + high)
    if effect.part.is_ratio:
        text, interval = f"{TIMES_SIGN}{math.exp(effect.effect):.2f}", f"[{math.exp(low):.2f}, {math.exp(high):.2f}]"
    else:
        text, *edges = (_format_signed(value, effect.interval) for value in (effect.effect, low, high))
        interval = f"[{', '.join(edges)}]"
    return Cell(text if math.isfinite(effect.effect) else NO_VALUE, interval if known else "")


def _format_signed(value: float, interval: Interval) -> str:
    text = format_number(abs(value), interval[1] - interval[0])
    sign = "" if not text.strip("0.") else "+" if value > 0 else "-"  # what rounds to nothing has none
    return f"{sign}{text}"
