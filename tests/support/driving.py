"""A whole training with real worker processes, driven as the trainer drives it, that cannot hang and leaves nothing behind."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any

import psutil
import torch

from a3c_exp.algorithm.training_stats import TrainingStats
from a3c_exp.algorithm.types import LearnerConfig, TrainingState
from a3c_exp.config.budget import Budget
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.optimizers.base import Optimizer
from a3c_exp.parallelism.base import EpisodeEvent, Event, MessageEvent, StatsEvent, TrainingSetup
from a3c_exp.parallelism.multiprocess.base import MultiprocessStrategy
from a3c_exp.training.run_tracker import NEVER_DUE
from tests.support.faulty import Countdown, Tick
from tests.support.pushing import PATIENCE, SLACK

SMALL = partial(SeparateMLP, actor_hidden=(8,), critic_hidden=(8,))
ENDLESS = Budget(max_env_steps=10**9)


def small_task(
    budget: Budget,
    workers: int,
    optimizer: Optimizer | None = None,
    max_episode_steps: int | None = None,
    seed: int = 0,
    **countdown: Any,
) -> TrainingSetup:
    """Workers in ``Countdown`` environments made with these keywords; by default every update is a known one."""
    make_envs = partial(Countdown, **countdown)
    return TrainingSetup(
        make_envs, SMALL, optimizer or Tick(), LearnerConfig(n_step=5), workers, budget, max_episode_steps, seed
    )


def zeros(task: TrainingSetup) -> TrainingState:
    """A beginning with all weights 0."""
    _, layout = task.model(task.make_envs(num_envs=1))
    return TrainingState.initial(torch.zeros(layout.size), task.optimizer.state_rows, task.workers)


def initial(task: TrainingSetup) -> TrainingState:
    """A beginning with the model's own weights."""
    model, layout = task.model(task.make_envs(num_envs=1))
    return TrainingState.initial(layout.flatten(model), task.optimizer.state_rows, task.workers)


class Training:
    """While entered, workers run; on leaving they are stopped, and it is checked that none lives on.

    Attributes:
        events: all that was said, up to the end.
        pids: of every worker process that was seen.
        stop_seconds: how long ``stop`` took.
    """

    def __init__(self, parallelism: MultiprocessStrategy, task: TrainingSetup, state: TrainingState | None = None) -> None:
        self.parallelism = parallelism
        self.task = task
        self.state = state or zeros(task)
        self.events: list[Event] = []
        self.pids: set[int] = set()
        self.stop_seconds = 0.0

    def __enter__(self) -> "Training":
        self.events += self.parallelism.start(self.task, [self.state])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.workers()
        before = time.monotonic()
        self.events += self.parallelism.stop()
        self.stop_seconds = time.monotonic() - before
        assert self.stop_seconds < SLACK, "ending workers has a limit"
        left = sorted(pid for pid in self.pids if alive(pid))
        assert not left, f"processes {left} outlived the training"

    def workers(self) -> list[int]:
        """The process ids of workers now."""
        now = [process.pid for process in multiprocessing.active_children() if process.name.startswith("workers-")]
        self.pids.update(pid for pid in now if pid)
        return [pid for pid in now if pid]

    def spent(self) -> bool:
        """Whether the budget is used up."""
        counts, budget = self.parallelism.counts(), self.task.budget
        return budget.fraction(counts.episodes, counts.env_steps, counts.updates) >= 1.0

    def until(self, condition: Callable[[], bool], what: str = "the condition") -> None:
        """Let training go on until then."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.events += self.parallelism.advance(0.05, [NEVER_DUE])
            self.workers()
            assert time.monotonic() < deadline, f"{what} did not come; {self.parallelism.counts()}, {self.notices}"

    def finish(self) -> "Training":
        """Let training go on until the budget is spent, and end."""
        with self:
            self.until(self.spent, "the end of the budget")
        return self

    @property
    def episodes(self) -> list[EpisodeEvent]:
        return [event for event in self.events if isinstance(event, EpisodeEvent)]

    @property
    def notices(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, MessageEvent)]

    @property
    def stats(self) -> TrainingStats:
        """Sums over all that workers reported."""
        whole = TrainingStats()
        for event in self.events:
            if isinstance(event, StatsEvent):
                whole.merge(event.stats)
        return whole


def alive(pid: int) -> bool:
    """Whether a process runs, sleeps or is suspended; one that only waits for its parent to take note of its end does not."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def suspend(pid: int) -> None:
    """Stop a process with SIGSTOP, and wait until it has stopped: after the signal alone it may go on for a moment."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, f"process {pid} to be suspended")


def wait_until(condition: Callable[[], bool], what: str, every: float = 0.002) -> None:
    """Poll at an interval in seconds until the condition holds; a test whose moment never comes says which."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE:g} s for {what}"
        time.sleep(every)


def descendants(pid: int) -> set[int]:
    """Children of a process, their children, and so on."""
    return {child.pid for child in psutil.Process(pid).children(recursive=True)}
