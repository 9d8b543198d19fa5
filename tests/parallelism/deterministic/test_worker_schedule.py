"""Whose turn it is depends on the seed alone, workers are as fast as was asked for, and a restored sequence just goes on."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.deterministic.worker_schedule import RandomDurationSchedule, RoundRobinSchedule, WorkerSchedule
from a3c_exp.system.errors import ConfigError
from tests.support.single_process import Driven, tiny_task

KINDS = [("equal", "shuffled"), ("equal", "fixed"), ("lognormal", ""), ("gamma", ""), ("uniform", "")]


def make(kind: tuple[str, str], seed: int = 0, workers: int = 5, between: float = 0.4, windows: float = 0.3) -> WorkerSchedule:
    speeds, order = kind
    if speeds == "equal":
        return RoundRobinSchedule(seed, workers, order)  # type: ignore[arg-type]
    return RandomDurationSchedule(seed, workers, speeds, between, windows)  # type: ignore[arg-type]


def taken(turns: WorkerSchedule, count: int) -> list[int]:
    workers = []
    for _ in range(count):
        workers.append(turns.peek())
        turns.advance()
    return workers


@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 5),
    before=st.integers(0, 1500),
    looks=st.integers(0, 40),
    more=st.integers(1, 60),
)
@settings(max_examples=60, deadline=None)
def test_a_restored_sequence_goes_on_as_if_it_had_never_stopped(
    kind: tuple[str, str], seed: int, before: int, looks: int, more: int
) -> None:
    whole = taken(make(kind, seed), before + more)
    turns = make(kind, seed)
    assert taken(turns, before) == whole[:before]
    turns.peek(looks)  # what was looked at ahead is no turn yet
    restored = make(kind, seed)
    restored.load_state_dict(turns.state_dict())
    assert [restored.peek(ahead) for ahead in range(more)] == whole[before:]
    assert taken(restored, more) == whole[before:] == taken(turns, more)


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_has_other_turns(kind: tuple[str, str]) -> None:
    assert taken(make(kind, 0), 60) == taken(make(kind, 0), 60) != taken(make(kind, 1), 60)


@pytest.mark.parametrize("order", ["shuffled", "fixed"])
def test_equally_fast_workers_have_one_turn_a_round(order: str) -> None:
    rounds = np.array(taken(make(("equal", order), workers=6), 6 * 200)).reshape(200, 6)
    assert (np.sort(rounds, axis=1) == np.arange(6)).all()
    distinct = len({tuple(order) for order in rounds.tolist()})
    assert distinct == 1 if order == "fixed" else distinct > 150, "720 orders are possible"


def test_every_worker_is_anywhere_in_a_shuffled_round_as_often() -> None:
    rounds = np.array(taken(make(("equal", "shuffled"), workers=4), 4 * 4000)).reshape(4000, 4)
    places = np.array([np.bincount(rounds[:, place], minlength=4) for place in range(4)])
    assert ((places - 1000) ** 2 / 1000).sum() < 33, "chi-square of 9 degrees of freedom: 33 is exceeded once in 10 000"


@pytest.mark.parametrize("speeds", ["lognormal", "gamma", "uniform"])
def test_durations_vary_as_was_asked_for(speeds: str) -> None:
    turns = RandomDurationSchedule(0, 4000, speeds, 0.5, 0.3)  # type: ignore[arg-type]
    means = turns.mean_durations
    assert means.min() > 0 and means.mean() == pytest.approx(1, abs=0.04)
    assert means.std() / means.mean() == pytest.approx(0.5, abs=0.04)
    # One worker alone ends a window whenever its own duration is over: the differences are its durations.
    alone = RandomDurationSchedule(0, 1, speeds, 0.5, 0.3)  # type: ignore[arg-type]
    ends = []
    for _ in range(4000):
        ends.append(alone.state_dict()["end_times"][0])
        alone.advance()
    durations = np.diff(ends)
    assert durations.min() > 0 and durations.mean() == pytest.approx(float(alone.mean_durations[0]), rel=0.03)
    assert durations.std() / durations.mean() == pytest.approx(0.3, abs=0.02)
    assert abs(np.corrcoef(durations[1:], durations[:-1])[0, 1]) < 0.06, "each window's luck is its own"


@pytest.mark.parametrize("speeds", ["lognormal", "gamma", "uniform"])
def test_who_is_twice_as_fast_has_twice_the_turns(speeds: str) -> None:
    turns = make((speeds, ""), seed=2, workers=6, between=0.5, windows=0.3)
    assert isinstance(turns, RandomDurationSchedule)
    count = Counter(taken(turns, 12_000))
    speed = 1 / turns.mean_durations
    expected = 12_000 * speed / speed.sum()
    assert [count[worker] for worker in range(6)] == pytest.approx(expected.tolist(), rel=0.05)


def test_no_variation_at_all_is_a_fixed_round() -> None:
    turns = make(("lognormal", ""), workers=4, between=0.0, windows=0.0)
    assert taken(turns, 12) == [0, 1, 2, 3] * 3


@pytest.mark.parametrize("kind", [("equal", "shuffled"), ("lognormal", "")])
def test_what_happens_in_windows_does_not_change_whose_turn_it_is(kind: tuple[str, str]) -> None:
    def pushes(**settings: Any) -> list[int]:
        driven = Driven(Deterministic(speeds=kind[0]), tiny_task(workers=3, **settings))  # type: ignore[arg-type]
        turns, before = [], np.zeros(3, np.int64)
        for _ in range(12):
            stats, now = driven.step().stats(), np.zeros(3, np.int64)
            now[: len(stats.worker_windows)] = stats.worker_windows
            turns.append(int((now - before).argmax()))
            before = now
        driven.stop()
        return turns

    expected = taken(make(kind, workers=3, between=0.5, windows=0.1), 12)
    assert pushes() == pushes(n_step=2, max_episode_steps=3) == expected


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"speeds": "uniform", "between_workers": 0.6}, r"parallelism.between_workers is 0.6, .* at most 0.577"),
    ],
)
def test_speeds_that_cannot_be_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Deterministic(**wrong)
    assert len(str(caught.value).splitlines()) == 1 and "Try parallelism." in str(caught.value)
