"""Wrappers from a list in YAML: in order, around every copy, and refused in one line where they cannot be."""

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import ClipReward, RescaleAction, TimeLimit

from a3c_exp.config.compose import compose_jobs
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.envs.wrappers import build_arguments
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run
from tests.support.command import lines, run

CLIP = {"_target_": "gymnasium.wrappers.ClipReward", "min_reward": -1.0, "max_reward": 0.25}
RESCALE = {"_target_": "gymnasium.wrappers.RescaleAction", "min_action": -1.0, "max_action": 1.0}
TRANSFORM = {"_target_": "gymnasium.wrappers.TransformReward"}
LIMIT = {"_target_": "gymnasium.wrappers.TimeLimit", "max_episode_steps": 3}


class Closing(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Counts how often it was closed."""

    closed = 0

    def close(self) -> None:
        type(self).closed += 1
        super().close()


def broken(env: gymnasium.Env[Any, Any], how: str = "raise") -> Any:
    if how == "raise":
        raise RuntimeError("two\nlines")
    return how


def scale(reward: float, by: float = 1.0) -> float:
    return reward * by


def test_wrappers_go_around_every_copy_the_first_one_innermost() -> None:
    envs = GymnasiumEnvs("Pendulum-v1", 2, wrappers=[CLIP, RESCALE])
    for env in envs.envs:
        assert isinstance(env, RescaleAction) and isinstance(env.env, ClipReward)
        assert not isinstance(env.env.env, TimeLimit)  # the task's own is off
    assert envs.action_space.high.tolist() == [1.0]  # a model sees the wrapped spaces
    assert envs.envs[0] is not envs.envs[1]


def test_wrappers_do_what_they_would_do_around_gymnasiums_own() -> None:
    ours = GymnasiumEnvs("Pendulum-v1", 1, wrappers=[RESCALE, CLIP])
    theirs = ClipReward(RescaleAction(gymnasium.make("Pendulum-v1").unwrapped, -1.0, 1.0), -1.0, 0.25)
    ours.reset(0, seed=4)
    theirs.reset(seed=4)
    for torque in (0.5, -1.0, 7.0):
        ours.step(np.array([[torque]], np.float32), np.array([True]))
        observed, reward, *_ = theirs.step(np.array([min(torque, 1.0)], np.float32))
        assert np.array_equal(ours.observation[0], observed) and ours.reward[0] == reward


def test_a_plain_name_is_a_wrapper_without_arguments() -> None:
    envs = GymnasiumEnvs("tests.support.nested:Nested-v0", wrappers=["gymnasium.wrappers.FlattenObservation"])
    assert isinstance(envs.observation_space, gymnasium.spaces.Box)
    envs.reset(0, seed=1)
    assert np.isfinite(envs.observation).all()


def test_a_time_limit_that_a_person_lists_stays() -> None:
    envs = GymnasiumEnvs("Pendulum-v1", wrappers=[LIMIT])
    assert envs.default_max_episode_steps == 3
    envs.reset(0, seed=1)
    ends = [envs.step(np.zeros((1, 1), np.float32), np.array([True])) for _ in range(3)]
    assert ends == [False, False, True] and envs.truncated.tolist() == [True]


def test_a_listed_time_limit_is_the_limit_of_a_task_that_has_none() -> None:
    gymnasium.register("Endless-v0", entry_point="gymnasium.envs.classic_control.pendulum:PendulumEnv")
    try:
        assert GymnasiumEnvs("Endless-v0").default_max_episode_steps is None
        assert GymnasiumEnvs("Endless-v0", wrappers=[LIMIT, CLIP]).default_max_episode_steps == 3
        with pytest.raises(ConfigError, match="Try max_episode_steps=1000"):
            GymnasiumEnvs("Endless-v0", wrappers=["gymnasium.wrappers.TimeAwareObservation"])
    finally:
        del gymnasium.registry["Endless-v0"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"wrappers": [{**LIMIT, "max_episode_steps": 400}]}, 400),
        ({"wrappers": [{**LIMIT, "max_episode_steps": 400}, CLIP, LIMIT]}, 3),
        ({"kwargs": {"max_episode_steps": 400}}, 400),
        ({"wrappers": [{"_target_": "gymnasium.wrappers.MaxAndSkipObservation", "skip": 3}]}, 67),
        ({"wrappers": [CLIP], "run_max_episode_steps": 50}, 200),  # which counts for the run anyway, but not for evaluations
    ],
)
def test_the_limit_by_default_is_that_of_gymnasium_with_these_arguments(arguments: dict[str, Any], expected: int) -> None:
    envs = GymnasiumEnvs("Pendulum-v1", **arguments)
    assert envs.default_max_episode_steps == expected
    envs.reset(0, seed=1)
    ends = [envs.step(np.zeros((1, 1), np.float32), np.array([True])) for _ in range(expected)]
    assert not any(ends[:-1])


def test_a_wrapper_that_asks_for_the_limit_gets_the_runs() -> None:
    for limit, expected in (("null", 200), ("50", 50)):
        wrappers = "env.wrappers=[{_target_: gymnasium.wrappers.TimeAwareObservation, normalize_time: true}]"
        overrides = ["env=gymnasium", "env.id=Pendulum-v1", wrappers, f"max_episode_steps={limit}"]
        envs = build_run(compose_jobs(overrides, multirun=False)[0].config).setup.make_envs(num_envs=1)
        envs.reset(0, seed=1)
        envs.step(np.zeros((1, 1), np.float32), np.array([True]))
        assert envs.observation[0, -1] == np.float32(1 / expected)


def test_a_recipe_with_wrappers_travels_to_another_process() -> None:
    recipe = partial(GymnasiumEnvs, "Pendulum-v1", wrappers=[CLIP, LIMIT])
    assert isinstance(pickle.loads(pickle.dumps(recipe))(num_envs=1).envs[0], TimeLimit)


def test_a_function_or_an_object_is_named_as_hydra_has_it() -> None:
    halve = {"_target_": "tests.envs.test_wrappers.scale", "_partial_": True, "by": 0.5}
    box = {"_target_": "gymnasium.spaces.Box", "low": -1.0, "high": 1.0, "shape": [3]}
    zeros = {"_target_": "numpy.zeros_like", "_partial_": True}
    wrappers = [
        {"_target_": "gymnasium.wrappers.TransformReward", "func": halve},
        {"_target_": "gymnasium.wrappers.TransformObservation", "func": zeros, "observation_space": box},
    ]
    ours, theirs = GymnasiumEnvs("Pendulum-v1", wrappers=wrappers), GymnasiumEnvs("Pendulum-v1")
    for envs in (ours, theirs):
        envs.reset(0, seed=1)
        envs.step(np.zeros((1, 1), np.float32), np.array([True]))
    assert ours.reward[0] == theirs.reward[0] / 2
    assert ours.observation.tolist() == [[0.0, 0.0, 0.0]] and ours.observation_space.high.tolist() == [1.0, 1.0, 1.0]
    paid = {"reward": {"_target_": "tests.envs.test_wrappers.scale", "_partial_": True}, "rest": [{"a": 1}]}
    assert build_arguments(paid, "env.kwargs") == {"reward": scale, "rest": [{"a": 1}]}


@pytest.mark.parametrize(
    ("wrapper", "says"),
    [
        ("TimeLimit", r"env.wrappers\[1\]: TimeLimit cannot be imported.*Try gymnasium.wrappers.TimeLimit"),
        ("gymnasium.wrappers.TimeLimt", "cannot be imported: AttributeError"),
        ("no_such_module.Wrapper", "cannot be imported: ModuleNotFoundError"),
        ("gymnasium.wrappers", "is a module, neither a class nor a function"),
        ("gymnasium.wrappers.TimeLimit", "missing a required argument: 'max_episode_steps'. It takes max_episode_steps"),
        ({**LIMIT, "max_steps": 3}, "unexpected keyword argument 'max_steps'. It takes max_episode_steps"),
        ({**LIMIT, "env": 3}, "multiple values for argument 'env'"),
        ({"max_episode_steps": 3}, r"env.wrappers\[1\] names no wrapper. Try 'env.wrappers=\["),
        ("gymnasium.wrappers.GrayscaleObservation", "cannot wrap this environment: ValueError: GrayscaleObservation requires"),
        ("tests.envs.test_wrappers.broken", "cannot wrap this environment: RuntimeError: two lines"),
        ({"_target_": "tests.envs.test_wrappers.broken", "how": "x"}, "returned a str, not an environment"),
        (
            "gymnasium.wrappers.NormalizeReward",
            "and their numbers would be wrong. Try normalize.observation=true or ",
        ),
        ({**TRANSFORM, "func": "odd.halve"}, r"func is 'odd.halve', but .* func: {_target_: odd.halve, _partial_: true}"),
        (
            {**TRANSFORM, "func": 0.5},
            r"func is 0.5, but it is a function. Try func: {_target_: my_module.my_function, _partial_",
        ),
        (
            {**TRANSFORM, "func": {"_target_": "hydra.utils.get_method", "path": "odd.halve"}},
            r"\[1\].func: hydra.utils.get_method is a function, and would .* Try {_target_: odd.halve, _partial_: true}",
        ),
        ({**TRANSFORM, "func": {"_target_": "odd.halve", "_partial_": True}}, r"\[1\].func: odd.halve cannot be imported"),
        ({**TRANSFORM, "func": {"_target_": "fractions.Fraction", "x": 1}}, "cannot be built: TypeError"),
    ],
)
def test_what_cannot_be_wrapped_is_refused_in_one_line(wrapper: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        GymnasiumEnvs("Pendulum-v1", 1, wrappers=[CLIP, wrapper])
    assert "\n" not in str(caught.value)


def test_what_was_made_before_a_wrapper_refused_is_closed() -> None:
    closed = Closing.closed
    with pytest.raises(ConfigError, match="two lines"):
        wrappers = ["tests.envs.test_wrappers.Closing", "tests.envs.test_wrappers.broken"]
        GymnasiumEnvs("Pendulum-v1", 2, wrappers=wrappers)
    assert Closing.closed == closed + 1


def test_evaluations_may_have_wrappers_of_their_own(tmp_path: Path) -> None:
    """Training pays a tenth and ends after 20 steps; evaluations and a saved run's have the task's own rewards and limit."""
    scale = "{_target_:gymnasium.wrappers.TransformReward,func:{_target_:tests.envs.test_wrappers.tenth,_partial_:true}}"
    limit = "{_target_:gymnasium.wrappers.TimeLimit,max_episode_steps:20}"
    folder = tmp_path / "run"
    task = ("env=gymnasium", "env.id=Pendulum-v1", f"env.wrappers=[{scale},{limit}]", "env.evaluation_wrappers=[]")
    budget = ("workers=2", "max_env_steps=200", "logger=none", "evaluation.episodes=2", "parallelism=synchronous")
    done = run(*task, *budget, "compile=false", f"hydra.run.dir={folder}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {episode["length"] for episode in lines(folder / "episodes.jsonl")} == {20}
    assert max(abs(episode["return"]) for episode in lines(folder / "episodes.jsonl")) < 20 * 1.7
    assert {row["mean_length"] for row in lines(folder / "evaluations.jsonl")} == {200.0}
    assert lines(folder / "evaluations.jsonl")[-1]["mean"] < -200
    with pytest.raises(ConfigError, match=r"with env\.evaluation_wrappers the observation space is Box"):
        GymnasiumEnvs(
            "Pendulum-v1", evaluation_wrappers=[{"_target_": "gymnasium.wrappers.FrameStackObservation", "stack_size": 2}]
        )


def tenth(reward: float) -> float:
    return reward / 10
