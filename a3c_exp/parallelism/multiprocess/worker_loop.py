"""The loop of one worker process: act, learn, exchange, settle."""

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.compile.compiler import Compiler, NotCompiledYet
from a3c_exp.parallelism.base import EpisodeEvent, TrainingSetup
from a3c_exp.parallelism.multiprocess.owned_lock import OwnedLock
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn, WorkerBudget
from a3c_exp.parallelism.multiprocess.worker_process import NonFinite, ProcessControl, WorkerAssignment
from a3c_exp.parallelism.worker_group import RoundResult, WorkerGroup, WorkerId

BURST_SECONDS = 0.05  # seconds after which a burst ends early, so that the process shows a heartbeat and follows commands
_LOOK_SECONDS = 0.5  # time between two looks at whether environments have stepped
_IDLE_SECONDS = 0.002  # how long a process waits that may do nothing now: what another one reserved may still come back


class ScheduledInputs(Protocol):
    """What windows take from the schedules, as ``LossInputs`` does."""

    @property
    def is_scheduled(self) -> bool: ...

    def follow_schedules(self, fractions: NDArray[np.float64]) -> None: ...


class StackedWorkers(Protocol):
    """K workers that act and learn side by side: a ``WorkerGroup`` of this process, or one on another machine, which has no
    bursts. All methods and attributes are as there."""

    @property
    def worker_ids(self) -> Sequence[WorkerId]: ...

    @property
    def weights(self) -> Tensor: ...

    @property
    def in_episode(self) -> NDArray[np.bool_]: ...

    @property
    def has_fused_rounds(self) -> bool: ...

    @property
    def loss_inputs(self) -> ScheduledInputs: ...

    def progress(self) -> int: ...

    def truncate(self, workers: Iterable[int]) -> list[EndedEpisode]: ...

    def round(self, allowed: NDArray[np.int64]) -> RoundResult: ...

    def begin_burst(self, max_rounds: int) -> int: ...

    def burst_round(self) -> tuple[Tensor, NDArray[np.float32], bool]: ...

    def end_burst(self, gradients: Tensor, window_stats: NDArray[np.float32]) -> RoundResult: ...

    def use_compiled(self, compiler: Compiler) -> bool: ...

    def close(self) -> None: ...


Workers = TypeVar("Workers", bound=StackedWorkers, covariant=True)


@dataclass(frozen=True)
class ProcessWorkers(Generic[Workers]):
    """The K workers of one process: with its link to the main process, and its share of the budget. ``pull_together``: each
    takes the weights that follow the last of their gradients, and not those that follow its own."""

    setup: TrainingSetup
    control: ProcessControl
    budget: WorkerBudget
    group: Workers
    pull_together: bool = False

    @staticmethod
    def create(
        setup: TrainingSetup, assignment: WorkerAssignment, control: ProcessControl, lock: OwnedLock
    ) -> "ProcessWorkers[WorkerGroup]":
        """The workers of an assignment; ``lock`` is held while something is taken from the budget."""
        ids, counters = assignment.worker_ids, control.counters
        budget = WorkerBudget(setup, counters, assignment.slot, len(ids), lock)
        rounds, episodes_begun = counters.workers.numpy()[:, ids[0] : ids[-1] + 1]
        members = [WorkerId(setup.seed, worker) for worker in ids]
        own = members, rounds, episodes_begun, budget.take_ticket
        group, together = WorkerGroup(setup, *own, *assignment.sharing.of_group), assignment.sharing.pull_together
        together = not group.stackable if together is None else together
        return ProcessWorkers(setup, control, budget, group, together)


class Exchange(Protocol):
    """Gives the gradients of a process's K workers to the shared weights, and each worker the weights that follow: the one
    thing in which hogwild and the parameter server differ inside a worker process. At most ``burst_rounds`` may follow each
    other with nothing but ``push_and_pull_all`` between them; 0: each goes through ``push_and_pull`` and ``settle``."""

    burst_rounds: int = 0
    announces_episodes: bool = False
    """Whether ``push_and_pull`` tells the main process of the episodes that end in what it pushes."""

    def pull_all(self) -> None:
        """Bring all rows of the workers' weights to the shared weights, before the first round."""

    def before_round(self) -> Iterable[EndedEpisode]:
        """What must be done between two rounds; returns the episodes that it ended."""
        return ()

    def push_and_pull(self, result: RoundResult, workers: Sequence[int]) -> None:
        """Apply these workers' gradients in this order, and give each the weights that follow its own, or all of them those
        that follow the last; of workers that have one gradient together, that one."""

    def push_and_pull_all(self, gradients: Tensor, window_stats: NDArray[np.float32]) -> None:
        """``push_and_pull`` for full windows of all workers, and only where ``burst_rounds`` is not 0."""
        raise AssertionError(f"{type(self).__name__} has no bursts")

    def settle(self, steps: int) -> None:
        """Everything of a round was applied: count its steps, and give back what it had reserved beyond them."""

    def updates(self) -> int:
        """Updates of the shared weights so far."""

    def use_compiled(self) -> None:
        """The workers have gone over to compiled code, between two rounds: do so too, where there is some."""
        return

    def close(self) -> None:
        """The workers have ended: send what was not sent yet."""
        return


def episode_events(
    ended: Iterable[EndedEpisode], worker_ids: Sequence[WorkerId], env_steps: int, updates: int
) -> list[EpisodeEvent]:
    """Episodes as the main process hears of them: workers have the numbers that they have in the whole training."""
    named = (replace(episode, worker=worker_ids[episode.worker].worker) for episode in ended)
    return [EpisodeEvent(episode, env_steps, updates) for episode in named]


@final
class WorkerLoop:
    """All that one process's workers do, from their first pull to the end of the training::

        exchange.pull_all()                          every worker gets the shared weights
        while the main process says so:
            reserve                                  steps that each worker may take, from the budget of all processes
            act                                      one window: up to n environment steps of each worker
            learn                                    one gradient for each window
            exchange                                 each gradient is applied, and its worker gets the weights that follow
            settle                                   count the steps, report the episodes that ended

    Where nothing can need a decision for several rounds, they run as a burst, with only the exchange between them. Code that is
    compiled meanwhile is gone over to between two rounds.
    """

    def __init__(self, workers: ProcessWorkers[StackedWorkers], exchange: Exchange) -> None:
        self._statistics, self._counters = workers.setup.learner.statistics, workers.control.counters
        self.control, self._budget = workers.control, workers.budget
        self.group, self.exchange = workers.group, exchange
        self._awaits_code, self._bfloat16 = workers.setup.compile_while_training, workers.setup.bfloat16

    def run(self) -> None:
        ended = threading.Event()
        threading.Thread(target=self._send_step_heartbeats, args=(ended,), name="steps", daemon=True).start()
        try:
            self.exchange.pull_all()
            while self.control.poll_commands():
                if not self.run_round():
                    time.sleep(_IDLE_SECONDS)
                elif self._awaits_code and self._counters.code_ready:
                    self.use_compiled()
            self.exchange.close()
        finally:
            ended.set()
            with suppress(Exception):  # a third party's; what went wrong before is what counts
                self.group.close()

    def _send_step_heartbeats(self, ended: threading.Event) -> None:
        """A heartbeat when environments have stepped: a window of slow steps may take longer than ``worker_timeout``."""
        latest = self.group.progress()
        while not ended.wait(_LOOK_SECONDS):
            progress = self.group.progress()
            if progress != latest:
                self.control.heartbeat()
            latest = progress

    def run_round(self) -> bool:
        """One round, or a burst of them; false if the budget allows none now."""
        group, exchange = self.group, self.exchange
        self._report_episodes(exchange.before_round())
        result = self._run_burst()
        if result is None:
            allowed = self._budget.reserve_round(group.in_episode, exchange.updates)
            if not allowed.any():
                return False
            self._follow_schedules()
            result = group.round(allowed)
            self.control.row[CounterColumn.stepping] = 1
        workers = result.steps.nonzero()[0].tolist()
        diverged = result.first_non_finite()
        exchange.push_and_pull(result, workers if diverged is None else workers[: workers.index(diverged)])
        if diverged is not None:
            self._report_non_finite(diverged, result)
            return False
        exchange.settle(int(result.steps.sum()))
        if not exchange.announces_episodes:
            self._report_episodes(result.ended)
        return True

    def use_compiled(self) -> None:
        """Go over to the code that was compiled meanwhile, between two rounds; where that fails, go on as before."""
        self._awaits_code = went_over = False
        with suppress(NotCompiledYet):  # somebody has deleted it
            went_over = self.group.use_compiled(Compiler(only_find=True, bfloat16=self._bfloat16))
            if went_over:
                self.exchange.use_compiled()
        self.control.row[CounterColumn.compiled_at] = max(1, self._counters.env_steps()) if went_over else -1

    def _run_burst(self) -> RoundResult | None:
        """Full rounds, each but the last, which is returned, with its exchange; ``None`` if the next may need a decision."""
        max_rounds = self.exchange.burst_rounds
        if not max_rounds or not self._budget.reserve_burst(max_rounds):
            return None
        count = self.group.begin_burst(max_rounds)
        if not count:
            self._counters.settle_steps(self.control.slot, 0)
            return None
        deadline = time.monotonic() + BURST_SECONDS
        with torch.inference_mode(self.group.has_fused_rounds):
            while True:
                self._follow_schedules()
                gradients, window_stats, any_end = self.group.burst_round()
                count -= 1
                if not count or any_end or time.monotonic() >= deadline or not np.isfinite(window_stats).all():
                    return self.group.end_burst(gradients, window_stats)
                self.exchange.push_and_pull_all(gradients, window_stats)
                self._budget.settle_burst_round()

    def _follow_schedules(self) -> None:
        """Windows that begin now go by what all processes together have used of the budget."""
        if self.group.loss_inputs.is_scheduled:
            counters = self._counters
            fraction = counters.budget.fraction(counters.episodes(), counters.env_steps(), self.exchange.updates())
            self.group.loss_inputs.follow_schedules(np.full(len(self.group.worker_ids), fraction))

    def _report_episodes(self, ended: Iterable[EndedEpisode]) -> None:
        if ended:
            counts = self._counters.env_steps(), self.exchange.updates()
            for event in episode_events(ended, self.group.worker_ids, *counts):
                self.control.send(event)

    def _report_non_finite(self, k: int, result: RoundResult) -> None:
        """Say which worker diverged, and wait for the main process to end the run."""
        worker = self.group.worker_ids[k].worker
        window = int(self._counters.workers[0, worker])
        self.control.send(NonFinite(worker, window, self._statistics.non_finite(result.window_stats[result.row(k)])))
        while self.control.poll_commands():
            time.sleep(_IDLE_SECONDS)
