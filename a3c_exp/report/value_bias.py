"""Whether a run believes more than it gets: its value against what was earned, its best guesses against what it tries."""

import numpy as np

from a3c_exp.report.columns import Columns, FloatArray
from a3c_exp.runs.log_records import JsonObject
from a3c_exp.runs.tolerant_io import mapping, number

_RECENT_EPISODES = 100  # training episodes, as in ``recent_return``
_LENGTH_TOLERANCE = 0.1  # by which share episodes may differ in length where no limit says that they are alike


def value_overestimation(metrics: Columns, episodes: Columns, terminated: FloatArray, config: JsonObject) -> FloatArray:
    """V(s), averaged over steps, less what training earned: above 0 the critic promises too much.

    What was earned is estimated from training episodes. In one of T steps whose rewards, as the learner sees them, are m in the
    mean, spread evenly, the discounted return averages ``m / (1 - gamma)`` over its states if targets go on past its end (a
    time limit that bootstraps), else ``m / (1 - gamma) * (1 - gamma (1 - gamma^T) / (T (1 - gamma)))``. It is compared where
    the middle of the episode lies, smoothed over ten parts of the run.

    ``terminated`` [episodes] is 1 where the episode ended in a state of value 0, 0 where a time limit cut it. Returns [lines of
    metrics], in the learner's units; NaN where it cannot be known: without episodes, undiscounted, or with clipped rewards.
    """
    gamma, workers = number(config.get("gamma")), number(config.get("workers", 1))
    shift, scale = number(config.get("reward_shift", 0.0)), number(config.get("reward_scale", 1.0))
    known = np.isfinite(episodes["mean_step_reward"]) & (episodes["length"] > 0) & np.isfinite(episodes["env_step"])
    if not (0 < gamma < 1 and np.isfinite(shift) and scale) or config.get("reward_clip") is not None or not known.any():
        return np.full(metrics["env_step"].size, np.nan)
    length, steps = episodes["length"][known], episodes["env_step"][known]
    reward = (episodes["mean_step_reward"][known] + shift) / scale
    horizon = 1.0 / (1.0 - gamma)
    lost = gamma * (1.0 - gamma**length) * horizon / length
    earned = reward * horizon * np.where(terminated[known] > 0, 1.0 - lost, 1.0)
    middle = steps - length * (workers if np.isfinite(workers) else 1.0) / 2.0
    order = np.argsort(middle, kind="stable")
    x, y = _moving_average(middle[order], earned[order], length[order])
    return np.asarray(metrics["value_mean"] - np.interp(metrics["env_step"], x, y))


def greedy_gap(evaluations: Columns, episodes: Columns, config: JsonObject) -> FloatArray:
    """Mean return of an evaluation less that of the last 100 training episodes before it: of the best guess over what is tried.

    Large and positive, exploration still costs; negative, the most likely actions are not the best. Returns [evaluations]; NaN
    where the two do not compare: evaluations that sample too, other time limits, no episodes yet.
    """
    judged = mapping(config.get("evaluation"))
    known = np.isfinite(episodes["return"]) & np.isfinite(episodes["env_step"])
    if judged.get("deterministic", True) is not True or not known.any() or not evaluations["env_step"].size:
        return np.full(evaluations["env_step"].size, np.nan)
    order = np.argsort(episodes["env_step"][known], kind="stable")
    steps, returns, lengths = (episodes[name][known][order] for name in ("env_step", "return", "length"))
    last = np.searchsorted(steps, evaluations["env_step"], side="right")
    first = np.maximum(last - _RECENT_EPISODES, 0)
    before = (last > first) & np.isfinite(evaluations["env_step"])

    def recent(values: FloatArray) -> FloatArray:
        sums = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray((sums[last] - sums[first]) / np.maximum(last - first, 1))

    limits = config.get("max_episode_steps"), judged.get("max_episode_steps")
    alike = np.full(before.size, limits[0] == limits[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        alike |= np.abs(recent(lengths) / evaluations["mean_length"] - 1.0) < _LENGTH_TOLERANCE
    return np.where(before & alike, evaluations["mean"] - recent(returns), np.nan)


def _moving_average(x: FloatArray, y: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weighted means over as many neighbors as a tenth of all, at the mean of their places."""
    width = max(1, x.size // 10)
    kernel = np.ones(width)
    total = np.convolve(weights, kernel, "valid")
    return np.convolve(x * weights, kernel, "valid") / total, np.convolve(y * weights, kernel, "valid") / total
