"""Asynchronous workers in real processes: each is itself, also in a process with others, and the budget is kept exactly."""

import json
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from a3c_exp.algorithm.random_streams import env_seed
from a3c_exp.algorithm.types import LearnerConfig, TrainingState
from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.config.budget import Budget
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.optimizers.adam import Adam
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.system.errors import ConfigError
from tests.support.driving import Training, initial, small_task
from tests.support.faulty import Gathering, Tick, WatchedEnvironments

STAT = StatisticsTable().columns


def watched(folder: Path) -> list[dict[str, Any]]:
    """What all processes wrote down at the beginning of their episodes."""
    return [json.loads(line) for file in folder.glob("process_*.jsonl") for line in file.read_text().splitlines()]


def test_workers_that_share_processes_unevenly_are_not_copies_of_each_other(tmp_path: Path) -> None:
    task = TrainingSetup(
        partial(WatchedEnvironments, "Pendulum-v1", tmp_path, Gathering(tmp_path, 2)),
        partial(SeparateMLP),
        Adam(1e-4, (0.96, 0.999)),
        LearnerConfig(gamma=0.9, n_step=5),
        workers=5,
        budget=Budget(max_episodes=20),
        max_episode_steps=20,
        seed=7,
    )
    state = initial(task)
    training = Training(Hogwild(processes=2), task, state).finish()

    # Twenty episodes of twenty steps in windows of five, and not one more or less.
    counts = training.parallelism.counts()
    assert (counts.episodes, counts.env_steps, counts.updates) == (20, 400, 80)
    assert len(training.episodes) == 20
    assert {event.episode.length for event in training.episodes} == {20}
    assert {event.episode.end for event in training.episodes} == {"truncated"}
    assert training.stats.windows == 80
    assert training.stats.sums[STAT["steps"]] == 400

    # Every worker plays its own seeds, one after the other, and nobody plays another's.
    begun = training.parallelism.snapshot()[0].episodes_begun
    assert begun.sum() == 20
    assert begun.min() >= 1
    seeds = {env_seed(7, worker, n): worker for worker in range(5) for n in range(int(begun[worker]))}
    assert {event.episode.env_seed: event.episode.worker for event in training.episodes} == seeds
    assert len(seeds) == 20

    lines = watched(tmp_path)
    assert Counter(line["seed"] for line in lines) == Counter(list(seeds))
    first = {seeds[line["seed"]]: line for line in lines if line["seed"] in {env_seed(7, w, 0) for w in range(5)}}
    assert sorted(first) == [0, 1, 2, 3, 4]
    assert len({tuple(line["observation"]) for line in first.values()}) == 5, "two workers began in the same state"
    assert len({tuple(line["action"]) for line in first.values()}) == 5, "two workers acted alike"
    by_process = Counter(line["process"] for line in first.values())
    assert sorted(by_process.values()) == [2, 3]

    assert {line["torch_threads"] for line in lines} == {1}
    assert {line["threads"] for line in lines} == {2}, (
        "a process has threads that fight over the cores, besides the one of heartbeats"
    )

    final, _ = training.parallelism.snapshot()
    assert torch.isfinite(final.weights).all()
    assert not torch.equal(final.weights, state.weights)
    assert (final.updates, final.env_steps, final.episodes) == (80, 400, 20)


def test_a_process_for_every_worker_under_a_lock_ends_with_a_state_to_go_on_from(tmp_path: Path) -> None:
    task = TrainingSetup(
        partial(WatchedEnvironments, "CartPole-v1", tmp_path, Gathering(tmp_path, 3)),
        partial(SeparateMLP),
        Adam(1e-3),
        LearnerConfig(n_step=5),
        workers=3,
        budget=Budget(max_env_steps=607),
        max_episode_steps=None,
        seed=3,
    )
    training = Training(Hogwild(processes=3, lock=True), task, initial(task)).finish()
    counts = training.parallelism.counts()
    assert counts.env_steps == 607
    assert training.stats.sums[STAT["steps"]] == 607
    assert training.stats.windows == counts.updates
    assert len({line["process"] for line in watched(tmp_path)}) == 3
    figures = training.parallelism.summary()
    assert (figures["processes"], figures["lock"], figures["deaths"]) == (3, True, [])
    # Both are asked for after the end, when there is no lock any more.
    state, _ = training.parallelism.snapshot()
    assert torch.equal(training.parallelism.weights(), state.weights)

    again = Training(Hogwild(processes=3, lock=True), replace(task, budget=Budget(max_env_steps=700)), state)
    again.finish()
    after, _ = again.parallelism.snapshot()
    assert after.env_steps == 700
    assert again.stats.sums[STAT["steps"]] == 93, "what earlier sessions did is not done again"
    assert after.updates == state.updates + again.stats.windows
    assert (after.rounds >= state.rounds).all()
    seeds = [event.episode.env_seed for event in training.episodes + again.episodes]
    assert len(set(seeds)) == len(seeds), "a resumed worker played an episode again"


def test_spawned_processes_work_as_forkserver_ones(tmp_path: Path) -> None:
    task = TrainingSetup(
        partial(WatchedEnvironments, "Pendulum-v1", tmp_path),
        partial(SeparateMLP),
        Adam(1e-4),
        LearnerConfig(n_step=5),
        workers=2,
        budget=Budget(max_episodes=4),
        max_episode_steps=10,
        seed=1,
    )
    training = Training(Hogwild(processes=1, start_method="spawn"), task, initial(task)).finish()
    assert len(training.episodes) == 4
    assert {(line["torch_threads"], line["threads"]) for line in watched(tmp_path)} == {(1, 2)}, "one sends heartbeats"


def test_the_policy_lag_of_workers_in_one_process_is_how_many_others_there_are() -> None:
    task = small_task(Budget(max_env_steps=4 * 5 * 30), workers=4, lengths=(5,))
    training = Training(Hogwild(processes=1), task).finish()
    # At first all pull the same weights; from then on the other three push between a worker's pull and its push.
    assert training.stats.lag_histogram[:5].tolist() == [1, 1, 1, 117, 0]
    assert training.stats.lag_max == 3
    assert torch.equal(training.parallelism.weights(), torch.full_like(training.state.weights, 120 * Tick.lr))


@pytest.mark.parametrize("lengths", [(1,), (3, 1, 11)])
def test_a_budget_of_episodes_is_not_approximate(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    budget = Budget(max_episodes=41)
    task = small_task(budget, workers=3, lengths=lengths, gathering=Gathering(tmp_path, 2))
    training = Training(Hogwild(processes=2), task).finish()
    assert len(training.episodes) == training.parallelism.counts().episodes == 41
    steps = sum(event.episode.length for event in training.episodes)
    assert training.parallelism.counts().env_steps == steps == training.stats.sums[STAT["steps"]]


def test_the_last_steps_of_a_budget_are_not_kept_for_a_worker_that_may_not_play(tmp_path: Path) -> None:
    # Both episodes are begun; worker 0's ends at once and it gets no other; worker 1's outlasts the budget of steps.
    task = small_task(Budget(max_episodes=2, max_env_steps=23), workers=2, lengths=(2, 1000))
    training = Training(Hogwild(processes=1), task).finish()
    assert training.parallelism.counts().env_steps == 23
    assert [event.episode.length for event in training.episodes] == [2]


def test_a_resumed_run_counts_from_where_it_stood() -> None:
    task = small_task(Budget(max_episodes=12), workers=2, lengths=(5,))
    _, layout = task.model(task.make_envs(num_envs=1))
    weights = torch.full((layout.size,), 100 * Tick.lr)
    state = TrainingState(weights, torch.full((1, layout.size), 100.0), 100, 50, 9, np.array([60, 40]), np.array([7, 4]))
    training = Training(Hogwild(processes=1), task, state).finish()
    after, _ = training.parallelism.snapshot()
    assert len(training.episodes) == 3
    assert (after.updates, after.env_steps, after.episodes) == (103, 65, 12)
    assert torch.equal(after.weights, torch.full_like(weights, 103 * Tick.lr))
    assert torch.equal(after.optimizer_state, torch.full_like(after.optimizer_state, 103.0))
    assert training.stats.lag_max <= 1, "updates of an earlier session are no lag"
    played = {event.episode.env_seed for event in training.episodes}
    assert played < {env_seed(0, 0, 7), env_seed(0, 0, 8), env_seed(0, 1, 4), env_seed(0, 1, 5)}


def test_a_start_method_that_forks_after_torch_has_run_is_refused() -> None:
    task = small_task(Budget(max_episodes=1), workers=1)
    hogwild = Hogwild(start_method="fork")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="forkserver or spawn"):
        hogwild.start(task, [initial(task)])


def test_more_processes_than_workers_are_not_started() -> None:
    task = small_task(Budget(max_episodes=2), workers=1)
    training = Training(Hogwild(processes=8), task).finish()
    assert training.parallelism.summary()["processes"] == 1
    assert len(training.pids) == 1
