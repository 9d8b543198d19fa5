"""Rounds that follow each other without a decision between them, in the inside of one hogwild process: the same training."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from a3c_exp.algorithm.per_worker import PerWorkerHyperparameters
from a3c_exp.algorithm.training_stats import TrainingStats
from a3c_exp.config.budget import Budget
from a3c_exp.config.enums import LRSchedule
from a3c_exp.envs.classic_control import ClassicControlEnvs
from a3c_exp.parallelism import worker_group as workers
from a3c_exp.parallelism.base import EpisodeEvent, StatsEvent, TrainingSetup
from a3c_exp.parallelism.hogwild import worker as hogwild_worker
from a3c_exp.parallelism.hogwild.shared_parameters import SharedBuffer
from a3c_exp.parallelism.hogwild.worker import HogwildWorkers
from a3c_exp.parallelism.multiprocess.shared_counters import Command, CounterColumn, SharedCounters
from a3c_exp.parallelism.multiprocess.worker_process import NonFinite, WorkerAssignment
from tests.support.driving import initial
from tests.support.single_process import tiny_task
from tests.support.walker import Walker

WORKERS, WINDOW = 3, 4


@pytest.fixture(autouse=True)
def _walked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Compiler", Walker)
    monkeypatch.setattr(hogwild_worker, "_MAX_BURST", 4)  # of few steps there is plenty soon


def task(budget: Budget, **learner: Any) -> TrainingSetup:
    make_envs = partial(ClassicControlEnvs, "CartPole-v1", backend="tensor")
    return replace(tiny_task("shared", workers=WORKERS, budget=budget, make_envs=make_envs, **learner), compile=True)


class Inside:
    """The inside of the only process of a training, driven a round or a stretch at a time."""

    def __init__(self, task: TrainingSetup, folder: Path) -> None:
        state = initial(task)
        self.ledger = SharedCounters.create(1, state.rounds, state.episodes_begun, task.budget)
        block = SharedBuffer.create(state.weights, state.optimizer_state, folder / "lock", False, 5.0)
        self.pipe, theirs = Pipe()
        self.process = HogwildWorkers(task, WorkerAssignment(0, range(WORKERS), 5.0), block, self.ledger, theirs)
        self.shared = block.copies[0]
        self.heard: list[Any] = []
        self.stretches = 0
        self.process._pull_initial_weights()

    def on(self) -> bool:
        """A round, or several; false if there is nothing left to do."""
        assert self.process._poll_commands()
        went_on = self.process._run_burst()
        self.stretches += went_on
        if not went_on:
            allowed = self.process._reserve()
            went_on = bool(allowed.any())
            if went_on:
                self.process._round(allowed)
        self.listen()
        return went_on

    def listen(self) -> None:
        while self.pipe.poll():
            self.heard.append(self.pipe.recv())
            if isinstance(self.heard[-1], EpisodeEvent):  # as the main process does
                self.ledger.table[0, CounterColumn.tickets_finished] += 1

    def finish(self) -> "Inside":
        while self.on():
            pass
        self.process._send_stats(0.0)
        self.listen()
        return self

    @property
    def episodes(self) -> list[tuple[int, int, float, int, int]]:
        found = [event for event in self.heard if isinstance(event, EpisodeEvent)]
        return [(one.episode.worker, one.episode.length, one.episode.return_, one.env_step, one.update) for one in found]

    @property
    def tally(self) -> TrainingStats:
        whole = TrainingStats()
        for event in self.heard:
            if isinstance(event, StatsEvent):
                whole.merge(event.stats)
        return whole


@contextmanager
def no_stretches() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HogwildWorkers, "_run_burst", lambda self: False)
        yield


@pytest.mark.parametrize(
    "budget",
    [Budget(max_env_steps=701), Budget(max_updates=180), Budget(max_episodes=31), Budget(max_env_steps=701, max_updates=150)],
    ids=["steps", "updates", "episodes", "both"],
)
@pytest.mark.parametrize("rolling", [False, True], ids=["ends", "rolls"])
@pytest.mark.parametrize("lr_schedule", LRSchedule)
def test_a_stretch_is_its_rounds_one_by_one(tmp_path: Path, budget: Budget, rolling: bool, lr_schedule: LRSchedule) -> None:
    """All that is exact without stretches stays so to the last bit: weights, counts, lags, episodes and where they ended."""
    if rolling and budget.max_episodes is not None:
        pytest.skip("such windows are no whole rounds: nobody knows beforehand who may begin an episode")
    one = task(budget, window_ends_with_episode=not rolling, per_worker=PerWorkerHyperparameters(lr_schedule=lr_schedule))
    ours = Inside(one, tmp_path).finish()
    with no_stretches():
        theirs = Inside(one, tmp_path).finish()
    assert ours.stretches > 3
    assert torch.equal(ours.shared, theirs.shared)
    ignored = [CounterColumn.heartbeat]
    assert np.delete(ours.ledger.table, ignored, axis=1).tolist() == np.delete(theirs.ledger.table, ignored, axis=1).tolist()
    assert ours.ledger.workers.tolist() == theirs.ledger.workers.tolist()
    assert ours.episodes == theirs.episodes != []
    for field, value in vars(ours.tally).items():
        np.testing.assert_allclose(value, getattr(theirs.tally, field), rtol=1e-12, err_msg=field)


@pytest.mark.parametrize("seconds", [0.0, 100.0])
def test_a_stretch_ends_in_time_and_then_at_its_last_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Who lives a stretch neither shows life nor obeys, so it is bounded by time too."""
    monkeypatch.setattr(hogwild_worker, "_BURST_SECONDS", seconds)
    inside = Inside(task(Budget(max_env_steps=10**6)), tmp_path)
    rounds = []
    for _ in range(12):
        before = int(inside.ledger.table[0, CounterColumn.pushes])
        stretched = inside.stretches
        inside.on()
        if inside.stretches > stretched:
            rounds.append((int(inside.ledger.table[0, CounterColumn.pushes]) - before) // WORKERS)
    # A time limit of 13 steps leaves room for three windows of 4, none of which ends the episode.
    assert set(rounds) <= ({1} if seconds == 0 else {1, 2, 3})
    assert seconds == 0 or max(rounds) > 1
    assert inside.ledger.table[0, [CounterColumn.steps_reserved, CounterColumn.updates_reserved]].tolist() == [0, 0]


def test_what_is_not_finite_is_not_pushed_from_within_a_stretch(tmp_path: Path) -> None:
    inside = Inside(task(Budget(max_env_steps=10**6)), tmp_path)
    while not inside.stretches:
        inside.on()
    before = inside.ledger.table[0].copy()
    inside.process._worker_group.weights[1] = float("nan")
    while inside.process._worker_group.begin_burst(1) == 0:  # an episode begins first
        inside.process._worker_group.weights[1] = inside.process._worker_group.weights[0]
        inside.on()
        before = inside.ledger.table[0].copy()
        inside.process._worker_group.weights[1] = float("nan")
    inside.ledger.send_command(Command.stop)  # which is what follows
    assert inside.process._run_burst()
    inside.listen()
    (said,) = [one for one in inside.heard if isinstance(one, NonFinite)]
    assert said.worker == 1
    assert inside.ledger.table[0, CounterColumn.pushes] == before[CounterColumn.pushes] + 1, "worker 0, who came before"
    assert inside.shared.isfinite().all()
