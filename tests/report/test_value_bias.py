"""Whether a critic promises too much is seen from what was earned, and not where that cannot be known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from a3c_exp.report.columns import FloatArray
from a3c_exp.report.run_reader import RunData
from a3c_exp.report.value_bias import greedy_gap, value_overestimation
from tests.support.synthetic_runs import write_run


def constant_episodes(reward: float, length: float, number: int = 50, workers: int = 1) -> dict[str, FloatArray]:
    steps = length * np.arange(1.0, number + 1.0)
    columns = {"mean_step_reward": np.full(number, reward), "length": np.full(number, length), "env_step": steps}
    return columns | {"return": np.full(number, reward * length)}


def metrics(values: Sequence[float]) -> dict[str, FloatArray]:
    return {"value_mean": np.array(values), "env_step": np.linspace(1000.0, 5000.0, len(values))}


@given(st.floats(0.5, 0.999), st.integers(1, 300), st.floats(-5.0, 5.0), st.floats(-3.0, 3.0), st.floats(0.1, 9.0))
def test_a_critic_that_knows_every_discounted_return_is_not_blamed(
    gamma: float, length: int, reward: float, shift: float, scale: float
) -> None:
    seen = (reward + shift) / scale
    to_go = [seen * (1 - gamma ** (length - t)) / (1 - gamma) for t in range(length)]  # an episode that ends for good
    config = {"gamma": gamma, "reward_shift": shift, "reward_scale": scale, "workers": 1}
    episodes = constant_episodes(reward, length)
    truth = float(np.mean(to_go))
    bias = value_overestimation(metrics([truth, truth + 2.0]), episodes, np.ones(50), config)
    assert bias == pytest.approx([0.0, 2.0], abs=1e-6 * max(1.0, abs(truth)))
    endless = value_overestimation(metrics([seen / (1 - gamma)]), episodes, np.zeros(50), config)
    assert endless == pytest.approx([0.0], abs=1e-6 * max(1.0, abs(seen) / (1 - gamma)))


@pytest.mark.parametrize(
    "config", [{"gamma": 1.0}, {"gamma": None}, {}, {"gamma": 0.9, "reward_clip": 3.0}, {"gamma": 0.9, "reward_scale": 0}]
)
def test_what_cannot_be_known_is_not_made_up(config: dict[str, Any]) -> None:
    assert np.isnan(value_overestimation(metrics([1.0]), constant_episodes(1.0, 10), np.ones(50), config)).all()
    none = {name: values[:0] for name, values in constant_episodes(1.0, 10).items()}
    assert np.isnan(value_overestimation(metrics([1.0]), none, np.ones(0), {"gamma": 0.9})).all()


def test_an_excess_is_of_its_own_time() -> None:
    early, late = constant_episodes(-1.0, 10, 200), constant_episodes(-0.5, 10, 200)
    episodes = {name: np.concatenate([early[name], late[name]]) for name in early}
    episodes["env_step"] = 10.0 * np.arange(1.0, 401.0)
    logged = {"value_mean": np.array([-10.0, -10.0]), "env_step": np.array([500.0, 3500.0])}
    bias = value_overestimation(logged, episodes, np.zeros(400), {"gamma": 0.9, "workers": 1})
    assert bias == pytest.approx([0.0, -5.0])  # the critic still expects what was earned at first


def evaluated(mean: float, length: float = 200.0) -> dict[str, FloatArray]:
    return {"mean": np.array([mean]), "env_step": np.array([9_000.0]), "mean_length": np.array([length])}


def test_evaluations_are_held_against_the_training_just_before_them() -> None:
    episodes = constant_episodes(-1.0, 200, 60)  # up to step 12000
    episodes["return"] = np.where(episodes["env_step"] <= 9_000, -300.0, 0.0)
    assert greedy_gap(evaluated(-200.0), episodes, {}) == pytest.approx([100.0])


@pytest.mark.parametrize(
    ("config", "length", "compares"),
    [
        ({}, 200.0, True),
        ({"max_episode_steps": 500, "evaluation": {"max_episode_steps": 500}}, 90.0, True),
        ({"max_episode_steps": 4000, "evaluation": {"max_episode_steps": None}}, 20.0, False),
        ({"max_episode_steps": 200, "evaluation": {"max_episode_steps": None}}, 200.0, True),
        ({"evaluation": {"deterministic": False}}, 200.0, False),
    ],
)
def test_episodes_of_another_time_limit_do_not_compare(config: dict[str, Any], length: float, compares: bool) -> None:
    assert bool(np.isfinite(greedy_gap(evaluated(-200.0, length), constant_episodes(-1.0, 200), config)).all()) == compares


def test_without_an_episode_before_it_an_evaluation_has_nothing_to_compare_with() -> None:
    first = {"mean": np.array([-1.0]), "env_step": np.array([10.0]), "mean_length": np.array([200.0])}
    assert np.isnan(greedy_gap(first, constant_episodes(-1.0, 200), {})).all()


def test_a_limit_that_counts_as_an_end_is_one(tmp_path: Path) -> None:
    kept = write_run(tmp_path / "a", episodes=30, config={"bootstrap_on_truncation": True})
    cut = write_run(tmp_path / "b", episodes=30, config={"bootstrap_on_truncation": False})
    going_on, ended = (RunData(path).metrics["value.excess"] for path in (kept, cut))
    assert np.isfinite(going_on).all()
    assert (ended < going_on).all()  # rewards are negative: what ends sooner loses less
