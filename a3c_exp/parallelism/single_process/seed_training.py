"""One seed's training inside a process: its weights, its counters, and what its workers have reserved of the budget."""

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.algorithm.training_stats import TrainingStats
from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import EpisodeEvent, Event, StatsEvent, TrainingSetup
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates, UpdateBatch
from a3c_exp.parallelism.single_process.pending_gradients import PendingGradients, WorkerGradient
from a3c_exp.parallelism.worker_group import WorkerGroup
from a3c_exp.system.errors import NonFiniteError

_UNLIMITED = 2**62


class SeedTraining:
    """One of the trainings that run side by side in this process.

    A budget of steps or episodes is kept exactly by reservation: before a window begins, its worker reserves what it may use,
    in the order of updates; what it did not use goes back with its update.

    Attributes:
        workers: where its N workers stand among those of the process.
        weights: ``[P]`` the shared weights.
        worker_weights: ``[N, P]`` each worker's copy of them, to be written when it pulls; ``[1, P]`` the shared weights
            themselves with ``share_weights``.
        in_episode, reserved_steps, tickets: ``[N]`` of each worker: whether it is in an episode, as it changes; steps that it
            has reserved and not used; episodes that it may still begin.
        episodes_in_progress: episodes whose end was not counted yet.
    """

    def __init__(
        self, setup: TrainingSetup, index: int, state: TrainingState, worker_group: WorkerGroup, share_weights: bool
    ) -> None:
        n = setup.workers
        self.index, self.seed, self.workers = index, setup.seeds[index], slice(index * n, (index + 1) * n)
        self.in_episode = worker_group.episodes.in_episode[self.workers]
        if share_weights:
            self.weights, self.worker_weights = worker_group.weights[index], worker_group.weights[index : index + 1]
            self.weights.copy_(state.weights)
        else:
            self.weights = state.weights.to(setup.device, copy=True)
            self.worker_weights = worker_group.weights[self.workers]
        self.optimizer_state = state.optimizer_state.to(setup.device, copy=True)
        self.updates, self.env_steps, self.episodes = state.updates, state.env_steps, state.episodes
        self._setup = setup
        self._learning_rates = np.array([setup.lr(self.seed, worker) for worker in range(n)])
        self.reserved_steps, self.tickets = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.episodes_in_progress = 0
        self._events: list[Event] = []
        self._stats = TrainingStats()

    def reserve(self, worker: int) -> bool:
        """Reserve what the worker's next window may use; false if it cannot act now."""
        self.reserved_steps[worker] = self.tickets[worker] = 0
        if not self.can_act(worker):
            return False
        learner = self._setup.learner
        # Episodes that can begin in one window.
        begins = int(not self.in_episode[worker]) if learner.window_ends_with_episode else learner.n_step
        steps, tickets = self._remaining()
        # When few are left no worker takes more than a fair share: others wait for their first episode.
        share = max(1, tickets // self._setup.workers)
        self.reserved_steps[worker], self.tickets[worker] = min(learner.n_step, steps), min(begins, tickets, share)
        return True

    def can_act(self, worker: int) -> bool:
        """Whether enough is left for one more window of a worker."""
        steps, tickets = self._remaining()
        return steps > 0 and (bool(self.in_episode[worker]) or tickets > 0)

    def can_reserve(self, windows: int) -> bool:
        """Whether that many windows more could be reserved for sure, whichever workers they are of."""
        steps, tickets = self._remaining()
        n, begins_once = self._setup.learner.n_step, self._setup.learner.window_ends_with_episode
        return steps >= windows * n and tickets >= windows * (1 if begins_once else n)

    @property
    def updates_exhausted(self) -> bool:
        """Whether the budget allows no further update. Pending gradients then go into the checkpoint, uncounted."""
        limit = self._setup.budget.max_updates
        return limit is not None and self.updates >= limit

    def _remaining(self) -> tuple[int, int]:
        """Steps and episodes of the budget that are neither used nor reserved."""
        budget = self._setup.budget
        steps = tickets = _UNLIMITED
        if budget.max_env_steps is not None:
            steps = budget.max_env_steps - self.env_steps - int(self.reserved_steps.sum())
        if budget.max_episodes is not None:
            tickets = max(0, budget.max_episodes - self.episodes - self.episodes_in_progress - int(self.tickets.sum()))
        return steps, tickets

    @property
    def is_overdrawn(self) -> bool:
        """Whether more is reserved than there is: a resumed run was given a smaller budget."""
        limit = self._setup.budget.max_env_steps
        return limit is not None and self.env_steps + int(self.reserved_steps.sum()) > limit

    @property
    def fraction(self) -> float:
        """How much of the budget is used up, in [0, 1]."""
        return self._setup.budget.fraction(self.episodes, self.env_steps, self.updates)

    def fractions_along(self, pending: PendingGradients, order: NDArray[np.int64]) -> NDArray[np.float64]:
        """``[c + 1]`` the ``fraction`` now, and after each of the ``pending`` gradients of the workers ``order [c]``."""
        env_steps = self.env_steps + np.cumsum([0, *pending.steps[order]])
        episodes = self.episodes + np.cumsum([0, *(len(pending.ended.get(worker, ())) for worker in order.tolist())])
        points = zip(episodes.tolist(), env_steps.tolist(), itertools.count(self.updates), strict=False)
        return np.array([self._setup.budget.fraction(*point) for point in points])

    def fractions_ahead(self, updates: NDArray[np.int64], updates_per_round: int) -> NDArray[np.float64]:
        """The ``fraction`` after so many ``updates`` more, in a burst of rounds with ``updates_per_round`` each."""
        env_steps = self.env_steps + updates * self._steps_per_update(updates_per_round)
        return self._setup.budget.fractions(self.episodes, env_steps, self.updates + updates)

    def take_ticket(self, worker: int) -> bool:
        """Turn a reserved episode into one in progress."""
        if self.tickets[worker] <= 0:
            return False
        self.tickets[worker] -= 1
        self.episodes_in_progress += 1
        return True

    def reserve_all(self, workers: NDArray[np.int64]) -> None:
        """``reserve`` for these workers, where there is room for all of them and more."""
        learner = self._setup.learner
        self.reserved_steps[workers] = learner.n_step
        self.tickets[workers] = ~self.in_episode[workers] if learner.window_ends_with_episode else learner.n_step

    def push(self, worker_gradient: WorkerGradient, lag: int, sequential_updates: SequentialUpdates | None = None) -> None:
        """Apply a gradient once, ``lag`` updates after its weights were pulled, and count its windows. Without
        ``sequential_updates``, which is compiled code, the optimizer applies it.

        Raises:
            NonFiniteError: it or its loss is not finite; nothing of it was applied.
        """
        workers, stats = worker_gradient.workers, worker_gradient.window_stats
        if not np.isfinite(stats).all():
            raise self._non_finite_error(stats, workers)
        rate = float(self._learning_rates[workers[0]]) * self._setup.lr_factor(self.episodes, self.env_steps, self.updates)
        step = self._setup.optimizer.step if sequential_updates is None else sequential_updates.push_one
        step(self.weights, worker_gradient.gradient, self.optimizer_state, self.updates, rate)
        self._stats.add_update(stats, lag)
        self._settle(workers, worker_gradient.steps, worker_gradient.ended)

    def push_all(
        self,
        sequential_updates: SequentialUpdates,
        pending: PendingGradients,
        order: NDArray[np.int64],
        lags: NDArray[np.int64],
        on_settled: Callable[[int], object] | None = None,
    ) -> int:
        """``push`` the ``pending`` gradients of the workers ``order [c]``, whose policy lags are ``lags [c]``, one after
        another; each pulls at once. ``on_settled`` is called with each once its window is counted, before the next one's is.
        Returns how many were applied: those before the first that is not finite.

        Raises:
            NonFiniteError: the first is not finite; nothing was applied.
        """
        finite = np.isfinite(pending.window_stats[order]).all(axis=1)
        if not finite.all():
            count = int(finite.argmin())
            if not count:
                raise self._non_finite_error(pending.window_stats[order[0]], [int(order[0])])
            order, lags = order[:count], lags[:count]
        window_stats, steps, ended = pending.window_stats[order], pending.steps[order], pending.ended
        rates = self._learning_rates[order]
        schedule = self._setup.schedules.lr
        if not schedule.is_constant:
            rates = rates * [schedule.factor(used) for used in self.fractions_along(pending, order)[:-1].tolist()]
        (batches,) = sequential_updates.prepare(order[np.newaxis], self.updates, rates[np.newaxis])
        with torch.inference_mode():
            sequential_updates.push(self.weights, self.optimizer_state, pending.gradients(), self.worker_weights, batches)
        self._stats.add_updates(window_stats, lags)
        if ended or on_settled is not None:
            for worker, count in zip(order.tolist(), steps.tolist(), strict=True):
                self._settle([worker], [count], ended.get(worker, ()))
                if on_settled is not None:
                    on_settled(worker)
        else:
            self.updates += len(order)
            self.env_steps += int(steps.sum())
            self.reserved_steps[order] = self.tickets[order] = 0
            self._stats.count_many_windows(order, steps)
        pending.discard(order)
        return len(order)

    def max_burst_rounds(self, until: int) -> int:
        """How many full rounds can be applied before steps come to ``until`` or anything but the same reservation is needed."""
        learner, (steps, tickets) = self._setup.learner, self._remaining()
        steps_per_round, limit = learner.n_step * len(self.reserved_steps), self._setup.budget.max_updates
        # Windows that end with their episode take no ticket where no worker begins one.
        reserved, needed = (0, 0) if learner.window_ends_with_episode else (learner.n_step, 2 * steps_per_round)
        if (self.reserved_steps != learner.n_step).any() or (self.tickets != reserved).any() or tickets < needed:
            return 0
        updates = _UNLIMITED if limit is None else limit - self.updates
        rounds_to_until = (until - self.env_steps - 1) // steps_per_round
        return min(steps // steps_per_round - 1, rounds_to_until, updates // len(self.reserved_steps))

    def prepare_burst(self, updates: SequentialUpdates, orders: NDArray[np.int64]) -> Sequence[Sequence[UpdateBatch]]:
        """What applying a burst takes, ``orders [rounds, c]`` for c updates a round."""
        rates = self._learning_rates[orders]
        schedule = self._setup.schedules.lr
        if not schedule.is_constant:
            used = self.fractions_ahead(np.arange(orders.size), orders.shape[1])
            rates = rates * np.reshape([schedule.factor(fraction) for fraction in used.tolist()], orders.shape)
        return updates.prepare(orders, self.updates, rates)

    def settle_burst(
        self,
        window_stats: NDArray[np.float32],
        lags: NDArray[np.int64],
        ended: Iterable[tuple[int, Sequence[EndedEpisode]]],
    ) -> None:
        """A burst was applied: ``window_stats [rounds, c, len(statistics)]``, ``lags [rounds, c]`` for c updates a round, and
        the episodes that ``ended`` in an update's windows, with that update's number in the burst."""
        rounds, updates_per_round = lags.shape
        steps_per_update = self._steps_per_update(updates_per_round)
        for update, episodes in ended:
            env_steps = self.env_steps + (update + 1) * steps_per_update
            self._stats.truncated += self._count_ended(episodes, env_steps, self.updates + update + 1)
        self.updates += lags.size
        self.env_steps += lags.size * steps_per_update
        self._stats.add_updates(window_stats, lags)
        workers = len(self.reserved_steps)
        self._stats.count_many_windows(np.arange(workers), np.full(workers, self._setup.learner.n_step), rounds)

    def _steps_per_update(self, updates_per_round: int) -> int:
        return self._setup.learner.n_step * len(self.reserved_steps) // updates_per_round

    def _settle(self, workers: Sequence[int], steps: Sequence[int], ended: Sequence[EndedEpisode]) -> None:
        """An update was made of these workers' windows: count them, and give back what they had reserved."""
        self.updates += 1
        self.env_steps += sum(steps)
        for worker in workers:
            self.reserved_steps[worker] = self.tickets[worker] = 0
        self._stats.count_windows(workers, steps, self._count_ended(ended, self.env_steps, self.updates))

    def _count_ended(self, ended: Sequence[EndedEpisode], env_steps: int, updates: int) -> int:
        """Count these episodes, with the update that brought ``env_steps`` and ``updates``; how many windows were truncated."""
        self.episodes += len(ended)
        self.episodes_in_progress -= len(ended)
        self._events += [EpisodeEvent(episode, env_steps, updates, self.index) for episode in ended]
        return len({episode.worker for episode in ended if episode.end == "truncated"})

    def _non_finite_error(self, window_stats: NDArray[np.float32], workers: Sequence[int]) -> NonFiniteError:
        terms = self._setup.learner.statistics.non_finite(window_stats)
        subject = f"worker {workers[0]}" if len(workers) == 1 else "the workers' batch"
        seed = f" of seed {self.seed}" if self._setup.num_seeds > 1 else ""
        return NonFiniteError(
            f"{subject}{seed} computed a value that is not finite for update {self.updates + 1}: {', '.join(terms)}. "
            "It was not applied. Try a lower optimizer.lr, or max_grad_norm=40"
        )

    def pop_events(self) -> list[Event]:
        events, self._events = self._events, []
        if self._stats.windows:
            events.append(StatsEvent(self._stats, self.index))
            self._stats = TrainingStats()
        return events
