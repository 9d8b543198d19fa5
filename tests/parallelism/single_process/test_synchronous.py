"""Budgets are kept to the step, the episode and the update by the kinds that live in one process, and their end is an end."""

from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from a3c_exp.algorithm.per_worker import HyperparameterRange, PerWorkerHyperparameters
from a3c_exp.config.budget import Budget
from a3c_exp.config.enums import HyperparameterRangeKind
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from a3c_exp.system.errors import ConfigError
from tests.support.scripted import ScriptedEnvironments
from tests.support.single_process import Driven, beginnings, same_bits, tiny_task

KINDS: dict[str, Any] = {
    "synchronous": Synchronous,
    "deterministic": Deterministic,
    "lagging": partial(Deterministic, lag=3),
    "lognormal": partial(Deterministic, speeds="lognormal", between_workers=1.0),
}


class EndsBySeed(ScriptedEnvironments):
    """Episodes as long as their seed says, 1 to 9 steps; every other one is truncated by itself. Pays little."""

    def __init__(self, num_envs: int = 1) -> None:
        super().__init__(num_envs, pay=lambda seed, t: 0.01 * t)

    def reset(self, index: int, seed: int) -> None:
        self._ends[seed] = (1 + seed % 9, "truncated" if seed % 2 else "terminated")
        super().reset(index, seed)
        self.observation[index, 0] = 0.1  # a seed is too large a number to learn from

    def step(self, action: Any, active: Any) -> bool:
        any_end = super().step(action, active)
        self.observation[active, 0] = 0.1
        return any_end


budgets = st.builds(
    Budget,
    max_episodes=st.none() | st.integers(1, 12),
    max_env_steps=st.none() | st.integers(1, 70),
    max_updates=st.none() | st.integers(1, 12),
)


@given(
    kind=st.sampled_from(sorted(KINDS)),
    budget=budgets,
    workers=st.integers(1, 4),
    n_step=st.integers(1, 5),
    ends_with_episode=st.booleans(),
    limit=st.none() | st.integers(1, 8),
    seed=st.integers(0, 3),
    saved_after=st.integers(0, 6),
)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_budgets_are_kept_exactly_and_end(
    kind: str,
    budget: Budget,
    workers: int,
    n_step: int,
    ends_with_episode: bool,
    limit: int | None,
    seed: int,
    saved_after: int,
) -> None:
    assume(budget != Budget())
    task = tiny_task(
        "loose",
        workers=workers,
        budget=budget,
        n_step=n_step,
        window_ends_with_episode=ends_with_episode,
        max_episode_steps=limit,
        seed=seed,
        make_envs=EndsBySeed,
    )
    driven = Driven(KINDS[kind](), task).finish(timeout=0.002 if saved_after else 0.1).stop()
    (state,) = driven.save()
    counts = driven.kind.counts()
    for used, most in (
        (counts.env_steps, budget.max_env_steps),
        (counts.updates, budget.max_updates),
        (counts.episodes, budget.max_episodes),
    ):
        assert most is None or used <= most
    assert budget.fraction(counts.episodes, counts.env_steps, counts.updates) == 1.0
    assert (state.env_steps, state.updates, state.episodes) == (counts.env_steps, counts.updates, counts.episodes)

    episodes = [event.episode for event in driven.episodes()]
    assert len(episodes) == counts.episodes
    assert [event.env_step for event in driven.episodes()] == sorted(event.env_step for event in driven.episodes())
    if budget.max_episodes is not None:
        assert int(state.episodes_begun.sum()) <= budget.max_episodes, "more episodes were begun than there are tickets"
    for episode in episodes:
        own = 1 + episode.env_seed % 9
        assert episode.length == (own if limit is None else min(own, limit))
        is_truncated = own > episode.length or episode.env_seed % 2
        assert episode.end == ("truncated" if is_truncated else "terminated")
        assert episode.return_ == pytest.approx(0.01 * episode.length * (episode.length + 1) / 2)
    stats = driven.stats()
    assert stats.worker_steps.sum() == counts.env_steps and stats.windows == counts.updates

    # A resume from anywhere keeps the budget just as well, and comes to the same end.
    again = Driven(KINDS[kind](), task)
    while again.kind.counts().updates < min(saved_after, counts.updates):
        again.step()
    saved = again.stop().save()
    if again.spent():
        return
    resumed = Driven(KINDS[kind](), task, saved).finish().stop()
    resumed.save()
    assert resumed.kind.counts() == counts
    assert same_bits(resumed.kind.weights(), driven.kind.weights())
    assert again.episodes() + resumed.episodes() == driven.episodes()


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("ends_with_episode", [True, False])
def test_a_run_of_n_updates_is_the_beginning_of_one_of_twice_as_many(kind: str, ends_with_episode: bool) -> None:
    def driven(updates: int) -> Driven:
        task = tiny_task("loose", budget=Budget(max_updates=updates), window_ends_with_episode=ends_with_episode)
        return Driven(KINDS[kind](), task)

    short, long = driven(15).finish().stop(), driven(30).step(15)
    (short_state,), (long_state,) = short.save(), long.save()
    assert same_bits(short_state.weights, long_state.weights)
    assert same_bits(short_state.optimizer_state, long_state.optimizer_state)
    assert short.episodes() == long.episodes() and short.kind.counts() == long.kind.counts()
    # What goes on from the short one's end is the long one.
    longer = tiny_task("loose", budget=Budget(max_updates=30), window_ends_with_episode=ends_with_episode)
    resumed = Driven(KINDS[kind](), longer, [short_state]).finish().stop()
    long.finish().stop()
    assert same_bits(resumed.kind.weights(), long.kind.weights())
    for training in (resumed, long):
        training.save()
    assert short.episodes() + resumed.episodes() == long.episodes()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_how_long_the_trainer_waits_changes_nothing(kind: str) -> None:
    def weights(timeout: float) -> torch.Tensor:
        task = tiny_task("loose", budget=Budget(max_env_steps=150))
        return Driven(KINDS[kind](), task).finish(timeout).stop().kind.weights()

    assert same_bits(weights(0.002), weights(10.0))


def test_a_checkpoint_of_another_kind_is_refused() -> None:
    task = tiny_task()
    saved = Driven(Synchronous(), task).step(2).stop().save()
    with pytest.raises(ConfigError, match="this checkpoint is of another parallelism"):
        Driven(Deterministic(), task, saved)
    assert beginnings(task)[0].parallelism_state == {}


def test_workers_that_push_together_have_no_rates_of_their_own() -> None:
    own = PerWorkerHyperparameters(lr=HyperparameterRange("lr", HyperparameterRangeKind.values, values=(0.1, 0.2)))
    with pytest.raises(ConfigError, match=r"per_worker.lr gives each worker a learning rate of its own") as caught:
        Synchronous().check(tiny_task(per_worker=own))
    assert len(str(caught.value).splitlines()) == 1 and "Try per_worker.lr.kind=none" in str(caught.value)
    Synchronous().check(
        tiny_task(
            per_worker=PerWorkerHyperparameters(
                beta=HyperparameterRange("beta", HyperparameterRangeKind.values, values=(0.1, 0.2))
            )
        )
    )


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_more_processes_than_environments_are_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"env_processes is 9, but there are only 6 .* Try parallelism.env_processes=6"):
        KINDS[kind](env_processes=9).check(tiny_task(workers=3, num_seeds=2))
