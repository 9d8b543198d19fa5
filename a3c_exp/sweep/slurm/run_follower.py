"""Progress of a run on another machine, from what it writes into its directory."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.config.budget import Budget
from a3c_exp.loggers.base import RunInfo
from a3c_exp.loggers.progress import RunProgress
from a3c_exp.loggers.seed_average import mean_evaluation, mean_metrics
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord
from a3c_exp.runs.run_directories import seed_directories
from a3c_exp.runs.run_summary import BUDGET_COUNTS, RunSummary
from a3c_exp.runs.tolerant_io import last_json_object


class RunFollower:
    """Reads the last lines of a run that goes on, as often as it is asked."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._progress: RunProgress | None = None

    def read(self) -> RunProgress | None:
        """How far the run is by now; ``None`` while it has written nothing that says so."""
        folders = seed_directories(self._directory) or [self._directory]
        episodes = _each(folders, "episodes")
        if self._progress is None:
            if not all(episodes):
                return None
            self._progress = RunProgress(self._info(len(folders), episodes))
        records = [
            _episode(episodes) if all(episodes) else None,
            self._metrics(_each(folders, "metrics")),
            _evaluation(_each(folders, "evaluations")),
        ]
        for record in records:
            if record is not None:
                self._progress.update(record)
        return self._progress

    def _info(self, num_seeds: int, episodes: Sequence[JsonObject]) -> RunInfo:
        """What a console gets at the start; counts begin where the run is when it is first looked at, as its speed does."""
        summary = RunSummary(self._directory)
        limits = {name: summary.value(name) for name in BUDGET_COUNTS}
        steps, episode, update = (_mean(episodes, key) for key in ("env_step", "episode", "update"))
        return RunInfo(
            directory=self._directory,
            name=summary.name,
            group=summary.group,
            job_type="sweep",
            tags=(),
            config={"num_seeds": num_seeds, "workers": summary.value("workers")},
            budget=Budget(**{name: limit if isinstance(limit, int) else None for name, limit in limits.items()}),
            resumed=False,
            start_env_step=steps,
            start_episode=episode,
            start_update=update,
        )

    @cached_property
    def _infos(self) -> Mapping[str, Any]:
        return StatisticsTable().infos

    def _metrics(self, lines: Sequence[JsonObject]) -> MetricsRecord | None:
        plain = {field.name for field in fields(MetricsRecord)} - {"statistics", "infos"}
        try:
            records = [
                MetricsRecord(
                    **{key: value for key, value in line.items() if key in plain},
                    statistics={name: line.get(name) for name in self._infos},
                    infos=self._infos,
                )
                for line in lines
                if line
            ]
            return mean_metrics(records) if len(records) == len(lines) else None
        except TypeError:  # another version's
            return None


def _each(folders: Sequence[Path], name: str) -> list[JsonObject]:
    return [last_json_object(folder / f"{name}.jsonl") for folder in folders]


def _episode(lines: Sequence[JsonObject]) -> EpisodeRecord | None:
    first = {("return_" if key == "return" else key): value for key, value in lines[0].items()}
    counts = {key: _mean(lines, key) for key in ("episode", "env_step", "update")}
    average = sum(line.get("moving_average") or 0.0 for line in lines) / len(lines)
    try:
        return EpisodeRecord(**{**first, **counts, "moving_average": average})
    except TypeError:
        return None


def _evaluation(lines: Sequence[JsonObject]) -> EvaluationRecord | None:
    try:
        records = [EvaluationRecord(**line) for line in lines if line]
    except TypeError:
        return None
    if not records or len(records) < len(lines):
        return None
    return records[0] if len(records) == 1 else mean_evaluation(records, best=False)


def _mean(lines: Sequence[JsonObject], key: str) -> int:
    return int(sum(line.get(key) or 0 for line in lines) // len(lines))
