"""What environments return is held to gymnasium's interface and to their own spaces; a mistake is one line and no retry."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.envs.process_pool.envs import SubprocessEnvs
from a3c_exp.spaces.checks import numeric_array
from a3c_exp.spaces.codecs import observation_encoder
from a3c_exp.system.errors import EnvInterfaceError
from tests.support.command import QUICK, lines, record, run, session_members, start
from tests.support.odd import AT_STEP, OBSERVATIONS, REWARDS
from tests.support.pushing import PATIENCE

ODD = "tests.support.odd:Odd-v0"
BOTH = np.array([True, True])
SMALL = ("env=gymnasium", f"env.id={ODD}", *QUICK, "max_env_steps=400", "evaluation.episodes=2")
PARALLELISMS = {
    "hogwild": ("parallelism.processes=1",),
    "parameter_server": ("parallelism=parameter_server", "parallelism.processes=1"),
    "synchronous": ("parallelism=synchronous",),
    "pool": ("parallelism=synchronous", "parallelism.env_processes=1"),
    "seeds": ("parallelism=deterministic", "num_seeds=2", "parallelism.processes=2"),
}


def make_odd(num_envs: int) -> GymnasiumEnvs:
    return GymnasiumEnvs(ODD, num_envs, {"observation": "nan"})


def walk(envs: Any, steps: int) -> None:
    for k in range(2):
        envs.reset(k, 1)
    for _ in range(steps):
        envs.step(np.array([0, 1]), BOTH)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("fault", OBSERVATIONS)
def test_an_observation_outside_its_space_is_neither_spread_nor_cast(fault: str, nested: bool) -> None:
    envs = GymnasiumEnvs(ODD, 2, {"observation": fault, "nested": nested})
    walk(envs, AT_STEP - 1)
    with pytest.raises(EnvInterfaceError) as caught:
        envs.step(np.array([0, 1]), BOTH)
    assert ODD in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", OBSERVATIONS)
def test_the_first_observation_is_held_to_the_space_too(fault: str) -> None:
    with pytest.raises(EnvInterfaceError, match="reset"):
        GymnasiumEnvs(ODD, 1, {"observation": fault, "at_reset": True}).reset(0, 1)


@pytest.mark.parametrize("fault", REWARDS)
def test_a_reward_that_is_no_number_is_refused(fault: str) -> None:
    envs = GymnasiumEnvs(ODD, 2, {"reward": fault})
    walk(envs, AT_STEP - 1)
    with pytest.raises(EnvInterfaceError, match="reward"):
        envs.step(np.array([0, 1]), BOTH)


@pytest.mark.parametrize("value", [3, -1, 0.5, None, "left", [0, 1]])
def test_a_choice_outside_its_space_is_not_written_as_another_one(value: Any) -> None:
    """As -1 would be, which counts from the end, and 3 in a Dict, whose next part begins there."""
    _, encode = observation_encoder(Dict(gear=Discrete(3), next=Discrete(2)))
    assert encode is not None
    with pytest.raises(ValueError, match="gear"):
        encode({"gear": value, "next": 0}, np.zeros(5, np.float32))


def test_a_picture_in_real_numbers_is_not_divided_by_255_again() -> None:
    with pytest.raises(ValueError, match="uint8"):
        numeric_array(np.zeros((2, 3, 1)), Box(0, 255, (2, 3, 1), np.uint8))


@pytest.mark.parametrize("kind", ["array", "zero_d"])
def test_a_reward_in_an_array_of_one_is_that_number(kind: str) -> None:
    envs = GymnasiumEnvs(ODD, 2, {"reward": kind})
    walk(envs, 3)
    assert envs.reward.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("id", ["CartPole-v1", "Pendulum-v1", ODD])
def test_a_terminal_observation_may_be_not_finite_and_the_others_go_on(id: str) -> None:
    """A row that has ended is not looked at: what is left in it must not accuse the environment."""
    envs = GymnasiumEnvs(id, 2)
    for k in range(2):
        envs.reset(k, 1)
    envs.observation[0] = np.nan
    envs.step(np.zeros((2, *envs.action_space.shape), envs.action_space.dtype), np.array([False, True]))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("four", "step() returned 4 values"),
        ("none", "step() returned None"),
        ("bare", "reset() returned an array of shape (3,)"),
        ("no_seed", "unexpected keyword argument 'seed'"),
    ],
)
def test_an_old_interface_is_said_once(call: str, says: str) -> None:
    with pytest.raises(EnvInterfaceError) as caught:
        walk(GymnasiumEnvs(ODD, 2, {"call": call}), AT_STEP)
    assert says in str(caught.value) and "gymnasium" in str(caught.value)


@pytest.mark.parametrize("error", ["ValueError", "OverflowError"])
@pytest.mark.parametrize("limit", [2**31 - 1, 2**32 - 1])
def test_a_seed_that_is_too_large_is_shortened_and_others_are_not(limit: int, error: str) -> None:
    """Alike whatever came before: a resumed run begins with the episode that another one came to later."""
    seeds = [5, 2**31, 2**32 - 1, 2**53 - 1, 2**40 + 3, 2**32 - 1, 2**31 + 5]
    kwargs = {"seed_limit": limit, "error": error}
    together = GymnasiumEnvs(ODD, 1, kwargs)
    for seed in seeds:
        together.reset(0, seed)
    expected = [seed if seed <= limit else seed % 2**31 for seed in seeds]
    assert together.envs[0].unwrapped.seeds == expected  # type: ignore[attr-defined]
    for seed, short in zip(seeds, expected, strict=True):
        alone = GymnasiumEnvs(ODD, 1, kwargs)
        alone.reset(0, seed)
        assert alone.envs[0].unwrapped.seeds == [short]  # type: ignore[attr-defined]


def test_an_error_that_is_not_about_the_seed_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match="Seed must be below -1"):
        GymnasiumEnvs(ODD, 1, {"seed_limit": -1}).reset(0, 2**40)


def test_a_pool_says_which_of_all_environments_it_was(nothing_left: None) -> None:
    with pytest.raises(EnvInterfaceError) as caught:
        envs = SubprocessEnvs(make_odd, 4, 2)
        for k in range(4):
            envs.reset(k, 1)
        for _ in range(AT_STEP):
            envs.step(np.zeros(4, np.int64), np.array([False, False, False, True]))
    assert caught.value.index == 3


@pytest.mark.parametrize("parallelism", PARALLELISMS)
def test_a_run_ends_at_once_and_names_worker_episode_and_step(tmp_path: Path, parallelism: str) -> None:
    ended = run(*SMALL, *PARALLELISMS[parallelism], "env.kwargs={observation:'nan'}", "workers=1", cwd=tmp_path)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr and "optimizer.lr" not in ended.stderr, ended.stderr
    for words in (f"env.id={ODD}", "worker 0", "episode 1", f"step {AT_STEP}"):
        assert words in ended.stderr.splitlines()[-1], ended.stderr
    for path in tmp_path.glob("outputs/*/*/run.json"):
        assert record(path.parent)["status"] == "failed" and "not finite" in str(record(path.parent))


@pytest.mark.parametrize("parallelism", ["hogwild", "synchronous", "pool", "seeds"])
def test_an_environment_may_have_a_process_of_its_own_which_ends_with_the_run(tmp_path: Path, parallelism: str) -> None:
    process = start(*SMALL, *PARALLELISMS[parallelism], "env.kwargs={child:true}", cwd=tmp_path)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    deadline = time.monotonic() + PATIENCE
    while left := session_members(process.pid):  # the fork server is a moment behind
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


@pytest.mark.parametrize("kwargs", ["{reward:array}", "{seed_limit:4294967295}"])
@pytest.mark.parametrize("parallelism", ["hogwild", "synchronous"])
def test_a_run_with_a_harmless_oddity_goes_to_its_end(tmp_path: Path, parallelism: str, kwargs: str) -> None:
    ended = run(*SMALL, *PARALLELISMS[parallelism], f"env.kwargs={kwargs}", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (path,) = tmp_path.glob("outputs/*/*/run.json")
    assert {episode["return"] for episode in lines(path.parent / "episodes.jsonl")} == {20.0}


def test_a_close_that_raises_is_said_and_the_others_are_closed_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    envs = GymnasiumEnvs("CartPole-v1", num_envs=2)
    closed = []
    monkeypatch.setattr(envs.envs[0], "close", lambda: 1 / 0)
    monkeypatch.setattr(envs.envs[1], "close", lambda: closed.append(1))
    envs.close()
    assert closed and "close() raised ZeroDivisionError: division by zero; what was" in capsys.readouterr().err
