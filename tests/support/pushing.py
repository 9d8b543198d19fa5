"""Processes that do nothing but push to shared weights, as hogwild's do between two windows."""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from a3c_exp.config.budget import Budget
from a3c_exp.optimizers.base import Optimizer
from a3c_exp.parallelism.hogwild.shared_parameters import SharedBuffer, SharedWeights
from a3c_exp.parallelism.multiprocess.shared_counters import SharedCounters
from a3c_exp.parallelism.multiprocess.supervisor import start_fork_server
from a3c_exp.system.process_setup import single_thread_environment

PATIENCE = 60.0
"""Seconds after which a process that is waited for counts as hung. Far above what anything here takes, for slow machines."""
SLACK = 15.0
"""What is promised within 5 seconds is given this long: the machine may be busy with something else."""


def ledger_for(processes: int, updates: int = 0) -> SharedCounters:
    """A counters without a budget, for one worker a process."""
    return SharedCounters.create(
        processes, np.zeros(processes, np.int64), np.zeros(processes, np.int64), Budget(), (0, 0, updates)
    )


def block_for(weights: Tensor, state: Tensor, folder: Path, locked: bool, timeout: float = 30.0) -> SharedBuffer:
    """Shared weights whose lock lies in this folder."""
    return SharedBuffer.create(weights, state, folder / "lock", locked, timeout)


def context() -> Any:
    """The way in which hogwild starts its processes."""
    start_fork_server()
    return multiprocessing.get_context("forkserver")


def push(
    block: SharedBuffer,
    counters: SharedCounters,
    slot: int,
    optimizer: Optimizer,
    gradient: Tensor,
    times: int,
    start: Any,
    suspends_after: int = -1,
) -> None:
    """Process: pull, meet the others, then push one gradient ``times`` times; suspend itself after so many, if asked to."""
    torch.set_num_threads(1)
    shared = SharedWeights(block, counters, slot, optimizer)
    own = torch.empty_like(gradient)
    pulled_at = shared.pull(own)
    if start is not None:
        start.wait(PATIENCE)
    for pushed in range(times):
        if pushed == suspends_after:
            os.kill(os.getpid(), signal.SIGSTOP)
        lag, now = shared.push_and_pull(gradient, own, pulled_at)
        assert lag >= 0, (lag, "a push cannot come before the pull that it rests on")
        assert now > pulled_at, (now, pulled_at)
        pulled_at = now


def push_together(
    block: SharedBuffer, counters: SharedCounters, optimizer: Optimizer, gradients: Sequence[Tensor], times: int = 1
) -> list[int]:
    """One process a gradient, all at the same time; returns their exit codes."""
    made = context()
    start = made.Barrier(len(gradients))
    processes = [
        made.Process(target=push, args=(block, counters, slot, optimizer, gradient, times, start), daemon=True)
        for slot, gradient in enumerate(gradients)
    ]
    with single_thread_environment():
        for process in processes:
            process.start()
    return [ended(process) for process in processes]


def push_alone(
    block: SharedBuffer,
    counters: SharedCounters,
    slot: int,
    optimizer: Optimizer,
    gradient: Tensor,
    times: int = 1,
    suspends_after: int = -1,
) -> BaseProcess:
    """One process that pushes on its own; the caller waits for it."""
    arguments = (block, counters, slot, optimizer, gradient, times, None, suspends_after)
    process: BaseProcess = context().Process(target=push, args=arguments, daemon=True)
    with single_thread_environment():
        process.start()
    return process


def ended(process: BaseProcess) -> int:
    """Its exit code, once it has one; a process that hangs fails the test instead of stopping it."""
    process.join(PATIENCE)
    if process.exitcode is None:
        process.kill()
        process.join(5.0)
        raise AssertionError(f"{process.name} hung")
    code = process.exitcode
    process.close()
    return code


KILLED = -signal.SIGKILL
