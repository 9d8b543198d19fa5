"""A pool is K environments in one process, bit for bit."""

import os
import signal
from typing import Any

import numpy as np
import pytest
import torch

from a3c_exp.algorithm.episode_tracker import EpisodeTracker
from a3c_exp.algorithm.rollout import Rollout
from a3c_exp.algorithm.types import LearnerConfig
from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.process_pool.envs import SubprocessEnvs
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from tests.support.driving import suspend
from tests.support.pooling import MAKERS, K, of_pool, played
from tests.support.troubled import RememberingEnvironments

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("name", MAKERS)
def test_every_bit_is_that_of_one_process(name: str, processes: int) -> None:
    plain = MAKERS[name](num_envs=K)
    pooled = SubprocessEnvs(MAKERS[name], K, processes)
    assert len(of_pool()) == processes
    assert pooled.num_envs == K
    assert pooled.observation_space == plain.observation_space
    assert pooled.action_space == plain.action_space
    assert pooled.default_max_episode_steps == plain.default_max_episode_steps
    for array in ("observation", "reward", "terminated", "truncated"):
        assert getattr(pooled, array).shape == getattr(plain, array).shape
        assert getattr(pooled, array).dtype == getattr(plain, array).dtype
    assert (pooled.life_lost is None) == (plain.life_lost is None)
    there, here = played(pooled, seed=processes), played(plain, seed=processes)
    assert len(set(here)) > 150
    assert there == here
    pooled.close()
    plain.close()


def test_spawned_processes_give_the_same() -> None:
    pooled = SubprocessEnvs(MAKERS["scripted"], 3, 2, start_method="spawn")
    assert played(pooled, seed=1, steps=30) == played(MAKERS["scripted"](num_envs=3), seed=1, steps=30)
    pooled.close()


def test_a_rollout_collects_the_same_windows() -> None:
    make = MAKERS["CartPole"]
    pooled = SubprocessEnvs(make, 3, 2)
    model = SeparateMLP(pooled.observation_space, pooled.action_space, seed=0, actor_hidden=(8,), critic_hidden=(8,))
    layout = ParameterLayout.from_module(model)
    weights = layout.flatten(model).repeat(3, 1)
    spec = LearnerConfig(n_step=6)

    def windows(envs: EnvBatch) -> tuple[list[bytes], list[Any]]:
        seeds = iter(range(10**6))
        rollout = Rollout(model, layout, weights, envs, EpisodeTracker(envs, model, lambda k: next(seeds)), spec, 30)
        generator = np.random.default_rng(0)
        arrays, episodes = [], []
        for _ in range(40):
            noise = generator.random((3, 6, model.distribution.noise_size), np.float32)
            window, ended = rollout.run(generator.integers(0, 7, size=3), noise)
            arrays += [part.numpy().tobytes() for part in window]
            episodes += ended
        return arrays, episodes

    arrays, episodes = windows(pooled)
    assert (arrays, episodes) == windows(make(num_envs=3))
    assert {episode.end for episode in episodes} == {"terminated", "truncated"}
    pooled.close()


def test_arrays_are_overwritten_in_place() -> None:
    """The rollout keeps a tensor's view of them, also of what comes in later steps."""
    pooled = SubprocessEnvs(MAKERS["scripted"], 3, 2)
    arrays = pooled.observation, pooled.reward, pooled.terminated, pooled.truncated
    view = torch.from_numpy(pooled.observation)
    pooled.reset(2, 1)
    pooled.step(np.zeros(3, np.int64), np.array([False, False, True]))
    assert all(
        a is b for a, b in zip(arrays, (pooled.observation, pooled.reward, pooled.terminated, pooled.truncated), strict=True)
    )
    assert view.tolist() == [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]
    pooled.close()
    assert view[2].tolist() == [1.0, 1.0]  # a pool that is closed takes no memory away from who still looks at it


def test_a_process_without_an_active_environment_gets_no_request() -> None:
    """A suspended one would be waited for."""
    pooled = SubprocessEnvs(MAKERS["scripted"], 4, 2, timeout=30.0)
    for k in range(4):
        pooled.reset(k, 1)
    suspend(of_pool()[1])
    for _ in range(3):
        pooled.step(np.zeros(4, np.int64), np.array([False, True, False, False]))
    pooled.reset(0, 2)
    assert pooled.observation.tolist() == [[2, 0], [1, 3], [1, 0], [1, 0]]
    os.kill(of_pool()[1], signal.SIGCONT)
    pooled.close()


def test_type_and_shape_of_actions_may_change() -> None:
    pooled, plain = SubprocessEnvs(RememberingEnvironments, 3, 2), RememberingEnvironments(3)
    live = np.ones(3, np.bool_)
    small = np.arange(3)
    wide = np.arange(12.0).reshape(3, 2, 2)
    for action in (
        wide.astype(np.float32),
        wide,
        small,
        wide.reshape(3, 4),
        np.asfortranarray(wide),
        small.astype(np.int8),
        small,
    ):
        pooled.step(action, live)
        plain.step(action, live)
        assert pooled.observation.tolist() == plain.observation.tolist()
    with pytest.raises(ValueError, match="takes 40 bytes; there are 32"):
        pooled.step(np.zeros((3, 5)), live)
    pooled.close()


def test_the_picture_is_that_of_the_first_environment() -> None:
    pooled = SubprocessEnvs(RememberingEnvironments, 3, 2)
    assert np.array_equal(pooled.render(), np.full((300, 400, 3), 2))
    pooled.close()


def test_more_processes_than_environments_are_not_started() -> None:
    pooled = SubprocessEnvs(MAKERS["scripted"], 2, 7)
    assert len(of_pool()) == 2
    pooled.close()
