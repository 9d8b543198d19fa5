"""The dynamics in tensors against gymnasium's own tasks, number by number."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.func import vmap

from a3c_exp.compile.torch_backend import OpRecorder
from a3c_exp.envs.tensor.acrobot import _wrap
from a3c_exp.envs.tensor.base import advance, begin
from a3c_exp.envs.tensor.batch import TensorEnvBatch
from a3c_exp.envs.tensor.pendulum import Pendulum
from a3c_exp.envs.tensor.tasks import TENSOR_TASKS, make_tensor_env

every_task = pytest.mark.parametrize("id", TENSOR_TASKS)


def random_actions(id: str, shape: tuple[int, ...], seed: int = 0) -> NDArray[Any]:
    """As policies sample them: a Gaussian's often lie beyond the bounds."""
    generator = np.random.default_rng(seed)
    if id == "Pendulum-v1":
        return generator.normal(0.0, 2.0, (*shape, 1)).astype(np.float32)
    if id == "MountainCarContinuous-v0":  # it takes its pay for what goes beyond them, so that backends clip before
        return generator.normal(0.0, 1.0, (*shape, 1)).clip(-1.0, 1.0).astype(np.float32)
    # Mostly the way it went: a pole falls to either side, a car comes far.
    return np.where(generator.random(shape) < 0.8, generator.integers(0, 2, shape[-1:]), generator.integers(0, 2, shape)) * (
        1 if id == "CartPole-v1" else 2
    )


def swing_up(id: str, action: NDArray[Any], state: NDArray[np.float64]) -> NDArray[Any]:
    """With the motion in two of three environments, by which a car gets up its hill and an acrobot above its bar."""
    if id not in ("Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0"):
        return action
    way = np.where(np.arange(len(state)) % 3 == 0, 0.0, np.sign(state[:, -1])).reshape(action.shape)
    moved: NDArray[Any] = np.where(way == 0, action, way if action.dtype == np.float32 else way + 1).astype(action.dtype)
    return moved


@every_task
def test_ten_thousand_steps_and_their_resets_are_gymnasiums_to_the_last_bit(id: str) -> None:
    steps, k = 400, 25
    ours, theirs = TensorEnvBatch(make_tensor_env(id), k), [gymnasium.make(id).unwrapped for _ in range(k)]
    assert ours.observation_space == theirs[0].observation_space and ours.action_space == theirs[0].action_space
    assert ours.default_max_episode_steps == gymnasium.spec(id).max_episode_steps
    seeds = iter(range(2**40, 2**41))
    ends = terminations = 0

    def both_begin(index: int) -> None:
        seed = next(seeds)
        ours.reset(index, seed)
        observed, _ = theirs[index].reset(seed=seed)
        assert ours.observation[index].tobytes() == observed.tobytes()
        assert ours.env_state[index].tolist() == [float(number) for number in theirs[index].state]

    for index in range(k):
        both_begin(index)
    live = np.ones(k, np.bool_)
    for t, sampled in enumerate(random_actions(id, (steps, k))):
        action = swing_up(id, sampled, ours.env_state)
        any_end = ours.step(action, live)
        answers = [env.step(chosen) for env, chosen in zip(theirs, action, strict=True)]
        assert ours.observation.tobytes() == np.array([answer[0] for answer in answers]).tobytes()
        assert ours.env_state.tolist() == [[float(number) for number in env.state] for env in theirs]
        rewards = np.array([float(answer[1]) for answer in answers])
        assert ours.reward.tolist() == rewards.tolist()
        terminated = [answer[2] for answer in answers]
        assert ours.terminated.tolist() == terminated and any_end == any(terminated) and not ours.truncated.any()
        terminations += sum(terminated)
        for index in range(k):
            if terminated[index] or (t + index) % 150 == 149:
                ends += 1
                both_begin(index)
    assert ends >= 50 and (terminations >= 20 or id == "Pendulum-v1")


def test_an_acrobot_that_turns_several_times_within_a_step_is_gymnasiums_too() -> None:
    """From any state that there is, the fastest ones too, which play rarely comes to."""
    k, high = 200, np.array([np.pi, np.pi, 4 * np.pi, 9 * np.pi])
    generator = np.random.default_rng(0)
    ours, theirs = TensorEnvBatch(make_tensor_env("Acrobot-v1"), k), gymnasium.make("Acrobot-v1").unwrapped
    theirs.reset(seed=0)
    turned = 0
    for _ in range(50):
        states = generator.uniform(-high, high, (k, 4))
        states[::2, 3] = np.copysign(high[3], states[::2, 3])
        actions = generator.integers(0, 3, k)
        ours.env_state[:] = states
        ours.step(actions, np.ones(k, np.bool_))
        for index, action in enumerate(actions):
            theirs.state = states[index].copy()
            theirs.step(int(action))
            assert ours.env_state[index].tolist() == [float(number) for number in theirs.state]
        turned += int((np.abs(ours.env_state[:, 1] - states[:, 1]) > np.pi).sum())
    assert turned > 100


def test_turns_are_an_expression_that_a_compiler_can_write_out() -> None:
    """One that doubled with each turn took it many minutes."""
    with OpRecorder() as recorder:
        _wrap(torch.zeros(3))
    written_out: dict[int, int] = {}
    for _, arguments, _, result in recorder.operations:
        written_out[id(result)] = 1 + sum(written_out.get(id(argument), 0) for argument in arguments)
    assert 10 < max(written_out.values()) < 500


@every_task
@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-12), (torch.float32, 3e-5)])
def test_torch_computes_the_same_to_rounding_in_either_precision(id: str, dtype: torch.dtype, within: float) -> None:
    """What numpy plays and what a compiled round computes must be one thing."""
    env, k = make_tensor_env(id), 50
    played = TensorEnvBatch(env, k)
    for index in range(k):
        played.reset(index, index)
    live = np.ones(k, np.bool_)
    ended = 0
    for sampled in random_actions(id, (150, k)):
        action = swing_up(id, sampled, played.env_state)
        with torch.no_grad():
            state, reward, terminated = env.step(torch.from_numpy(played.env_state).to(dtype), torch.from_numpy(action))
        played.step(action, live)
        assert (state.dtype, reward.dtype, terminated.dtype) == (dtype, dtype, torch.bool)
        np.testing.assert_allclose(state.numpy(), played.env_state, rtol=0, atol=within)
        np.testing.assert_allclose(env.observe(state).numpy(), played.observation, rtol=0, atol=max(within, 1e-6))
        # An angle just across the seam, at the very bottom, is 2 pi from itself; its square is the same. The torque's square is
        # numpy's power in single precision.
        np.testing.assert_allclose(reward.numpy(), played.reward, rtol=0, atol=max(10 * within, 1e-9))
        assert terminated.tolist() == played.terminated.tolist()
        for index in played.terminated.nonzero()[0].tolist():
            ended += 1
            played.reset(index, 1000 + ended)
    assert ended > 10 or id == "Pendulum-v1"


@every_task
def test_autoreset_lives_the_episodes_that_a_time_limited_task_lives(id: str) -> None:
    """``[S, K]`` at once; every episode begins from the noise of its seed, and ends as gymnasium's TimeLimit says."""
    shape, limit, steps = (2, 8), 120, 260
    env = make_tensor_env(id)
    theirs = [gymnasium.make(id, max_episode_steps=limit) for _ in range(16)]
    seeds = np.arange(16)
    noise = torch.from_numpy(np.stack([env.draw_noise(int(seed)) for seed in seeds])).view(*shape, -1)
    state = begin(env, noise)
    first = np.array([env.reset(seed=int(seed))[0] for env, seed in zip(theirs, seeds, strict=True)])
    np.testing.assert_allclose(env.observe(state[..., :-1]).reshape(16, -1).numpy(), first, rtol=0, atol=1e-6)
    ends = {"terminated": 0, "truncated": 0}
    for sampled in random_actions(id, (steps, 16)):
        action = swing_up(id, sampled, state[..., :-1].reshape(16, -1).numpy())
        next_noise = torch.from_numpy(np.stack([env.draw_noise(int(seed) + 100) for seed in seeds])).view(*shape, -1)
        given = torch.from_numpy(action).view(*shape, *action.shape[1:])
        out = advance(env, state, given, next_noise, limit)
        state = out.state
        flat = [part.reshape(16, *part.shape[2:]).numpy() for part in out]
        for k, task in enumerate(theirs):
            observed, reward, terminated, truncated, _ = task.step(action[k])
            np.testing.assert_allclose(flat[5][k], observed, rtol=0, atol=1e-6)
            assert flat[2][k] == pytest.approx(float(reward), abs=1e-8)
            assert (flat[3][k], flat[4][k]) == (terminated, truncated)
            ends["terminated"] += terminated
            ends["truncated"] += truncated
            if terminated or truncated:
                seeds[k] += 100
                observed, _ = task.reset(seed=int(seeds[k]))
                assert flat[0][k, -1] == 0
            np.testing.assert_allclose(flat[1][k], observed, rtol=0, atol=1e-6)
    assert (ends["truncated"] > 5 or id == "CartPole-v1") and (ends["terminated"] > 5 or id == "Pendulum-v1")


def test_a_learner_that_bootstraps_is_not_shown_the_next_episode() -> None:
    env = Pendulum()
    state = begin(env, torch.tensor([0.9, 0.5], dtype=torch.float64))
    for t in range(3):
        before = env.step(state[:-1], torch.zeros(1)).state
        out = advance(env, state, torch.zeros(1), torch.tensor([0.25, 0.5], dtype=torch.float64), max_episode_steps=3)
        state = out.state
        assert torch.equal(out.final_observation, env.observe(before))
        assert bool(out.truncated) == (t == 2) and torch.equal(out.observation, out.final_observation) == (t < 2)
    assert state.tolist() == [-np.pi / 2, 0.0, 0.0]


@every_task
def test_without_a_limit_nothing_is_truncated_and_vmap_and_compilers_may_have_it(id: str) -> None:
    env = make_tensor_env(id)
    noise = torch.rand(6, env.reset_noise, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    state, action = begin(env, noise), torch.from_numpy(random_actions(id, (6,)))
    state = torch.cat([state[:, :-1], torch.full((6, 1), 1e6, dtype=torch.float64)], dim=1)
    every = advance(env, state, action, noise)
    each = vmap(lambda *given: advance(env, *given))(state, action, noise)
    for one, other in zip(every, each, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    assert not every.truncated.any() and (every.state[:, -1] == 1e6 + 1).all()
