"""The vector environments that gymnasium makes of tasks in tensors, against gymnasium's own."""

import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import a3c_exp.envs.tensor
from a3c_exp.envs.tensor.gymnasium_vector import TensorVectorEnv
from a3c_exp.envs.tensor.tasks import TENSOR_TASKS
from tests.envs.tensor.test_dynamics import random_actions
from tests.support.command import ROOT

K, LIMIT = 5, 17


def both(id: str, mode: AutoresetMode, **kwargs: Any) -> tuple[gymnasium.vector.VectorEnv, gymnasium.vector.VectorEnv]:
    ours = gymnasium.make_vec(
        f"a3c_exp/{id}",
        num_envs=K,
        vectorization_mode="vector_entry_point",
        autoreset_mode=mode.value,
        max_episode_steps=LIMIT,
        **kwargs,
    )
    theirs = SyncVectorEnv([lambda: gymnasium.make(id, max_episode_steps=LIMIT, **kwargs)] * K, autoreset_mode=mode)
    return ours, theirs


def same_infos(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    if ours.keys() != theirs.keys():
        return False
    for key, theirs_own in theirs.items():
        if isinstance(theirs_own, dict):
            if not same_infos(ours[key], theirs_own):
                return False
        elif not all(np.array_equal(mine, other) for mine, other in zip(ours[key], theirs_own, strict=True)):
            return False
    return True


@pytest.mark.parametrize("id", TENSOR_TASKS)
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_every_step_and_reset_is_that_of_gymnasiums_own(id: str, mode: AutoresetMode) -> None:
    ours, theirs = both(id, mode)
    assert isinstance(ours.unwrapped, TensorVectorEnv) and ours.metadata["autoreset_mode"] is mode
    for name in ("observation_space", "action_space", "single_observation_space", "single_action_space", "num_envs"):
        assert getattr(ours, name) == getattr(theirs, name)
    ended = np.zeros(K, np.bool_)
    ends = 0
    for t, action in enumerate(random_actions(id, (80, K))):
        if t in (0, 50):
            seed = {0: 3, 50: [7, 8, 9, 10, 11]}[t]
            assert np.array_equal(ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0])
        elif mode is AutoresetMode.DISABLED and ended.any():
            mine, others = (envs.reset(options={"reset_mask": ended.copy()})[0] for envs in (ours, theirs))
            assert np.array_equal(mine, others)
        mine, others = ours.step(action), theirs.step(action)
        for place in range(4):
            assert mine[place].dtype == others[place].dtype and np.array_equal(mine[place], others[place]), (t, place)
        assert same_infos(mine[4], others[4])
        ended = others[2] | others[3]
        ends += int(ended.sum())
    assert ends > 10
    for envs in (ours, theirs):
        envs.close()


def test_what_was_returned_is_the_callers_to_keep() -> None:
    envs, _ = both("Pendulum-v1", AutoresetMode.NEXT_STEP)
    first, _ = envs.reset(seed=0)
    kept = first.copy()
    returned = envs.step(envs.action_space.sample())
    copies = [part.copy() for part in returned[:4]]
    for _ in range(LIMIT):
        envs.step(envs.action_space.sample())
    assert np.array_equal(first, kept)
    assert all(np.array_equal(part, copy) for part, copy in zip(returned, copies, strict=False))


def test_pictures_of_all_are_those_of_gymnasiums_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    ours, theirs = both("CartPole-v1", AutoresetMode.NEXT_STEP, render_mode="rgb_array")
    for envs in (ours, theirs):
        envs.reset(seed=1)
        envs.step(np.array([0, 1, 0, 1, 0]))
    for picture, other in zip(ours.render(), theirs.render(), strict=True):
        assert np.array_equal(picture, other)
    for envs in (ours, theirs):
        envs.close()


def test_unseeded_ones_differ_and_what_is_unknown_is_refused() -> None:
    ours, _ = both("CartPole-v1", AutoresetMode.NEXT_STEP)
    observed, _ = ours.reset()
    assert len(np.unique(observed[:, 0])) == K
    for wrong in ({"options": {"low": -1}}, {"seed": [1, 2]}, {"options": {"reset_mask": np.ones(2, np.bool_)}}):
        with pytest.raises(ValueError):
            ours.reset(**wrong)
    with pytest.raises(ValueError, match="only 'rgb_array'"):
        gymnasium.make_vec("a3c_exp/CartPole-v1", num_envs=1, render_mode="human")


def test_a_single_one_is_gymnasiums_and_each_keeps_the_tasks_own_limit() -> None:
    assert a3c_exp.envs.tensor.__doc__
    single = gymnasium.make("a3c_exp/CartPole-v1")
    assert type(single.unwrapped) is type(gymnasium.make("CartPole-v1").unwrapped)
    for id in ("Pendulum-v1", "CartPole-v1"):
        many = gymnasium.make_vec(f"a3c_exp/{id}", num_envs=2)
        assert isinstance(many.unwrapped, TensorVectorEnv)
        assert many.unwrapped.max_episode_steps == gymnasium.spec(id).max_episode_steps


def test_registering_loads_no_torch() -> None:
    """Listing what there is, or asking for help, must not wait for torch."""
    program = """
import sys
import a3c_exp.envs.classic_control
assert "torch" not in sys.modules, "the classic tasks load torch, even for gymnasium's code"
import gymnasium
import a3c_exp.envs.tensor
assert {"a3c_exp/Pendulum-v1", "a3c_exp/CartPole-v1"} <= set(gymnasium.registry)
assert "torch" not in sys.modules, "registering loads torch"
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
