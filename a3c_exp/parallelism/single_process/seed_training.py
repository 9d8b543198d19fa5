"""One seed's training inside a process: its weights and counters, and what of the budget its workers have in hand."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.algorithm.training_stats import TrainingStats
from a3c_exp.algorithm.types import TrainingState
from a3c_exp.config.enums import LRSchedule
from a3c_exp.parallelism.base import Counts, EpisodeEvent, Event, StatsEvent, TrainingSetup
from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates, UpdateBatch
from a3c_exp.parallelism.single_process.gradient import WorkerGradient
from a3c_exp.system.errors import NonFiniteError

_UNLIMITED = 2**62


class SeedTraining:
    """One training among those that run side by side in this process.

    A budget of steps or episodes is kept exactly by reservation: before a window begins, its worker reserves what it may use
    up, in the order of updates; what it did not use goes back with its push.

    Args:
        setup: what to train.
        index: which of the seeds.
        training_state: to go on from.
        weights: ``[P]`` the memory in which the shared weights live.
    """

    def __init__(self, setup: TrainingSetup, index: int, state: TrainingState, weights: Tensor) -> None:
        self.index = index
        self.seed = setup.seeds[index]
        self.weights = weights
        self.optimizer_state = state.optimizer_state.to(weights.device, copy=True)
        self.updates, self.env_steps, self.episodes = state.updates, state.env_steps, state.episodes
        self._setup = setup
        self._learning_rates = np.array([setup.lr(self.seed, worker) for worker in range(setup.workers)])
        self.reserved_steps = np.zeros(setup.workers, np.int64)  # reserved by each worker and not yet settled
        self.tickets = np.zeros(setup.workers, np.int64)  # episodes that each worker may still begin
        self.episodes_in_progress = 0  # episodes begun whose end is not settled
        self._events: list[Event] = []
        self._stats = TrainingStats()
        weights.copy_(state.weights)

    def reserve(self, worker: int, in_episode: bool) -> bool:
        """Take what the worker's next window may use up; false if it cannot act now."""
        self.reserved_steps[worker] = self.tickets[worker] = 0
        if not self.could_act(in_episode):
            return False
        spec = self._setup.learner
        begins = int(not in_episode) if spec.window_ends_with_episode else spec.n_step  # so many can begin in one window
        steps, tickets = self._remaining()
        # When few are left nobody takes more than a fair share: others wait for their first episode.
        share = max(1, tickets // self._setup.workers)
        self.reserved_steps[worker], self.tickets[worker] = min(spec.n_step, steps), min(begins, tickets, share)
        return True

    def could_act(self, in_episode: bool) -> bool:
        """Whether there is enough left for one more window of a worker that is or is not in an episode."""
        steps, tickets = self._remaining()
        return steps > 0 and (in_episode or tickets > 0)

    def can_reserve(self, windows: int) -> bool:
        """Whether that many windows more could be reserved for sure, whoever asks for them."""
        steps, tickets = self._remaining()
        spec = self._setup.learner
        return steps >= windows * spec.n_step and tickets >= windows * (1 if spec.window_ends_with_episode else spec.n_step)

    @property
    def updates_exhausted(self) -> bool:
        """Whether the budget allows no further update. What is under way then stays so, uncounted, and goes into the
        checkpoint: a run of N updates is the beginning of a longer one."""
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
        """Whether more is reserved than there is: a run that was gone on with got a smaller budget."""
        limit = self._setup.budget.max_env_steps
        return limit is not None and self.env_steps + int(self.reserved_steps.sum()) > limit

    def take_ticket(self, worker: int) -> bool:
        """Turn a reserved episode into one under way."""
        if self.tickets[worker] <= 0:
            return False
        self.tickets[worker] -= 1
        self.episodes_in_progress += 1
        return True

    def reserve_all(self, workers: NDArray[np.int64], in_episode: NDArray[np.bool_]) -> None:
        """``reserve`` for these workers, of whom ``in_episode`` says who is in one, where there is room for all and more."""
        spec = self._setup.learner
        self.reserved_steps[workers] = spec.n_step
        self.tickets[workers] = ~in_episode if spec.window_ends_with_episode else spec.n_step

    def discard_episode(self) -> None:
        """An episode under way will not be lived to its end; its ticket goes back."""
        self.episodes_in_progress -= 1

    def push(self, worker_gradient: WorkerGradient, lag: int, sequential_updates: SequentialUpdates | None = None) -> None:
        """Apply a gradient once and settle its account.

        Args:
            worker_gradient: the gradient.
            lag: updates since its weights were pulled.
            sequential_updates: makes the push where a training has machine code for it; ``None`` leaves it to the optimiser.

        Raises:
            NonFiniteError: it or its loss is not finite; nothing of it was applied.
        """
        if not np.isfinite(worker_gradient.window_stats).all():
            self._raise_non_finite(worker_gradient.window_stats, worker_gradient.workers)
        rate = float(self._learning_rates[worker_gradient.workers[0]]) * self._lr_factor(
            self.episodes, self.env_steps, self.updates
        )
        step = self._setup.optimizer.step if sequential_updates is None else sequential_updates.push_one
        step(self.weights, worker_gradient.gradient, self.optimizer_state, self.updates, rate)
        self._stats.add_update(worker_gradient.window_stats, lag)
        self._settle(worker_gradient.workers, worker_gradient.steps, worker_gradient.ended)

    def push_all(
        self,
        sequential_updates: SequentialUpdates,
        order: NDArray[np.int64],
        gradients: Tensor,
        worker_weights: Tensor,
        window_stats: NDArray[np.float32],
        steps: NDArray[np.int64],
        ended: Mapping[int, Sequence[EndedEpisode]],
        lags: NDArray[np.int64],
        on_settled: Callable[[int], object] | None = None,
    ) -> None:
        """``push`` for several workers, one after another, each of whom pulls at once.

        Args:
            sequential_updates: makes the pushes.
            order: whose comes first, and so on.
            gradients: ``[N, P]`` of all workers.
            worker_weights: ``[N, P]`` all workers' copies of the weights.
            window_stats, reserved_steps, lags: ``[len(order), ...]`` of each push.
            ended: the episodes that ended, by worker.
            on_settled: told of each worker once its account is settled, before the next one's is.

        Raises:
            NonFiniteError: one of them is not finite; those before it were applied, nothing of it and of those behind it.
        """
        finite = np.isfinite(window_stats).all(axis=1)
        if not finite.all():
            spoilt = int(finite.argmin())
            if spoilt:
                before = window_stats[:spoilt], steps[:spoilt], ended, lags[:spoilt]
                self.push_all(sequential_updates, order[:spoilt], gradients, worker_weights, *before, on_settled)
            self._raise_non_finite(window_stats[spoilt], [int(order[spoilt])])
        rates = self._learning_rates[order]
        if self._setup.per_worker.lr_schedule is not LRSchedule.none:
            lived = self.env_steps + np.cumsum([0, *steps])
            over = self.episodes + np.cumsum([0, *(len(ended.get(worker, ())) for worker in order.tolist())])
            rates = rates * [self._lr_factor(int(over[i]), int(lived[i]), self.updates + i) for i in range(len(order))]
        (calls,) = sequential_updates.prepare(order[np.newaxis], self.updates, rates[np.newaxis])
        with torch.inference_mode():
            sequential_updates.push(self.weights, self.optimizer_state, gradients, worker_weights, calls)
        self._stats.add_updates(window_stats, lags)
        if ended or on_settled is not None:
            for worker, count in zip(order.tolist(), steps.tolist(), strict=True):
                self._settle([worker], [count], ended.get(worker, ()))
                if on_settled is not None:
                    on_settled(worker)
            return
        self.updates += len(order)
        self.env_steps += int(steps.sum())
        self.reserved_steps[order] = self.tickets[order] = 0
        self._stats.count_many_windows(order, steps)

    def max_burst_rounds(self, until: int) -> int:
        """How many rounds of full windows of everybody can be pushed before environment steps come to ``until``, or anything
        but reserving the same again is to be decided."""
        spec, (steps, tickets) = self._setup.learner, self._remaining()
        a_round, limit = spec.n_step * len(self.reserved_steps), self._setup.budget.max_updates
        # Windows that end with their episode take no ticket where nobody begins one.
        usual, wanted = (0, 0) if spec.window_ends_with_episode else (spec.n_step, 2 * a_round)
        if (self.reserved_steps != spec.n_step).any() or (self.tickets != usual).any() or tickets < wanted:
            return 0
        updates = _UNLIMITED if limit is None else limit - self.updates
        return min(steps // a_round - 1, (until - self.env_steps - 1) // a_round, updates // len(self.reserved_steps))

    def prepare_burst(
        self, sequential_updates: SequentialUpdates, orders: NDArray[np.int64]
    ) -> Sequence[Sequence[UpdateBatch]]:
        """What pushing whole rounds takes, ``orders [rounds, c]`` for c pushes a round, if nothing else happens in them."""
        rates = self._learning_rates[orders]
        if self._setup.per_worker.lr_schedule is not LRSchedule.none:
            before = np.arange(orders.size)
            lived = self.env_steps + before * self._steps_per_push(orders.shape[1])
            done = self._setup.budget.fractions(self.episodes, lived, self.updates + before)
            rates = rates * (1.0 - done).reshape(orders.shape)
        return sequential_updates.prepare(orders, self.updates, rates)

    def settle_rounds(self, window_stats: NDArray[np.float32], lags: NDArray[np.int64]) -> None:
        """Whole rounds were pushed: ``window_stats [rounds, c, len(statistics)]``, ``lags [rounds, c]`` for c pushes a round."""
        rounds, pushes = lags.shape
        self.updates += lags.size
        self.env_steps += lags.size * self._steps_per_push(pushes)
        self._stats.add_update_rounds(window_stats, lags)
        workers = len(self.reserved_steps)
        self._stats.count_many_windows(np.arange(workers), np.full(workers, self._setup.learner.n_step), rounds)

    def _steps_per_push(self, pushes: int) -> int:
        """Where a whole round has so many."""
        return self._setup.learner.n_step * len(self.reserved_steps) // pushes

    def _lr_factor(self, episodes: int, env_steps: int, updates: int) -> float:
        exploration = self._setup.per_worker
        return (
            1.0
            if exploration.lr_schedule is LRSchedule.none
            else exploration.lr_factor(self._setup.budget.fraction(episodes, env_steps, updates))
        )

    def _settle(self, workers: Sequence[int], steps: Sequence[int], ended: Sequence[EndedEpisode]) -> None:
        """A push was made of these workers' windows."""
        self.updates += 1
        self.env_steps += sum(steps)
        self.episodes += len(ended)
        self.episodes_in_progress -= len(ended)
        for worker in workers:
            self.reserved_steps[worker] = self.tickets[worker] = 0
        cut_short = {episode.worker for episode in ended if episode.end == "truncated"}
        self._stats.count_windows(workers, steps, len(cut_short))
        for episode in ended:
            self._events.append(EpisodeEvent(episode, self.env_steps, self.updates, self.index))

    def _raise_non_finite(self, window_stats: NDArray[np.float32], workers: Sequence[int]) -> None:
        terms = self._setup.learner.statistics.non_finite(window_stats)
        who = f"worker {workers[0]}" if len(workers) == 1 else "the workers' batch"
        seed = f" of seed {self.seed}" if self._setup.num_seeds > 1 else ""
        raise NonFiniteError(
            f"{who}{seed} computed a value that is not finite for update {self.updates + 1}: {', '.join(terms)}. "
            "It was not applied. Try a lower optimizer.lr, or max_grad_norm=40"
        )

    def pop_events(self) -> list[Event]:
        """What happened since the last time."""
        events, self._events = self._events, []
        if self._stats.windows:
            events.append(StatsEvent(self._stats, self.index))
            self._stats = TrainingStats()
        return events

    def counts(self) -> Counts:
        return Counts(self.env_steps, self.updates, self.episodes)

    def reservations_state_dict(self) -> dict[str, Any]:
        """What is reserved, in plain values, for a checkpoint."""
        return {"steps": self.reserved_steps.tolist(), "tickets": self.tickets.tolist()}

    def load_reservations_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.reserved_steps[:], self.tickets[:] = state_dict["steps"], state_dict["tickets"]

    def training_state(
        self, rounds: NDArray[np.int64], episodes_begun: NDArray[np.int64], details: dict[str, Any]
    ) -> TrainingState:
        """Everything to go on from."""
        return TrainingState(
            self.weights.detach().cpu().clone(),
            self.optimizer_state.cpu().clone(),
            self.updates,
            self.env_steps,
            self.episodes,
            rounds.copy(),
            episodes_begun.copy(),
            details,
        )
