"""Run directories read completely, whatever state they were left in."""

import math
from collections.abc import Iterable
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.report import value_bias
from a3c_exp.report.columns import Columns, FloatArray, read_columns
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, StatisticInfo
from a3c_exp.runs.run_directories import find_runs, seed_directories
from a3c_exp.runs.run_summary import RunSummary
from a3c_exp.runs.tolerant_io import mapping, number
from a3c_exp.stats.estimates import mean

_PER_WORKER_FIELDS = ("worker_steps_per_second", "worker_updates_per_second")


class RunData(RunSummary):
    """One run directory, read completely; damage is noted in ``problems`` and never raises. ``result`` says what the whole run
    says: what no summary has, because the run was cut short or is still at it, is counted in the lines.

    Columns are those of the ``.jsonl`` files, each [lines], with all fields of ``runs.log_records``, ``return`` under its name
    in the file. In addition there are ``<field>.low``, ``.mean`` and ``.high`` of what is one number a worker, ``value.low``
    and ``value.high`` (the mean of V(s) less and plus its standard deviation), ``end.terminated``, and what ``value_bias``
    makes of them: ``value.excess`` in metrics and ``sampling.gap`` in evaluations."""

    episodes: Columns
    metrics: Columns
    evaluations: Columns
    num_seeds_in_process: int = 1  #: itself included; its speed is but a share of that process's

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        evaluated = not self.summary_json or bool(self.summary_json.get("evaluation"))
        config, _ = self.config, self.overrides  # in this order, so that problems are in the order of files
        names = [*_field_names(MetricsRecord), *(info.name for info in own_statistics(self.run_json))]
        metrics = read_columns(path / "metrics.jsonl", names, self.problems, lists=_PER_WORKER_FIELDS)
        names = _field_names(EpisodeRecord)
        self.episodes = episodes = read_columns(path / "episodes.jsonl", names, self.problems, one_hot="end.terminated")
        names = _field_names(EvaluationRecord)
        evaluations = read_columns(path / "evaluations.jsonl", names, self.problems, required=evaluated)
        limit_ends = config.get("bootstrap_on_truncation") is False
        ended = np.ones(episodes["episode"].size) if limit_ends else episodes["end.terminated"]
        excess = value_bias.value_overestimation(metrics, episodes, ended, config)
        value, deviation = metrics["value_mean"], metrics["value_std"]
        with np.errstate(invalid="ignore"):  # a run that diverged has infinities
            bounds = {"value.low": value - deviation, "value.high": value + deviation}
        self.metrics = {**metrics, **bounds, "value.excess": excess}
        self.evaluations = {**evaluations, "sampling.gap": value_bias.greedy_gap(evaluations, episodes, config)}
        siblings = seed_directories(path.resolve().parent)
        self.num_seeds_in_process = len(siblings) if path.resolve() in siblings else 1

    @cached_property
    def numbers(self) -> bytes:
        """What its episodes and evaluations came to, times aside, equal for runs that are the same; empty without any."""
        tables = ((self.episodes, "return"), (self.evaluations, "mean"))
        return b"".join(table[name].tobytes() for table, quantity in tables for name in ("env_step", quantity))

    @cached_property
    def _final_values(self) -> JsonObject:
        said, lag = self.summary_json, mapping(self.summary_json.get("policy_lag"))
        both = (np.append(self.episodes[name], self.metrics[name]) for name in ("env_step", "update", "wall_time"))
        steps, updates, wall_time = map(_highest, both)
        seconds = mapping(self.run_json.get("timings")).get("seconds")
        counted: dict[str, tuple[object, ...]] = {
            "episodes": (float(self.episodes["episode"].size),),
            "env_steps": (steps,),
            "updates": (updates,),
            "wall_time": (wall_time, seconds),
            "moving_average": tuple(_finite(self.episodes["moving_average"])[-1:]),
        }
        values: dict[str, Any] = {name: _first_finite(said.get(name), *known) for name, known in counted.items()}
        speed = values["env_steps"] / values["wall_time"] if values["wall_time"] > 0 else math.nan
        values |= {"steps_per_second": _first_finite(said.get("steps_per_second"), speed)}
        mean_lag, most = mean(_finite(self.metrics["policy_lag_mean"])), _highest(self.metrics["policy_lag_max"])
        values["policy_lag"] = {"mean": _first_finite(lag.get("mean"), mean_lag), "max": _first_finite(lag.get("max"), most)}
        if (means := self.evaluations["mean"]).size:
            values["evaluation"] = self._evaluation(-1)
        if _finite(means).size:
            values["best_evaluation"] = self._evaluation(int(np.nanargmax(means)))
        return {**said, **values}

    def _evaluation(self, line: int) -> JsonObject:
        return {name: float(column[line]) for name, column in self.evaluations.items()}


def read_runs(paths: Iterable[Path | str]) -> list[RunData]:
    """``find_runs``, read. Raises RunDirectoryError as it does; a damaged run never raises."""
    return [RunData(path) for path in find_runs(paths)]


def own_statistics(run_json: JsonObject) -> list[StatisticInfo]:
    """The statistics that a run was given by ``metrics.extra``, as its ``run.json`` describes them."""
    names = [field.name for field in fields(StatisticInfo)]
    described = run_json.get("statistics")
    return [
        StatisticInfo(**{key: value for key, value in entry.items() if key in names})
        for entry in (described if isinstance(described, list) else [])
        if {"name", "help"} <= mapping(entry).keys()
    ]


def _field_names(record: type[EpisodeRecord] | type[MetricsRecord] | type[EvaluationRecord]) -> list[str]:
    others = ("end", "returns", "statistics", "infos", *_PER_WORKER_FIELDS)
    names = [field.name.rstrip("_") for field in fields(record) if field.name not in others]
    return [*names, *StatisticsTable().infos] if record is MetricsRecord else names


def _first_finite(*candidates: object) -> float:
    return next((value for value in map(number, candidates) if math.isfinite(value)), math.nan)


def _finite(values: FloatArray) -> FloatArray:
    return values[np.isfinite(values)]


def _highest(values: FloatArray) -> float:
    return float(np.max(_finite(values), initial=-np.inf))
