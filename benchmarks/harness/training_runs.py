"""Runs of a3c_exp, started from the command line, and the results in their run directories."""

import itertools
import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.harness.interleaved import MeasurementError
from benchmarks.harness.process_tree import run_command

WORKERS = 12
PROBE_STEPS = 50_000
PROBE_TRIES = 5
STARTUP_TIMEOUT = 180.0  # seconds of a run besides its training
# The preset's budget would end a run on a fast machine before the requested steps.
PENDULUM = ("env=pendulum", f"workers={WORKERS}", "max_episodes=null")
CAR_RACING = (
    "env=car_racing",
    "evaluation.every_env_steps=null",
    "metrics.every_env_steps=200",
    "screenshots.every_env_steps=null",
    "evaluation.episodes=1",
    "evaluation.max_episode_steps=10",  # a full evaluation at the end would take longer than the measurement
)
CARTPOLE = ("env=cartpole", "truncation=end", "max_updates=null", "evaluation.every_env_steps=null")
OFFLINE_ENVIRONMENT = {"WANDB_MODE": "offline"}  # even if the user is logged in: no network during a measurement


class TrainingRuns:
    """Starts runs below a temporary folder and remembers how fast each variant is, to size the next run."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder = folder
        self.seconds = seconds
        self._rates: dict[tuple[str, ...], float] = {}
        self._path_counter = itertools.count()

    def unused_path(self, name: str) -> Path:
        """A new path."""
        return self.folder / f"{name}_{next(self._path_counter)}"

    def run(
        self,
        overrides: Sequence[str],
        steps: int,
        logger: str | None = "none",
        interval: float = 1.0,
        on_poll: Callable[[list[int]], None] | None = None,
        base: Sequence[str] = PENDULUM,
        timeout: float | None = None,
    ) -> tuple[Path, float]:
        """Train for ``steps`` environment steps; the run directory, and the wall clock at which it was started."""
        directory = self.unused_path("run")
        arguments = [
            *(sys.executable, "-m", "a3c_exp", *base, f"max_env_steps={steps}", *overrides),
            *([] if logger is None else [f"logger={logger}"]),
            f"hydra.run.dir='{directory}'",
        ]
        with run_command(arguments, self.unused_path("output"), OFFLINE_ENVIRONMENT) as command:
            command.wait(timeout or STARTUP_TIMEOUT + 6 * self.seconds, interval, on_poll)
        return directory, command.started_at

    def steps_for(
        self, overrides: Sequence[str], seconds: float, base: Sequence[str] = PENDULUM, min_steps: int = PROBE_STEPS
    ) -> int:
        """Environment steps that take this variant about ``seconds``, by its latest run or a probe of ``min_steps`` steps."""
        key = (*base, *overrides)
        if key not in self._rates:
            self._rates[key] = self._probe(overrides, base, min_steps)
        return max(min_steps, int(self._rates[key] * seconds))

    def steps_per_second(self, overrides: Sequence[str], base: Sequence[str] = PENDULUM, min_steps: int = PROBE_STEPS) -> float:
        """Training speed in the steady state, over all seeds. A third of the run is warm-up, so it lasts half as long again."""
        directory, _ = self.run(overrides, self.steps_for(overrides, 1.5 * self.seconds, base, min_steps), base=base)
        rates = [steady_rate(lines) for lines in metrics_by_seed(directory)]
        self._rates[(*base, *overrides)] = sum(rates) / len(rates)
        return sum(rates)

    def _probe(self, overrides: Sequence[str], base: Sequence[str], steps: int) -> float:
        """A rough speed of one seed, from a short run."""
        rate = 0.0
        for _ in range(PROBE_TRIES):
            directory, _ = self.run(overrides, steps, base=base)
            lines = metrics_by_seed(directory)[0]
            if lines and lines[-1]["wall_time"] > 0:
                try:
                    rate = steady_rate(lines)
                except MeasurementError:
                    rate = lines[-1]["env_step"] / lines[-1]["wall_time"]
                if lines[-1]["wall_time"] >= min(3.0, self.seconds / 2):
                    break
            steps *= 4
        if rate <= 0:
            raise MeasurementError(f"metrics.jsonl has no speed after {steps // 4:,} steps")
        return rate


def last_json_result(output: Path, name: str) -> dict[str, Any]:
    """The last line of JSON in a command's output."""
    for line in reversed(output.read_text().splitlines()):
        if line.startswith("{"):
            result: dict[str, Any] = json.loads(line)
            return result
    raise MeasurementError(f"{name} printed no result")


def metrics_by_seed(directory: Path) -> list[list[dict[str, Any]]]:
    """The metrics of a run, or of each seed of one that trained several."""
    seeds = sorted(directory.glob("seed=*")) or [directory]
    return [read_json_lines(seed / "metrics.jsonl") for seed in seeds]


def read_json_lines(file: Path) -> list[dict[str, Any]]:
    """The records of a JSON lines file, in order."""
    try:
        return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
    except OSError as error:
        raise MeasurementError(f"the run directory has no readable {file.name}: {error.strerror}") from error


def steady_rate(lines: Sequence[dict[str, Any]]) -> float:
    """Environment steps per second between the first line after a third of the run and the last line.

    >>> points = [(0, 9.0), (10, 19.0), (30, 20.0)]
    >>> steady_rate([{"env_step": step, "wall_time": seconds} for step, seconds in points])
    20.0
    """
    steady = [line for line in lines if 3 * line["env_step"] >= lines[-1]["env_step"]]
    if len(steady) < 2:
        raise MeasurementError(f"metrics.jsonl has {len(lines)} lines, {len(steady)} of them after the warm-up; 2 are needed")
    steps, seconds = steady[-1]["env_step"] - steady[0]["env_step"], steady[-1]["wall_time"] - steady[0]["wall_time"]
    if seconds <= 0:
        raise MeasurementError("wall_time in metrics.jsonl does not advance")
    return float(steps / seconds)


def first_step_time(directory: Path) -> float:
    """The moment of the first environment step, in seconds since 1970."""
    try:
        timings = json.loads((directory / "run.json").read_text())["timings"]
        # timestamp() takes a time without a zone for local time.
        return datetime.fromisoformat(timings["first_env_step"]).timestamp()
    except OSError as error:
        raise MeasurementError(f"the run directory has no readable run.json: {error.strerror}") from error
    except (KeyError, TypeError) as error:
        raise MeasurementError("run.json has no timings.first_env_step") from error
