"""A3C in virtual time: asynchronous, from stale weights, and the same bit for bit whenever it is repeated."""

from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import Event, Task
from a3c_exp.parallelism.compiled.sequential_updates import PushSeries
from a3c_exp.parallelism.deterministic.fixed_lag import Lags, PastWeights
from a3c_exp.parallelism.deterministic.virtual_time import Lane, StaleTraining
from a3c_exp.parallelism.deterministic.worker_schedule import EqualTurns, Order, RandomTurns, Speeds, Turns
from a3c_exp.parallelism.single_process.base import InProcess
from a3c_exp.parallelism.single_process.burst_runner import Lockstep
from a3c_exp.parallelism.single_process.seed_training import Replica
from a3c_exp.parallelism.worker_group import Round
from a3c_exp.system.errors import ConfigError


class Deterministic(InProcess):
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
        between_workers: float = 0.5,
        between_windows: float = 0.1,
        lag: int | Sequence[int] | None = None,
        env_processes: int = 0,
        processes: int | None = None,
        seed_block: int | None = None,
    ) -> None:
        super().__init__(env_processes, processes, seed_block)
        for key, word, allowed in (("speeds", speeds, get_args(Speeds)), ("order", order, get_args(Order))):
            if word not in allowed:
                raise ConfigError(
                    f"parallelism.{key} is {word}, but it is one of {', '.join(allowed)}. Try parallelism.{key}={allowed[0]}"
                )
        for key, value in (("between_workers", between_workers), ("between_windows", between_windows)):
            most = 1 / 3**0.5 if speeds == "uniform" else 10.0
            if not 0 <= value <= most:
                raise ConfigError(
                    f"parallelism.{key} is {value}, but a coefficient of variation of {speeds} durations lies in "
                    f"[0, {most:.3g}]. Try parallelism.{key}=0.3"
                )
        self._speeds: Speeds = speeds
        self._order: Order = order
        self._between = between_workers, between_windows
        self._lags = Lags(lag)
        self._lanes: list[Lane] = []
        self._series: PushSeries | None = None

    def start(self, task: Task, states: Sequence[TrainingState]) -> Sequence[Event]:
        self._lanes = [Lane(self._turns(seed, task.workers), task.workers) for seed in task.seeds]
        events = super().start(task, states)
        self._series = self._push_series_of(task)
        if self._series is not None and not self._lags.are_set:
            trainings = [
                StaleTraining(replica, self._own_weights(replica), lane)
                for replica, lane in zip(self.replicas, self._lanes, strict=True)
            ]
            self.lockstep = Lockstep(self.workers, trainings, self._series)
        return events

    def _push_series_of(self, task: Task) -> PushSeries | None:
        """Pushes that follow each other as machine code, where they are many and can be had."""
        # With random speeds few pushes follow each other without a window between them.
        return PushSeries.of(self.workers, task.optimizer, task.workers) if self._speeds == "equal" else None

    def _turns(self, seed: int, workers: int) -> Turns:
        if self._speeds == "equal":
            return EqualTurns(seed, workers, self._order)
        return RandomTurns(seed, workers, self._speeds, *self._between)

    def _restore(self, replica: Replica, details: dict[str, Any] | None) -> None:
        lane = self._lanes[replica.index]
        if details is None:
            self._own_weights(replica).copy_(replica.weights)
            lane.pulled_at[:] = replica.updates
            if self._lags.are_set:
                lane.past = PastWeights(self._lags.most, [replica.weights], replica.updates)
            for worker in range(self.workers_each):
                replica.reserve(worker, self.in_episode(replica, worker))
            return
        device, past = replica.weights.device, details["history"]
        self._own_weights(replica).copy_(details["own_weights"])
        lane.pulled_at[:] = details["pulled_at"]
        lane.windows.restore(details["waiting"], device)
        if past:
            lane.past = PastWeights(self._lags.most, [one.to(device) for one in past], replica.updates)
        lane.turns.restore(details["turns"])
        replica.restore_reservations(details["reservations"])
        # Episodes that ended in windows not pushed yet are still under way in the replica's books.
        replica.under_way += sum(len(some) for some in lane.windows.ended.values())
        for worker, waiting in enumerate(lane.windows.waiting.tolist()):
            within = self.in_episode(replica, worker)
            without_episode = not within and not replica.tickets[worker]  # it could not be brought back
            if not waiting and replica.steps[worker] and (without_episode or replica.is_overdrawn):
                replica.reserve(worker, within)

    def _details(self, replica: Replica) -> dict[str, Any]:
        lane = self._lanes[replica.index]
        return {
            "own_weights": self._own_weights(replica).detach().cpu().clone(),
            "pulled_at": lane.pulled_at.tolist(),
            "waiting": lane.windows.plain(),
            "history": [] if lane.past is None else lane.past.plain(),
            "turns": lane.turns.state(),
            "reservations": replica.reservations(),
        }

    def _own_weights(self, replica: Replica) -> Tensor:
        """``[N, P]`` the workers' own copies."""
        first = replica.index * self.workers_each
        return self.workers.weights[first : first + self.workers_each]

    def _allow(self, replica: Replica, allowed: NDArray[np.int64]) -> None:
        lane = self._lanes[replica.index]
        coming = lane.turns.at()
        if lane.windows.waiting[coming] or not replica.steps[coming]:
            return  # a push comes first, or there is nothing left to do
        if lane.past is None:
            np.copyto(allowed, replica.steps, where=~lane.windows.waiting)
        else:
            order, versions = self._from_the_past(replica, lane, lane.past)
            self._own_weights(replica).index_copy_(0, torch.from_numpy(order), lane.past.at(versions))
            lane.pulled_at[order] = versions
            allowed[order] = replica.steps[order]

    def _from_the_past(self, replica: Replica, lane: Lane, past: PastWeights) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Whose windows can begin where lags are set, and from which versions: one that update v will push is computed from the
        weights of update v - lag, so that all can be begun whose weights exist already."""
        newest, most = replica.updates, self._lags.most
        # Mostly: everybody, or as many as the lag has room for.
        count = min(most + 1, self.workers_each)
        order = np.array(lane.turns.coming(count))
        ready = (replica.steps[order] > 0) & ~lane.windows.waiting[order]
        if len(order) == count and ready.all() and replica.has_room_for(most + 1):
            versions = newest + np.arange(count) - self._lags.coming(replica.seed, newest, count)
            exist = versions <= newest
            return order[exist], np.maximum(versions[exist], past.oldest)
        found: dict[int, int] = {}
        seen: set[int] = set()
        for ahead in range(most + 1):
            worker = lane.turns.at(ahead)
            if worker in seen or not replica.steps[worker]:
                # Its window has still to be reserved. Where the budget may not allow it, the turn may pass without an update,
                # and then nobody knows which updates the turns behind it will make.
                if not replica.has_room_for(ahead + 1):
                    break
                continue
            seen.add(worker)
            version = max(past.oldest, newest + ahead - self._lags.of(replica.seed, newest + ahead))
            if not lane.windows.waiting[worker] and version <= newest:
                found[worker] = version
        return np.array(list(found), np.int64), np.array(list(found.values()), np.int64)

    def _anyone(self, replica: Replica, lane: Lane) -> bool:
        """Whether any worker has or could have something to do."""
        if lane.windows.waiting.any() or replica.steps.any():
            return True
        return any(replica.could_act(self.in_episode(replica, worker)) for worker in range(self.workers_each))

    def _take(self, replica: Replica, done: Round, participants: NDArray[np.int64]) -> None:
        self._lanes[replica.index].windows.take(done, replica.index * self.workers_each, participants)

    def _push_next(self, replica: Replica, until: int) -> bool:
        lane = self._lanes[replica.index]
        pushed = self._series is not None and self._push_all(replica, lane, self._series, until)
        return pushed or self._push_one(replica, lane)

    def _push_one(self, replica: Replica, lane: Lane) -> bool:
        while True:
            worker = lane.turns.at()
            if lane.windows.waiting[worker]:
                self._push(replica, lane, worker)
                return True
            if replica.steps[worker] or replica.reserve(worker, self.in_episode(replica, worker)):
                return False
            if not self._anyone(replica, lane):
                return False
            lane.turns.take()  # nothing is left for this worker, now; others may give something back

    def _push(self, replica: Replica, lane: Lane, worker: int) -> None:
        replica.push(lane.windows.pop(worker), replica.updates - int(lane.pulled_at[worker]))
        self._own_weights(replica)[worker].copy_(replica.weights)
        lane.pulled_at[worker] = replica.updates
        self._remember(replica, lane, np.array([worker]))
        lane.turns.take()
        replica.reserve(worker, self.in_episode(replica, worker))

    def _push_all(self, replica: Replica, lane: Lane, series: PushSeries, until: int) -> bool:
        """Push as many of the windows that wait as come next, at once; false if the next does not."""
        order = np.array(lane.turns.coming(series.most))
        waits = lane.windows.waiting[order]
        if not waits.all():
            order = order[: waits.argmin()]
        # The push that reaches a bound is the last.
        reached = (replica.env_steps + np.cumsum(lane.windows.steps[order]) >= until).nonzero()[0]
        if len(reached):
            order = order[: reached[0] + 1]
        if self.task.budget.max_updates is not None:
            order = order[: self.task.budget.max_updates - replica.updates]
        if not len(order):
            return False
        if replica.has_room_for(2 * self.workers_each):
            self._push_series(replica, lane, series, order)
            first = replica.index * self.workers_each
            replica.reserve_all(order, self.workers.episodes.in_episode[first + order])
        else:  # what one may reserve hangs on what those behind it still hold

            def reserve(worker: int) -> None:
                replica.reserve(worker, self.in_episode(replica, worker))

            self._push_series(replica, lane, series, order, reserve)
        lane.turns.skip(len(order))
        return True

    def _push_series(
        self,
        replica: Replica,
        lane: Lane,
        series: PushSeries,
        order: NDArray[np.int64],
        settled: Callable[[int], object] | None = None,
    ) -> None:
        windows, numbers = lane.windows, replica.updates + np.arange(len(order))
        lags = numbers - lane.pulled_at[order]
        replica.push_all(
            series,
            order,
            windows.gradients(),
            self._own_weights(replica),
            windows.figures[order],
            windows.steps[order],
            windows.ended,
            lags,
            settled,
        )
        lane.pulled_at[order] = numbers + 1
        windows.done(order)
        self._remember(replica, lane, order)

    def _remember(self, replica: Replica, lane: Lane, order: NDArray[np.int64]) -> None:
        """Keep the weights that each of these pushes left behind, as its worker pulled them, for as far back as a lag goes."""
        if lane.past is not None:
            lane.past.append(self._own_weights(replica).index_select(0, torch.from_numpy(order)))

    def figures(self, index: int = 0) -> dict[str, Any]:
        turns = self._lanes[index].turns
        speeds = {"mean_durations": turns.mean_durations.tolist()} if isinstance(turns, RandomTurns) else {}
        return {**super().figures(index), **speeds}
