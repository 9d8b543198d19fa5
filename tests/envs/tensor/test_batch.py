"""Tasks in tensors where the rollout, a pool, an evaluation and a whole training use them."""

import pickle
from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from a3c_exp.config.budget import Budget
from a3c_exp.config.compose import compose_jobs
from a3c_exp.envs.classic_control import ClassicControlEnvs
from a3c_exp.envs.process_pool.envs import SubprocessEnvs
from a3c_exp.envs.tensor.base import Step, TensorEnv
from a3c_exp.envs.tensor.batch import TensorEnvBatch
from a3c_exp.envs.tensor.mountain_car import MountainCar
from a3c_exp.envs.tensor.pendulum import Pendulum
from a3c_exp.envs.tensor.tasks import TENSOR_TASKS
from a3c_exp.evaluate.evaluator import Evaluator, EvaluatorConfig
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run
from tests.envs.tensor.test_dynamics import random_actions
from tests.support.single_process import Driven, same_bits, tiny_task

IDS = tuple(TENSOR_TASKS)
KINDS: dict[str, Callable[..., Any]] = {"deterministic": Deterministic, "synchronous": Synchronous}


@pytest.mark.parametrize("id", IDS)
def test_who_sits_out_is_left_alone_and_nobody_knows_of_the_others(id: str) -> None:
    crowd, alone = ClassicControlEnvs(id, 5, "tensor"), ClassicControlEnvs(id, 1, "tensor")
    arrays = crowd.observation, crowd.reward, crowd.terminated, crowd.truncated
    for k in range(5):
        crowd.reset(k, 50 + k)
    alone.reset(0, 53)
    for t, action in enumerate(random_actions(id, (60, 5))):
        live = np.array([t % 2 == 0, t % 3 == 0, True, t % 5 != 4, False])
        before = [array.copy() for array in arrays]
        given = action.copy()
        any_end = crowd.step(action, live)
        assert np.array_equal(action, given), "actions are the caller's"
        for array, old in zip(arrays, before, strict=True):
            assert np.array_equal(array[~live], old[~live])
        assert any_end == bool(crowd.terminated[live].any())
        if live[3]:
            alone.step(action[3:4], np.ones(1, np.bool_))
        assert crowd.observation[3].tobytes() == alone.observation[0].tobytes()
        assert crowd.reward[3] == alone.reward[0]
        crowd.terminated[:] = alone.terminated[:] = False
        crowd.observation[4] = 0.0  # the rollout's mark of an episode that has ended: the state stands elsewhere
    now = crowd.observation, crowd.reward, crowd.terminated, crowd.truncated
    assert all(array is other for array, other in zip(arrays, now, strict=True)), "arrays are overwritten in place"


@pytest.mark.parametrize(("id", "kind"), list(zip(IDS, cycle(KINDS), strict=False)))
def test_a_whole_training_lives_the_same_episodes_with_either_backend(id: str, kind: str) -> None:
    model, ends = ("separate", True) if id in ("Pendulum-v1", "MountainCarContinuous-v0") else ("shared", False)
    trained: list[Driven] = []
    for backend in ("gymnasium", "tensor"):
        task = tiny_task(
            model,
            id,
            workers=4,
            budget=Budget(max_updates=250),
            max_episode_steps=30,
            make_envs=partial(ClassicControlEnvs, id, backend=backend),
            window_ends_with_episode=ends,
        )
        trained.append(Driven(KINDS[kind](), task).finish().stop())
    gymnasiums, ours = ([event.episode for event in driven.episodes()] for driven in trained)
    assert len(ours) == len(gymnasiums) > 20
    assert ours == gymnasiums
    assert same_bits(trained[1].kind.weights(), trained[0].kind.weights())


@pytest.mark.parametrize("id", IDS)
def test_a_training_that_was_cut_goes_on_as_if_it_never_was(id: str) -> None:
    make = partial(ClassicControlEnvs, id, backend="tensor")
    task = tiny_task("loose", id, budget=Budget(max_updates=40), make_envs=make)
    whole = Driven(Deterministic(), task).finish().stop()
    part = Driven(Deterministic(), task).step(17)
    states = part.save()
    part.stop()
    rest = Driven(Deterministic(), task, states).finish().stop()
    assert same_bits(rest.kind.weights(), whole.kind.weights())
    assert not [notice for notice in rest.notices if "new episode" in notice]


def test_a_pool_of_them_has_the_same_bits() -> None:
    make = partial(ClassicControlEnvs, "Pendulum-v1", backend="tensor")
    here, pool = make(num_envs=3), SubprocessEnvs(make, 3, 1)
    try:
        for k in range(3):
            here.reset(k, k)
            pool.reset(k, k)
        for action in random_actions("Pendulum-v1", (5, 3)):
            for envs in (here, pool):
                envs.step(action, np.array([True, False, True]))
            assert pool.observation.tobytes() == here.observation.tobytes() and pool.reward.tolist() == here.reward.tolist()
    finally:
        pool.close()


@pytest.mark.parametrize("id", IDS)
def test_an_evaluation_sees_the_pictures_that_gymnasium_draws(id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pictures: dict[str, list[Any]] = {"gymnasium": [], "tensor": []}
    evaluations = []
    for backend, seen in pictures.items():
        (job,) = compose_jobs(["env=gymnasium", f"env.id={id}", f"env.backend={backend}"], multirun=False)
        task = build_run(job.config).setup
        envs = task.make_envs(num_envs=1, render_mode="rgb_array")
        model, layout = task.model(envs)

        def look(envs: Any = envs, seen: list[Any] = seen) -> None:
            seen.append((envs.render(), envs.info(), envs.action_names, envs.frames_per_second))

        evaluator = Evaluator(model, layout, envs, EvaluatorConfig(2, True, 8), 0, between_steps=look)
        evaluations.append(evaluator.evaluate(layout.flatten(model), 0, 0, 0.0))
        envs.close()
    assert evaluations[0].returns == pytest.approx(evaluations[1].returns, abs=1e-8)
    assert len(pictures["tensor"]) == 16 and pictures["tensor"][0][0].dtype == np.uint8
    assert not np.array_equal(pictures["tensor"][0][0], pictures["tensor"][7][0])
    for picture, other in zip(pictures["tensor"], pictures["gymnasium"], strict=True):
        assert np.array_equal(picture[0], other[0]) and picture[1:] == other[1:]


def test_the_task_itself_is_there_for_a_compiled_round_and_recipes_travel() -> None:
    recipe = pickle.loads(pickle.dumps(partial(TensorEnvBatch, MountainCar(power=0.002))))
    envs = recipe(num_envs=2)
    assert isinstance(envs.tensor_env, MountainCar) and envs.tensor_env.step(torch.zeros(2), torch.tensor(2)).state[1] < 0
    assert isinstance(ClassicControlEnvs("Pendulum-v1", 2, "tensor").tensor_env, Pendulum)
    assert ClassicControlEnvs("Pendulum-v1", 2).tensor_env is None


@pytest.mark.parametrize(
    ("options", "in_tensors"),
    [
        ({"id": "Pendulum-v1"}, True),
        ({"id": "CartPole-v1", "kwargs": {}, "render_mode": "rgb_array"}, True),
        ({"id": "Acrobot-v1", "frame_skip": 10}, True),
        ({"id": "MountainCarContinuous-v0", "frame_skip": 27}, False),
        ({"id": "MountainCar-v0", "kwargs": {"goal_velocity": 0.01}}, False),
        ({"id": "LunarLander-v3"}, False),
        ({"id": "Pendulum-v1", "kwargs": {"g": 9.81}}, False),
        ({"id": "CartPole-v1", "wrappers": ["gymnasium.wrappers.FlattenObservation"]}, False),
    ],
)
def test_auto_takes_tensors_where_they_have_what_is_asked_for(options: dict[str, Any], in_tensors: bool) -> None:
    envs = ClassicControlEnvs(**options, backend="auto")
    assert (envs.tensor_env is not None) == in_tensors
    envs.close()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["env.backend=torch"], "env.backend is 'torch', but it is one of auto, gymnasium, tensor"),
        (
            ["env.backend=tensor", "env.id=LunarLander-v3"],
            "MountainCarContinuous-v0, Pendulum-v1 are. Try env.backend=gymnasium",
        ),
        (["env.backend=tensor", "+env.kwargs.g=9.81"], "env.kwargs is {'g': 9.81}, which is for gymnasium's own code"),
        (["env.backend=tensor", "+env.wrappers=[gymnasium.wrappers.ClipReward]"], "env.wrappers is ['gymnasium.wrappers.Clip"),
        (["+env.frame_skip=20", "env.backend=tensor"], "more than the 16 steps for which env.backend=tensor holds an action"),
        (["env.id=NoSuchTask-v0"], "not a registered gymnasium environment"),
    ],
)
def test_what_tensors_cannot_do_is_refused_in_one_line(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        (job,) = compose_jobs(["env=pendulum", *overrides], multirun=False)
        build_run(job.config)
    assert said in str(caught.value) and len(str(caught.value).splitlines()) == 1


class Drifting(TensorEnv):
    """One number that drifts; broken in a way of one's choice."""

    state_size = 1
    reset_noise = 1

    def __init__(self, how: str) -> None:
        self.observation_space, self.action_space = Box(-1.0, 1.0, (1,)), Discrete(2, start=1 if how == "start" else 0)
        self._how = how

    def reset(self, noise: Tensor) -> Tensor:
        return noise + torch.rand(1, dtype=noise.dtype) if self._how == "random" else noise

    def observe(self, state: Tensor) -> Tensor:
        return state if self._how == "double" else state.to(torch.float32)

    def step(self, state: Tensor, action: Tensor) -> Step:
        state = state + 0.1 * action.unsqueeze(-1)
        if self._how == "branch" and state.sum() > 1:
            state = state - 1
        if self._how == "neighbors":
            state = state - state.flatten()[0]
        reward = state if self._how == "wide" else state[..., 0]
        return Step(state, reward, state[..., 0] > 1)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("branch", "Drifting is no pure function of tensors"),
        ("random", "Drifting is no pure function of tensors"),
        ("double", "Drifting: observe is [3, 1] of torch.float64 for three states in torch.float64, but it must be [3, 1] of"),
        ("wide", "Drifting: step's reward is [3, 1]"),
        ("neighbors", "Drifting: step's state of three states is not that of each of them alone"),
        ("start", "Drifting has actions from 1 on"),
    ],
)
def test_a_task_that_is_no_pure_function_is_refused_before_it_can_lie(how: str, said: str) -> None:
    TensorEnvBatch(Drifting("not at all"), 2)
    with pytest.raises(ConfigError) as caught:
        TensorEnvBatch(Drifting(how), 2)
    assert said in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_what_nothing_draws_is_not_promised_a_picture() -> None:
    with pytest.raises(ConfigError, match="Drifting names no gymnasium environment that draws it"):
        TensorEnvBatch(Drifting("not at all"), 1, render_mode="rgb_array")
