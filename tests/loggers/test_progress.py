"""How far a run is: by the budget that ends first, and of a resumed run by this session alone."""

import time
from dataclasses import replace

from a3c_exp.config.budget import Budget
from a3c_exp.loggers.progress import RunProgress, progress_line
from tests.support.console import episode, evaluation, metrics, run_info


def test_time_left_of_a_resumed_run_counts_only_this_session() -> None:
    progress = RunProgress(run_info(start_episode=500, start_env_step=2_000_000))
    assert progress.fraction == 0.5 and progress.remaining_seconds is None
    assert progress_line(progress).startswith("  50% | episode 500/1,000 | 2,000,000 steps")
    time.sleep(0.1)
    progress.update(episode(750))  # half of what this session has to do
    assert progress.fraction == 0.75
    left = progress.remaining_seconds
    assert left is not None and 0.1 <= left <= progress.elapsed


def test_the_budget_that_ends_first_counts() -> None:
    progress = RunProgress(run_info(Budget(max_episodes=1000, max_env_steps=1_000_000)))
    progress.update(episode(200))
    assert progress.fraction == 0.8
    assert "episode 200/1,000 | 800,000/1,000,000 steps" in progress_line(progress)


def test_a_budget_of_updates_counts_and_a_resumed_one_does_not_start_at_zero() -> None:
    progress = RunProgress(run_info(Budget(max_updates=1000), start_update=400))
    assert progress_line(progress).startswith("  40% | episode 0 | 0 steps | update 400/1,000")
    assert progress.remaining_seconds is None
    progress.update(replace(metrics(480_000, 120), update=700))
    assert progress.fraction == 0.7
    assert "update 700/1,000" in progress_line(progress)
    assert "update" not in progress_line(RunProgress(run_info()))


def test_99_percent_is_not_rounded_to_done() -> None:
    progress = RunProgress(run_info())
    progress.update(episode(999))
    assert progress_line(progress).startswith("  99%")


def test_a_run_without_a_budget_has_no_percentage() -> None:
    progress = RunProgress(run_info(Budget()))
    progress.update(episode(5))
    assert progress_line(progress).startswith("episode 5 | 20,000 steps")


def test_a_worse_evaluation_of_a_resumed_run_is_not_called_best() -> None:
    progress = RunProgress(run_info(start_episode=500, start_env_step=2_000_000))
    progress.update(evaluation(-900.0, best=False))
    assert "best" not in progress_line(progress)
