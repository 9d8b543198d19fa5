"""Any gymnasium task, side by side, against gymnasium's own, step by step."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, Sequence, Space, Text, Tuple
from numpy.typing import NDArray

from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.system.errors import ConfigError

K = 3


def some_actions(env: gymnasium.Env, steps: int) -> NDArray[Any]:
    """``[steps, K, ...]`` inside the bounds, as a policy would give them."""
    generator = np.random.default_rng(1)
    if isinstance(env.action_space, Discrete):
        return generator.integers(env.action_space.n, size=(steps, K))
    return generator.uniform(-2.0, 2.0, size=(steps, K, 1)).astype(np.float32)


@pytest.mark.parametrize("id", ["Pendulum-v1", "CartPole-v1"])
def test_every_step_is_that_of_gymnasium(id: str) -> None:
    """With resets at ends; the three copies must not share a thing."""
    ours, theirs = GymnasiumEnvs(id, K), [gymnasium.make(id).unwrapped for _ in range(K)]
    assert ours.observation_space == theirs[0].observation_space
    assert ours.action_space == theirs[0].action_space
    for k in range(K):
        ours.reset(k, seed=100 + k)
        assert np.array_equal(ours.observation[k], theirs[k].reset(seed=100 + k)[0].astype(np.float32))
    episodes = 0
    for step, action in enumerate(some_actions(theirs[0], 120)):
        live = np.array([step % 4 != k for k in range(K)])
        before = ours.observation.copy()
        any_end = ours.step(action, live)
        ends = []
        for k in range(K):
            if not live[k]:
                assert np.array_equal(ours.observation[k], before[k])  # left alone
                continue
            observation, reward, terminated, truncated, _ = theirs[k].step(action[k])
            assert np.array_equal(ours.observation[k], observation.astype(np.float32))
            assert ours.reward[k] == float(reward)
            assert (ours.terminated[k], ours.truncated[k]) == (terminated, truncated)
            ends.append(terminated or truncated)
            if ends[-1]:
                episodes += 1
                ours.reset(k, seed=episodes)
                theirs[k].reset(seed=episodes)
        assert any_end == any(ends)
    assert episodes >= 5 or id == "Pendulum-v1"
    ours.close()


def test_arrays_are_overwritten_in_place() -> None:
    """The rollout keeps views of them."""
    envs = GymnasiumEnvs("CartPole-v1", 2)
    arrays = envs.observation, envs.reward, envs.terminated, envs.truncated
    envs.reset(0, 1)
    envs.reset(1, 2)
    envs.step(np.array([0, 1]), np.array([True, True]))
    assert all(a is b for a, b in zip(arrays, (envs.observation, envs.reward, envs.terminated, envs.truncated), strict=True))
    assert envs.observation.dtype == np.float32
    assert envs.reward.dtype == np.float64


def test_pendulums_own_limit_of_200_steps_is_off() -> None:
    envs = GymnasiumEnvs("Pendulum-v1")
    assert envs.default_max_episode_steps == 200
    envs.reset(0, seed=1)
    assert not any(envs.step(np.zeros((1, 1), np.float32), np.array([True])) for _ in range(450))
    assert not envs.truncated.any()
    assert gymnasium.spec("Pendulum-v1").max_episode_steps == 200  # for everybody else it is still on


def test_cartpoles_own_limit_of_500_steps_is_off() -> None:
    envs = GymnasiumEnvs("CartPole-v1")
    assert envs.default_max_episode_steps == 500
    envs.reset(0, seed=1)
    inner = envs.envs[0].unwrapped
    for _ in range(520):
        inner.state = np.zeros(4)  # held upright, so that nothing else ends it
        assert not envs.step(np.array([1]), np.array([True]))


class Noting(gymnasium.Env[NDArray[np.float32], Any]):
    """Notes the actions it is given, and complains of none."""

    closed = 0

    def __init__(self, action_space: Space[Any], observation_space: Space[Any] | None = None, ends: int = 0) -> None:
        self.action_space = action_space
        self.observation_space = observation_space or Box(-1.0, 1.0, (1,))
        self.ends = ends
        self.actions: list[Any] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        self.actions.clear()
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        self.actions.append(np.copy(action))
        return np.ones(1, np.float32), 0.0, False, len(self.actions) == self.ends, {}

    def close(self) -> None:
        type(self).closed += 1


@contextmanager
def registered(id: str, **settings: Any) -> Iterator[None]:
    gymnasium.register(id, entry_point=Noting, **settings)
    try:
        yield
    finally:
        del gymnasium.registry[id]


def stepped(action_space: Space[Any], action: NDArray[Any]) -> Any:
    with registered("Noting-v0"):
        envs = GymnasiumEnvs("Noting-v0", 1, {"action_space": action_space})
    envs.reset(0, seed=1)
    kept = action.copy()
    envs.step(action, np.array([True]))
    assert np.array_equal(action, kept)  # the window's own copy stays unclipped
    inner = envs.envs[0].unwrapped
    assert isinstance(inner, Noting)
    return inner.actions[0]


def test_box_actions_are_clipped_each_to_its_own_bounds() -> None:
    lopsided = Box(np.array([-1.0, 0.0, -5.0], np.float32), np.array([3.0, 0.25, np.inf], np.float32))
    sent = stepped(lopsided, np.array([[-9.0, 9.0, 9.0]], np.float32))
    assert sent.tolist() == [-1.0, 0.25, 9.0]
    assert stepped(lopsided, np.array([[0.5, 0.125, -4.5]], np.float32)).tolist() == [0.5, 0.125, -4.5]


def test_a_flat_sample_takes_the_shape_of_its_box() -> None:
    sent = stepped(Box(-1.0, 1.0, (2, 2)), np.array([[0.1, 0.2, 0.3, 9.0]], np.float32))
    np.testing.assert_allclose(sent, [[0.1, 0.2], [0.3, 1.0]], rtol=1e-6)


def test_discrete_actions_begin_where_their_space_begins() -> None:
    assert stepped(Discrete(3, start=5), np.array([0])) == 5
    assert stepped(Discrete(3), np.array([2])) == 2


def test_a_truncation_that_is_the_tasks_own_stays() -> None:
    with registered("Noting-v0", max_episode_steps=2):
        envs = GymnasiumEnvs("Noting-v0", 1, {"action_space": Discrete(2), "ends": 3})
    envs.reset(0, seed=1)
    assert [envs.step(np.array([0]), np.array([True])) for _ in range(3)] == [False, False, True]
    assert envs.truncated.tolist() == [True]
    assert envs.terminated.tolist() == [False]


def test_the_same_seed_begins_the_same_episode_in_any_copy() -> None:
    envs = GymnasiumEnvs("Pendulum-v1", 2)
    envs.reset(0, seed=4)
    envs.reset(1, seed=4)
    assert np.array_equal(envs.observation[0], envs.observation[1])
    envs.reset(1, seed=5)
    assert not np.array_equal(envs.observation[0], envs.observation[1])


@pytest.mark.parametrize(
    ("id", "kwargs", "says"),
    [
        ("NoSuchTask-v0", {}, "env.id=NoSuchTask-v0 is not a registered"),
        ("Pendulum-v99", {}, "env.id=Pendulum-v99 is not a registered"),
        ("Pendulum", {}, "env.id=Pendulum is not a registered"),
        ("no such task", {}, "is not a registered"),
        ("", {}, "is not a registered"),
        ("nosuchmodule:Task-v0", {}, "is not a registered.*No module named 'nosuchmodule'"),
        (":Task-v0", {}, "is not a registered"),
        ("tests.support.nested:Neted-v0", {}, "is not a registered"),
        ("Pendulum-v1", {"gravity": 3}, "env.id=Pendulum-v1 could not be made: TypeError"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(id: str, kwargs: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        GymnasiumEnvs(id, 1, kwargs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("action_space", "observation_space", "says"),
    [
        (Text(5), None, "acts in a Text space. This program takes"),
        (Tuple([Discrete(2), Sequence(Discrete(2))]), None, r"acts in a Sequence space \(under 1\)"),
        (Discrete(2), Graph(Box(0.0, 1.0), None), "observes a Graph space"),
        (Discrete(2), Dict({"a": Dict({"b": Text(3)})}), r"observes a Text space \(under a.b\)"),
        (Discrete(2), Space((2,), np.complex64), "observes a Space space"),
        (Dict(), None, "acts in an empty Dict space"),
        (Box(-1.0, 1.0, (0,)), None, "acts in a Box space without any number in it"),
    ],
)
def test_spaces_that_no_model_takes_are_refused(
    action_space: Space[Any], observation_space: Space[Any] | None, says: str
) -> None:
    closed = Noting.closed
    with registered("Noting-v0"), pytest.raises(ConfigError, match=says) as caught:
        GymnasiumEnvs("Noting-v0", 3, {"action_space": action_space, "observation_space": observation_space})
    assert "\n" not in str(caught.value)
    assert Noting.closed == closed + 3, "those that were made already are left open"


@pytest.mark.filterwarnings("ignore:.*render_mode")
def test_a_task_that_cannot_render_can_be_trained_on() -> None:
    """Its constructor does not know ``render_mode``; only who asks for pictures is told."""
    with registered("Noting-v0"):
        GymnasiumEnvs("Noting-v0", 1, {"action_space": Discrete(2)})
        with pytest.raises(ConfigError, match="render_mode"):
            GymnasiumEnvs("Noting-v0", 1, {"action_space": Discrete(2)}, render_mode="rgb_array")


def test_pictures_are_drawn_where_asked_for() -> None:
    envs = GymnasiumEnvs("CartPole-v1", 1, render_mode="rgb_array")
    envs.reset(0, seed=1)
    assert envs.render().shape == (400, 600, 3)
    envs.close()


def test_arguments_reach_the_task() -> None:
    envs = GymnasiumEnvs("Pendulum-v1", 2, {"g": 3.5})
    assert [env.unwrapped.g for env in envs.envs] == [3.5, 3.5]


def test_a_module_with_a_colon_is_imported_for_the_tasks_it_registers() -> None:
    envs = GymnasiumEnvs("tests.support.nested:Nested-v0", 2)
    assert envs.default_max_episode_steps == 50
    assert envs.observation.shape == (2, 4 + 6 + 2 + 5)
    envs.close()


def test_nested_observations_are_in_place_after_reset_and_step() -> None:
    envs = GymnasiumEnvs("tests.support.nested:Nested-v0", 2, {"length": 2})
    array = envs.observation
    envs.reset(0, seed=1)
    envs.reset(1, seed=2)
    assert (array[:, 4:10] <= 1.0).all() and (array[:, :4].sum(axis=1) == 1.0).all()
    first = array.copy()
    assert not envs.step(np.zeros((2, 9), np.float32), np.array([True, False]))
    assert envs.observation is array and not np.array_equal(array[0], first[0])
    assert np.array_equal(array[1], first[1])  # left alone
    assert envs.reward[0] == -1.0  # choice 0 of a Discrete that starts at -1
    assert envs.step(np.ones((2, 9), np.float32), np.array([True, False])) and envs.terminated.tolist() == [True, False]
