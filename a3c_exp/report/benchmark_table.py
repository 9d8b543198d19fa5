"""``--table NAME``: what presets reach, a row a task, beside what others have published for it; as Markdown."""

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from a3c_exp.report.run_reader import RunData, read_runs
from a3c_exp.runs.log_records import JsonObject
from a3c_exp.runs.tolerant_io import mapping, number
from a3c_exp.stats.estimates import interquartile_mean, seed_interval
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.number_format import NO_VALUE, format_count, format_duration, format_interval, format_number

_GOAL_MARKS = {True: "yes", False: "no"}


def benchmark_table(directories: Sequence[Path], name: str) -> str:
    """The finished runs that belong to a table (``benchmark.table``), as Markdown: of each task the interquartile mean over
    seeds of the last evaluation, with its 95 % interval, and what is published. A ConfigError if there is no such run."""
    runs = [run for run in read_runs(directories) if run.value("benchmark.table") == name]
    finished = sorted((run for run in runs if run.status == "finished"), key=_task)
    if not finished:
        tables = sorted({str(table) for run in read_runs(directories) if (table := run.value("benchmark.table"))})
        there = f"only of {', '.join(tables)}" if tables else "of no table"
        raise ConfigError(
            f"--table {name}: there is no finished run of it, {there}. Try +experiment={name}/cartpole num_seeds=10"
        )
    tasks = [list(group) for _, group in groupby(finished, _task)]
    methods = sorted({method for run in finished for method in _published(run)})
    head = ["task", "IQM [95 % interval]", "seeds", "lowest, highest", "steps", "time", *methods, "goal", "reached"]
    rows = [_row(runs, methods) for runs in tasks]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _row(runs: Sequence[RunData], methods: Sequence[str]) -> list[str]:
    returns = np.array([run.result("evaluation") for run in runs])
    goal, published = number(runs[0].value("benchmark.goal")), _published(runs[0])
    interval = seed_interval(returns)
    estimate = format_number(float(interquartile_mean(returns)), 1.0)
    if math.isfinite(interval[0]):
        estimate += f" {format_interval(interval)}"
    seconds = float(np.mean([run.result("wall_time") for run in runs]))
    return [
        _task(runs[0]),
        estimate,
        str(len(runs)),
        f"{format_number(returns.min(), 1.0)}, {format_number(returns.max(), 1.0)}",
        _steps(runs),
        format_duration(seconds),
        *(str(published.get(method, NO_VALUE)) for method in methods),
        NO_VALUE if math.isnan(goal) else f"≥ {goal:g}",
        NO_VALUE if math.isnan(goal) else _GOAL_MARKS[bool((returns >= goal).all())],
    ]


def _steps(runs: Sequence[RunData]) -> str:
    """``250,000 × 4``: actions, where each was held for four steps of the environment."""
    held, count = number(runs[0].value("env.frame_skip")), format_count(max(run.result("env_steps") for run in runs))
    return f"{count} \N{MULTIPLICATION SIGN} {held:.0f}" if held > 1 else count


def _task(run: RunData) -> str:
    return str(run.value("benchmark.task") or run.value("env.id"))


def _published(run: RunData) -> JsonObject:
    return mapping(mapping(run.config.get("benchmark")).get("published"))
