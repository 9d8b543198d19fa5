"""One quantity of a run over another, what the curves of several seeds have in common, and what one curve comes down to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from a3c_exp.report.columns import FloatArray
from a3c_exp.report.run_reader import RunData
from a3c_exp.runs.tolerant_io import mapping, number
from a3c_exp.stats.estimates import MIN_SEEDS, bootstrap_interval

Axis = Literal["episode", "env_step", "wall_time", "lag"]
CurveSource = Literal["episodes", "metrics", "evaluations", "lags"]
Measure = Literal["training", "evaluation"]
MEASURES: tuple[Measure, Measure] = ("training", "evaluation")

FINAL_SHARE = 0.1  # the share of a run that its end is
_NUM_BINS = 40  # points of a training curve over environment steps, and of the area under any curve
_CONVERGED_SHARE = 0.25  # the share of a run, at its end, in which its steadiness is judged
_MIN_PROGRESS = 0.5  # a run that got less far than this share of the farthest is left out of a band of unfinished ones
_MAX_LAG_BINS = 4096  # a longer histogram was not written by a run


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity of one run: ``x`` [n] strictly increasing, ``y`` [n] finite, n > 0."""

    run: RunData
    x: FloatArray
    y: FloatArray


@dataclass(frozen=True, eq=False)
class Band:
    """What ``num_seeds`` runs have in common: ``x``, ``low``, ``middle`` and ``high``, each [points]."""

    x: FloatArray
    low: FloatArray
    middle: FloatArray
    high: FloatArray
    num_seeds: int


@dataclass(frozen=True)
class CurveMetrics:
    """What one curve comes down to."""

    area: float  #: its mean height from 0 to the horizon
    time: float  #: where it first reaches the threshold, in units of its axis; the horizon if it does not
    reached_threshold: bool
    final: float  #: mean of its points in the last tenth of the run
    #: Standard deviation within rolling windows of a tenth of the run, their root mean square over the last quarter; NaN where
    #: there are fewer than three points to a window.
    variability: float


def run_curve(run: RunData, source: CurveSource, quantity: str, axis: Axis) -> Curve | None:
    """``quantity`` over ``axis`` from a table of the run, sorted, of points at one place the last; ``None`` without any."""
    columns = {"episodes": run.episodes, "metrics": run.metrics, "evaluations": run.evaluations}.get(source, {})
    if axis not in columns or quantity not in columns:
        return None
    x, y = columns[axis], columns[quantity]
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if not x.size:
        return None
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    last = np.append(np.diff(x) > 0, True)
    return Curve(run, x[last], y[last])


def lag_shares(runs: Sequence[RunData]) -> Curve | None:
    """Share of pushes at each policy lag, over all runs whose summaries say it; ``None`` if none does. ``x`` are lags in
    updates, from -1 to one beyond the largest seen, where ``y``, the share, is 0: steps close at both ends."""
    total = np.zeros(_MAX_LAG_BINS)
    for run in runs:
        counts = mapping(run.summary_json.get("policy_lag")).get("histogram")
        values = np.array([number(count) for count in counts] if isinstance(counts, list) else [])
        if values.size <= _MAX_LAG_BINS and np.isfinite(values).all() and (values >= 0).all():
            total[: values.size] += values
    if not total.any():
        return None
    last = int(total.nonzero()[0][-1])
    shares = np.concatenate([[0.0], total[: last + 1] / total.sum(), [0.0]])
    return Curve(runs[0], np.arange(-1.0, last + 2.0), shares)


def band_members(curves: Sequence[Curve]) -> list[Curve]:
    """Those that make up a band: finished runs if they are enough, else all that got half as far as the farthest. One that died
    early would cut the common range short; a band whose members change on the way jumps where nothing happened."""
    finished = [item for item in curves if item.run.status == "finished"]
    if len(finished) >= MIN_SEEDS:
        return finished
    farthest = max((item.x[-1] for item in curves), default=math.inf)
    return [item for item in curves if item.x[-1] >= _MIN_PROGRESS * farthest]


def align(curves: Sequence[Curve], points: int = 200) -> tuple[FloatArray, FloatArray]:
    """``x`` [points] over the range that all curves share, none without one, and all heights there [curves, points]."""
    low, high = max(item.x[0] for item in curves), min(item.x[-1] for item in curves)
    x = np.linspace(low, high, points) if high > low else np.array([low] if high == low else [])
    return x, np.stack([np.interp(x, item.x, item.y) for item in curves])


def quartile_band(curves: Sequence[Curve], points: int = 200) -> Band | None:
    """Median and middle half over seeds; ``None`` with fewer than three members, or where they share no range."""
    return _band(band_members(curves), points, lambda y: np.quantile(y, (0.25, 0.5, 0.75), axis=0))


def mean_band(curves: Sequence[Curve], points: int = 40) -> Band | None:
    """Mean over seeds with its 95 % percentile bootstrap interval at each point; ``None`` as in ``quartile_band``."""

    def mean_and_interval(y: FloatArray) -> list[FloatArray]:
        low, high = np.array([bootstrap_interval(column, resamples=2000) for column in y.T]).T
        return [low, y.mean(axis=0), high]

    members = band_members(curves)
    return _band(members, min(points, max((item.x.size for item in members), default=0)), mean_and_interval)


def _band(members: Sequence[Curve], points: int, summarize: Callable[[FloatArray], Any]) -> Band | None:
    if len(members) < MIN_SEEDS:
        return None
    x, y = align(members, points)
    if not x.size:
        return None
    low, middle, high = summarize(y)
    return Band(x, low, middle, high, len(members))


def learning_curve(run: RunData, measure: Measure, axis: Axis) -> Curve | None:
    """The curve by which a run is compared; ``None`` where it has no numbers for it. Evaluation: mean returns. Training over
    episodes: the moving average of the mean step reward; over environment steps: mean reward of a step in each of ``_NUM_BINS``
    parts of the run, as a moving average looks back ten times as far where episodes are ten times as long."""
    if measure == "training":
        return run_curve(run, "episodes", "moving_average", "episode") if axis == "episode" else _binned_training_curve(run)
    found = run_curve(run, "evaluations", "mean", "env_step")
    if found is None or axis != "episode":
        return found
    steps = run.episodes["env_step"]
    if not np.isfinite(steps).any():
        return None
    # Workers side by side end their episodes together, so how many have ended jumps; how many steps were done does not.
    return Curve(run, found.x * (steps.size / np.nanmax(steps)), found.y)


def learning_curves(runs: Sequence[RunData], measure: Measure, axis: Axis) -> list[Curve]:
    """The curves of those runs that have one."""
    return [curve for run in runs if (curve := learning_curve(run, measure, axis)) is not None]


def curve_metrics(curve: Curve, horizon: float, threshold: float = math.nan) -> CurveMetrics:
    """What ``curve`` comes down to; ``area`` and ``time`` look at ``[0, horizon]``, the others at the end of the run itself."""
    grid = horizon * (np.arange(5 * _NUM_BINS) + 0.5) / (5 * _NUM_BINS)
    above = np.flatnonzero((curve.y >= threshold) & (curve.x <= horizon))
    end = curve.x[-1]
    late, width = curve.y[curve.x > (1.0 - _CONVERGED_SHARE) * end], round(curve.x.size * FINAL_SHARE)
    variability = math.nan
    if 3 <= width <= late.size:
        windows = np.lib.stride_tricks.sliding_window_view(late, width)
        variability = float(np.sqrt(windows.var(axis=1, ddof=1).mean()))
    return CurveMetrics(
        area=float(np.interp(grid, curve.x, curve.y).mean()),
        time=float(curve.x[above[0]]) if above.size else horizon,
        reached_threshold=bool(above.size),
        final=float(curve.y[curve.x > (1.0 - FINAL_SHARE) * end].mean()),
        variability=variability,
    )


def _binned_training_curve(run: RunData) -> Curve | None:
    table = np.array([run.episodes[name] for name in ("env_step", "return", "length")])
    steps, rewards, lengths = table[:, np.isfinite(table).all(axis=0)]
    if not steps.size:
        return None
    edges = np.linspace(0.0, steps.max(), _NUM_BINS + 1)
    place = np.clip(np.searchsorted(edges, steps, side="left") - 1, 0, _NUM_BINS - 1)
    steps_in_bin = np.bincount(place, lengths, _NUM_BINS)
    reward_in_bin = np.bincount(place, rewards, _NUM_BINS)
    full = steps_in_bin > 0  # long episodes of many workers end together, and leave bins without an end
    return Curve(run, edges[1:][full], reward_in_bin[full] / steps_in_bin[full])
