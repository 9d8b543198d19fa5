"""Run directories read completely, whatever state they were left in."""

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import numpy as np

from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.report.columns import Columns, FloatArray, read_columns
from a3c_exp.report.quantities import value_bias
from a3c_exp.runs.discovery import find_runs, seed_directories
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, StatisticInfo
from a3c_exp.runs.run_summary import RunSummary

_PER_WORKER_FIELDS = ("worker_steps_per_second", "worker_updates_per_second")


class RunData(RunSummary):
    """One run directory, read completely; damage is noted in ``problems`` and never raises.

    Attributes:
        episodes, metrics, evaluations: the columns of the ``.jsonl`` files by field name, each [lines]; the fields of
            the records in ``runs.log_records`` are always there, ``return`` under its name in the file. In addition there are
            ``<field>.low``, ``.mean`` and ``.high`` of what is one number a worker, ``value.low`` and ``value.high`` (the
            mean of V(s) less and plus its standard deviation), ``end.terminated``, and what ``value_bias`` makes of
            them: ``value.excess`` in metrics and ``sampling.gap`` in evaluations.
        num_seeds_in_process: how many seeds shared its process, itself included: its speed is but a share of that process's.
    """

    episodes: Columns
    metrics: Columns
    evaluations: Columns
    num_seeds_in_process: int = 1

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        evaluated = not self.summary_json or bool(self.summary_json.get("evaluation"))
        config, _ = self.config, self.overrides  # in this order, so that problems are in the order of files
        names = [*_field_names(MetricsRecord), *(info.name for info in own_statistics(self.run_json))]
        metrics = read_columns(path / "metrics.jsonl", names, self.problems, list_fields=_PER_WORKER_FIELDS)
        episodes = read_columns(
            path / "episodes.jsonl", _field_names(EpisodeRecord), self.problems, one_hot=[("end", "terminated")]
        )
        evaluations = read_columns(
            path / "evaluations.jsonl", _field_names(EvaluationRecord), self.problems, required=evaluated
        )
        limit_ends = config.get("bootstrap_on_truncation") is False
        ended = np.ones(episodes["episode"].size) if limit_ends else episodes["end.terminated"]
        excess = value_bias.value_overestimation(metrics, episodes, ended, config)
        self.episodes = episodes
        self.metrics = {**metrics, **_value_bounds(metrics), "value.excess": excess}
        self.evaluations = {**evaluations, "sampling.gap": value_bias.greedy_gap(evaluations, episodes, config)}
        siblings = seed_directories(path.resolve().parent)
        self.num_seeds_in_process = len(siblings) if path.resolve() in siblings else 1


def read_runs(paths: Iterable[Path | str]) -> list[RunData]:
    """``find_runs``, read. Raises RunDirectoryError as it does; a damaged run never raises."""
    return [RunData(path) for path in find_runs(paths)]


def _field_names(record: type[EpisodeRecord] | type[MetricsRecord] | type[EvaluationRecord]) -> list[str]:
    others = ("end", "returns", "statistics", "infos", *_PER_WORKER_FIELDS)
    names = [field.name.rstrip("_") for field in fields(record) if field.name not in others]
    return [*names, *StatisticsTable().infos] if record is MetricsRecord else names


def own_statistics(run_json: JsonObject) -> list[StatisticInfo]:
    """The statistics that a run was given by ``metrics.extra``, as its ``run.json`` describes them."""
    names = [field.name for field in fields(StatisticInfo)]
    described = run_json.get("statistics")
    entries = [entry for entry in described if isinstance(entry, dict)] if isinstance(described, list) else []
    return [
        StatisticInfo(**{key: value for key, value in entry.items() if key in names})
        for entry in entries
        if {"name", "help"} <= entry.keys()
    ]


def _value_bounds(metrics: Columns) -> dict[str, FloatArray]:
    mean, deviation = metrics["value_mean"], metrics["value_std"]
    with np.errstate(invalid="ignore"):  # a run that diverged has infinities
        return {"value.low": mean - deviation, "value.high": mean + deviation}
