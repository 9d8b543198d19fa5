"""The lock between processes says who holds it, is not waited for without end, and does not outlive its holder."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from a3c_exp.optimizers.sgd import SGD
from a3c_exp.parallelism.hogwild.shared_parameters import SharedBuffer, SharedWeights
from a3c_exp.parallelism.multiprocess.owned_lock import OwnedLock
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn, SharedCounters
from a3c_exp.system.errors import LockTimeoutError
from a3c_exp.system.process_setup import single_thread_environment
from tests.support.pushing import KILLED, PATIENCE, SLACK, block_for, context, ended, ledger_for

P = 64


def hold(block: SharedBuffer, counters: SharedCounters, pipe: Connection) -> None:
    """Process: take the lock, say so, and stop in the middle."""
    with SharedWeights(block, counters, 0, SGD(lr=1.0)).lock:
        pipe.send("held")
        os.kill(os.getpid(), signal.SIGSTOP)


@contextmanager
def stopped_holder(block: SharedBuffer, counters: SharedCounters) -> Iterator[BaseProcess]:
    """A process that holds the lock and is stopped; it does not hear a polite end, so it is killed whatever happens."""
    made = context()
    ours, theirs = made.Pipe()
    holder = made.Process(target=hold, args=(block, counters, theirs), daemon=True)
    with single_thread_environment():
        holder.start()
    try:
        assert ours.poll(PATIENCE)
        yield holder
    finally:
        holder.kill()
        assert ended(holder) == KILLED


def test_a_stopped_holder_is_named_and_a_killed_one_is_forgotten(tmp_path: Path) -> None:
    weights = torch.arange(P, dtype=torch.float32)
    block, counters = block_for(weights, torch.zeros(0, P), tmp_path, locked=True, timeout=0.3), ledger_for(2)
    shared = SharedWeights(block, counters, 1, SGD(lr=1.0))
    with stopped_holder(block, counters) as holder:
        began = time.monotonic_ns()
        says = rf"waited 0\.3 s for lock, held by process {holder.pid}$"
        with pytest.raises(LockTimeoutError, match=says), shared.lock:
            pytest.fail("two hold the lock")
        with pytest.raises(LockTimeoutError, match=says):
            shared.push_and_pull(torch.ones(P), torch.empty(P), 0)
        assert shared.updates() == 0
        # Who waits shows life all the while; else it would be replaced together with the one that is stuck.
        assert counters.table[1, CounterColumn.heartbeat] > began + 0.3e9, "the last sign of life is older than the second wait"
        # An evaluation or a checkpoint must not fail because a worker is stuck: nobody pushes, so the weights stand still.
        assert torch.equal(shared.read()[0], weights)

    before = time.monotonic()
    patient = SharedWeights(block_like(block, timeout=PATIENCE), counters, 1, SGD(lr=1.0))
    assert patient.push_and_pull(torch.ones(P), torch.empty(P), 0) == (0, 1)
    assert time.monotonic() - before < SLACK, "the kernel gives the lock back at once; nobody has to time out for it"
    assert torch.equal(patient.read()[0], weights - 1)


def block_like(block: SharedBuffer, timeout: float) -> SharedBuffer:
    """The same memory and the same lock, waited for longer."""
    return SharedBuffer(block.copies, block.lock_path, block.locked, timeout)


def test_a_lock_that_nobody_holds_names_nobody(tmp_path: Path) -> None:
    owner = torch.zeros(1, dtype=torch.int64).numpy()
    lock = OwnedLock(tmp_path / "lock", owner, timeout=0.1)
    other = OwnedLock(tmp_path / "lock", owner, timeout=0.1)  # opened anew, so it is somebody else to the kernel
    with lock:
        assert owner[0] == os.getpid()
        with pytest.raises(LockTimeoutError), other:
            pytest.fail("two hold the lock")
        assert owner[0] == os.getpid(), "who only waited has not become the owner"
    assert owner[0] == 0
    with pytest.raises(RuntimeError, match="inside"), lock:
        raise RuntimeError("inside")
    with other:  # an error inside gives it back too
        assert owner[0] == os.getpid()
    lock.close()
    other.close()
