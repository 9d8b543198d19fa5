"""Asynchrony in virtual time is A3C: a second, naive implementation makes the same updates from the same luck."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch

from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.algorithm.per_worker import HyperparameterRange, PerWorkerHyperparameters
from a3c_exp.config.budget import Budget
from a3c_exp.config.enums import HyperparameterRangeKind, LRSchedule, Reduction, ValueLoss
from a3c_exp.optimizers.rmsprop import RMSprop
from a3c_exp.optimizers.sgd import SGD
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.deterministic.worker_schedule import RandomDurationSchedule, RoundRobinSchedule
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from tests.support.naive_a3c import MakeOptimizer, Naive, NaiveA2C, NaiveA3C
from tests.support.single_process import Driven, tiny_task

CARTPOLE, PENDULUM = "CartPole-v1", "Pendulum-v1"
FLOAT_DRIFT = 3e-6
"""Measured: 3e-7 after 200 updates, none of which is smaller than 1e-3."""

ADAM = partial(torch.optim.Adam, lr=1e-2)
ALL_AT_ONCE: dict[str, Any] = {
    "max_grad_norm": 0.5,
    "reward_shift": 0.5,
    "reward_scale": 2.0,
    "reward_clip": 0.7,
    "gamma": 0.9,
    "loss": LossConfig(0.7, 0.05, ValueLoss.huber, Reduction.sum, Reduction.mean, Reduction.sum),
    "per_worker": PerWorkerHyperparameters(
        HyperparameterRange("beta", HyperparameterRangeKind.values, values=(0.0, 0.3)),
        HyperparameterRange("lr", HyperparameterRangeKind.loguniform, 1e-3, 1e-1),
        LRSchedule.linear,
    ),
    "budget": Budget(max_env_steps=700),
}


def same_training(driven: Driven, naive: Naive, updates: int) -> None:
    """Weights after every update, episodes, and lags."""
    assert len(driven.weights) == len(naive.weights) == updates + 1
    for update, (ours, theirs) in enumerate(zip(driven.weights, naive.weights, strict=True)):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=FLOAT_DRIFT, msg=lambda text, at=update: f"update {at}: {text}")
    moved = (driven.weights[-1] - driven.weights[0]).abs().max()
    assert moved > 1e3 * FLOAT_DRIFT, "a training that goes nowhere agrees with everything"
    # Who ends first within one update is told by nobody.
    events = sorted(driven.episodes(), key=lambda event: (event.update, event.episode.worker))
    told = sorted(naive.episodes, key=lambda one: (one.update, one.worker))
    assert [
        (event.episode.worker, event.episode.length, event.episode.end, event.episode.env_seed, event.env_step, event.update)
        for event in events
    ] == [(one.worker, one.length, one.end, one.env_seed, one.env_step, one.update) for one in told]
    assert [event.episode.return_ for event in events] == pytest.approx([one.return_ for one in told], rel=1e-5)
    assert driven.kind.counts().env_steps == naive.env_steps
    histogram = driven.tally().lag_histogram
    assert {lag: int(histogram[lag]) for lag in histogram.nonzero()[0]} == Counter(naive.lags)


def asynchronous(
    task: TrainingSetup,
    env_id: str,
    updates: int,
    make_optimizer: MakeOptimizer = ADAM,
    speeds: str = "equal",
    order: str = "shuffled",
    lag: int | Sequence[int] | None = None,
) -> NaiveA3C:
    """Train both, compare, and hand the naive one over for a closer look."""
    turns: Any = RoundRobinSchedule(task.seed, task.workers, order)
    if speeds != "equal":
        turns = RandomDurationSchedule(task.seed, task.workers, speeds, 0.6, 0.2)
    naive = NaiveA3C(task, env_id, make_optimizer, turns, lag)
    for _ in range(updates):
        naive.update()
    kind = Deterministic(speeds=speeds, order=order, between_workers=0.6, between_windows=0.2, lag=lag)
    driven = Driven(kind, task).step(updates).stop()
    driven.save()  # what was not handed over yet
    same_training(driven, naive, updates)
    return naive


@pytest.mark.parametrize("ends_with_episode", [True, False])
@pytest.mark.parametrize(
    ("model", "env_id"), [("separate", PENDULUM), ("shared", CARTPOLE), ("gru", CARTPOLE), ("lstm", CARTPOLE)]
)
def test_stale_gradients_are_pushed_and_weights_pulled_in_the_order_of_turns(
    model: str, env_id: str, ends_with_episode: bool
) -> None:
    task = tiny_task(model, env_id, window_ends_with_episode=ends_with_episode)
    naive = asynchronous(task, env_id, updates=40)
    assert len(naive.episodes) > 8, "ends, limits and beginnings belong to it"
    assert sum(one.end == "truncated" for one in naive.episodes) > 2


def test_two_hundred_updates_on_both_agree() -> None:
    naive = asynchronous(tiny_task("shared", workers=4, max_episode_steps=40), CARTPOLE, updates=200)
    assert {one.end for one in naive.episodes} == {"terminated", "truncated"}


@pytest.mark.parametrize("model", ["shared", "gru"])
@pytest.mark.parametrize("lag", [0, 7, (0, 5)])
def test_a_set_lag_means_weights_of_that_many_updates_before(model: str, lag: int | Sequence[int]) -> None:
    task = tiny_task(model, window_ends_with_episode=model == "gru", seed=3)
    asynchronous(task, CARTPOLE, updates=40, lag=lag)


@pytest.mark.parametrize(("speeds", "order"), [("equal", "fixed"), ("lognormal", "shuffled"), ("gamma", "shuffled")])
def test_whoever_is_fast_or_slow_pushes_what_it_lived_from_its_own_weights(speeds: str, order: str) -> None:
    task = tiny_task("shared", workers=4, window_ends_with_episode=False)
    naive = asynchronous(task, CARTPOLE, updates=40, speeds=speeds, order=order)
    if speeds != "equal":
        assert max(naive.lags) > 6, "some worker was overtaken"


@pytest.mark.parametrize("ends_with_episode", [True, False])
@pytest.mark.parametrize(("model", "env_id"), [("separate", PENDULUM), ("gru", CARTPOLE)])
def test_every_setting_of_the_learner_means_what_it_says(model: str, env_id: str, ends_with_episode: bool) -> None:
    asynchronous(tiny_task(model, env_id, window_ends_with_episode=ends_with_episode, **ALL_AT_ONCE), env_id, updates=40)


def test_a_limit_that_counts_as_an_end_is_not_bootstrapped() -> None:
    task = tiny_task("shared", bootstrap_on_truncation=False, max_episode_steps=6)
    asynchronous(task, CARTPOLE, updates=40)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (RMSprop(lr=1e-2, alpha=0.9, eps=1e-2, eps_inside_sqrt=False), partial(torch.optim.RMSprop, alpha=0.9, eps=1e-2)),
        (SGD(lr=1e-2, momentum=0.5), partial(torch.optim.SGD, momentum=0.5)),
    ],
    ids=["rmsprop", "sgd"],
)
def test_workers_share_the_state_of_any_optimiser(ours: Any, theirs: MakeOptimizer) -> None:
    asynchronous(tiny_task("shared", optimizer=ours, reward_scale=5.0), CARTPOLE, updates=40, make_optimizer=theirs)


@pytest.mark.parametrize(
    ("model", "env_id", "settings"),
    [
        ("separate", PENDULUM, {}),
        ("separate", PENDULUM, ALL_AT_ONCE),
        ("shared", CARTPOLE, {"window_ends_with_episode": False}),
        ("gru", CARTPOLE, ALL_AT_ONCE | {"window_ends_with_episode": False}),
        ("lstm", CARTPOLE, {"window_ends_with_episode": False}),
    ],
)
def test_synchronous_is_one_update_from_all_windows(model: str, env_id: str, settings: dict[str, Any]) -> None:
    if "per_worker" in settings:  # there is one update for all, so there is one rate
        settings = settings | {"per_worker": PerWorkerHyperparameters(settings["per_worker"].beta, None, LRSchedule.linear)}
    task = tiny_task(model, env_id, **settings)
    naive = NaiveA2C(task, env_id, ADAM)
    for _ in range(12):
        naive.update()
    driven = Driven(Synchronous(), task).step(12).stop()
    driven.save()
    same_training(driven, naive, updates=12)
