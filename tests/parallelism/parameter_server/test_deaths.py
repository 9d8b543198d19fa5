"""Deaths of workers and of the server of a parameter server: nothing is lost, torn or spent twice."""

import os
import signal
from pathlib import Path

import pytest
import torch

from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.config.budget import Budget
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn
from a3c_exp.parallelism.parameter_server.gradient_slots import SlotField
from a3c_exp.parallelism.parameter_server.strategy import ParameterServer
from a3c_exp.system.errors import WorkerError
from tests.support.driving import ENDLESS, Training, small_task, suspend
from tests.support.faulty import Deadly, Faults, Gathering, Tick, ticked


def agent_of(training: Training) -> int:
    """The server's process id."""
    parallelism = training.parallelism
    assert isinstance(parallelism, ParameterServer)
    return int(parallelism._supervisor.processes[parallelism._server_index].process.pid or 0)


STAT = StatisticsTable().columns


def test_no_kind_of_death_loses_an_episode_a_step_or_an_update(tmp_path: Path) -> None:
    faults = Faults(("kill", "exit", "raise", "kill", "kill"), tmp_path, at_step=17)
    gathering = Gathering(tmp_path, 3)
    task = small_task(Budget(max_episodes=90), workers=5, lengths=(5,), faults=faults, gathering=gathering)
    training = Training(ParameterServer(processes=3), task).finish()
    assert len(training.notices) == 5
    assert sum("was killed by SIGKILL" in text for text in training.notices) == 3
    assert any("RuntimeError: the pole snapped" in text for text in training.notices), "the traceback is lost"
    final, _ = training.parallelism.snapshot()
    assert ticked(final)
    assert final.episodes == len({event.episode.env_seed for event in training.episodes}) == 90
    assert final.env_steps == 5 * final.updates == training.stats.sums[STAT["steps"]]
    figures = training.parallelism.summary()
    assert (figures["restarts"], figures["unapplied"]) == (5, 0)


def test_workers_killed_again_and_again_from_outside_neither_tear_nor_overspend() -> None:
    """Whenever it comes: while acting, while writing, between a report and its answer, between an answer and what follows."""
    task = small_task(Budget(max_env_steps=5000), workers=4, lengths=(5,), seconds=0.001)
    training = Training(ParameterServer(processes=2, max_restarts=20), task)
    with training:
        training.until(lambda: training.parallelism.counts().updates > 20, "work")
        for kill in range(4):
            assert not training.spent(), f"the budget was spent before kill {kill}"
            agent = agent_of(training)
            victims = [pid for pid in training.workers() if pid != agent]
            os.kill(victims[kill % len(victims)], signal.SIGKILL)
            deaths = kill + 1
            training.until(lambda deaths=deaths: len(training.notices) == deaths, "the notice")
            reached = training.parallelism.counts().updates + 10
            training.until(lambda reached=reached: training.spent() or training.parallelism.counts().updates > reached, "work")
        training.until(training.spent, "the end of the budget")
    final, _ = training.parallelism.snapshot()
    assert ticked(final)
    assert final.env_steps == 5000, "what a dead worker had reserved was spent twice, or not at all"
    assert training.stats.sums[STAT["steps"]] == 5000
    figures = training.parallelism.summary()
    assert (figures["unapplied"], figures["unlogged"]) == (0, 0)


def test_what_a_dead_worker_reported_is_neither_forgotten_nor_promised_to_another() -> None:
    """Its letter waits while it dies: until it is settled its replacement must not act, or the budget would be overdrawn."""
    server = ParameterServer(processes=1)
    training = Training(server, small_task(Budget(max_env_steps=400), workers=1, lengths=(5,), seconds=0.001))
    with training:
        training.until(lambda: server.counts().updates > 5, "work")
        agent, note = agent_of(training), server._gradient_slots.fields.numpy()[0]
        suspend(agent)
        training.until(lambda: note[SlotField.sent] != note[SlotField.answered], "a report")
        row, sent, rounds = server._counters.table[0], int(note[SlotField.sent]), int(server._counters.workers[0, 0])
        (worker,) = (pid for pid in training.workers() if pid != agent)
        os.kill(worker, signal.SIGKILL)
        training.until(lambda: len(training.notices) == 1, "the notice")
        died = int(row[CounterColumn.heartbeat])
        training.until(lambda: int(row[CounterColumn.heartbeat]) > died, "the replacement's first sign of life")
        assert (row[CounterColumn.steps_reserved], note[SlotField.sent], server._counters.workers[0, 0]) == (5, sent, rounds)
        os.kill(agent, signal.SIGCONT)
        training.until(training.spent, "the end of the budget")
    final, _ = server.snapshot()
    assert ticked(final)
    assert (final.env_steps, final.updates, int(final.rounds[0])) == (400, 80, 80), "a window was counted twice or lost"
    assert len(training.episodes) == final.episodes == 80, "the episode that ended in the dead worker's window was lost"
    assert (server.summary()["unapplied"], server.summary()["unlogged"]) == (0, 0)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSTOP])
def test_the_death_of_the_server_in_the_middle_of_an_update_costs_nothing(tmp_path: Path, ending: signal.Signals) -> None:
    deadly = Deadly(Tick(), tmp_path / "died", 50, "half_written", ending)
    task = small_task(Budget(max_episodes=200), workers=4, lengths=(5,), optimizer=deadly)
    training = Training(ParameterServer(processes=2, worker_timeout=3.0), task)
    with training:
        if ending is signal.SIGSTOP:
            training.until((tmp_path / "died").exists)
            weights = training.parallelism.weights()  # nobody commits meanwhile, and what counts is whole
            assert torch.equal(weights, torch.full_like(weights, 50 * Tick.lr))
        training.until(training.spent, "the end of the budget")
    notice = next(text for text in training.notices if text.startswith("the server process "))
    assert ("was killed by SIGKILL" if ending is signal.SIGKILL else "gave no sign of life for 3 s") in notice
    final, _ = training.parallelism.snapshot()
    assert ticked(final)
    assert (final.updates, final.env_steps, final.episodes) == (200, 1000, 200)


def test_a_server_that_keeps_dying_ends_the_run_with_the_cause(tmp_path: Path) -> None:
    task = small_task(ENDLESS, workers=2, optimizer=Broken())
    training = Training(ParameterServer(processes=1, max_restarts=1), task)
    with training, pytest.raises(WorkerError) as caught:
        training.until(lambda: False)
    assert "the server process ended with exit code 1; that is death 2, and 1 are allowed" in str(caught.value)
    assert "ZeroDivisionError" in str(caught.value)
    final, _ = training.parallelism.snapshot()
    assert (final.updates, final.env_steps) == (0, 0)
    assert training.parallelism.summary()["unapplied"] == 2, "what could not be applied is said"


class Broken(Tick):
    """An optimizer that cannot."""

    def step(
        self, weights: torch.Tensor, gradient: torch.Tensor, optimizer_state: torch.Tensor, updates: int, lr: float
    ) -> None:
        raise ZeroDivisionError("the step broke")
