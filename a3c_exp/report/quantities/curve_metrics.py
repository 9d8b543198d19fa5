"""What a run's curve comes down to: how high it is, when it gets there, where it ends and how steady it is by then.

Every number is of one run, so that whatever is said of a group rests on its seeds.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from a3c_exp.report.aggregate import Axis, Curve, curve
from a3c_exp.report.run_reader import Run

Measure = Literal["training", "evaluation"]

BINS = 40
"""Points of a training curve over environment steps, and of the area under any curve."""
LAST = 0.1
"""The share of a run that its end is."""
CONVERGED = 0.25
"""The share of a run, at its end, in which its steadiness is judged."""
THRESHOLD: dict[Measure, float] = {"training": -2.0, "evaluation": -400.0}
"""Where Pendulum counts as learned: -2 a step, which is -400 in 200 steps and a third of what a random policy loses."""
CLEAR: dict[Measure, float] = {"training": 0.5, "evaluation": 100.0}
"""A difference that a person would call clear: half a point of reward a step, which is 100 in 200 steps."""
CLEAR_RATIO = 1.25
"""And for times and variabilities: a quarter more."""


@dataclass(frozen=True)
class Numbers:
    """What one curve comes down to.

    Attributes:
        area: its mean height from 0 to the horizon.
        time: where it first reaches the threshold, in units of its axis; the horizon if it does not.
        reached: whether it did.
        final: mean of its points in the last tenth of the run.
        variability: standard deviation within rolling windows of a tenth of the run, their root mean square over the last
            quarter; NaN where there are fewer than three points to a window.
    """

    area: float
    time: float
    reached: bool
    final: float
    variability: float


def learning_curve(run: Run, measure: Measure, axis: Axis) -> Curve | None:
    """The curve by which a run is judged; ``None`` where it has no numbers for it.

    ``evaluation``: mean returns of the standard evaluations. ``training`` over episodes: the report's own curve, the moving
    average of the mean step reward. ``training`` over environment steps: mean reward of a step in each of ``BINS`` parts of
    the run, since a moving average over episodes looks back ten times as far where they are ten times as long.
    """
    if measure == "evaluation":
        found = curve(run, "evaluations", "mean", "env_step")
        if found is None or axis != "episode":
            return found
        steps = run.episodes["env_step"]
        if not np.isfinite(steps).any():
            return None
        # Workers side by side end their episodes together, so how many have ended jumps; how many were lived does not.
        return Curve(run, found.x * (steps.size / np.nanmax(steps)), found.y)
    if axis == "episode":
        return curve(run, "episodes", "moving_average", "episode")
    return _binned(run)


def numbers(found: Curve, horizon: float, threshold: float) -> Numbers:
    """What ``found`` comes down to; ``area`` and ``time`` look at ``[0, horizon]``, the others at the end of the run itself."""
    grid = horizon * (np.arange(5 * BINS) + 0.5) / (5 * BINS)
    above = np.flatnonzero((found.y >= threshold) & (found.x <= horizon))
    end = found.x[-1]
    return Numbers(
        area=float(np.interp(grid, found.x, found.y).mean()),
        time=float(found.x[above[0]]) if above.size else horizon,
        reached=bool(above.size),
        final=float(found.y[found.x > (1.0 - LAST) * end].mean()),
        variability=_variability(found, end),
    )


def _variability(found: Curve, end: float) -> float:
    late = found.y[found.x > (1.0 - CONVERGED) * end]
    width = round(found.x.size * LAST)
    if width < 3 or late.size < width:
        return math.nan
    windows = np.lib.stride_tricks.sliding_window_view(late, width)
    return float(np.sqrt(windows.var(axis=1, ddof=1).mean()))


def _binned(run: Run) -> Curve | None:
    steps, rewards, lengths = (run.episodes[name] for name in ("env_step", "return", "length"))
    sound = np.isfinite(steps) & np.isfinite(rewards) & np.isfinite(lengths)
    steps, rewards, lengths = steps[sound], rewards[sound], lengths[sound]
    if not steps.size:
        return None
    edges = np.linspace(0.0, steps.max(), BINS + 1)
    place = np.clip(np.searchsorted(edges, steps, side="left") - 1, 0, BINS - 1)
    lived = np.bincount(place, lengths, BINS)
    earned = np.bincount(place, rewards, BINS)
    full = lived > 0  # long episodes of many workers end together, and leave bins without an end
    return Curve(run, edges[1:][full], earned[full] / lived[full])
