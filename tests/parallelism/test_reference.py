"""Every parallelism is A3C (or A2C) as the reference implementation has it: the same updates from the same random numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from a3c_exp.algorithm import reference as reference_module
from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.algorithm.per_worker import HyperparameterRange, PerWorkerHyperparameters
from a3c_exp.algorithm.schedules import Schedule
from a3c_exp.config.budget import Budget
from a3c_exp.config.enums import HyperparameterRangeKind, Reduction, ValueLoss
from a3c_exp.envs.classic_control import ClassicControlEnvs
from a3c_exp.optimizers.rmsprop import RMSprop
from a3c_exp.optimizers.sgd import SGD
from a3c_exp.parallelism import worker_group
from a3c_exp.parallelism.base import EpisodeEvent, TrainingSetup
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.deterministic.worker_schedule import RandomDurationSchedule, RoundRobinSchedule
from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.parallelism.parameter_server.strategy import ParameterServer
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from tests.support.driving import Training, initial
from tests.support.reference_training import ADAM, MakeOptimizer, ReferenceTraining
from tests.support.single_process import FALLING, Driven, tiny_task
from tests.support.walker import Walker

CARTPOLE, PENDULUM = "CartPole-v1", "Pendulum-v1"
FLOAT_DRIFT = 3e-6
"""Measured: 3e-7 after 200 updates, none of which is smaller than 1e-3."""

CONSTANT = Schedule("lr_schedule")
ALL_AT_ONCE: dict[str, Any] = {
    "max_grad_norm": 0.5,
    "reward_shift": 0.5,
    "reward_scale": 2.0,
    "reward_clip": 0.7,
    "gamma": 0.9,
    "gae_lambda": 0.8,
    "loss": LossConfig(0.7, 0.05, ValueLoss.huber, Reduction.sum, Reduction.mean, Reduction.sum),
    "per_worker": PerWorkerHyperparameters(
        HyperparameterRange("beta", HyperparameterRangeKind.values, values=(0.0, 0.3)),
        HyperparameterRange("lr", HyperparameterRangeKind.loguniform, 1e-3, 1e-1),
    ),
    "schedules": FALLING,
    "budget": Budget(max_env_steps=700),
}


def assert_same_training(driven: Driven, reference: ReferenceTraining, updates: int) -> None:
    """Weights after every update, episodes, and lags."""
    assert len(driven.weights) == len(reference.weights) == updates + 1
    for update, (ours, theirs) in enumerate(zip(driven.weights, reference.weights, strict=True)):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=FLOAT_DRIFT, msg=lambda text, at=update: f"update {at}: {text}")
    change = (driven.weights[-1] - driven.weights[0]).abs().max()
    assert change > 1e3 * FLOAT_DRIFT, "a training that changes nothing agrees with everything"
    assert_same_episodes(driven.episodes(), reference)
    assert driven.kind.counts().env_steps == reference.a3c.env_steps
    histogram = driven.stats().lag_histogram
    assert {lag: int(histogram[lag]) for lag in histogram.nonzero()[0]} == Counter(reference.lags)


def assert_same_episodes(events: Iterable[EpisodeEvent], reference: ReferenceTraining) -> None:
    # The order of episodes that end within one update is not defined.
    events = sorted(events, key=lambda event: (event.update, event.episode.worker))
    expected = sorted(reference.episodes, key=lambda episode: (episode.update, episode.worker))
    assert [
        (event.episode.worker, event.episode.length, event.episode.end, event.episode.env_seed, event.env_step, event.update)
        for event in events
    ] == [
        (episode.worker, episode.length, episode.end, episode.env_seed, episode.env_step, episode.update)
        for episode in expected
    ]
    assert [event.episode.return_ for event in events] == pytest.approx([episode.return_ for episode in expected], rel=1e-5)


def asynchronous(
    setup: TrainingSetup,
    env_id: str,
    updates: int,
    make_optimizer: MakeOptimizer = ADAM,
    speeds: str = "equal",
    order: str = "shuffled",
    lag: int | Sequence[int] | None = None,
) -> ReferenceTraining:
    """Train with ``Deterministic`` and with the reference, compare, and return the reference for a closer look."""
    schedule: Any = RoundRobinSchedule(setup.seed, setup.workers, order)
    if speeds != "equal":
        schedule = RandomDurationSchedule(setup.seed, setup.workers, speeds, 0.6, 0.2)
    reference = ReferenceTraining(setup, env_id, make_optimizer, schedule, lag)
    for _ in range(updates):
        reference.update()
    kind = Deterministic(speeds=speeds, order=order, between_workers=0.6, between_windows=0.2, lag=lag)
    driven = Driven(kind, setup).step(updates).stop()
    driven.save()  # events that were not handed over yet
    assert_same_training(driven, reference, updates)
    return reference


@pytest.mark.parametrize("ends_with_episode", [True, False])
@pytest.mark.parametrize(
    ("model", "env_id"), [("separate", PENDULUM), ("shared", CARTPOLE), ("gru", CARTPOLE), ("lstm", CARTPOLE)]
)
def test_stale_gradients_are_pushed_and_weights_pulled_in_the_order_of_the_schedule(
    model: str, env_id: str, ends_with_episode: bool
) -> None:
    setup = tiny_task(model, env_id, window_ends_with_episode=ends_with_episode)
    reference = asynchronous(setup, env_id, updates=40)
    assert len(reference.episodes) > 8, "terminations, time limits and resets belong to it"
    assert sum(episode.end == "truncated" for episode in reference.episodes) > 2


def test_two_hundred_updates_on_both_agree() -> None:
    reference = asynchronous(tiny_task("shared", workers=4, max_episode_steps=40), CARTPOLE, updates=200)
    assert {episode.end for episode in reference.episodes} == {"terminated", "truncated"}


@pytest.mark.parametrize("model", ["shared", "gru"])
@pytest.mark.parametrize("lag", [0, 7, (0, 5)])
def test_a_set_lag_means_weights_of_that_many_updates_before(model: str, lag: int | Sequence[int]) -> None:
    """And schedules go by what was used of the budget at that update."""
    loss, budget = LossConfig(entropy_coef=0.5), Budget(max_env_steps=150)
    scheduled = {"loss": loss, "budget": budget, "max_grad_norm": 0.5, "schedules": FALLING}
    setup = tiny_task(model, window_ends_with_episode=model == "gru", seed=3, **scheduled)
    asynchronous(setup, CARTPOLE, updates=36, lag=lag)


@pytest.mark.parametrize(("speeds", "order"), [("equal", "fixed"), ("lognormal", "shuffled"), ("gamma", "shuffled")])
def test_fast_and_slow_workers_push_gradients_of_their_own_weights(speeds: str, order: str) -> None:
    loss, budget = LossConfig(entropy_coef=0.5), Budget(max_episodes=40)
    scheduled = {"loss": loss, "budget": budget, "max_grad_norm": 0.5, "schedules": FALLING}
    setup = tiny_task("shared", workers=4, window_ends_with_episode=False, **scheduled)
    reference = asynchronous(setup, CARTPOLE, updates=40, speeds=speeds, order=order)
    if speeds != "equal":
        assert max(reference.lags) > 6, "some worker was overtaken"


@pytest.mark.parametrize("ends_with_episode", [True, False])
@pytest.mark.parametrize(("model", "env_id"), [("separate", PENDULUM), ("gru", CARTPOLE)])
def test_every_setting_of_the_learner_means_what_it_says(model: str, env_id: str, ends_with_episode: bool) -> None:
    asynchronous(tiny_task(model, env_id, window_ends_with_episode=ends_with_episode, **ALL_AT_ONCE), env_id, updates=40)


@pytest.mark.parametrize("share_weights", [False, True], ids=["each worker's window", "all workers' windows"])
def test_advantages_are_normalized_over_the_steps_of_an_update(share_weights: bool) -> None:
    """Also where an update has one step, which has no deviation, or windows that end at different steps."""
    setup = tiny_task("shared", CARTPOLE, loss=LossConfig(normalize_advantage=True), gae_lambda=0.5, max_episode_steps=6)
    if share_weights:
        synchronous(setup, CARTPOLE, updates=12)
    else:
        asynchronous(setup, CARTPOLE, updates=40)


def test_a_limit_that_counts_as_an_end_is_not_bootstrapped() -> None:
    setup = tiny_task("shared", bootstrap_on_truncation=False, max_episode_steps=6)
    asynchronous(setup, CARTPOLE, updates=40)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (RMSprop(lr=1e-2, alpha=0.9, eps=1e-2, eps_inside_sqrt=False), partial(torch.optim.RMSprop, alpha=0.9, eps=1e-2)),
        (SGD(lr=1e-2, momentum=0.5), partial(torch.optim.SGD, momentum=0.5)),
    ],
    ids=["rmsprop", "sgd"],
)
def test_workers_share_the_state_of_any_optimizer(ours: Any, theirs: MakeOptimizer) -> None:
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
        settings = settings | {"per_worker": PerWorkerHyperparameters(settings["per_worker"].beta)}
    synchronous(tiny_task(model, env_id, **settings), env_id, updates=12)


def synchronous(setup: TrainingSetup, env_id: str, updates: int) -> None:
    """Train with ``Synchronous`` and with the reference, and compare."""
    reference = ReferenceTraining(setup, env_id)
    for _ in range(updates):
        reference.synchronous_update()
    driven = Driven(Synchronous(), setup).step(updates).stop()
    driven.save()
    assert_same_training(driven, reference, updates)


@pytest.mark.parametrize(("model", "env_id"), [("shared", CARTPOLE), ("separate", PENDULUM), ("gru", CARTPOLE)])
@pytest.mark.parametrize("parallelism", [Hogwild, ParameterServer])
def test_a_worker_process_whose_workers_take_turns_is_a3c(parallelism: Any, model: str, env_id: str) -> None:
    """With one process the order of updates is defined, so hogwild and the parameter server can be compared too. What is used
    of the budget is read when a process begins its workers' windows, all at once."""
    updates = 39
    scheduled = {"max_grad_norm": 0.5, "loss": LossConfig(entropy_coef=0.5), "schedules": replace(FALLING, lr=CONSTANT)}
    setup = tiny_task(model, env_id, budget=Budget(max_updates=updates), **scheduled)
    reference = ReferenceTraining(setup, env_id, fractions_by_round=True)
    for _ in range(updates):
        reference.update()
    training = Training(parallelism(processes=1), setup, initial(setup)).finish()
    final, _ = training.parallelism.snapshot()
    torch.testing.assert_close(final.weights, reference.weights[-1], rtol=0, atol=FLOAT_DRIFT)
    assert (final.updates, final.env_steps) == (updates, reference.a3c.env_steps)
    ended = sorted((event.episode.worker, event.episode.length, event.episode.env_seed) for event in training.episodes)
    assert ended == sorted((episode.worker, episode.length, episode.env_seed) for episode in reference.episodes)
    assert len(ended) > 4, "ends and beginnings of episodes belong to it"


@pytest.mark.parametrize("synchronous", [False, True], ids=["deterministic", "synchronous"])
@pytest.mark.parametrize("ends_with_episode", [True, False])
def test_compiled_rounds_are_the_reference_to_rounding(
    synchronous: bool, ends_with_episode: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph of a compiled round, run op by op: native code of the same graph is checked against it when it is compiled."""
    monkeypatch.setattr(worker_group, "Compiler", Walker)
    updates = 30
    make_envs = partial(ClassicControlEnvs, CARTPOLE, backend="tensor")
    settings: dict[str, Any] = {"window_ends_with_episode": ends_with_episode, "make_envs": make_envs}
    settings |= {"gae_lambda": 1.0 if ends_with_episode else 0.9}
    settings |= {"max_grad_norm": 0.5, "loss": LossConfig(entropy_coef=0.5), "schedules": FALLING}
    setup = replace(tiny_task("shared", CARTPOLE, budget=Budget(max_updates=updates), **settings), compile=True)
    reference = ReferenceTraining(setup, CARTPOLE)
    for _ in range(updates):
        reference.synchronous_update() if synchronous else reference.update()
    driven = Driven(Synchronous() if synchronous else Deterministic(order="fixed"), setup).finish().stop()
    assert driven.kind.worker_group._fused_rollout is not None
    torch.testing.assert_close(driven.kind.weights(), reference.weights[-1], rtol=0, atol=20 * FLOAT_DRIFT)
    assert driven.kind.counts().env_steps == reference.a3c.env_steps
    assert_same_episodes(driven.episodes(), reference)


def test_the_reference_can_be_read_in_one_sitting() -> None:
    assert len(Path(reference_module.__file__).read_text().splitlines()) <= 150
