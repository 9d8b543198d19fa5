"""How numbers are written for people. No numpy here."""

import math

NO_VALUE = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
Interval = tuple[float, float]


def format_count(value: float) -> str:
    """``4,000,000``; a dash for NaN."""
    return f"{value:,.0f}".replace("-", MINUS) if math.isfinite(value) else NO_VALUE


def format_number(value: float, uncertainty: float = math.nan) -> str:
    """To two digits of its ``uncertainty``, else to four of its own; a dash for NaN."""
    if not math.isfinite(value):
        return NO_VALUE
    scale, digits = (uncertainty, 2) if math.isfinite(uncertainty) and uncertainty > 0 else (abs(value), 4)
    places = max(0, digits - 1 - math.floor(math.log10(scale))) if scale > 0 else 0
    return f"{value:,.{min(places, 12)}f}".replace("-", MINUS)


def format_mean_std(mean: float, std: float) -> str:
    """``-0.612 ± 0.034``, both to the digits that the deviation warrants; without it for a single seed."""
    if not math.isfinite(std):
        return format_number(mean)
    if std < 1e-9 * abs(mean):  # what is left of equal numbers after adding them up
        std = 0.0
    return f"{format_number(mean, std)} ± {format_number(std, std)}"


def format_interval(interval: Interval) -> str:
    """``[-990, -633]``; empty without an interval."""
    low, high = interval
    if not math.isfinite(low + high):
        return ""
    return f"[{format_number(low, high - low)}, {format_number(high, high - low)}]"


def format_duration(seconds: float) -> str:
    """``4 min 20 s``; the two largest units."""
    if not math.isfinite(seconds):
        return NO_VALUE
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, hours = round(seconds) // 60, round(seconds) // 3600
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes % 60:02d} min" if hours else f"{minutes} min {round(seconds) % 60:02d} s"
