"""A reader at the other end of a console's pipe or terminal, and what a run says to its console."""

import os
import pty
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from a3c_exp.config.budget import Budget
from a3c_exp.loggers.base import RunInfo
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, MetricsRecord
from tests.support.driving import wait_until
from tests.support.metrics import metrics_record

SUMMARY = {
    "reason": "budget reached",
    "episodes": 1000,
    "env_steps": 4_000_000,
    "wall_time": 260.1,
    "steps_per_second": 15380.0,
    "moving_average": -0.61,
    "evaluation": {"mean": -812.0, "ci_low": -990.3, "ci_high": -633.0, "episodes": 10},
    "best_evaluation": None,
    "policy_lag": {"mean": 11.0, "max": 25},
}
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class Reader:
    """Collects what is written to a real pipe or to a real pseudo-terminal."""

    def __init__(self, terminal: bool) -> None:
        near, far = pty.openpty() if terminal else os.pipe()
        self.stream: TextIO = os.fdopen(far, "w")
        self._near = near
        self._raw = b""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._near, 65536)
            except OSError:  # a closed pseudo-terminal raises where a pipe reads nothing
                return
            if not data:
                return
            self._raw += data

    def text(self) -> str:
        """All of it, after the writer has closed."""
        if not self.stream.closed:
            self.stream.close()
        self._thread.join(5.0)
        return self._raw.decode()

    def so_far(self) -> str:
        return self._raw.decode(errors="replace")

    def wait_for(self, text: str) -> None:
        """Until this can be read; views are drawn by a thread, in its own time."""
        wait_until(lambda: text in visible(self.so_far()), f"{text!r} to be drawn")


def run_info(budget: Budget | None = None, seeds: int = 1, **start: int) -> RunInfo:
    directory = Path("/outputs/sweep/workers=4")
    budget = budget or Budget(max_episodes=1000)
    return RunInfo(directory, "workers=4", "sweep", "train", (), {"num_seeds": seeds}, budget, resumed=bool(start), **start)


def episode(number: int) -> EpisodeRecord:
    return EpisodeRecord(number, 0, -640.0, 4000, -3.3, -3.2149, 4000 * number, 400, 1.0, "truncated", 7)


def metrics(env_step: int, episodes: int) -> MetricsRecord:
    lags = {"policy_lag_mean": 11.0, "policy_lag_max": 25}
    return metrics_record(env_step, episodes, 15300.0, grad_norm=4.1, grad_norm_max=9.0, **lags)


def every_metric(env_step: int, episodes: int) -> MetricsRecord:
    """Metrics of a run with a discrete policy and gradient clipping."""
    more = {"entropy_normalized": 0.62, "max_probability": 0.934, "explained_variance": 0.41, "grad_norm_clipped": 0.5}
    record = metrics(env_step, episodes)
    return replace(record, statistics={**record.statistics, **more})


def evaluation(mean: float, best: bool) -> EvaluationRecord:
    return EvaluationRecord(480_000, 1, 1.0, 10, True, mean, 1.0, mean, mean, mean, mean, mean, 200.0, [], best)


def visible(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
