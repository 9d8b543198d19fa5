"""The inside of one worker process of the parameter server: K workers that report gradients and wait for their own answers."""

from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.multiprocess.owned_lock import OwnedLock
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn, SharedCounters
from a3c_exp.parallelism.multiprocess.wakeup_pipe import WakeupListener, notify
from a3c_exp.parallelism.multiprocess.worker_process import WorkerAssignment, WorkerProcess, run_in_worker
from a3c_exp.parallelism.parameter_server.gradient_slots import GradientSlots, SlotField
from a3c_exp.parallelism.worker_group import RoundResult

_WAIT_SECONDS = 0.1
"""How long it waits for a ring before it shows life and looks around."""


def main(
    setup: TrainingSetup,
    assignment: WorkerAssignment,
    gradient_slots: GradientSlots,
    counters: SharedCounters,
    lock_path: Path,
    gradients_ready: Connection,
    weights_ready: Connection,
    pipe: Connection,
) -> None:
    """Entry of the process."""
    run_in_worker(
        lambda: ParameterServerWorkers(
            setup, assignment, gradient_slots, counters, lock_path, gradients_ready, weights_ready, pipe
        ).run(),
        pipe,
    )


class ParameterServerWorkers(WorkerProcess):
    """K stacked workers and their mailboxes.

    Args:
        setup: what is trained.
        assignment: which workers live here.
        gradient_slots: of all workers.
        counters: shared counts.
        lock_path: of the lock that is held by whoever takes from a budget.
        gradients_ready: a bell to ring when letters are in.
        weights_ready: a bell that the main agent rings when answers are.
        pipe: to the main process.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        assignment: WorkerAssignment,
        gradient_slots: GradientSlots,
        counters: SharedCounters,
        lock_path: Path,
        gradients_ready: Connection,
        weights_ready: Connection,
        pipe: Connection,
    ) -> None:
        owner = counters.control.numpy()[2:3]
        # Who waits for the lock is not dead: who holds it and does nothing is.
        lock = OwnedLock(lock_path, owner, assignment.lock_timeout, self._heartbeat)
        super().__init__(setup, assignment, counters, lock, pipe)
        self._gradient_slots = gradient_slots
        first, last = self._worker_ids[0], self._worker_ids[-1] + 1
        self._fields = gradient_slots.fields.numpy()[first:last]
        self._received_weights = gradient_slots.weights[first:last]
        self._gradients_ready = gradients_ready
        self._listener = WakeupListener([weights_ready], pipe)
        self._pulled_at = [0] * len(self._worker_ids)

    def _pull_initial_weights(self) -> None:
        self._wait_for_weights()  # to what a predecessor reported: until then its steps stay reserved, and its mailboxes full
        self._counters.settle_steps(self._slot, 0)
        self._fields[:, SlotField.resets_acknowledged] = self._resets_requested()  # its episodes are gone anyway
        for worker in self._worker_ids:
            self._gradient_slots.request_weights(worker)
        notify(self._gradients_ready)
        self._wait_for_weights()
        self._pull(range(len(self._worker_ids)))

    def _exchange(self, result: RoundResult, finite_workers: Sequence[int]) -> None:
        cut_short = {episode.worker for episode in result.ended if episode.end == "truncated"}
        for k in finite_workers:
            self._gradient_slots.send(
                self._worker_ids[k],
                result.gradients[k],
                result.window_stats[k],
                self._pulled_at[k],
                int(result.steps[k]),
                k in cut_short,
            )
        notify(self._gradients_ready)
        self._wait_for_weights()
        self._pull(finite_workers)

    def _pull(self, workers: Sequence[int]) -> None:
        for k in workers:
            self._worker_group.weights[k].copy_(self._received_weights[k])
            self._pulled_at[k] = int(self._fields[k, SlotField.answered_at])

    def _settle(self, result: RoundResult) -> None:
        # What was reported is in the main agent's books by now; what was reserved beyond it goes back.
        self._counters.settle_steps(self._slot, 0)

    def _wait_for_weights(self) -> None:
        """Wait for this process's own answers, alive; also when told to stop, for the main agent ends after all workers."""
        while (self._fields[:, SlotField.sent] != self._fields[:, SlotField.answered]).any():
            self._heartbeat()
            if self._parent_exited():
                raise EOFError
            self._listener.wait(_WAIT_SECONDS)

    def _resets_requested(self) -> NDArray[np.int64]:
        """How often each worker was asked so far, by anyone, ``[K]``."""
        asked: NDArray[np.int64] = (
            self._fields[:, SlotField.resets_requested_by_server] + self._fields[:, SlotField.resets_requested_by_main]
        )
        return asked

    def _between_rounds(self) -> None:
        """Cut the episodes that someone asked to be cut."""
        asked = self._resets_requested()
        for k in (asked > self._fields[:, SlotField.resets_acknowledged]).nonzero()[0].tolist():
            episode = self._worker_group.episodes.truncate(k)
            self._fields[k, SlotField.resets_acknowledged] = asked[k]
            if episode is not None:
                self._fields[k, SlotField.resets] += 1
                self._send_episodes([episode])

    def _updates(self) -> int:
        return self._counters.base_updates + int(self._counters.table[:, CounterColumn.pushes].sum())
