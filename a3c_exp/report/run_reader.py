"""Finding run directories and reading them, whatever state they were left in. No torch here."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.report.columns import (
    Columns,
    FloatArray,
    mapping,
    read_columns,
    read_json_object,
    read_text,
    read_yaml,
    strings,
)
from a3c_exp.report.quantities import value_bias as overconfidence
from a3c_exp.runs.config_values import parse_config
from a3c_exp.runs.discovery import find_runs, natural_sort_key, seed_directories
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, StatisticInfo
from a3c_exp.runs.status import RunStatus, run_status

__all__ = ["RunData", "RunStatus", "find_runs", "natural_sort_key", "read_run", "read_runs", "seed_directories"]

_PER_WORKER_FIELDS = ("worker_steps_per_second", "worker_updates_per_second")


@dataclass(frozen=True, eq=False)
class RunData:
    """One run directory, read.

    Attributes:
        path: the directory.
        status: as in ``run.json``; ``killed`` if that says ``running`` but its process is gone; ``unknown`` if it
            cannot be read.
        name, group: as in ``run.json``; ``name`` falls back on the folder's.
        config: ``.hydra/config.yaml`` as written, interpolations unresolved; empty if it cannot be read.
        overrides: what was typed on the command line, such as ``workers=4``.
        run_json: the whole of ``run.json``, or empty.
        summary_json: ``summary_json.json``; ``None`` if there is none, or if it is that of an earlier session.
        episodes, metrics, evaluations: the columns of the ``.jsonl`` files by field name, each [lines]; the fields of
            the records in ``core.records`` are always there, ``return`` under its name in the file. Beside them stand
            ``<field>.low``, ``.mean`` and ``.high`` of what is one number a worker, ``value.low`` and ``value.high`` (the
            mean of V(s) less and plus its standard deviation), ``end.terminated``, and what ``overconfidence`` makes of
            them: ``value.excess`` in metrics and ``sampling.gap`` in evaluations.
        problems: what is missing or damaged, one short sentence each.
        num_seeds_in_process: how many seeds shared its process, itself included: its speed is but a share of that process's.
    """

    path: Path
    status: RunStatus
    name: str
    group: str | None
    config: JsonObject
    overrides: tuple[str, ...]
    run_json: JsonObject
    summary_json: JsonObject | None
    episodes: Columns
    metrics: Columns
    evaluations: Columns
    problems: tuple[str, ...] = ()
    num_seeds_in_process: int = 1

    @property
    def seed(self) -> str:
        """The seed as text; ``?`` if neither the configuration nor ``run.json`` has one."""
        value = self.config.get("seed", self.run_json.get("seed"))
        return "?" if value is None else str(value)

    @property
    def reason(self) -> str:
        """Why it ended, in the run's own words; empty if it did not say."""
        for source in (self.run_json, self.summary_json or {}):
            if source.get("reason"):
                return str(source["reason"])
        return "its process is gone and left no reason" if self.status == "killed" else ""


def read_runs(paths: Iterable[Path | str]) -> list[RunData]:
    """``find_runs``, read. Raises RunDirectoryError as it does; a damaged run never raises."""
    return [read_run(path) for path in find_runs(paths)]


def read_run(path: Path) -> RunData:
    """Read one run directory. Never raises for what is in it: see ``RunData.problems``."""
    problems: list[str] = []
    run_json = read_json_object(path / "run.json", problems) or {}
    status = run_status(path, run_json, problems)
    live = status in ("running", "killed")
    summary = read_json_object(path / "summary.json", problems, required=not live)
    if summary is not None and live:
        problems.append("summary.json is an earlier session's and not used")
        summary = None
    evaluated = summary is None or bool(summary.get("evaluation"))
    text = read_text(path / ".hydra" / "config.yaml", [])
    config = parse_config(text) if text.strip() else None
    if config is None:
        config = read_yaml(path / ".hydra" / "config.yaml", problems)  # which says what is wrong with it
    if config is not None and not isinstance(config, dict):
        problems.append("config.yaml is damaged: not a mapping")
    overrides = strings(run_json.get("overrides"))
    if not overrides:
        overrides = strings(read_yaml(path / ".hydra" / "overrides.yaml", problems, required=False))
    group = run_json.get("group")
    metric_names = [*_field_names(MetricsRecord), *(info.name for info in own_statistics(run_json))]
    metrics = read_columns(path / "metrics.jsonl", metric_names, problems, list_fields=_PER_WORKER_FIELDS)
    episodes = read_columns(path / "episodes.jsonl", _field_names(EpisodeRecord), problems, one_hot=[("end", "terminated")])
    evaluations = read_columns(path / "evaluations.jsonl", _field_names(EvaluationRecord), problems, required=evaluated)
    settings = mapping(config)
    limit_ends = settings.get("bootstrap_on_truncation") is False
    ended = np.ones(episodes["episode"].size) if limit_ends else episodes["end.terminated"]
    excess = {"value.excess": overconfidence.value_overestimation(metrics, episodes, ended, settings)}
    gap = {"sampling.gap": overconfidence.greedy_gap(evaluations, episodes, settings)}
    place = path.resolve()
    siblings = seed_directories(place.parent)
    return RunData(
        path=path,
        status=status,
        name=str(run_json.get("name") or path.resolve().name),
        group=str(group) if group else None,
        config=settings,
        overrides=overrides,
        run_json=run_json,
        summary_json=summary,
        episodes=episodes,
        metrics={**metrics, **_value_bounds(metrics), **excess},
        evaluations={**evaluations, **gap},
        problems=tuple(problems),
        num_seeds_in_process=len(siblings) if place in siblings else 1,
    )


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
        StatisticInfo(**{key: value for key, value in entry.items() if key in names}) for entry in entries if "name" in entry
    ]


def _value_bounds(metrics: Columns) -> dict[str, FloatArray]:
    mean, deviation = metrics["value_mean"], metrics["value_std"]
    with np.errstate(invalid="ignore"):  # a run that diverged has infinities
        return {"value.low": mean - deviation, "value.high": mean + deviation}
