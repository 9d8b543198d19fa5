"""One process of a training, run within this one: the real workers and loops, without a main process and other processes."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, Protocol

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.config.compose import compose_jobs
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.hogwild.shared_parameters import SharedBuffer
from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.parallelism.hogwild.worker import make_loop
from a3c_exp.parallelism.multiprocess.owned_lock import OwnedLock
from a3c_exp.parallelism.multiprocess.shared_counters import SharedCounters
from a3c_exp.parallelism.multiprocess.wakeup_pipe import create_wakeup_pipe
from a3c_exp.parallelism.multiprocess.worker_loop import ProcessWorkers, WorkerLoop
from a3c_exp.parallelism.multiprocess.worker_process import ProcessControl, WorkerAssignment
from a3c_exp.parallelism.parameter_server.double_buffer import DoubleBufferedState
from a3c_exp.parallelism.parameter_server.gradient_slots import GradientSlots
from a3c_exp.parallelism.parameter_server.server import ServerProcess, StalenessPolicy
from a3c_exp.parallelism.parameter_server.strategy import ParameterServer
from a3c_exp.parallelism.parameter_server.worker import ParameterServerExchange
from a3c_exp.system.torch_settings import single_threaded
from a3c_exp.training.build import RunComponents, build_run

UNLIMITED_BUDGET = ("max_episodes=null", "max_updates=null", "max_env_steps=1000000000")
_UNLIMITED_STEPS = 2**62
_ADVANCE_SECONDS = 0.1  # between two looks at whether a training has taken the processor time that it should
_LOCK_TIMEOUT = 5.0
_WARM_UP = 2.0  # seconds of processor time, after which CartPole's episodes come to their time limit


class TrainingProcess(Protocol):
    """A training process. ``steps`` are those of a round, a full window of all its workers."""

    steps: int

    @property
    def group(self) -> Any:
        """Its ``WorkerGroup``."""

    @property
    def sequential_updates(self) -> Any:
        """The compiled code that applies its gradients; ``None`` where there is none."""

    def train(self, seconds: float) -> None:
        """Train for at least so many seconds of processor time."""

    def env_steps(self) -> int:
        """How many were taken so far."""


class WorkerProcess(TrainingProcess):
    """One of the processes that host workers, of hogwild or of a parameter server. No other process trains, so no push meets
    another's; the server's work is done here, by the server's own code, whenever the workers wait for it.

    Args:
        overrides: overrides of the configuration.
        processes: number of processes that share the workers; this one has the first one's.
        setup_changes: fields of the training setup to replace.
    """

    def __init__(
        self, overrides: Sequence[str], processes: int, setup_changes: Callable[[TrainingSetup], dict[str, Any]] | None = None
    ) -> None:
        components = _build(overrides)
        setup, state, parallelism = components.setup, components.initial_states[0], components.parallelism
        setup = setup if setup_changes is None else replace(setup, **setup_changes(setup))
        assert isinstance(parallelism, Hogwild | ParameterServer), parallelism
        self.counters = SharedCounters.create(
            processes + parallelism.has_server, state.rounds, state.episodes_begun, setup.budget
        )
        self._folder = tempfile.TemporaryDirectory(prefix="a3c_benchmarks_")
        self._lock_path = Path(self._folder.name) / "lock"
        self._receiver, self._pipe = Pipe(duplex=False)
        here = range(setup.workers // processes)
        assignment = WorkerAssignment(0, here, _LOCK_TIMEOUT, parallelism.sharing)
        self.server: ServerHere | None = None
        make = self._hogwild_loop if isinstance(parallelism, Hogwild) else self._parameter_server_loop
        self.loop = make(setup, state, assignment)
        self.steps = len(here) * setup.learner.n_step
        self.loop.exchange.pull_all()

    def _hogwild_loop(self, setup: TrainingSetup, state: TrainingState, assignment: WorkerAssignment) -> WorkerLoop:
        buffer = SharedBuffer.create(state.weights, state.optimizer_state, self._lock_path, False, _LOCK_TIMEOUT)
        return make_loop(setup, assignment, buffer, self.counters, self._pipe)

    def _parameter_server_loop(self, setup: TrainingSetup, state: TrainingState, assignment: WorkerAssignment) -> WorkerLoop:
        counters = self.counters
        control = ProcessControl(assignment.slot, counters, self._pipe)
        lock = OwnedLock(self._lock_path, counters.lock_owner, _LOCK_TIMEOUT, control.heartbeat)
        workers = ProcessWorkers.create(setup, assignment, control, lock)
        buffer = DoubleBufferedState.create(state.weights, state.optimizer_state, setup.workers)
        slots = GradientSlots.create(setup.workers, state.weights.numel(), len(setup.learner.statistics))
        ready, answered = create_wakeup_pipe(), create_wakeup_pipe()
        shared = buffer, slots, [assignment.worker_ids], counters
        slot = len(counters.table) - 1
        server = ServerProcess(setup, StalenessPolicy(), slot, *shared, [ready[0]], [answered[1]], self._pipe)
        self.server = ServerHere(server, slots)
        listener: Any = self.server
        return WorkerLoop(workers, ParameterServerExchange(workers, slots, ready[1], listener))

    @property
    def group(self) -> Any:
        return self.loop.group

    @property
    def sequential_updates(self) -> Any:
        return getattr(self.loop.exchange, "_sequential_updates", None)

    def env_steps(self) -> int:
        return self.counters.env_steps()

    def train(self, seconds: float) -> None:
        end = time.process_time() + seconds
        while time.process_time() < end:
            self.run_round()

    def run_rounds(self, rounds: int) -> int:
        """Run at least this many rounds; returns their number."""
        before = self.env_steps()
        while (done := (self.env_steps() - before) // self.steps) < rounds:
            self.run_round()
        return int(done)

    def run_round(self) -> None:
        """Run a round, or a burst of them, as ``WorkerLoop.run`` does."""
        self.loop.control.poll_commands()
        self.loop.run_round()
        while self._receiver.poll():
            self._receiver.recv()


class ServerHere:
    """In place of the listener by which workers wait for the server's process: what that would do is done meanwhile."""

    def __init__(self, server: ServerProcess, slots: GradientSlots) -> None:
        self._server, self._slots = server, slots

    def wait(self, _: float) -> None:
        self.serve()

    def serve(self) -> None:
        self._server._serve(self._slots.pending().tolist())


class SynchronousProcess(TrainingProcess):
    """The process of ``parallelism=synchronous``, without a trainer: no logs, checkpoints and evaluations.

    Args:
        overrides: overrides of the configuration.
    """

    def __init__(self, overrides: Sequence[str]) -> None:
        components = _build(["parallelism=synchronous", *overrides])
        self.parallelism: Any = components.parallelism
        self.parallelism.start(components.setup, components.initial_states)
        self.steps = components.setup.workers * components.setup.learner.n_step

    @property
    def group(self) -> Any:
        return self.parallelism.worker_group

    @property
    def sequential_updates(self) -> Any:
        return self.parallelism.rule.sequential_updates

    def env_steps(self) -> int:
        return int(self.parallelism.counts(0).env_steps)

    def train(self, seconds: float) -> None:
        end = time.process_time() + seconds
        while time.process_time() < end:
            self.parallelism.advance(min(_ADVANCE_SECONDS, seconds), [_UNLIMITED_STEPS])


def _build(overrides: Sequence[str]) -> RunComponents:
    (job,) = compose_jobs([*overrides, *UNLIMITED_BUDGET], False)
    return build_run(job.config)


class CoreRate:
    """Environment steps per second of processor time.

    Args:
        make: builds the training, when first needed; it is compiled where it says so, and warmed up.
        seconds: of processor time, of a measurement.
    """

    def __init__(self, make: Callable[[], TrainingProcess], seconds: float) -> None:
        self._make, self._seconds = make, seconds
        self._process: TrainingProcess | None = None

    def measure(self) -> float:
        with single_threaded():
            if self._process is None:
                self._process = self._make()
                self._process.train(_WARM_UP)
            process = self._process
            began, before = time.process_time(), process.env_steps()
            process.train(self._seconds)
            return (process.env_steps() - before) / (time.process_time() - began)
