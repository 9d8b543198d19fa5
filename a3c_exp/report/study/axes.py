"""A parameter of a study as an axis: where each value stands on it, and what is written there."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from a3c_exp.report.columns import FloatArray
from a3c_exp.report.study.reader import Parameter
from a3c_exp.runs.tolerant_io import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def configure_axis(axes: "Axes", parameter: Parameter) -> None:
    """Let the axis to the right show the parameter's full range, on its scale."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    if parameter.choices:
        labels = [shorten_start(str(choice), 12) for choice in parameter.choices]
        axes.xaxis.set_major_locator(FixedLocator(range(len(labels))))
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: labels[round(value)] if 0 <= value <= len(labels) - 1 else "")
        )
        axes.set_xlim(-0.5, len(labels) - 0.5)
        axes.autoscale(False, axis="x")
        return
    if parameter.log:
        axes.set_xscale("log")
        axes.set_xlim(parameter.low / 1.15, parameter.high * 1.15)
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        margin = 0.04 * (parameter.high - parameter.low)
        axes.set_xlim(parameter.low - margin, parameter.high + margin)


def positions(parameter: Parameter, values: Sequence[Any]) -> list[float]:
    """Where values stand: numbers as they are, choices by their order."""
    if parameter.choices:
        return [float(parameter.choices.index(value)) for value in values]
    return [float(value) for value in values]


def scaled_positions(parameter: Parameter, values: Sequence[Any]) -> FloatArray:
    """Where values stand between the ends of the range, 0 and 1, on the parameter's scale."""
    places = np.array(positions(parameter, values))
    places = np.log(places) if parameter.log else places
    low, high = (0.0, len(parameter.choices) - 1.0) if parameter.choices else (parameter.low, parameter.high)
    low, high = (math.log(low), math.log(high)) if parameter.log else (low, high)
    scaled: FloatArray = (places - low) / max(high - low, 1e-12)
    return scaled


def limit_labels(parameter: Parameter) -> tuple[str, str]:
    """What stands at the ends of the range."""
    if parameter.choices:
        return shorten_start(str(parameter.choices[0]), 12), shorten_start(str(parameter.choices[-1]), 12)
    return f"{parameter.low:.3g}", f"{parameter.high:.3g}"


def shorten_start(name: str, max_length: int = 26) -> str:
    """The end of a long name, which tells more than its beginning."""
    text = printable(name)
    return text if len(text) <= max_length else "\N{HORIZONTAL ELLIPSIS}" + text[1 - max_length :]
