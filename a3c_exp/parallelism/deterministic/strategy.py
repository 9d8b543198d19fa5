"""A3C in virtual time: asynchronous, from stale weights, and the same bit for bit whenever it is repeated."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Le
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.config.type_checks import NonNegativeInt, PositiveInt
from a3c_exp.parallelism.base import Event, TrainingSetup
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates
from a3c_exp.parallelism.deterministic.fixed_lag import LagSchedule, WeightHistory
from a3c_exp.parallelism.deterministic.virtual_time import AsynchronousBurst, VirtualTimeState
from a3c_exp.parallelism.deterministic.worker_schedule import (
    Order,
    RandomDurationSchedule,
    RoundRobinSchedule,
    Speeds,
    WorkerSchedule,
)
from a3c_exp.parallelism.single_process.base import SingleProcessStrategy
from a3c_exp.parallelism.single_process.burst_runner import BurstRunner
from a3c_exp.parallelism.single_process.seed_training import SeedTraining
from a3c_exp.parallelism.worker_group import RoundResult
from a3c_exp.system.errors import ConfigError

Variation = Annotated[float, Ge(0), Le(10)]
_MAX_UNIFORM_VARIATION = 1 / 3**0.5


class Deterministic(SingleProcessStrategy):
    """Asynchronous workers in virtual time.

    Each worker has its own copy of the weights. When its window ends, it pushes the gradient that it computed from that copy,
    pulls, and begins its next window; the others have been pushing meanwhile. A seeded schedule says whose window ends next.
    What a window holds depends on the weights that were pulled for it and on nothing that happens later, so all windows under
    way are computed side by side, and pushed one by one in the schedule's order.

    Args:
        speeds: ``equal``: every worker has one turn a round; or the distribution of the windows' durations: ``lognormal``,
            ``gamma`` or ``uniform``.
        order: of equally fast workers: ``shuffled`` anew every round, or ``fixed``, where the policy lag is N - 1 always.
        between_workers, between_windows: coefficients of variation of the workers' mean durations, and of each window's
            duration around its worker's mean. Of no effect where speeds are equal.
        lag: ``None`` lets the schedule decide. A number sets the policy lag of every push: its window is computed from the
            weights as they were that many updates before. Two numbers draw it for each push, evenly from the first to the last.
        env_processes: processes that step the environments; 0 steps them here.
        processes: for several seeds, that share them in whole blocks; ``None`` or 1 trains all in this process.
        seed_block: seeds that are stacked together; ``None`` stacks all that a process has.

    Raises:
        ConfigError: a value is out of its range.
    """

    kind = "deterministic"
    share_weights = False

    def __init__(
        self,
        speeds: Speeds = "equal",
        order: Order = "shuffled",
        between_workers: Variation = 0.5,
        between_windows: Variation = 0.1,
        lag: int | Sequence[int] | None = None,
        env_processes: NonNegativeInt = 0,
        processes: PositiveInt | None = None,
        seed_block: PositiveInt | None = None,
    ) -> None:
        super().__init__(env_processes, processes, seed_block)
        for key, value in (("between_workers", between_workers), ("between_windows", between_windows)):
            if speeds == "uniform" and value > _MAX_UNIFORM_VARIATION:
                raise ConfigError(
                    f"parallelism.{key} is {value}, but the coefficient of variation of uniform durations is at most "
                    f"{_MAX_UNIFORM_VARIATION:.3g}. Try parallelism.{key}=0.3"
                )
        self._speeds: Speeds = speeds
        self._order: Order = order
        self._variation = between_workers, between_windows
        self._lag_schedule = LagSchedule(lag)
        self._virtual_times: list[VirtualTimeState] = []
        self._sequential_updates: SequentialUpdates | None = None

    def start(self, setup: TrainingSetup, states: Sequence[TrainingState]) -> Sequence[Event]:
        self._virtual_times = [
            VirtualTimeState(self._make_schedule(seed, setup.workers), setup.workers, len(setup.learner.statistics))
            for seed in setup.seeds
        ]
        events = super().start(setup, states)
        self._sequential_updates = self._compile_updates(setup)
        if self._sequential_updates is not None and not self._lag_schedule.is_set:
            trainings = [
                AsynchronousBurst(replica, self._worker_weights(replica), lane)
                for replica, lane in zip(self.trainings, self._virtual_times, strict=True)
            ]
            self.burst_runner = BurstRunner(self.worker_group, trainings, self._sequential_updates)
        return events

    def _compile_updates(self, setup: TrainingSetup) -> SequentialUpdates | None:
        """Pushes that follow each other as machine code, where they are many and can be had."""
        # With random speeds few pushes follow each other without a window between them.
        return (
            SequentialUpdates.try_compile(self.worker_group, setup.optimizer, setup.workers)
            if self._speeds == "equal"
            else None
        )

    def _make_schedule(self, seed: int, workers: int) -> WorkerSchedule:
        if self._speeds == "equal":
            return RoundRobinSchedule(seed, workers, self._order)
        return RandomDurationSchedule(seed, workers, self._speeds, *self._variation)

    def load_state_dict(self, training: SeedTraining, state_dict: dict[str, Any] | None) -> None:
        lane = self._virtual_times[training.index]
        if state_dict is None:
            self._worker_weights(training).copy_(training.weights)
            lane.pulled_at[:] = training.updates
            if self._lag_schedule.is_set:
                lane.history = WeightHistory(self._lag_schedule.max_lag, [training.weights], training.updates)
            for worker in range(self.workers_per_training):
                training.reserve(worker, self.in_episode(training, worker))
            return
        device, past = training.weights.device, state_dict["history"]
        self._worker_weights(training).copy_(state_dict["worker_weights"])
        lane.pulled_at[:] = state_dict["pulled_at"]
        lane.pending_gradients.load_state_dict(state_dict["pending_gradients"], device)
        if past:
            lane.history = WeightHistory(self._lag_schedule.max_lag, [one.to(device) for one in past], training.updates)
        lane.schedule.load_state_dict(state_dict["schedule"])
        training.load_reservations_state_dict(state_dict["reservations"])
        # Episodes that ended in windows not pushed yet are still under way in the replica's books.
        training.episodes_in_progress += sum(len(some) for some in lane.pending_gradients.ended.values())
        for worker, waiting in enumerate(lane.pending_gradients.is_pending.tolist()):
            within = self.in_episode(training, worker)
            without_episode = not within and not training.tickets[worker]  # it could not be brought back
            if not waiting and training.reserved_steps[worker] and (without_episode or training.is_overdrawn):
                training.reserve(worker, within)

    def state_dict(self, training: SeedTraining) -> dict[str, Any]:
        lane = self._virtual_times[training.index]
        return {
            "worker_weights": self._worker_weights(training).detach().cpu().clone(),
            "pulled_at": lane.pulled_at.tolist(),
            "pending_gradients": lane.pending_gradients.state_dict(),
            "history": [] if lane.history is None else lane.history.versions(),
            "schedule": lane.schedule.state_dict(),
            "reservations": training.reservations_state_dict(),
        }

    def _worker_weights(self, training: SeedTraining) -> Tensor:
        """``[N, P]`` the workers' own copies."""
        first = training.index * self.workers_per_training
        return self.worker_group.weights[first : first + self.workers_per_training]

    def allowed_steps(self, training: SeedTraining, allowed: NDArray[np.int64]) -> None:
        lane = self._virtual_times[training.index]
        coming = lane.schedule.peek()
        if lane.pending_gradients.is_pending[coming] or not training.reserved_steps[coming]:
            return  # a push comes first, or there is nothing left to do
        if lane.history is None:
            np.copyto(allowed, training.reserved_steps, where=~lane.pending_gradients.is_pending)
        else:
            order, versions = self._next_windows_from_history(training, lane, lane.history)
            self._worker_weights(training).index_copy_(0, torch.from_numpy(order), lane.history.at(versions))
            lane.pulled_at[order] = versions
            allowed[order] = training.reserved_steps[order]

    def _next_windows_from_history(
        self, training: SeedTraining, virtual_time: VirtualTimeState, history: WeightHistory
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Whose windows can begin where lags are set, and from which versions: one that update v will push is computed from the
        weights of update v - lag, so that all can be begun whose weights exist already."""
        newest, most = training.updates, self._lag_schedule.max_lag
        # Mostly: everybody, or as many as the lag has room for.
        count = min(most + 1, self.workers_per_training)
        order = np.array(virtual_time.schedule.peek_distinct(count))
        ready = (training.reserved_steps[order] > 0) & ~virtual_time.pending_gradients.is_pending[order]
        if len(order) == count and ready.all() and training.can_reserve(most + 1):
            versions = newest + np.arange(count) - self._lag_schedule.lags_from(training.seed, newest, count)
            exist = versions <= newest
            return order[exist], np.maximum(versions[exist], history.oldest)
        found: dict[int, int] = {}
        seen: set[int] = set()
        for ahead in range(most + 1):
            worker = virtual_time.schedule.peek(ahead)
            if worker in seen or not training.reserved_steps[worker]:
                # Its window has still to be reserved. Where the budget may not allow it, the turn may pass without an update,
                # and then nobody knows which updates the turns behind it will make.
                if not training.can_reserve(ahead + 1):
                    break
                continue
            seen.add(worker)
            version = max(history.oldest, newest + ahead - self._lag_schedule.lag_at(training.seed, newest + ahead))
            if not virtual_time.pending_gradients.is_pending[worker] and version <= newest:
                found[worker] = version
        return np.array(list(found), np.int64), np.array(list(found.values()), np.int64)

    def _anyone_could_act(self, training: SeedTraining, virtual_time: VirtualTimeState) -> bool:
        """Whether any worker has or could have something to do."""
        if virtual_time.pending_gradients.is_pending.any() or training.reserved_steps.any():
            return True
        return any(training.could_act(self.in_episode(training, worker)) for worker in range(self.workers_per_training))

    def collect(self, training: SeedTraining, result: RoundResult, participants: NDArray[np.int64]) -> None:
        self._virtual_times[training.index].pending_gradients.add(
            result, training.index * self.workers_per_training, participants
        )

    def next_update(self, training: SeedTraining, until: int) -> bool:
        lane = self._virtual_times[training.index]
        pushed = self._sequential_updates is not None and self._push_all(training, lane, self._sequential_updates, until)
        return pushed or self._push_one(training, lane)

    def _push_one(self, training: SeedTraining, virtual_time: VirtualTimeState) -> bool:
        while True:
            worker = virtual_time.schedule.peek()
            if virtual_time.pending_gradients.is_pending[worker]:
                self._push(training, virtual_time, worker)
                return True
            if training.reserved_steps[worker] or training.reserve(worker, self.in_episode(training, worker)):
                return False
            if not self._anyone_could_act(training, virtual_time):
                return False
            virtual_time.schedule.pop()  # nothing is left for this worker, now; others may give something back

    def _push(self, training: SeedTraining, virtual_time: VirtualTimeState, worker: int) -> None:
        training.push(virtual_time.pending_gradients.pop(worker), training.updates - int(virtual_time.pulled_at[worker]))
        self._worker_weights(training)[worker].copy_(training.weights)
        virtual_time.pulled_at[worker] = training.updates
        self._append_to_history(training, virtual_time, np.array([worker]))
        virtual_time.schedule.pop()
        training.reserve(worker, self.in_episode(training, worker))

    def _push_all(
        self, training: SeedTraining, virtual_time: VirtualTimeState, sequential_updates: SequentialUpdates, until: int
    ) -> bool:
        """Push as many of the windows that wait as come next, at once; false if the next does not."""
        order = np.array(virtual_time.schedule.peek_distinct(sequential_updates.batch_size))
        waits = virtual_time.pending_gradients.is_pending[order]
        if not waits.all():
            order = order[: waits.argmin()]
        # The push that reaches a bound is the last.
        reached = (training.env_steps + np.cumsum(virtual_time.pending_gradients.steps[order]) >= until).nonzero()[0]
        if len(reached):
            order = order[: reached[0] + 1]
        if self.setup.budget.max_updates is not None:
            order = order[: self.setup.budget.max_updates - training.updates]
        if not len(order):
            return False
        if training.can_reserve(2 * self.workers_per_training):
            self._push_sequentially(training, virtual_time, sequential_updates, order)
            first = training.index * self.workers_per_training
            training.reserve_all(order, self.worker_group.episodes.in_episode[first + order])
        else:  # what one may reserve hangs on what those behind it still hold

            def reserve(worker: int) -> None:
                training.reserve(worker, self.in_episode(training, worker))

            self._push_sequentially(training, virtual_time, sequential_updates, order, reserve)
        virtual_time.schedule.advance(len(order))
        return True

    def _push_sequentially(
        self,
        training: SeedTraining,
        virtual_time: VirtualTimeState,
        sequential_updates: SequentialUpdates,
        order: NDArray[np.int64],
        on_settled: Callable[[int], object] | None = None,
    ) -> None:
        windows, numbers = virtual_time.pending_gradients, training.updates + np.arange(len(order))
        lags = numbers - virtual_time.pulled_at[order]
        training.push_all(
            sequential_updates,
            order,
            windows.gradients(),
            self._worker_weights(training),
            windows.window_stats[order],
            windows.steps[order],
            windows.ended,
            lags,
            on_settled,
        )
        virtual_time.pulled_at[order] = numbers + 1
        windows.discard(order)
        self._append_to_history(training, virtual_time, order)

    def _append_to_history(self, training: SeedTraining, virtual_time: VirtualTimeState, order: NDArray[np.int64]) -> None:
        """Keep the weights that each of these pushes left behind, as its worker pulled them, for as far back as a lag goes."""
        if virtual_time.history is not None:
            virtual_time.history.append(self._worker_weights(training).index_select(0, torch.from_numpy(order)))

    def summary(self, index: int = 0) -> dict[str, Any]:
        turns = self._virtual_times[index].schedule
        speeds = {"mean_durations": turns.mean_durations.tolist()} if isinstance(turns, RandomDurationSchedule) else {}
        return {**super().summary(index), **speeds}
