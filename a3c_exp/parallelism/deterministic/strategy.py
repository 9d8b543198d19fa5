"""A3C in virtual time: asynchronous, from stale weights, and the same bit for bit whenever it is repeated."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Le
from numpy.typing import NDArray

from a3c_exp.config.type_checks import NonNegativeInt, PositiveInt
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates
from a3c_exp.parallelism.deterministic.fixed_lag import LagSchedule, WeightHistory
from a3c_exp.parallelism.deterministic.virtual_time_state import VirtualTimeState
from a3c_exp.parallelism.deterministic.worker_schedule import (
    Order,
    RandomDurationSchedule,
    RoundRobinSchedule,
    Speeds,
    WorkerSchedule,
)
from a3c_exp.parallelism.round_result import EndedByRound
from a3c_exp.parallelism.single_process.base import SeedPlace, SingleProcessStrategy
from a3c_exp.parallelism.single_process.seed_training import SeedTraining
from a3c_exp.parallelism.single_process.update_rule import UpdateRule
from a3c_exp.parallelism.worker_group import RoundResult, WorkerGroup
from a3c_exp.system.errors import ConfigError

Variation = Annotated[float, Ge(0), Le(10)]
_MAX_UNIFORM_VARIATION = 1 / 3**0.5


class Deterministic(SingleProcessStrategy):
    """Asynchronous workers in virtual time.

    Each worker has its own copy of the weights. When its window ends, it pushes the gradient that it computed from that copy,
    pulls, and begins its next window; the others have been pushing meanwhile. A seeded schedule says whose window ends next.
    A window depends on the weights that were pulled for it and on nothing later, so all that have begun are computed side by
    side, and their gradients applied one by one in the schedule's order.

    Args:
        speeds: ``equal``: every worker has one window a round; or the distribution of the windows' durations: ``lognormal``,
            ``gamma`` or ``uniform``.
        order: of equally fast workers: ``shuffled`` anew every round, or ``fixed``, where the policy lag is N - 1 always.
        between_workers, between_windows: coefficients of variation of the workers' mean durations, and of each window's
            duration around its worker's mean. Of no effect where speeds are equal.
        lag: ``None`` lets the schedule decide. A number sets the policy lag of every push: its window is computed from the
            weights as they were that many updates before. Two numbers draw it for each push, evenly from the first to the last.
        env_processes, processes, seed_block, on, address: as ``SingleProcessStrategy`` takes them.

    Raises:
        ConfigError: a value is out of its range.
    """

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
        on: SeedPlace = "local",
        address: str | None = None,
    ) -> None:
        for key, value in (("between_workers", between_workers), ("between_windows", between_windows)):
            if speeds == "uniform" and value > _MAX_UNIFORM_VARIATION:
                raise ConfigError(
                    f"parallelism.{key} is {value}, but the coefficient of variation of uniform durations is at most "
                    f"{_MAX_UNIFORM_VARIATION:.3g}. Try parallelism.{key}=0.3"
                )
        make_schedule: Callable[[int, int], WorkerSchedule] = partial(RoundRobinSchedule, order=order)
        if speeds != "equal":
            make_schedule = partial(
                RandomDurationSchedule, speeds=speeds, between_workers=between_workers, between_windows=between_windows
            )
        super().__init__(VirtualTimeRule(make_schedule, LagSchedule(lag)), env_processes, processes, seed_block, on, address)


class VirtualTimeRule(UpdateRule):
    """Applies gradients in the order in which the workers' windows end in virtual time; each worker then pulls at once.
    ``make_schedule`` is called with a seed and N; ``lag_schedule`` has the lag of each update, where lags are set."""

    name = "deterministic"
    share_weights = False

    def __init__(self, make_schedule: Callable[[int, int], WorkerSchedule], lag_schedule: LagSchedule) -> None:
        self._make_schedule, self._lag_schedule = make_schedule, lag_schedule
        self._states: list[VirtualTimeState] = []

    def start(self, setup: TrainingSetup, worker_group: WorkerGroup, trainings: Sequence[SeedTraining]) -> None:
        self._max_updates, n, num_stats = setup.budget.max_updates, setup.workers, len(setup.learner.statistics)
        self._is_scheduled = worker_group.loss_inputs.is_scheduled
        self._states = [VirtualTimeState.begin(self._make_schedule(seed, n), n, num_stats) for seed in setup.seeds]
        if isinstance(self._states[0].schedule, RoundRobinSchedule):  # else few updates follow each other without a window
            self.sequential_updates = SequentialUpdates.try_compile(worker_group, setup.optimizer, n)
            compiled = self.sequential_updates is not None and worker_group.has_fused_rounds
            self.has_bursts = compiled and self._lag_schedule.max_lag is None

    def state_dict(self, training: SeedTraining) -> dict[str, Any]:
        return {
            "worker_weights": training.worker_weights.detach().cpu().clone(),
            **self._states[training.index].state_dict(),
            "reservations": {"steps": training.reserved_steps.tolist(), "tickets": training.tickets.tolist()},
        }

    def load_state_dict(self, training: SeedTraining, state_dict: dict[str, Any] | None) -> None:
        state, max_lag = self._states[training.index], self._lag_schedule.max_lag
        if state_dict is None:
            training.worker_weights.copy_(training.weights)
            state.pull_at_once(training.weights, training.updates, self._fraction(training), max_lag)
            for worker in range(len(state.pulled_at)):
                training.reserve(worker)
            return
        training.worker_weights.copy_(state_dict["worker_weights"])
        state.load_state_dict(state_dict, training.updates, max_lag, training.weights.device)
        saved = state_dict["reservations"]
        training.reserved_steps[:], training.tickets[:] = saved["steps"], saved["tickets"]
        # Episodes that ended in pending windows are not counted as ended yet.
        training.episodes_in_progress += state.pending.ended_episodes
        for worker, pending in enumerate(state.pending.is_pending.tolist()):
            # An episode that could not be restored: a new one needs a ticket.
            without_episode = not training.in_episode[worker] and not training.tickets[worker]
            if not pending and training.reserved_steps[worker] and (without_episode or training.is_overdrawn):
                training.reserve(worker)

    def allowed_steps(self, training: SeedTraining, allowed: NDArray[np.int64]) -> None:
        state = self._states[training.index]
        next_worker = state.schedule.peek()
        if state.pending.is_pending[next_worker] or not training.reserved_steps[next_worker]:
            return  # an update comes first, or nothing is left to do
        if state.history is None:
            np.copyto(allowed, training.reserved_steps, where=~state.pending.is_pending)
        else:
            order, versions = self._next_windows_from_history(training, state, state.history)
            training.worker_weights.index_copy_(0, torch.from_numpy(order), state.history.at(versions))
            state.pulled_at[order], state.fractions[order] = versions, state.history.fractions_at(versions)
            allowed[order] = training.reserved_steps[order]

    def _next_windows_from_history(
        self, training: SeedTraining, state: VirtualTimeState, history: WeightHistory
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The workers whose windows can begin where lags are set, and from which versions of the weights: the window that
        update v will apply is computed from the weights of update v - lag, so it can begin as soon as those exist."""
        newest, max_lag = training.updates, self._lag_schedule.max_lag
        assert max_lag is not None
        count = min(max_lag + 1, len(state.pulled_at))
        order = np.array(state.schedule.peek_distinct(count))
        ready = (training.reserved_steps[order] > 0) & ~state.pending.is_pending[order]
        if len(order) == count and ready.all() and training.can_reserve(max_lag + 1):
            versions = newest + np.arange(count) - self._lag_schedule.lags_from(training.seed, newest, count)
            exist = versions <= newest
            return order[exist], np.maximum(versions[exist], history.oldest)
        version_of: dict[int, int] = {}
        seen: set[int] = set()
        for ahead in range(max_lag + 1):
            worker = state.schedule.peek(ahead)
            if worker in seen or not training.reserved_steps[worker]:
                # Its window has still to be reserved. Where the budget may not allow it, its slot may pass without an update,
                # and then the numbers of the updates after it are unknown.
                if not training.can_reserve(ahead + 1):
                    break
                continue
            seen.add(worker)
            version = max(history.oldest, newest + ahead - self._lag_schedule.lag_at(training.seed, newest + ahead))
            if not state.pending.is_pending[worker] and version <= newest:
                version_of[worker] = version
        return np.array(list(version_of), np.int64), np.array(list(version_of.values()), np.int64)

    def _fraction(self, training: SeedTraining) -> float:
        return training.fraction if self._is_scheduled else 0.0

    def window_fractions(self, training: SeedTraining) -> NDArray[np.float64]:
        return self._states[training.index].fractions

    def collect(self, training: SeedTraining, result: RoundResult, participants: NDArray[np.int64]) -> None:
        self._states[training.index].pending.add(result, participants)

    def next_update(self, training: SeedTraining, until: int) -> bool:
        state = self._states[training.index]
        if self.sequential_updates is not None and self._push_all(training, state, self.sequential_updates, until):
            return True
        while True:
            worker = state.schedule.peek()
            if state.pending.is_pending[worker]:
                self._push(training, state, worker)
                return True
            if training.reserved_steps[worker] or training.reserve(worker):
                return False
            busy = state.pending.is_pending.any() or training.reserved_steps.any()
            if not busy and not any(training.can_act(each) for each in range(len(state.pulled_at))):
                return False
            state.schedule.advance()  # nothing is left for this worker now; others may give something back

    def _push(self, training: SeedTraining, state: VirtualTimeState, worker: int) -> None:
        """Apply a worker's gradient; then it pulls, and reserves its next window."""
        training.push(state.pending.pop(worker), lag=training.updates - int(state.pulled_at[worker]))
        training.worker_weights[worker].copy_(training.weights)
        state.pulled_at[worker], state.fractions[worker] = training.updates, self._fraction(training)
        state.append_to_history(training.worker_weights, np.array([worker]))
        state.schedule.advance()
        training.reserve(worker)

    def _push_all(
        self, training: SeedTraining, state: VirtualTimeState, sequential_updates: SequentialUpdates, until: int
    ) -> bool:
        """``_push`` as many pending gradients as come next, at once; false if the next is not pending."""
        order = np.array(state.schedule.peek_distinct(sequential_updates.batch_size))
        pending = state.pending.is_pending[order]
        if not pending.all():
            order = order[: pending.argmin()]
        # The update that reaches a bound is the last.
        reached = (training.env_steps + np.cumsum(state.pending.steps[order]) >= until).nonzero()[0]
        if len(reached):
            order = order[: reached[0] + 1]
        if self._max_updates is not None:
            order = order[: self._max_updates - training.updates]
        if not len(order):
            return False
        updates = training.updates + np.arange(len(order))
        # Where little is left, what a worker may reserve depends on what those after it in the order still hold.
        plenty = training.can_reserve(2 * len(state.pulled_at))
        fractions = training.fractions_along(state.pending, order)[1:] if self._is_scheduled else np.zeros(len(order))
        lags = updates - state.pulled_at[order]
        count = training.push_all(sequential_updates, state.pending, order, lags, None if plenty else training.reserve)
        order = order[:count]
        state.pulled_at[order], state.fractions[order] = updates[:count] + 1, fractions[:count]
        state.append_to_history(training.worker_weights, order)
        if plenty:
            training.reserve_all(order)
        state.schedule.advance(count)
        return True

    def max_burst_rounds(self, training: SeedTraining, until: int) -> int:
        pending = self._states[training.index].pending.is_pending
        return 0 if pending.any() else training.max_burst_rounds(until)

    def push_orders(self, training: SeedTraining, rounds: int) -> NDArray[np.int64] | None:
        return self._states[training.index].schedule.peek_rounds(rounds)

    def burst_fractions(self, training: SeedTraining, orders: NDArray[np.int64]) -> NDArray[np.float64]:
        # A worker pulls right after its own update.
        after = training.fractions_ahead(1 + np.arange(orders.size), orders.shape[1]).reshape(orders.shape)
        fractions = np.empty((len(orders) + 1, orders.shape[1]))
        fractions[0] = self._states[training.index].fractions
        np.put_along_axis(fractions[1:], orders, after, axis=1)
        return fractions

    def settle_burst(
        self,
        training: SeedTraining,
        orders: NDArray[np.int64],
        window_stats: NDArray[np.float32],
        ended: EndedByRound,
    ) -> None:
        if not len(orders):
            return
        state = self._states[training.index]
        updates = (training.updates + np.arange(orders.size)).reshape(orders.shape)
        rounds = np.arange(len(orders))[:, np.newaxis]
        # A worker pulls right after its own update: its next gradient is computed from the weights of the update after it.
        pulled_by_worker = np.empty_like(orders)
        pulled_by_worker[rounds, orders] = updates + 1
        pulled_at = np.empty_like(orders)
        pulled_at[0] = state.pulled_at[orders[0]]
        pulled_at[1:] = pulled_by_worker[rounds[:-1], orders[1:]]
        if self._is_scheduled:
            state.fractions[:] = self.burst_fractions(training, orders)[-1]
        ended_by_update = (
            (round_ * orders.shape[1] + place, [episode for episode in episodes if episode.worker == worker])
            for round_, episodes in ended
            for place, worker in enumerate(orders[round_].tolist())
        )
        training.settle_burst(window_stats[rounds, orders], updates - pulled_at, ended_by_update)
        state.pulled_at[:] = pulled_by_worker[-1]
        state.schedule.advance(orders.size)

    def summary(self, index: int) -> dict[str, Any]:
        schedule = self._states[index].schedule
        return {"mean_durations": schedule.mean_durations.tolist()} if isinstance(schedule, RandomDurationSchedule) else {}
