"""Rounds that follow each other without a decision between them, in the inside of one hogwild process: the same training."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.algorithm.schedules import Schedule, Schedules
from a3c_exp.config.budget import Budget
from a3c_exp.config.enums import ScheduleKind
from a3c_exp.envs.classic_control import ClassicControlEnvs
from a3c_exp.parallelism import worker_group as workers
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.hogwild import worker as hogwild_worker
from a3c_exp.parallelism.multiprocess import worker_loop
from a3c_exp.parallelism.multiprocess.shared_counters import Command, CounterColumn
from a3c_exp.parallelism.multiprocess.worker_loop import WorkerLoop
from a3c_exp.parallelism.multiprocess.worker_process import NonFinite
from tests.support.inside_hogwild import Inside
from tests.support.single_process import tiny_task
from tests.support.walker import Walker

WORKERS, WINDOW = 3, 4


@pytest.fixture(autouse=True)
def _walked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Compiler", Walker)
    monkeypatch.setattr(hogwild_worker, "MAX_BURST", 4)  # of few steps there is plenty soon


def task(budget: Budget, backend: str = "tensor", **learner: Any) -> TrainingSetup:
    make_envs = partial(ClassicControlEnvs, "CartPole-v1", backend=backend)
    return replace(tiny_task("shared", workers=WORKERS, budget=budget, make_envs=make_envs, **learner), compile=True)


@contextmanager
def no_bursts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WorkerLoop, "_run_burst", lambda self: None)
        yield


BUDGETS = {
    "steps": Budget(max_env_steps=701),
    "updates": Budget(max_updates=180),
    "episodes": Budget(max_episodes=31),
    "both": Budget(max_env_steps=701, max_updates=150),
}
SHAPES: dict[str, Any] = {**{kind: kind for kind in ScheduleKind}, "points": ((0.1, 1.0), (0.7, 0.3))}
# Each shape with each budget, each budget with each kind of windows, and a line with all: windows depend on no shape. Where
# episodes are counted, windows that roll on are no whole rounds: nobody knows beforehand who may begin an episode.
CASES = [
    (shape, budget, rolling)
    for i, shape in enumerate(SHAPES)
    for j, budget in enumerate(BUDGETS)
    for rolling in ([False] if budget == "episodes" else [False, True] if shape == "linear" else [(i + j) % 2 == 1])
]


@pytest.mark.parametrize(("shape", "budget", "rolling"), CASES)
def test_a_burst_is_its_rounds_one_by_one(tmp_path: Path, shape: str, budget: str, rolling: bool) -> None:
    """All that is exact without bursts stays so to the last bit: weights, counts, lags, episodes and where they ended."""
    names = ("lr", "beta", "max_grad_norm")
    schedules = Schedules(*(Schedule(f"{name}_schedule", SHAPES[shape]) for name in names))
    scheduled = {"schedules": schedules, "loss": LossConfig(entropy_coef=0.5), "max_grad_norm": 0.5}
    assert_bursts_change_nothing(task(BUDGETS[budget], window_ends_with_episode=not rolling, **scheduled), tmp_path)


@pytest.mark.parametrize(("rolling", "budget"), [(False, Budget(max_env_steps=701)), (True, Budget(max_episodes=31))])
def test_a_burst_in_environments_of_any_kind_is_its_rounds_one_by_one(tmp_path: Path, rolling: bool, budget: Budget) -> None:
    assert_bursts_change_nothing(task(budget, "gymnasium", window_ends_with_episode=not rolling), tmp_path)


def assert_bursts_change_nothing(setup: TrainingSetup, folder: Path) -> None:
    ours = Inside(setup, folder).finish()
    with no_bursts():
        theirs = Inside(setup, folder).finish()
    assert ours.bursts > 3
    assert torch.equal(ours.shared, theirs.shared)
    ignored = [CounterColumn.heartbeat]
    assert (
        np.delete(ours.counters.table, ignored, axis=1).tolist() == np.delete(theirs.counters.table, ignored, axis=1).tolist()
    )
    assert ours.counters.workers.tolist() == theirs.counters.workers.tolist()
    assert ours.episodes == theirs.episodes != []
    for field, value in vars(ours.stats).items():
        np.testing.assert_allclose(value, getattr(theirs.stats, field), rtol=1e-12, err_msg=field)


@pytest.mark.parametrize("seconds", [0.0, 100.0])
def test_a_burst_ends_in_time_and_then_at_its_last_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """A process in a burst shows no heartbeat and follows no command, so a burst is bounded by time too."""
    monkeypatch.setattr(worker_loop, "BURST_SECONDS", seconds)
    inside = Inside(task(Budget(max_env_steps=10**6)), tmp_path)
    rounds = []
    for _ in range(12):
        before = int(inside.counters.table[0, CounterColumn.pushes])
        bursts = inside.bursts
        inside.step()
        if inside.bursts > bursts:
            rounds.append((int(inside.counters.table[0, CounterColumn.pushes]) - before) // WORKERS)
    # A time limit of 13 steps leaves room for three windows of 4, and in the next one the episode ends.
    assert set(rounds) <= ({1} if seconds == 0 else {1, 2, 3, 4})
    assert seconds == 0 or max(rounds) > 1
    assert inside.counters.table[0, [CounterColumn.steps_reserved, CounterColumn.updates_reserved]].tolist() == [0, 0]


def test_a_non_finite_gradient_is_not_applied_from_within_a_burst(tmp_path: Path) -> None:
    inside = Inside(task(Budget(max_env_steps=10**6)), tmp_path)
    while not inside.bursts:
        inside.step()
    before = inside.counters.table[0].copy()
    inside.loop.group.weights[1] = float("nan")
    while inside.loop.group.begin_burst(1) == 0:  # an episode begins first
        inside.loop.group.weights[1] = inside.loop.group.weights[0]
        inside.step()
        before = inside.counters.table[0].copy()
        inside.loop.group.weights[1] = float("nan")
    inside.counters.send_command(Command.stop)  # which is what follows
    assert not inside.loop.run_round()
    inside.listen()
    (message,) = [message for message in inside.messages if isinstance(message, NonFinite)]
    assert message.worker == 1
    assert inside.counters.table[0, CounterColumn.pushes] == before[CounterColumn.pushes] + 1, "worker 0, who came before"
    assert inside.shared.isfinite().all()
