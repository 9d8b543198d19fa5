"""Exactly as many trials as were asked for, in any number of processes, and none lost with the process that ran it."""

import importlib
import multiprocessing
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from a3c_exp.runs.study_storage import REASON, RETRY_OF, RETRYABLE
from a3c_exp.sweep.trials.heartbeat import StaleTrialDetector
from a3c_exp.sweep.trials.trial_queue import PROCESS_GONE, num_remaining
from tests.support.command import ROOT, environment, start
from tests.support.forked_commands import ForkedCommand
from tests.support.studies import BASE, begin, settings, space


def worker(directory: Path, n_trials: int, timeout: float = 60.0, die_at: int = 0, **variables: str) -> ForkedCommand:
    arguments = str(directory), str(n_trials), str(timeout), str(die_at)
    return start(*arguments, module="tests.support.studies", cwd=ROOT, **variables)


@pytest.mark.parametrize("storage", ["journal", "sqlite"])
def test_two_processes_do_not_make_one_trial_more_than_was_asked_for(tmp_path: Path, storage: str) -> None:
    chosen = None if storage == "journal" else f"sqlite:///{tmp_path}/study.db"
    queue = begin(tmp_path, n_trials=4, storage=chosen)
    if storage == "sqlite":
        for _ in range(4):
            claim = queue.claim(space(), BASE)
            assert claim is not None
            queue.complete(claim.number, [1.0])
            claim.heartbeat.close()
        assert queue.claim(space(), BASE) is None
    else:
        processes = [worker(tmp_path, 4) for _ in range(2)]
        assert [process.wait(60) for process in processes] == [0, 0]
    trials = queue.trials()
    assert [trial.number for trial in trials] == list(range(4))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert len({trial.params["gamma"] for trial in trials}) == 4, "two processes drew the same trial"


def begin_at_once(folder: Path, ready: Any) -> None:
    """Begin a study in a database as soon as all others are about to."""
    ready.wait(60)
    begin(folder, storage=f"sqlite:///{folder}/study.db")


def test_several_processes_make_the_tables_of_one_database_at_once(tmp_path: Path) -> None:
    importlib.import_module("alembic.config")  # which they then share: what takes long comes before the tables
    forking = multiprocessing.get_context("fork")
    ready = forking.Barrier(4)
    processes = [forking.Process(target=begin_at_once, args=(tmp_path, ready)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0] * 4, "its traceback is above"


def test_a_trial_whose_process_is_gone_is_failed_and_tried_again_once(tmp_path: Path) -> None:
    queue = begin(tmp_path, n_trials=4)
    assert worker(tmp_path, 4, die_at=2).wait(60) == 9
    (dead,) = (trial for trial in queue.trials() if trial.state is TrialState.RUNNING)
    assert worker(tmp_path, 4, die_at=1).wait(60) == 9, "the one that tries it again dies too"
    assert worker(tmp_path, 4).wait(60) == 0
    trials = queue.trials()
    again = [trial for trial in trials if RETRY_OF in trial.user_attrs]
    assert [trial.user_attrs[RETRY_OF] for trial in again] == [dead.number]
    assert again[0].params == dead.params and again[0].state is TrialState.FAIL
    assert trials[dead.number].state is TrialState.FAIL and trials[dead.number].user_attrs[REASON] == PROCESS_GONE
    assert num_remaining(trials, 5) == 1 and len(trials) == 5
    assert sum(trial.state is TrialState.COMPLETE for trial in trials) == 3


def test_a_trial_that_was_stopped_is_left_to_do_and_changes_none_of_the_others(tmp_path: Path) -> None:
    """Whatever runs meanwhile: the process that stopped it may be gone before it could begin it again."""
    drawn: dict[str, list[dict[str, float]]] = {}
    for name in ("in one go", "stopped"):
        queue = begin(tmp_path / name, n_trials=4)
        while (claim := queue.claim(space(), BASE)) is not None:
            claim.heartbeat.close()
            if name == "stopped" and claim.number in (1, 4):  # the last one too
                left = queue.num_remaining()
                queue.fail(claim.number, "stopped by SIGTERM", retry=True)
                assert queue.num_remaining() == left + 1
            else:
                queue.complete(claim.number, [queue.trials()[claim.number].params["gamma"]])
        drawn[name] = [trial.params for trial in queue.trials() if trial.state is TrialState.COMPLETE]
        assert queue.num_remaining() == 0
    assert drawn["stopped"] == drawn["in one go"] and len(drawn["stopped"]) == 4


def test_the_lock_of_a_killed_writer_is_taken_away_although_its_folder_was_moved(tmp_path: Path) -> None:
    begin(tmp_path / "here", n_trials=1)
    held = f"s = open_storage(None, Path({str(tmp_path / 'here')!r})); s._backend._lock.acquire(); os.kill(os.getpid(), 9)"
    imports = "import os; from pathlib import Path; from a3c_exp.runs.study_storage import open_storage; "
    assert subprocess.run([sys.executable, "-c", imports + held], cwd=ROOT, env=environment()).returncode == -9
    (tmp_path / "here").rename(tmp_path / "there")
    assert worker(tmp_path / "there", 1, LOCK_SECONDS="3").wait(100) == 0


def test_a_running_trial_is_not_taken_for_stale(tmp_path: Path) -> None:
    ours, theirs = begin(tmp_path, n_trials=2, heartbeat_timeout=1.0), begin(tmp_path, n_trials=2, heartbeat_timeout=1.0)
    claim = ours.claim(space(), BASE)
    assert claim is not None
    theirs.fail_stale_trials()
    other = theirs.claim(space(), BASE)
    assert other is not None and other.number == 1
    assert theirs.claim(space(), BASE) is None, "both are taken"
    assert [trial.state for trial in ours.trials()] == [TrialState.RUNNING] * 2
    claim.heartbeat.close()
    other.heartbeat.close()


def test_a_trial_on_another_machine_is_stale_only_when_its_heartbeats_stop(tmp_path: Path) -> None:
    queue = begin(tmp_path, n_trials=1)
    claim = queue.claim(space(), BASE)
    assert claim is not None
    claim.heartbeat.close()
    storage, detector = queue.study._storage, StaleTrialDetector(timeout=0.05)
    (trial,) = queue.trials()

    def is_stale_with(beat: int) -> bool:
        heartbeat = {"machine": "elsewhere", "pid": 1, "started": "1", "beat": beat}
        storage.set_trial_system_attr(trial._trial_id, "a3c_exp:heartbeat:worker", heartbeat)
        return detector.is_stale(queue.trials()[0])

    assert not is_stale_with(1) and not detector.is_confirmed_alive(queue.trials()[0])
    time.sleep(0.06)
    assert not is_stale_with(2) and detector.is_confirmed_alive(queue.trials()[0]), (
        "its heartbeat changed in time by this process's own clock"
    )
    time.sleep(0.06)
    assert detector.is_stale(queue.trials()[0])


def test_a_suspended_process_of_this_machine_is_not_taken_for_dead(tmp_path: Path) -> None:
    queue = begin(tmp_path, n_trials=1)
    claim = queue.claim(space(), BASE)
    assert claim is not None
    claim.heartbeat.close()  # no more heartbeats, while this process runs
    detector = StaleTrialDetector(timeout=0.05)
    assert not detector.is_stale(queue.trials()[0])
    time.sleep(0.06)
    assert not detector.is_stale(queue.trials()[0]) and detector.is_confirmed_alive(queue.trials()[0])


def test_a_trial_that_was_stopped_by_the_user_is_repeated_and_a_failed_one_is_not(tmp_path: Path) -> None:
    queue = begin(tmp_path, n_trials=2)
    claims = [queue.claim(space(), BASE) for _ in range(2)]
    for claim, reason, again in zip(claims, ("stopped by Ctrl-C", "the pendulum came off"), (True, False), strict=True):
        assert claim is not None
        queue.fail(claim.number, reason, retry=again)
        claim.heartbeat.close()
    queue.fail_stale_trials()
    states = [trial.state for trial in queue.trials()]
    assert states == [TrialState.FAIL, TrialState.FAIL, TrialState.WAITING]
    assert RETRYABLE not in queue.trials()[1].user_attrs
    queue.fail(1, "said twice")
    assert queue.trials()[1].user_attrs[REASON] == "the pendulum came off", "the first reason stands"


def test_a_repetition_that_is_stopped_is_repeated_too(tmp_path: Path) -> None:
    """A worker may begin it in the moment in which the study is stopped; else a trial that was asked for would be lost."""
    queue = begin(tmp_path, n_trials=1)
    for _ in range(3):
        claim = queue.claim(space(), BASE)
        assert claim is not None
        queue.fail(claim.number, "stopped by Ctrl-C", retry=True)
        claim.heartbeat.close()
        assert queue.num_remaining() == 1
    claim = queue.claim(space(), BASE)
    assert claim is not None
    queue.complete(claim.number, [1.0])
    claim.heartbeat.close()
    assert queue.num_remaining() == 0 and queue.claim(space(), BASE) is None
    assert [trial.user_attrs.get(RETRY_OF) for trial in queue.trials()] == [None, 0, 1, 2]


def test_a_resumed_study_does_not_sample_its_first_trials_again(tmp_path: Path) -> None:
    whole, parts = begin(tmp_path / "whole", n_trials=4), tmp_path / "parts"
    drawn = []
    for queues in ([whole] * 4, [begin(parts, n_trials=4) for _ in range(4)]):
        for queue in queues:
            claim = queue.claim(space(), BASE)
            assert claim is not None
            queue.complete(claim.number, [1.0])
            claim.heartbeat.close()
        drawn.append([trial.params for trial in queue.trials()])
    assert drawn[0] == drawn[1] and len({str(params) for params in drawn[0]}) == 4


def test_half_a_line_of_a_killed_writer_does_not_break_the_study(tmp_path: Path) -> None:
    queue = begin(tmp_path, n_trials=3)
    journal = tmp_path / "study.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code":6,"worker')
    claim = queue.claim(space(), BASE)
    assert claim is not None
    queue.complete(claim.number, [2.0])
    claim.heartbeat.close()
    again = begin(tmp_path, n_trials=3)
    assert [trial.value for trial in again.trials()] == [2.0]


def test_the_seed_of_a_sampler_that_walks_one_sequence_is_left_alone() -> None:
    from a3c_exp.sweep.study.sampler_pruner import make_sampler

    chosen = settings(sampler={"_target_": "optuna.samplers.QMCSampler", "seed": 3})
    assert make_sampler(chosen, 5)._seed == 3  # type: ignore[attr-defined]
