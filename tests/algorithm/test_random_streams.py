"""Streams that differ where they must, repeat where they must, and depend on nothing else."""

import itertools

import numpy as np

from a3c_exp.algorithm.random_streams import StreamPurpose, env_seed, random_stream

DRAWS = 4


def start(seed: int, purpose: StreamPurpose, worker: int, counter: int) -> tuple[int, ...]:
    return tuple(random_stream(seed, purpose, worker, counter).integers(2**62, size=DRAWS).tolist())


def test_streams_of_other_seeds_purposes_workers_and_counts_share_no_number() -> None:
    """2880 streams of four 62-bit numbers each: by chance, none meet in 10^10 such tests."""
    names = list(itertools.product(range(4), StreamPurpose, range(12), [0, 1, 2, 3, 63, 64, 2**32, 2**32 + 1, 2**40, 2**63]))
    numbers = [number for name in names for number in start(*name)]
    assert len(set(numbers)) == len(numbers)


def test_equal_names_give_equal_streams_whatever_was_drawn_between() -> None:
    first = start(3, StreamPurpose.action, 5, 7)
    random_stream(3, StreamPurpose.action, 5, 7).random(1000)
    np.random.default_rng().random(10)
    assert start(3, StreamPurpose.action, 5, 7) == first


def test_a_stream_does_not_run_into_the_next_count() -> None:
    """However long a round's draws are, the next round's begin elsewhere."""
    long = set(random_stream(1, StreamPurpose.action, 2, 10).integers(2**62, size=50_000).tolist())
    assert not long & set(start(1, StreamPurpose.action, 2, 11))


def test_the_streams_of_a_run_are_those_of_yesterday() -> None:
    """These numbers are in every run directory's word to be reproducible: a change here breaks them all."""
    assert start(0, StreamPurpose.action, 3, 7)[:2] == (209644464831604656, 2699091588100808950)
    assert [env_seed(0, 0, 0), env_seed(1, 2, 3)] == [7884072473869922, 123228540940035]
    assert env_seed(0, 0, 0, StreamPurpose.evaluation) == 3079541159265485
    assert {purpose.name: purpose.value for purpose in list(StreamPurpose)[:6]} == {
        "network": 0,
        "environment": 1,
        "action": 2,
        "evaluation": 3,
        "evaluation_action": 4,
        "schedule": 5,
    }


def test_no_two_episodes_of_a_run_have_the_same_seed() -> None:
    """A run of the report's size: 12 workers, 1000 episodes in all, however they are shared out."""
    for seed in range(3):
        seeds = [env_seed(seed, worker, episode) for worker in range(12) for episode in range(250)]
        assert len(set(seeds)) == len(seeds)
        assert all(type(seed) is int and 0 <= seed < 2**53 for seed in seeds)


def test_evaluation_episodes_are_not_those_of_training() -> None:
    for seed in range(3):
        training = {env_seed(seed, worker, episode) for worker in range(12) for episode in range(250)}
        evaluation = {env_seed(seed, 0, episode, StreamPurpose.evaluation) for episode in range(100)}
        assert len(evaluation) == 100
        assert not training & evaluation


def test_another_root_seed_is_another_run() -> None:
    one, other = ({env_seed(seed, worker, episode) for worker in range(4) for episode in range(100)} for seed in (0, 1))
    assert not one & other


def test_seeds_look_uniform() -> None:
    seeds = np.array([env_seed(0, worker, episode) for worker in range(10) for episode in range(200)]) / 2**53
    counts = np.histogram(seeds, bins=10, range=(0.0, 1.0))[0]
    assert ((counts - 200) ** 2 / 200).sum() < 27.9  # chi-square, nine degrees of freedom, one in a thousand
