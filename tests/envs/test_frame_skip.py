"""Actions that are held for several steps, by gymnasium's code and in tensors."""

from typing import Any, Literal

import gymnasium
import numpy as np
import pytest

from a3c_exp.envs.classic_control import ClassicControlEnvs
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.envs.tensor.tasks import TENSOR_TASKS
from a3c_exp.system.errors import ConfigError
from a3c_exp.visualize.episode_frames import frames_per_second
from tests.envs.tensor.test_dynamics import random_actions, swing_up

Backend = Literal["gymnasium", "tensor"]


@pytest.mark.parametrize("id", TENSOR_TASKS)
def test_both_backends_hold_an_action_until_an_episode_ends(id: str) -> None:
    """Against a loop over gymnasium's environment, to the last bit."""
    k, steps, held = 6, 150, 3 if id == "MountainCarContinuous-v0" else 4  # which divide the time limits
    ours = [ClassicControlEnvs(id, k, backend, frame_skip=held) for backend in ("gymnasium", "tensor")]
    plain = [gymnasium.make(id).unwrapped for _ in range(k)]
    terminations = 0
    seed = iter(range(10_000))

    def begin(index: int) -> None:
        number = next(seed)
        first, _ = plain[index].reset(seed=number)
        for envs in ours:
            envs.reset(index, number)
            assert envs.observation[index].tobytes() == first.tobytes()

    for index in range(k):
        begin(index)
    for t, sampled in enumerate(random_actions(id, (steps, k))):
        state = np.array([[float(number) for number in env.state] for env in plain])  # type: ignore[attr-defined]
        action = swing_up(id, sampled, state)
        for envs in ours:
            envs.step(action, np.ones(k, np.bool_))
        for index, env in enumerate(plain):
            total, terminated = 0.0, False
            for frame in range(held):
                observed, reward, terminated, _, _ = env.step(action[index])
                total = float(reward) if frame == 0 else total + float(reward)
                if terminated:
                    break
            for envs in ours:
                assert envs.observation[index].tobytes() == observed.tobytes()
                assert (envs.reward[index], envs.terminated[index]) == (total, terminated)
            terminations += terminated
            if terminated or (t + index) % 50 == 49:
                begin(index)
    assert terminations > 5 or id == "Pendulum-v1"


@pytest.mark.parametrize("backend", ["gymnasium", "tensor"])
def test_the_time_limit_is_the_tasks_own_and_ends_with_an_action(backend: Backend) -> None:
    envs = ClassicControlEnvs("MountainCar-v0", 1, backend, frame_skip=8)
    assert envs.default_max_episode_steps == 25
    with pytest.raises(ConfigError) as caught:
        ClassicControlEnvs("CartPole-v1", 1, backend, frame_skip=3)
    assert "does not divide the 500 steps of an episode of CartPole-v1" in str(caught.value)
    assert str(caught.value).endswith("Try env.frame_skip=2")


def test_a_wrapper_that_asks_for_the_time_limit_gets_it_in_actions() -> None:
    wrapper = {"_target_": "gymnasium.wrappers.TimeAwareObservation", "normalize_time": True}
    envs = GymnasiumEnvs("MountainCar-v0", 1, wrappers=[wrapper], frame_skip=10)
    envs.reset(0, 0)
    for _ in range(20):
        envs.step(np.ones(1, np.int64), np.ones(1, np.bool_))
    assert envs.observation[0, -1] == pytest.approx(1.0)


@pytest.mark.parametrize("backend", ["gymnasium", "tensor"])
def test_pictures_are_drawn_of_each_step_within_an_action(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    envs = ClassicControlEnvs("MountainCar-v0", 1, backend, frame_skip=5, render_mode="rgb_array")
    plain = gymnasium.make("MountainCar-v0", render_mode="rgb_array").unwrapped
    pictures = list[Any]()
    envs.on_frame = lambda: pictures.append(envs.render())
    envs.reset(0, 3)
    plain.reset(seed=3)
    for action in (2, 0, 1):
        envs.step(np.array([action]), np.ones(1, np.bool_))
        for picture in pictures:
            plain.step(action)
            assert (picture == plain.render()).all()
        assert len(pictures) == 5
        pictures.clear()
    assert frames_per_second(envs) == 30
    envs.close()
    assert not hasattr(ClassicControlEnvs("MountainCar-v0", 1, "tensor"), "on_frame")
