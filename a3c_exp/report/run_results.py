"""The figures that a run, and a configuration of several seeds, come down to."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from a3c_exp.report.aggregate import Configuration
from a3c_exp.report.columns import Columns, FloatArray
from a3c_exp.report.run_reader import RunData
from a3c_exp.runs.tolerant_io import mapping, number
from a3c_exp.stats.estimates import MIN_SEEDS, NO_INTERVAL, Interval, bootstrap_interval, mean, std


@dataclass(frozen=True)
class EvaluationResult:
    """One evaluation of a run: its mean return, the 95 % interval over its episodes, and when it was made."""

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    env_step: float = math.nan


@dataclass(frozen=True)
class RunResult:
    """What one run came down to; NaN where it did not say.

    Attributes:
        episodes, env_steps, updates: how many were done.
        moving_average: of the mean step reward, as it stood after the last episode.
        evaluation: the last one.
        best_evaluation: the one with the highest mean, picked after the fact and so optimistic.
        steps_per_second: environment steps a second, evaluations and checkpoints included.
        wall_time: seconds of training.
        policy_lag, policy_lag_max: updates between a pull and its push.
    """

    episodes: float
    env_steps: float
    updates: float
    moving_average: float
    evaluation: EvaluationResult
    best_evaluation: EvaluationResult
    steps_per_second: float
    wall_time: float
    policy_lag: float
    policy_lag_max: float


@dataclass(frozen=True, eq=False)
class ConfigResult:
    """What a configuration came down to, over its seeds.

    Attributes:
        configuration: the runs it is about.
        statuses: how many runs of each status.
        averaged_runs: the runs that the means are over: the finished ones, or all with an episode if none is finished.
        run_results: of these runs, in the same order.
        interval: 95 % interval of the mean last evaluation.
        interval_over: what the interval is over: ``seeds`` (three or more), ``episodes`` (one run's own) or nothing.
    """

    configuration: Configuration
    statuses: Counter[str]
    averaged_runs: tuple[RunData, ...]
    run_results: tuple[RunResult, ...]
    interval: Interval
    interval_over: str

    def values(self, quantity: Callable[[RunResult], float]) -> FloatArray:
        """One finite number a counted run; runs without it are left out."""
        values = np.array([quantity(result) for result in self.run_results], dtype=np.float64)
        return values[np.isfinite(values)]

    def mean(self, quantity: Callable[[RunResult], float]) -> float:
        """Mean over the counted runs that have it."""
        return mean(self.values(quantity))

    def std(self, quantity: Callable[[RunResult], float]) -> float:
        """Sample standard deviation over the counted runs; NaN for fewer than two."""
        return std(self.values(quantity))


def run_result(run: RunData) -> RunResult:
    """What ``run`` came down to: from its summary, or from its lines if it was cut short or is still at it."""
    said = run.summary_json
    lag = mapping(said.get("policy_lag"))
    steps = _first_finite(said.get("env_steps"), _max_count(run, "env_step"))
    seconds = mapping(run.run_json.get("timings")).get("seconds")
    wall_time = _first_finite(said.get("wall_time"), _max_count(run, "wall_time"), seconds)
    return RunResult(
        episodes=_first_finite(said.get("episodes"), float(run.episodes["episode"].size)),
        env_steps=steps,
        updates=_first_finite(said.get("updates"), _max_count(run, "update")),
        moving_average=_first_finite(said.get("moving_average"), _last_finite(run.episodes, "moving_average")),
        evaluation=_evaluation_result(run, -1, said.get("evaluation")),
        best_evaluation=_evaluation_result(run, _argmax(run.evaluations["mean"]), said.get("best_evaluation")),
        steps_per_second=_first_finite(said.get("steps_per_second"), steps / wall_time if wall_time > 0 else math.nan),
        wall_time=wall_time,
        policy_lag=_first_finite(lag.get("mean"), mean(_finite_values(run.metrics["policy_lag_mean"]))),
        policy_lag_max=_first_finite(lag.get("max"), _finite_max(run.metrics["policy_lag_max"])),
    )


def config_result(configuration: Configuration) -> ConfigResult:
    """What ``configuration`` came down to.

    Runs that did not finish are left out of the means as long as one did: a seed that died early says how training
    fails, not how good it gets. They stay in ``statuses``, and the report names them.
    """
    finished = tuple(run for run in configuration.runs if run.status == "finished")
    counted = finished or tuple(run for run in configuration.runs if run.episodes["episode"].size)
    results = tuple(run_result(run) for run in counted)
    evaluations = [item.evaluation for item in results if math.isfinite(item.evaluation.mean)]
    interval, over = NO_INTERVAL, ""
    if len(evaluations) >= MIN_SEEDS:
        interval, over = bootstrap_interval([item.mean for item in evaluations]), "seeds"
    elif len(evaluations) == 1 and math.isfinite(evaluations[0].low + evaluations[0].high):
        interval, over = (evaluations[0].low, evaluations[0].high), "episodes"
    return ConfigResult(configuration, Counter(run.status for run in configuration.runs), counted, results, interval, over)


def _evaluation_result(run: RunData, index: int | None, summary: object) -> EvaluationResult:
    """The line ``index`` of the evaluations, else what the summary says."""
    columns = run.evaluations
    if index is not None and columns["mean"].size:
        return EvaluationResult(*(float(columns[name][index]) for name in ("mean", "ci_low", "ci_high", "env_step")))
    fields = mapping(summary)
    return EvaluationResult(*(number(fields.get(name)) for name in ("mean", "ci_low", "ci_high", "env_step")))


def _argmax(values: FloatArray) -> int | None:
    return int(np.nanargmax(values)) if _finite_values(values).size else None


def _first_finite(*candidates: object) -> float:
    """The first that is a finite number, else NaN."""
    return next((value for value in map(number, candidates) if math.isfinite(value)), math.nan)


def _finite_values(values: FloatArray) -> FloatArray:
    return values[np.isfinite(values)]


def _last_finite(columns: Columns, name: str) -> float:
    values = _finite_values(columns[name])
    return float(values[-1]) if values.size else math.nan


def _max_count(run: RunData, name: str) -> float:
    """The highest of a running count that both episodes and metrics carry."""
    return _finite_max(np.concatenate([run.episodes[name], run.metrics[name]]))


def _finite_max(values: FloatArray) -> float:
    values = _finite_values(values)
    return float(values.max()) if values.size else math.nan


def config_results(configurations: Sequence[Configuration]) -> tuple[ConfigResult, ...]:
    """``config_result`` of each."""
    return tuple(map(config_result, configurations))
