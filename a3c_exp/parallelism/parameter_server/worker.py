"""The inside of one worker process of the parameter server: its workers send gradients and wait for the weights that follow."""

from collections import Counter
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.multiprocess.owned_lock import OwnedLock
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn, SharedCounters
from a3c_exp.parallelism.multiprocess.wakeup_pipe import WakeupListener, notify
from a3c_exp.parallelism.multiprocess.worker_loop import Exchange, ProcessWorkers, StackedWorkers, WorkerLoop, episode_events
from a3c_exp.parallelism.multiprocess.worker_process import ProcessControl, WorkerAssignment, run_in_worker
from a3c_exp.parallelism.parameter_server.announced_episodes import Announcement
from a3c_exp.parallelism.parameter_server.gradient_slots import GradientSlots, SlotField
from a3c_exp.parallelism.worker_group import RoundResult

_WAIT_SECONDS = 0.1  # how long a process waits to be woken before it shows a heartbeat and looks itself


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

    def run() -> None:
        control = ProcessControl(assignment.slot, counters, pipe)
        # A process that waits for the lock is alive: the one that holds it and does nothing is not.
        lock = OwnedLock(lock_path, counters.lock_owner, assignment.lock_timeout, control.heartbeat)
        workers = ProcessWorkers.create(setup, assignment, control, lock)
        listener = WakeupListener([weights_ready], pipe)
        WorkerLoop(workers, ParameterServerExchange(workers, gradient_slots, gradients_ready, listener)).run()

    run_in_worker(run, pipe)


class ParameterServerExchange(Exchange):
    """Sends the gradients of a process's K workers to the server process, which ``gradients_ready`` wakes, and waits for its
    weights: the ``listener`` is woken when the server has answered."""

    announces_episodes = True

    def __init__(
        self,
        workers: ProcessWorkers[StackedWorkers],
        gradient_slots: GradientSlots,
        gradients_ready: Connection,
        listener: WakeupListener,
    ) -> None:
        self._control, self._counters, self._group = workers.control, workers.control.counters, workers.group
        self._gradient_slots, self._gradients_ready, self._listener = gradient_slots, gradients_ready, listener
        self._worker_ids = [member.worker for member in self._group.worker_ids]
        first, last = self._worker_ids[0], self._worker_ids[-1] + 1
        self._fields = gradient_slots.fields.numpy()[first:last]
        self._received_weights = gradient_slots.weights[first:last]
        self._pulled_at, self.pull_together = [0] * len(self._worker_ids), workers.pull_together

    def settle_pending(self) -> None:
        """Wait until what a predecessor sent is answered: until then its steps stay reserved."""
        self._wait_for_weights()
        self.settle(0)

    def pull_all(self) -> None:
        self.settle_pending()
        # The predecessor's episodes are gone anyway.
        self._fields[:, SlotField.resets_acknowledged] = self._fields[:, SlotField.resets_requested]
        for worker in self._worker_ids:
            self._gradient_slots.request_weights(worker)
        self._receive_weights(range(len(self._worker_ids)))

    def before_round(self) -> Iterable[EndedEpisode]:
        requested = self._fields[:, SlotField.resets_requested].copy()
        workers = (requested > self._fields[:, SlotField.resets_acknowledged]).nonzero()[0].tolist()
        if not workers:
            return ()
        ended = self._group.truncate(workers)
        self._fields[workers, SlotField.resets_acknowledged] = requested[workers]
        for episode in ended:
            self._fields[episode.worker, SlotField.resets] += 1
        return ended

    def push_and_pull(self, result: RoundResult, workers: Sequence[int]) -> None:
        truncated = result.truncated_workers()
        ended = self._announce(result, workers) if result.ended else {}
        for k in workers:
            content = result.gradients[k], result.window_stats[k], self._pulled_at[k], int(result.steps[k]), k in truncated
            self._gradient_slots.send(self._worker_ids[k], *content, ended.get(k, 0))
        self._receive_weights(workers)

    def _announce(self, result: RoundResult, workers: Sequence[int]) -> Counter[int]:
        """Tell the main process of the episodes that ended in these workers' windows; how many each worker ended."""
        own = [episode for episode in result.ended if episode.worker in workers]
        if not own:
            return Counter()
        # As it will be once these windows are settled, if no other window is before.
        env_steps, updates = self._counters.env_steps() + int(result.steps.sum()), self.updates() + len(workers)
        events = episode_events(own, self._group.worker_ids, env_steps, updates)
        numbers = (self._fields[[episode.worker for episode in own], SlotField.sent] + 1).tolist()
        self._control.send(Announcement(list(zip(numbers, events, strict=True))))
        return Counter(episode.worker for episode in own)

    def _receive_weights(self, workers: Iterable[int]) -> None:
        """Wake the server, and take the weights that it answers to these workers."""
        notify(self._gradients_ready)
        self._wait_for_weights()
        if self.pull_together:
            latest = int(self._fields[:, SlotField.answered_at].argmax())
            self._group.weights.copy_(self._received_weights[latest])
            self._pulled_at = [int(self._fields[latest, SlotField.answered_at])] * len(self._pulled_at)
            return
        for k in workers:
            self._group.weights[k].copy_(self._received_weights[k])
            self._pulled_at[k] = int(self._fields[k, SlotField.answered_at])

    def _wait_for_weights(self) -> None:
        """Wait for the answers to this process's workers, also after a command to stop: the server ends after all workers."""
        while (self._fields[:, SlotField.sent] != self._fields[:, SlotField.answered]).any():
            self._control.heartbeat()
            if self._control.parent_exited():
                raise EOFError
            self._listener.wait(_WAIT_SECONDS)

    def settle(self, steps: int) -> None:
        # The server has counted the steps of what was sent; what was reserved beyond them goes back.
        self._counters.settle_steps(self._control.slot, 0)

    def updates(self) -> int:
        return self._counters.base_updates + int(self._counters.table[:, CounterColumn.pushes].sum())
