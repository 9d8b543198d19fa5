"""``--table NAME``: what presets reach, a row a task and configuration, beside what others have published; as Markdown."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from a3c_exp.report.aggregate import group_by_configuration
from a3c_exp.report.run_reader import RunData, read_runs
from a3c_exp.report.study.reader import is_study
from a3c_exp.runs.log_records import JsonObject
from a3c_exp.runs.run_directories import natural_sort_key
from a3c_exp.runs.tolerant_io import mapping, number
from a3c_exp.stats.estimates import interquartile_mean, seed_interval
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.number_format import NO_VALUE, format_count, format_duration, format_interval, format_number

_NOT_TRAINED = ("benchmark", "logger", "compile", "tags")  # on which what is learned does not depend, but for rounding
_GOAL_MARKS = {True: "yes", False: "no"}


def benchmark_table(directories: Sequence[Path], name: str) -> str:
    """The runs that belong to a table (``benchmark.table``), as Markdown: of each task and configuration the interquartile mean
    over seeds of the last evaluation, with its 95 % interval, and what is published for the task. The trials of a study, each
    with settings of its own, are left to the study's report. A ConfigError if no run of it has finished."""
    every = read_runs(directories)
    of_table = [run for run in every if run.value("benchmark.table") == name]
    runs = [run for run in of_table if _study(run) is None]
    if of_table and not runs:
        study = _study(of_table[0])
        raise ConfigError(f"--table {name}: all of its runs are trials of a study. Try python -m a3c_exp.report {study}")
    rows = [row for _, group in groupby(sorted(runs, key=_task), _task) for row in _rows(list(group))]
    if not rows:
        raise ConfigError(_no_finished_run(name, runs, every))
    methods = sorted({method for row in rows for method in row.published})
    head = ["task", "IQM [95 % interval]", "seeds", "lowest, highest", "steps", "time", *methods, "goal", "reached"]
    lines = [head, ["---"] * len(head), *(row.cells(methods) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


@dataclass(frozen=True, eq=False)
class _Row:
    """What one configuration reached on a task."""

    task: str
    runs: Sequence[RunData]  # finished, one a seed
    unfinished: int  # seeds without a finished run
    goal: float  # NaN for none
    published: JsonObject

    def cells(self, methods: Sequence[str]) -> list[str]:
        returns = np.array([run.result("evaluation") for run in self.runs])
        interval = seed_interval(returns)
        estimate = format_number(float(interquartile_mean(returns)), 1.0)
        if math.isfinite(interval[0]):
            estimate += f" {format_interval(interval)}"
        reached = self.unfinished == 0 and bool((returns >= self.goal).all())
        return [
            self.task,
            estimate,
            f"{len(self.runs)} of {len(self.runs) + self.unfinished}" if self.unfinished else str(len(self.runs)),
            f"{format_number(returns.min(), 1.0)}, {format_number(returns.max(), 1.0)}",
            _steps(self.runs),
            format_duration(float(np.mean([run.result("wall_time") for run in self.runs]))),
            *(str(self.published.get(method, NO_VALUE)) for method in methods),
            NO_VALUE if math.isnan(self.goal) else f"≥ {self.goal:g}",
            NO_VALUE if math.isnan(self.goal) else _GOAL_MARKS[reached],
        ]


def _rows(runs: Sequence[RunData]) -> list[_Row]:
    """The rows of one task: one for each configuration of which a run has finished."""
    configurations = group_by_configuration(runs, ignore=_NOT_TRAINED).configurations
    rows: list[_Row] = []
    for configuration in configurations:
        by_seed = {run.seed: run for run in reversed(configuration.runs) if run.status == "finished"}
        if by_seed:
            finished, task = [by_seed[seed] for seed in sorted(by_seed, key=natural_sort_key)], _task(configuration.runs[0])
            benchmark = mapping(finished[0].config.get("benchmark")) if _is_task_of_benchmark(finished[0]) else {}
            row = _Row(
                task if len(configurations) == 1 else f"{task}, {configuration.label}",
                finished,
                configuration.num_seeds - len(finished),
                number(benchmark.get("goal")),
                mapping(benchmark.get("published")),
            )
            rows.append(row)
    return rows


def _no_finished_run(name: str, runs: Sequence[RunData], every: Sequence[RunData]) -> str:
    if runs:
        statuses = ", ".join(sorted({run.status for run in runs}))
        return f"--table {name}: none of its runs has finished ({statuses}). Try resume={runs[0].path}"
    tables = sorted({str(table) for run in every if (table := run.value("benchmark.table"))})
    if not tables:
        return f"--table {name}: these runs belong to no table. Try +experiment=zoo/cartpole num_seeds=10, which belongs to zoo"
    return f"--table {name}: there is no run of it, only of {', '.join(tables)}. Try --table {tables[0]}"


def _steps(runs: Sequence[RunData]) -> str:
    """``250,000 × 4``: actions, where each was held for four steps of the environment."""
    held, steps = number(runs[0].value("env.frame_skip")), format_count(max(run.result("env_steps") for run in runs))
    return f"{steps} \N{MULTIPLICATION SIGN} {held:.0f}" if held > 1 else steps


def _study(run: RunData) -> Path | None:
    """The directory of the study that the run is a trial of."""
    return next((folder for folder in run.path.resolve().parents if is_study(folder)), None)


def _task(run: RunData) -> str:
    return str((_is_task_of_benchmark(run) and run.value("benchmark.task")) or run.value("env.id"))


def _is_task_of_benchmark(run: RunData) -> bool:
    """Whether the run's environment is the one that its preset's goal and published results are for."""
    env, needed = mapping(run.config.get("env")), mapping(mapping(run.config.get("benchmark")).get("env"))
    return all((env.get(key) or None) == (value or None) for key, value in needed.items())  # no arguments are null or {}
