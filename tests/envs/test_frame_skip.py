"""Actions that are held for several steps, by gymnasium's code and in tensors."""

import gymnasium
import numpy as np
import pytest

from a3c_exp.envs.classic_control import ClassicControlEnvs
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.envs.tensor.tasks import TENSOR_TASKS
from tests.envs.tensor.test_dynamics import random_actions, swing_up


@pytest.mark.parametrize("id", TENSOR_TASKS)
def test_both_backends_hold_an_action_until_an_episode_ends(id: str) -> None:
    """Against a loop over gymnasium's environment, to the last bit."""
    k, steps, held = 6, 150, 3
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


def test_the_time_limit_and_the_video_count_actions() -> None:
    for backend in ("gymnasium", "tensor"):
        envs = ClassicControlEnvs("MountainCar-v0", 1, backend, frame_skip=8, render_mode="rgb_array")
        assert (envs.default_max_episode_steps, envs.frames_per_second) == (25, 30 / 8)
        envs.close()
    assert GymnasiumEnvs("CartPole-v1", 1, frame_skip=3).default_max_episode_steps == 167, "the last action is cut short"
