"""What is due when, in a run that was stopped and goes on."""

from typing import Any

import numpy as np
import pytest
import torch

from a3c_exp.algorithm.training_stats import TrainingStats
from a3c_exp.algorithm.types import TrainingState
from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.config.budget import Budget
from a3c_exp.loggers.base import Logger
from a3c_exp.parallelism.base import Counts
from a3c_exp.runs.log_records import MetricsRecord
from a3c_exp.training.learning_watch import LearningWatch
from a3c_exp.training.run_tracker import Clock, RunTracker, TrackerState

STAT = StatisticsTable().columns


def make_tracker(env_steps: int, evaluated_at: int | None, every: int | None = 100) -> RunTracker:
    state = TrainingState.initial(torch.zeros(1), 0, 1)
    state.env_steps = env_steps
    cadence = {"metrics": 10**9, "evaluation": every, "screenshots": None, "checkpoint": None}
    nothing: list[object] = []
    return RunTracker(
        Budget(max_env_steps=10**9),
        state,
        TrackerState(last_evaluation_step=evaluated_at or 0),
        None,
        None,
        nothing,
        cadence,
        Clock(),
    )


@pytest.mark.parametrize(
    ("env_steps", "evaluated_at", "due"),
    [(0, None, 100), (510, 505, 600), (510, 400, 500), (510, None, 100), (500, 500, 600), (90, None, 100)],
)
def test_an_evaluation_that_was_broken_off_is_made_up_for(env_steps: int, evaluated_at: int | None, due: int) -> None:
    """It was due, and the run was stopped in the middle of it: the log of the resumed run must not lack it."""
    assert make_tracker(env_steps, evaluated_at).next_due_step() == due


def test_no_evaluation_is_due_where_none_was_asked_for() -> None:
    assert make_tracker(510, None, every=None).next_due_step() == 10**9  # that of the metrics
    assert not list(make_tracker(510, None, every=None).due(Counts(10**8, 0, 0)))


class Lines(Logger):
    """Keeps the metrics that it receives."""

    def __init__(self) -> None:
        self.metrics_lines: list[MetricsRecord] = []

    def metrics(self, metrics: MetricsRecord) -> None:
        self.metrics_lines.append(metrics)


def test_late_statistics_of_a_worker_write_no_line_without_steps() -> None:
    """A checkpoint writes a line, too; what free-running workers tell just before it may belong to steps already written."""
    tracker = make_tracker(0, None)
    logger = Lines()
    tracker.loggers = [logger]
    for env_steps, windows in ((100, 3), (100, 1), (200, 2)):
        stats = TrainingStats()
        for _ in range(windows):
            stats.add_update(np.ones(len(STAT), np.float32), lag=windows)
        tracker.add_stats(stats)
        tracker.log_metrics(Counts(env_steps, env_steps // 10, 0))
    assert [line.env_step for line in logger.metrics_lines] == [100, 200]
    assert all(line.steps_per_second > 0 for line in logger.metrics_lines)
    assert logger.metrics_lines[1].statistics["policy_lag_mean"] == (1 * 1 + 2 * 2) / 3  # and no statistic is lost


def warnings_of(lines: list[tuple[int, float | None, float]], **watch: Any) -> list[str]:
    """What is said of lines of metrics: updates, explained variance, mean norm after clipping."""
    watching = LearningWatch(**{"max_grad_norm": 0.5, "normalized": False, **watch})
    said = (watching.message(at, {"explained_variance": ev, "grad_norm_clipped": norm}) for at, ev, norm in lines)
    return [text for text in said if text is not None]


NOTHING = [(500, 0.01, 0.5), (1000, None, 0.499), (1500, -0.3, 0.5), (2000, 0.0, 0.5), (2500, 0.0, 0.5)]


def test_a_run_that_learns_nothing_says_so_once() -> None:
    (text,) = warnings_of(NOTHING)
    assert len(text.splitlines()) == 1
    assert "clipped to max_grad_norm=0.5: nothing is learned yet. Try normalize.reward=true and" in text
    assert len(warnings_of(NOTHING[:3])) == 1 and warnings_of(NOTHING[:2]) == [], "two lines may be chance"
    assert warnings_of([(at // 100, ev, norm) for at, ev, norm in NOTHING]) == [], "too early to tell"
    assert "normalize" not in warnings_of(NOTHING, normalized=True)[0]


def test_a_run_that_has_begun_to_learn_is_left_alone() -> None:
    assert warnings_of([NOTHING[0], (700, 0.3, 0.5), *NOTHING[1:]]) == [], "the critic explained something once"
    assert warnings_of([NOTHING[0], (700, 0.0, 0.3), *NOTHING[1:]]) == [], "gradients fit"
    assert warnings_of(NOTHING, updates=10_000) == [], "it goes on, and was told then"
    assert warnings_of(NOTHING, max_grad_norm=None) == []


def test_what_is_to_be_told_reaches_the_loggers() -> None:
    tracker, messages = make_tracker(0, None), list[str]()
    logger = Lines()
    logger.message = messages.append  # type: ignore[method-assign]
    tracker.loggers, tracker.learning_watch = [logger], LearningWatch(0.5, False)
    for line in range(1, 6):
        stats = TrainingStats()
        figures = np.zeros(len(STAT), np.float32)
        figures[[STAT["grad_norm"], STAT["grad_norm_clipped"], STAT["steps"]]] = 3.0, 0.5, 5.0
        stats.add_update(figures, lag=0)
        tracker.add_stats(stats)
        tracker.log_metrics(Counts(line * 100, line * 400, 0))
    assert len(messages) == 1 and "nothing is learned yet" in messages[0]
