"""What a checkpoint of an in-process kind must survive: another budget, an explosion, environments in other processes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from a3c_exp.algorithm.episode_tracker import ActionLog
from a3c_exp.config.budget import Budget
from a3c_exp.optimizers.sgd import SGD
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from a3c_exp.system.errors import NonFiniteError
from tests.support.single_process import Driven, tiny_task


@pytest.mark.parametrize("kind", [Deterministic, Synchronous])
def test_environments_in_a_pool_of_processes_change_no_bit(kind: type[Deterministic] | type[Synchronous]) -> None:
    task = tiny_task(budget=Budget(max_updates=40))
    here, pooled = (Driven(kind(env_processes=processes), task).finish().save()[0] for processes in (0, 2))
    assert torch.equal(here.weights, pooled.weights)
    assert here.env_steps == pooled.env_steps


def test_a_smaller_budget_is_kept_though_more_was_reserved() -> None:
    """Ten workers have 40 steps reserved between them when the run is stopped, and get 7."""
    task = tiny_task("loose", workers=10, budget=Budget(max_env_steps=1000))
    saved = Driven(Deterministic(), task).step(13).stop().save()
    steps = saved[0].env_steps
    waiting = sum(sum(pending["steps"]) for pending in saved[0].parallelism_state["pending_gradients"] if pending is not None)
    smaller = replace(task, budget=Budget(max_env_steps=steps + waiting + 7))
    driven = Driven(Deterministic(), smaller, saved).finish()
    assert driven.kind.counts().env_steps == steps + waiting + 7


def test_a_gradient_that_is_not_finite_does_not_wait_in_the_checkpoint() -> None:
    """A run that goes on from there, at a lower rate, must not meet it again."""
    task = tiny_task(optimizer=SGD(lr=1e30))
    driven = Driven(Deterministic(), task)
    with pytest.raises(NonFiniteError):
        driven.finish()
    (saved,) = driven.stop().save()
    assert all(
        torch.isfinite(pending["gradient"]).all()
        for pending in saved.parallelism_state["pending_gradients"]
        if pending is not None
    )
    assert any(pending is None for pending in saved.parallelism_state["pending_gradients"])


def test_few_episodes_are_shared_out_and_nobody_takes_them_all() -> None:
    """Four steps could begin four episodes: the first workers would take all eight, and the others watch."""
    task = tiny_task("loose", workers=6, budget=Budget(max_episodes=8))
    driven = Driven(Deterministic(), task)
    driven.kind.advance(0.0, [1])
    driven.kind.run_round()
    assert driven.kind.worker_group.episodes.in_episode.all()
    assert driven.finish().kind.counts().episodes == 8


def test_an_episode_of_many_windows_is_remembered_whole() -> None:
    log = ActionLog(2)
    taken: list[int] = []
    for window in range(2500):
        actions = np.arange(window * 6, window * 6 + 6).reshape(2, 3)
        if window == 100:
            log.end_episode(0, 1)  # the third step begins another episode
            taken = [int(actions[0, 2])]
        else:
            taken += actions[0].tolist()
        log.add_window(actions, np.array([3, 0]))
    assert log.episode_actions(0, like=actions[:, 0]).tolist() == taken
    assert log.episode_actions(1, like=actions[:, 0]).shape == (0,)
