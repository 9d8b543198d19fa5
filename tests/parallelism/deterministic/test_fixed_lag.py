"""The policy lag is what the schedule makes it, or exactly what was set, and the histogram counts every push."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from a3c_exp.config.budget import Budget
from a3c_exp.parallelism.deterministic.fixed_lag import LagSchedule, WeightHistory
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.system.errors import ConfigError
from tests.support.single_process import Driven, tiny_task


def histogram(kind: Deterministic, workers: int, updates: int, **settings: object) -> dict[int, int]:
    """Pushes at each lag."""
    task = tiny_task(workers=workers, budget=Budget(max_updates=updates), n_step=1, max_episode_steps=20, **settings)
    driven = Driven(kind, task).finish().stop()
    driven.save()
    counted = driven.stats().lag_histogram
    assert counted.sum() == updates == driven.kind.counts().updates
    return {int(lag): int(counted[lag]) for lag in counted.nonzero()[0]}


def test_workers_in_a_fixed_order_are_n_minus_1_updates_behind() -> None:
    expected = {0: 1, 1: 1, 2: 1, 3: 1, 4: 96}  # nobody can be that far behind in the first round
    assert histogram(Deterministic(order="fixed"), workers=5, updates=100) == expected


def test_one_worker_alone_is_never_behind() -> None:
    assert histogram(Deterministic(), workers=1, updates=20) == {0: 20}


def test_in_shuffled_order_n_minus_1_is_the_mean() -> None:
    lags = histogram(Deterministic(), workers=4, updates=1200)
    assert min(lags) == 0 and max(lags) == 6, "first of one round after last of the one before, and the reverse"
    assert sum(lag * count for lag, count in lags.items()) / 1200 == pytest.approx(3, abs=0.02)
    # From place i of a round to place j of the next one lie 3 - i + j other pushes: 1, 2, 3, 4, 3, 2, 1 in 16.
    shares = np.array([1, 2, 3, 4, 3, 2, 1]) / 16
    counts = np.array([lags.get(lag, 0) for lag in range(7)])
    assert ((counts - 1200 * shares) ** 2 / (1200 * shares)).sum() < 28, "chi-square of 6: 28 is exceeded once in 10 000"


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("lag", [0, 1, 5, 11])
def test_a_lag_that_is_set_is_every_pushs_own(workers: int, lag: int) -> None:
    lags = histogram(Deterministic(lag=lag), workers=workers, updates=60)
    assert lags == {**dict.fromkeys(range(lag), 1), lag: 60 - lag}


@pytest.mark.parametrize("workers", [1, 4])
def test_a_lag_that_is_drawn_is_even_between_its_bounds(workers: int) -> None:
    lags = histogram(Deterministic(lag=[2, 6]), workers=workers, updates=500)
    assert set(lags) <= set(range(7))
    counts = np.array([lags[lag] for lag in range(2, 7)])
    assert ((counts - 100) ** 2 / 100).sum() < 23.5, "chi-square of 4 degrees of freedom: 23.5 is exceeded once in 10 000"


@pytest.mark.parametrize("ends_with_episode", [True, False])
@pytest.mark.parametrize("lag", [3, (0, 6)])
def test_a_set_lag_is_kept_to_the_end_of_a_budget_of_episodes(lag: int | Sequence[int], ends_with_episode: bool) -> None:
    # At the end most workers have no episode left to begin; their turns pass without an update.
    for seed in range(4):
        budget = Budget(max_episodes=9)
        task = tiny_task(workers=4, budget=budget, n_step=2, window_ends_with_episode=ends_with_episode, seed=seed)
        driven = Driven(Deterministic(lag=lag), task).finish().stop()
        driven.save()
        updates, lags = driven.kind.counts().updates, LagSchedule(lag)
        expected = np.bincount([min(update, lags.lag_at(seed, update)) for update in range(updates)], minlength=7)
        assert driven.stats().lag_histogram[:7].tolist() == expected.tolist()


def test_who_is_slow_is_far_behind() -> None:
    kind = Deterministic(speeds="lognormal", between_workers=0.8)
    task = tiny_task(workers=4, budget=Budget(max_updates=300), n_step=1)
    driven = Driven(kind, task).finish().stop()
    driven.save()
    durations = kind.summary()["mean_durations"]
    windows = driven.stats().worker_windows
    assert windows.sum() == 300
    assert np.argsort(durations).tolist() == np.argsort(-windows).tolist()
    assert driven.stats().lag_max > 3


def test_lags_hang_on_seed_and_update_alone() -> None:
    one, other = LagSchedule([0, 9]), LagSchedule([0, 9])
    forwards = [one.lag_at(0, update) for update in range(600)]
    assert [other.lag_at(0, update) for update in reversed(range(600))] == forwards[::-1]
    assert [LagSchedule([0, 9]).lag_at(1, update) for update in range(600)] != forwards


@given(most=st.integers(0, 9), first=st.integers(1, 12), news=st.lists(st.integers(1, 90), max_size=12))
def test_weights_of_the_past_are_those_of_their_update(most: int, first: int, news: list[int]) -> None:
    """Against a list that forgets nothing; each version's weights are its number."""
    versions = torch.arange(first + sum(news), dtype=torch.float32).unsqueeze(1).repeat(1, 2)
    shares = np.arange(len(versions)) / 10
    past = WeightHistory(most, list(versions[:first]), first - 1, shares[:first].tolist())
    known = first
    for count in [0, *news]:
        past.append(versions[known : known + count], shares[known : known + count])
        known += count
        oldest = max(0, known - 1 - most)
        assert (past.newest, past.oldest) == (known - 1, oldest)
        numbers = np.arange(oldest, known)
        assert past.at(numbers)[:, 0].tolist() == numbers.tolist()
        assert past.fractions_at(numbers).tolist() == shares[numbers].tolist()
        again = WeightHistory(most, past.versions(), past.newest, past.fractions())
        assert again.fractions_at(numbers).tolist() == shares[numbers].tolist()
        assert again.at(numbers).tolist() == past.at(numbers).tolist()


@pytest.mark.parametrize("wrong", [-1, [3, 1], [1, 2, 3], [-1, 4], [], 10_001])
def test_a_lag_that_cannot_be_is_refused(wrong: int | Sequence[int]) -> None:
    with pytest.raises(ConfigError, match=r"Try parallelism.lag=11") as caught:
        Deterministic(lag=wrong)
    assert len(str(caught.value).splitlines()) == 1
