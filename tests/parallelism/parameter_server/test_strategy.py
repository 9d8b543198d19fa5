"""Trainings with a parameter server, in real processes: exact budgets, nothing lost at the end, resets, deaths, checkpoints."""

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
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.models.recurrent_mlp import RecurrentMLP
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.optimizers.adam import Adam
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.parallelism.parameter_server.strategy import ParameterServer
from a3c_exp.system.errors import ConfigError, NonFiniteError
from tests.support.driving import ENDLESS, Training, initial, small_task
from tests.support.faulty import Faults, Gathering, Tick, ticked

STAT = StatisticsTable().columns


@pytest.mark.parametrize(
    ("id", "model", "limit"),
    [("Pendulum-v1", SeparateMLP, 20), ("CartPole-v1", partial(RecurrentMLP, hidden=(16,), hidden_size=16), None)],
    ids=["continuous", "recurrent"],
)
def test_any_task_and_model_is_trained_within_its_budget(id: str, model: Any, limit: int | None) -> None:
    task = TrainingSetup(
        partial(GymnasiumEnvs, id), model, Adam(1e-3), LearnerConfig(n_step=5), 3, Budget(max_env_steps=607), limit, 3
    )
    state = initial(task)
    training = Training(ParameterServer(processes=2), task, state).finish()
    final, _ = training.parallelism.snapshot()
    assert final.env_steps == 607
    assert training.stats.sums[STAT["steps"]] == 607, "steps that were learned from"
    assert training.stats.windows == final.updates > 120
    assert torch.isfinite(final.weights).all()
    assert not torch.equal(final.weights, state.weights)
    assert final.optimizer_state.any()
    figures = training.parallelism.summary()
    assert (figures["processes"], figures["applied"]) == (2, final.updates)
    assert [figures[key] for key in ("dropped", "downweighted", "unapplied", "unlogged", "resets", "restarts")] == [0] * 6
    assert 1 <= figures["max_queue_length"] <= 3

    again = Training(ParameterServer(processes=1), replace(task, budget=Budget(max_env_steps=700)), final).finish()
    after, _ = again.parallelism.snapshot()
    assert after.env_steps == 700
    assert again.stats.sums[STAT["steps"]] == 93, "what earlier sessions did is not done again"
    assert after.updates == final.updates + again.stats.windows
    # More than the two others, where a worker waits a round at the end for what is left of the budget.
    assert again.stats.lag_max < 10, "updates of an earlier session are no lag"
    seeds = [event.episode.env_seed for event in training.episodes + again.episodes]
    assert len(set(seeds)) == len(seeds), "a resumed worker played an episode again"


@pytest.mark.parametrize("lengths", [(1,), (3, 1, 11)])
def test_a_budget_of_episodes_is_exact(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    task = small_task(Budget(max_episodes=41), workers=3, lengths=lengths, gathering=Gathering(tmp_path, 2))
    training = Training(ParameterServer(processes=2), task).finish()
    assert len(training.episodes) == training.parallelism.counts().episodes == 41
    steps = sum(event.episode.length for event in training.episodes)
    assert training.parallelism.counts().env_steps == steps == training.stats.sums[STAT["steps"]]


@pytest.mark.parametrize("kind", [ParameterServer, Hogwild])
def test_a_budget_of_updates_is_exact_and_every_window_within_it_is_learned_from(tmp_path: Path, kind: Any) -> None:
    task = small_task(Budget(max_updates=37), workers=5, lengths=(5,), gathering=Gathering(tmp_path, 2))
    training = Training(kind(processes=2), task).finish()
    final, _ = training.parallelism.snapshot()
    assert (final.updates, final.env_steps, len(training.episodes)) == (37, 185, 37)
    assert kind is Hogwild or ticked(final)


def test_the_policy_lag_is_how_many_others_were_applied_between_an_answer_and_the_next_report() -> None:
    task = small_task(Budget(max_env_steps=4 * 5 * 30), workers=4, lengths=(5,))
    training = Training(ParameterServer(processes=1), task).finish()
    assert training.stats.lag_histogram[:5].tolist() == [1, 1, 1, 117, 0]
    assert ticked(training.parallelism.snapshot()[0])


def test_dropped_gradients_are_no_updates_but_their_steps_count() -> None:
    task = small_task(Budget(max_env_steps=4 * 5 * 30), workers=4, lengths=(5,))
    training = Training(ParameterServer(processes=1, max_lag=2), task).finish()
    # Of each round's four gradients one comes last and too late.
    final, _ = training.parallelism.snapshot()
    figures = training.parallelism.summary()
    assert (final.env_steps, final.updates, figures["applied"], figures["dropped"]) == (600, 90, 90, 30)
    assert ticked(final)
    stats = training.stats
    assert (stats.windows, stats.dropped, stats.lag_max) == (90, 30, 2)
    assert len(training.episodes) == 120


def test_downweighted_gradients_are_updates_of_their_own() -> None:
    task = small_task(Budget(max_updates=100), workers=4, lengths=(5,))
    training = Training(ParameterServer(processes=1, max_lag=2, on_stale="downweight"), task).finish()
    figures = training.parallelism.summary()
    # All but the last worker's first, and the first three workers' first, have a lag of 3.
    assert (figures["applied"], figures["dropped"], figures["downweighted"]) == (100, 0, 97)
    assert training.stats.downweighted == 97


def test_everything_reported_before_the_end_is_applied() -> None:
    training = Training(ParameterServer(processes=2), small_task(ENDLESS, workers=6, lengths=(5,)))
    with training:
        training.until(lambda: training.parallelism.counts().updates > 30, "work")
    final, _ = training.parallelism.snapshot()
    assert training.parallelism.summary()["unapplied"] == 0
    assert ticked(final)
    assert final.env_steps == 5 * final.updates == training.stats.sums[STAT["steps"]]
    # Each window was one episode, and not one of them was left behind in a slot or a pipe.
    assert len(training.episodes) == final.updates == int(final.rounds.sum())


def test_a_live_checkpoint_stands_between_two_updates() -> None:
    training = Training(ParameterServer(processes=2), small_task(ENDLESS, workers=4, lengths=(5,)))
    with training:
        training.until(lambda: training.stats.windows > 20, "work")
        last = 0
        for _ in range(20):
            state, events = training.parallelism.snapshot()
            training.events += events
            assert ticked(state)
            assert state.env_steps == 5 * state.updates, "the counters are not of the same moment as the weights"
            assert state.episodes == len(training.episodes), "the log and the state do not stand at the same place"
            assert state.episodes == state.updates, "an episode is not in the state that has its window, or the other way round"
            assert state.updates >= last
            last = state.updates
            weights = training.parallelism.weights()
            assert torch.equal(weights, weights[0].expand_as(weights)), "half an update"
        training.until(lambda: training.parallelism.counts().updates > last + 20, "work after the checkpoints")
        assert training.notices == []


def test_workers_whose_policy_is_too_old_begin_anew() -> None:
    server = ParameterServer(processes=1, reset_after_lag=2)
    training = Training(server, small_task(ENDLESS, workers=4, lengths=(10**9,)))
    with training:
        training.until(lambda: len(training.episodes) > 20, "resets")
    # In one process the steady lag is 3, which is too much for everyone, always.
    assert {event.episode.length for event in training.episodes} == {5, 10}
    assert {event.episode.end for event in training.episodes} == {"truncated"}
    assert server.summary()["resets"] == len(training.episodes)


def test_a_value_that_is_not_finite_does_not_reach_the_server(tmp_path: Path) -> None:
    faults = Faults(("nan",), tmp_path, at_step=6)
    task = small_task(ENDLESS, workers=3, lengths=(50,), faults=faults)
    training = Training(ParameterServer(processes=1), task)
    with training, pytest.raises(NonFiniteError, match=r"worker 2 .* in its window 1"):
        training.until(lambda: False)
    final, _ = training.parallelism.snapshot()
    assert final.updates == 2, "the other two workers' windows were sound"
    assert ticked(final)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"max_lag": 0, "on_stale": "downweight"}, "would multiply every stale gradient by 0"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ParameterServer(**arguments)


def test_seeds_side_by_side_are_refused_by_name() -> None:
    task = replace(small_task(ENDLESS, workers=1), num_seeds=2)
    with pytest.raises(ConfigError, match="which parameter_server does not"):
        ParameterServer().check(task)


def test_counters_of_an_earlier_session_are_gone_on_from() -> None:
    task = small_task(Budget(max_episodes=12), workers=2, lengths=(5,))
    _, layout = task.model(task.make_envs(num_envs=1))
    weights = torch.full((layout.size,), 100 * Tick.lr)
    state = TrainingState(weights, torch.full((1, layout.size), 100.0), 100, 50, 9, np.array([60, 40]), np.array([7, 4]))
    training = Training(ParameterServer(processes=1), task, state).finish()
    after, _ = training.parallelism.snapshot()
    assert (after.updates, after.env_steps, after.episodes) == (103, 65, 12)
    assert ticked(after)
    assert training.parallelism.summary()["applied"] == 3, "of this session"
    assert training.stats.lag_max <= 1
    played = {event.episode.env_seed for event in training.episodes}
    assert played < {env_seed(0, 0, 7), env_seed(0, 0, 8), env_seed(0, 1, 4), env_seed(0, 1, 5)}
