"""No death of a worker process goes unnoticed, none stops the run that allows it, and none leaves a process behind."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from a3c_exp.config.budget import Budget
from a3c_exp.parallelism.base import EpisodeEvent
from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn
from a3c_exp.system.errors import WorkerError
from a3c_exp.training.run_tracker import NEVER_DUE
from tests.support.command import ROOT, start
from tests.support.driving import ENDLESS, Training, alive, descendants, small_task, suspend, wait_until
from tests.support.faulty import Countdown, Deadly, Faults, Gathering, PackedOnce, Tick
from tests.support.pushing import PATIENCE, SLACK


def test_no_kind_of_death_goes_unnoticed_or_costs_an_episode(tmp_path: Path) -> None:
    faults = Faults(("kill", "exit", "raise"), tmp_path, at_step=17)
    task = small_task(Budget(max_episodes=60), workers=5, lengths=(7, 3), faults=faults, gathering=Gathering(tmp_path, 3))
    training = Training(Hogwild(processes=3), task)
    noticed: dict[str, float] = {}
    with training:

        def spent() -> bool:
            for text in training.notices:
                noticed.setdefault(text, time.monotonic())
            return training.spent()

        training.until(spent, "the end of the budget")

    said = {
        cause: next(text for text in training.notices if cause in text)
        for cause in ("was killed by SIGKILL", "ended with exit code 3", "ended with exit code 1")
    }
    assert len(training.notices) == 3
    assert "RuntimeError: the pole snapped" in said["ended with exit code 1"], "the traceback is lost"
    assert "in meet" in said["ended with exit code 1"]
    for number, text in enumerate(said.values()):
        assert noticed[text] - faults.struck(number)["time"] < SLACK, text
        assert not alive(faults.struck(number)["pid"])
    assert all("; replaced, " in text and " of at most 10 times" in text for text in said.values())

    # Each of the sixty was played to its end, and counted once.
    assert training.parallelism.counts().episodes == 60
    assert len(training.episodes) == 60
    assert len({event.episode.env_seed for event in training.episodes}) == 60
    assert {event.episode.length for event in training.episodes} == {7, 3}
    assert training.parallelism.summary()["restarts"] == 3
    assert len(training.parallelism.summary()["deaths"]) == 3


def test_messages_sent_before_a_death_are_not_lost(tmp_path: Path) -> None:
    """Its pipe is read to the end before its reservations are returned, or a finished episode would be played again."""
    faults = Faults(("raise",), tmp_path, at_step=17)
    task = small_task(Budget(max_episodes=4), workers=1, lengths=(5,), faults=faults)
    training = Training(Hogwild(processes=1), task)
    with training:
        deadline = time.monotonic() + PATIENCE
        # Its death is checked for without reading its messages, as if all had happened between two checks.
        while not training.events:
            training.events += training.parallelism._replace_dead_processes()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert len(training.episodes) == training.parallelism.counts().episodes == 3
        assert "the pole snapped" in training.notices[0]
        training.until(training.spent)
    assert len({event.episode.env_seed for event in training.episodes}) == len(training.episodes) == 4


def test_the_message_names_the_affected_workers(tmp_path: Path) -> None:
    task = small_task(
        Budget(max_env_steps=503),
        workers=5,
        faults=Faults(("kill",), tmp_path),
        gathering=Gathering(tmp_path, 2),
        lengths=(9,),
    )
    training = Training(Hogwild(processes=2), task).finish()
    (notice,) = training.notices
    assert notice.startswith(("worker process 0 (workers 0 to 2) ", "worker process 1 (workers 3 to 4) ")), notice
    assert training.parallelism.counts().env_steps == 503


@pytest.mark.parametrize("locked", [True, False])
def test_a_worker_killed_in_the_middle_of_its_push_stops_no_other(tmp_path: Path, locked: bool) -> None:
    deadly = Deadly(Tick(), tmp_path / "died", at_update=20, point="half_written")
    task = small_task(Budget(max_episodes=50), workers=2, lengths=(5,), optimizer=deadly, gathering=Gathering(tmp_path, 2))
    training = Training(Hogwild(processes=2, lock=locked), task).finish()
    assert (tmp_path / "died").exists()
    assert [("SIGKILL" in text) for text in training.notices] == [True]
    assert len(training.episodes) == 50
    state, _ = training.parallelism.snapshot()
    assert torch.isfinite(state.weights).all()
    if locked:
        assert torch.equal(state.weights, torch.full_like(state.weights, state.updates * Tick.lr))
        assert torch.equal(state.optimizer_state, torch.full_like(state.optimizer_state, state.updates))
    else:
        assert state.weights.max() <= (state.updates + 1) * Tick.lr, "at most the torn push is there without being counted"


def test_on_worker_death_fail_ends_the_run(tmp_path: Path) -> None:
    task = small_task(ENDLESS, workers=2, faults=Faults(("kill",), tmp_path))
    training = Training(Hogwild(processes=2, on_worker_death="fail"), task)
    with training, pytest.raises(WorkerError, match="was killed by SIGKILL; that is death 1, and 0 are allowed"):
        training.until(lambda: False)


def test_workers_that_keep_dying_end_the_run_with_the_cause(tmp_path: Path) -> None:
    faults = Faults(("raise",) * 9, tmp_path, at_step=10)
    task = small_task(ENDLESS, workers=1, faults=faults, lengths=(5,))
    training = Training(Hogwild(processes=1, max_restarts=1), task)
    with training, pytest.raises(WorkerError) as caught:
        training.until(lambda: False)
    assert "that is death 2, and 1 are allowed (parallelism.max_restarts)" in str(caught.value)
    assert "RuntimeError: the pole snapped" in str(caught.value)
    # Each process finished one episode before its death; what was counted was also reported.
    finished = [event for event in training.events if isinstance(event, EpisodeEvent)]
    assert len(finished) == training.parallelism.counts().episodes == 2


def test_a_process_that_is_suspended_while_it_holds_the_lock_is_the_only_one_killed(tmp_path: Path) -> None:
    deadly = Deadly(Tick(), tmp_path / "stopped", 20, "half_written", signal.SIGSTOP)
    task = small_task(Budget(max_episodes=50), workers=3, lengths=(5,), optimizer=deadly, gathering=Gathering(tmp_path, 3))
    training = Training(Hogwild(processes=3, lock=True, worker_timeout=3.0, lock_timeout=0.5), task)
    with training:
        training.until((tmp_path / "stopped").exists)
        # Meanwhile the main process can still evaluate and save: there are no pushes, and the copy in use is whole.
        weights = training.parallelism.weights()
        assert torch.equal(weights, torch.full_like(weights, 20 * Tick.lr))
        state, events = training.parallelism.snapshot()
        training.events += events
        assert torch.equal(state.weights, torch.full_like(state.weights, state.updates * Tick.lr))
        training.until(training.spent)
    assert [text for text in training.notices if "LockTimeoutError" in text] == []
    assert any("gave no sign of life for 3 s" in text for text in training.notices)
    assert not alive(int((tmp_path / "stopped").read_text()))
    state, _ = training.parallelism.snapshot()
    assert state.episodes == 50
    assert torch.equal(state.weights, torch.full_like(state.weights, state.updates * Tick.lr))


def test_processes_that_did_start_do_not_outlive_one_that_could_not() -> None:
    task = replace(small_task(ENDLESS, workers=3), make_envs=PackedOnce(Countdown))
    training = Training(Hogwild(processes=3), task)
    with pytest.raises(OSError, match="no more"):
        training.parallelism.start(task, [training.state])
    assert training.workers() == []


def test_a_suspended_process_is_killed_and_replaced(tmp_path: Path) -> None:
    faults = Faults(("stop",), tmp_path)
    task = small_task(Budget(max_episodes=40), workers=2, faults=faults, gathering=Gathering(tmp_path, 2))
    training = Training(Hogwild(processes=2, worker_timeout=3.0), task)
    with training:
        said = "gave no sign of life for 3 s"
        training.until(lambda: any(said in text for text in training.notices), "the notice")
        assert "raise parallelism.worker_timeout" in training.notices[0]
        assert time.monotonic() - faults.struck(0)["time"] < SLACK
        training.until(training.spent)
    assert not alive(faults.struck(0)["pid"])
    assert len(training.episodes) == 40


def test_a_process_whose_window_takes_longer_than_the_timeout_is_not_killed_while_it_steps() -> None:
    training = Training(Hogwild(processes=1, worker_timeout=2.0), small_task(Budget(max_env_steps=7), workers=1, seconds=0.6))
    with training:
        training.until(training.spent)
    assert training.notices == []


def test_workers_are_not_killed_because_the_main_process_was_suspended() -> None:
    """After Ctrl-Z and fg no worker has sent a heartbeat for a long time, and none is dead."""
    task = small_task(ENDLESS, workers=1)
    training = Training(Hogwild(processes=1, worker_timeout=2.0), task)
    with training:
        training.until(lambda: training.stats.windows > 0, "work")
        (pid,) = training.workers()
        suspend(pid)
        time.sleep(2.5)  # everything stands still, this process too
        training.events += training.parallelism.advance(0.0, [NEVER_DUE])
        os.kill(pid, signal.SIGCONT)
        updates = training.parallelism.counts().updates
        training.until(lambda: training.parallelism.counts().updates > updates, "more work")
        assert training.workers() == [pid]
    assert training.notices == []


def test_a_live_checkpoint_is_whole_and_does_not_wait_for_ever() -> None:
    training = Training(Hogwild(processes=2, lock=True), small_task(ENDLESS, workers=4))

    def check() -> tuple[int, float]:
        before = time.monotonic()
        state, events = training.parallelism.snapshot()
        training.events += events
        assert torch.equal(state.weights, torch.full_like(state.weights, state.updates * Tick.lr))
        assert torch.equal(state.optimizer_state, torch.full_like(state.optimizer_state, state.updates))
        assert state.episodes == len(training.episodes), "the state and the log differ"
        return state.updates, time.monotonic() - before

    with training:
        training.until(lambda: training.stats.windows > 20, "work")
        last = 0
        for _ in range(20):
            updates, _ = check()
            assert updates >= last
            last = updates
        training.until(lambda: training.parallelism.counts().updates > last + 20, "work after the checkpoints")
        assert training.notices == []

        stopped = training.workers()[0]
        for _ in range(1000):
            suspend(stopped)
            if training.parallelism._counters.control[2] != stopped:  # else it holds the lock, which is another test
                break
            os.kill(stopped, signal.SIGCONT)
        else:
            pytest.fail("it holds the lock whenever it is stopped")
        _, seconds = check()
        assert seconds < SLACK
        assert training.notices == ["a worker did not reach the checkpoint's barrier within 5 s; saved as it was"]
    assert not alive(stopped), "a suspended process does not see the request to stop"
    check()


@pytest.mark.parametrize("locked", [False, True])
def test_nothing_is_pushed_while_a_checkpoint_is_taken(locked: bool) -> None:
    """The barrier holds while the state is read, also for a process that was just leaving the last barrier."""
    training = Training(Hogwild(processes=2, lock=locked), small_task(ENDLESS, workers=2))
    with training:
        training.until(lambda: training.stats.windows > 20, "work")
        for _ in range(100):
            assert training.parallelism._pause()
            before = training.parallelism.counts()
            weights = training.parallelism.weights()
            wait_for_heartbeats(training)
            assert training.parallelism.counts() == before
            assert torch.equal(training.parallelism.weights(), weights)
            training.parallelism.snapshot()


def wait_for_heartbeats(training: Training) -> None:
    """Until every process has sent two heartbeats: one that pushed in spite of the barrier would have had the time to."""
    table = training.parallelism._counters.table
    for _ in range(2):
        last = table[:, CounterColumn.heartbeat].copy()
        wait_until(lambda last=last: (table[:, CounterColumn.heartbeat] > last).all(), "heartbeats at the barrier")


def test_a_worker_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    faults = Faults(("ignore",), tmp_path)
    training = Training(Hogwild(processes=2), small_task(ENDLESS, workers=2, faults=faults))
    with training:
        training.until(lambda: (tmp_path / "fault_0").exists(), "the fault")
        wait_until(lambda: is_deaf(faults.struck(0)["pid"]), "it to block all signals")
    assert not alive(faults.struck(0)["pid"])


def is_deaf(pid: int) -> bool:
    """Whether a process has blocked SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    blocked = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigBlk:"))
    return bool(blocked >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize(("parallelism", "processes"), [("hogwild", 2), ("parameter_server", 3)])
def test_workers_do_not_outlive_a_main_process_that_was_killed(parallelism: str, processes: int) -> None:
    output, written = os.pipe()
    main = start(parallelism, module="tests.support.endless_run", cwd=ROOT, output=written)
    os.close(written)
    with open(output) as said:  # noqa: PTH123  a descriptor
        try:
            first = said.readline().split()
            assert first[:1] == ["working"], "it did not start"
            started = {int(pid) for pid in first[1:]}
            family = descendants(main.pid)
            assert len(started) == processes
            assert started <= family
        finally:
            main.kill()
            killed = time.monotonic()
    while any(alive(pid) for pid in family) and time.monotonic() - killed < SLACK:
        time.sleep(0.05)
    left = [pid for pid in family if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "workers, their parameter server, or the server that forks them, still run"
