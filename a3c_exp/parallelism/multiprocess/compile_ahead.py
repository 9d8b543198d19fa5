"""Compiled code for worker processes is made before they start."""

from collections.abc import Callable, Iterable

import numpy as np

from a3c_exp.compile.compiler import Compiler
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.worker_group import WorkerGroup, WorkerId


def compile_ahead(setup: TrainingSetup, sizes: Iterable[int], compile_more: Callable[[WorkerGroup], object]) -> Compiler:
    """Run one window with each number of workers, so that processes that will host as many find compiled code ready: they must
    show a heartbeat every few seconds, which a process that compiles cannot. ``compile_more`` compiles what else they need."""
    compiler = Compiler()
    for k in sizes:
        members = [WorkerId(setup.seed, worker) for worker in range(k)]
        rounds, begun = np.zeros((2, k), np.int64)
        group = WorkerGroup(setup, members, rounds, begun, lambda _: True, compiler=compiler)
        try:
            group.round(np.full(k, setup.learner.n_step))
            compile_more(group)
        finally:
            group.close()
    return compiler
