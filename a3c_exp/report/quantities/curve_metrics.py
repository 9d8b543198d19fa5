"""What a run's curve comes down to: how high it is, when it gets there, where it ends and how steady it is by then.

Every number is of one run, so that statements about a group rest on its seeds.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from a3c_exp.report.aggregate import Axis, Curve, run_curve
from a3c_exp.report.run_reader import RunData

Measure = Literal["training", "evaluation"]
MEASURES: tuple[Measure, Measure] = ("training", "evaluation")

NUM_BINS = 40
"""Points of a training curve over environment steps, and of the area under any curve."""
FINAL_SHARE = 0.1
"""The share of a run that its end is."""
CONVERGED_SHARE = 0.25
"""The share of a run, at its end, in which its steadiness is judged."""
MIN_EFFECT_RATIO = 1.25
"""The smallest ratio of times and of variabilities that a person would call clear: a quarter more."""


@dataclass(frozen=True)
class CurveMetrics:
    """What one curve comes down to.

    Attributes:
        area: its mean height from 0 to the horizon.
        time: where it first reaches the threshold, in units of its axis; the horizon if it does not.
        reached_threshold: whether it did.
        final: mean of its points in the last tenth of the run.
        variability: standard deviation within rolling windows of a tenth of the run, their root mean square over the last
            quarter; NaN where there are fewer than three points to a window.
    """

    area: float
    time: float
    reached_threshold: bool
    final: float
    variability: float


def learning_curve(run: RunData, measure: Measure, axis: Axis) -> Curve | None:
    """The curve by which a run is compared; ``None`` where it has no numbers for it.

    ``evaluation``: mean returns of the standard evaluations. ``training`` over episodes: the moving average of the mean step
    reward. ``training`` over environment steps: mean reward of a step in each of ``NUM_BINS`` parts of
    the run, since a moving average over episodes looks back ten times as far where they are ten times as long.
    """
    if measure == "evaluation":
        found = run_curve(run, "evaluations", "mean", "env_step")
        if found is None or axis != "episode":
            return found
        steps = run.episodes["env_step"]
        if not np.isfinite(steps).any():
            return None
        # Workers side by side end their episodes together, so how many have ended jumps; how many steps were done does not.
        return Curve(run, found.x * (steps.size / np.nanmax(steps)), found.y)
    if axis == "episode":
        return run_curve(run, "episodes", "moving_average", "episode")
    return _binned_training_curve(run)


def curve_metrics(curve: Curve, horizon: float, threshold: float = math.nan) -> CurveMetrics:
    """What ``curve`` comes down to; ``area`` and ``time`` look at ``[0, horizon]``, the others at the end of the run itself."""
    grid = horizon * (np.arange(5 * NUM_BINS) + 0.5) / (5 * NUM_BINS)
    above = np.flatnonzero((curve.y >= threshold) & (curve.x <= horizon))
    end = curve.x[-1]
    return CurveMetrics(
        area=float(np.interp(grid, curve.x, curve.y).mean()),
        time=float(curve.x[above[0]]) if above.size else horizon,
        reached_threshold=bool(above.size),
        final=float(curve.y[curve.x > (1.0 - FINAL_SHARE) * end].mean()),
        variability=_variability(curve, end),
    )


def _variability(curve: Curve, end: float) -> float:
    late = curve.y[curve.x > (1.0 - CONVERGED_SHARE) * end]
    width = round(curve.x.size * FINAL_SHARE)
    if width < 3 or late.size < width:
        return math.nan
    windows = np.lib.stride_tricks.sliding_window_view(late, width)
    return float(np.sqrt(windows.var(axis=1, ddof=1).mean()))


def _binned_training_curve(run: RunData) -> Curve | None:
    steps, rewards, lengths = (run.episodes[name] for name in ("env_step", "return", "length"))
    sound = np.isfinite(steps) & np.isfinite(rewards) & np.isfinite(lengths)
    steps, rewards, lengths = steps[sound], rewards[sound], lengths[sound]
    if not steps.size:
        return None
    edges = np.linspace(0.0, steps.max(), NUM_BINS + 1)
    place = np.clip(np.searchsorted(edges, steps, side="left") - 1, 0, NUM_BINS - 1)
    steps_in_bin = np.bincount(place, lengths, NUM_BINS)
    reward_in_bin = np.bincount(place, rewards, NUM_BINS)
    full = steps_in_bin > 0  # long episodes of many workers end together, and leave bins without an end
    return Curve(run, edges[1:][full], reward_in_bin[full] / steps_in_bin[full])
