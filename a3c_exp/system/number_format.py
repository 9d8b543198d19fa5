"""How numbers and durations are written for people: in plain characters, which every terminal, file and font can show."""

import math
import re

NO_VALUE = "-"
Interval = tuple[float, float]
_HYPHEN_BEFORE_NUMBER = re.compile(r"(?<![\w.)])-(?=[\d.])")


def format_count(value: float) -> str:
    """``4,000,000``; ``-`` for NaN."""
    return f"{value:,.0f}" if math.isfinite(value) else NO_VALUE


def format_env_steps(env_steps: int, frame_skip: int | None) -> str:
    """A run's steps, which are actions where each is held for several of the environment's.

    >>> format_env_steps(300_000, None), format_env_steps(300_000, 1), format_env_steps(600_000, 10)
    ('300,000 environment steps', '300,000 environment steps', '600,000 actions of 10 frames each')
    """
    return f"{env_steps:,} " + (f"actions of {frame_skip} frames each" if (frame_skip or 1) > 1 else "environment steps")


def format_number(value: float, uncertainty: float = math.nan) -> str:
    """To two digits of its ``uncertainty``, else to four of its own; ``-`` for NaN.

    >>> format_number(-3.2149), format_number(-1812.3), format_number(0.00012), format_number(-812.34, 90.0)
    ('-3.215', '-1,812', '0.00012', '-812')
    """
    if not math.isfinite(value):
        return NO_VALUE
    known = math.isfinite(uncertainty) and uncertainty > 0
    if not known and 0 < abs(value) < 1e-3:
        return f"{value:.4g}"
    scale, digits = (uncertainty, 2) if known else (abs(value), 4)
    places = max(0, digits - 1 - math.floor(math.log10(scale))) if scale > 0 else 0
    return f"{value:,.{min(places, 12)}f}"


def format_mean_std(mean: float, std: float) -> str:
    """``-0.612 ± 0.034``, both to the digits that the deviation warrants; the mean alone where the deviation is NaN."""
    if not math.isfinite(std):
        return format_number(mean)
    if std < 1e-9 * abs(mean):  # what rounding leaves of equal numbers
        std = 0.0
    return f"{format_number(mean, std)} ± {format_number(std, std)}"


def format_interval(interval: Interval) -> str:
    """``[-990, -633]``; empty without an interval."""
    low, high = interval
    if not math.isfinite(low + high):
        return ""
    return f"[{format_number(low, high - low)}, {format_number(high, high - low)}]"


def format_duration(seconds: float) -> str:
    """The two largest units: ``12.3 s``, ``4 min 20 s``, ``2 h 05 min``, ``3 d 4 h``; ``-`` for NaN and infinity."""
    if not math.isfinite(seconds):
        return NO_VALUE
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, hours = round(seconds) // 60, round(seconds) // 3600
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes % 60:02d} min" if hours else f"{minutes} min {round(seconds) % 60:02d} s"


def typographic(text: str) -> str:
    """``text`` for a page or a figure: minus signs before numbers, an en dash for a missing value."""
    return "\N{EN DASH}" if text == NO_VALUE else _HYPHEN_BEFORE_NUMBER.sub("\N{MINUS SIGN}", text)
