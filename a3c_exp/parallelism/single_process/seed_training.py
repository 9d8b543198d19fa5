"""One seed's training inside a process: its weights and counters, and what of the budget its workers have in hand."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.algorithm.training_stats import Tally
from a3c_exp.algorithm.types import TrainingState
from a3c_exp.algorithm.window_gradient import Stat
from a3c_exp.config.enums import Anneal
from a3c_exp.parallelism.base import Counts, EpisodeEvent, Event, TallyEvent, Task
from a3c_exp.parallelism.compiled.sequential_updates import Call, PushSeries
from a3c_exp.parallelism.single_process.gradient import Gradient
from a3c_exp.system.errors import NonFiniteError

_PLENTY = 2**62


class Replica:
    """One training among those that run side by side in this process.

    A budget of steps or episodes is kept exactly by reservation: before a window begins, its worker reserves what it may use
    up, in the order of updates; what it did not use goes back with its push.

    Args:
        task: what to train.
        index: which of the seeds.
        state: to go on from.
        weights: ``[P]`` the memory in which the shared weights live.
    """

    def __init__(self, task: Task, index: int, state: TrainingState, weights: Tensor) -> None:
        self.index = index
        self.seed = task.seeds[index]
        self.weights = weights
        self.optimizer_state = state.optimizer_state.to(weights.device, copy=True)
        self.updates, self.env_steps, self.episodes = state.updates, state.env_steps, state.episodes
        self._task = task
        self._rates = np.array([task.lr(self.seed, worker) for worker in range(task.workers)])
        self.steps = np.zeros(task.workers, np.int64)  # reserved by each worker and not yet settled
        self.tickets = np.zeros(task.workers, np.int64)  # episodes that each worker may still begin
        self.under_way = 0  # episodes begun whose end is not settled
        self._events: list[Event] = []
        self._tally = Tally()
        weights.copy_(state.weights)

    def reserve(self, worker: int, in_episode: bool) -> bool:
        """Take what the worker's next window may use up; false if it cannot act now."""
        self.steps[worker] = self.tickets[worker] = 0
        if not self.could_act(in_episode):
            return False
        spec = self._task.learner
        begins = int(not in_episode) if spec.window_ends_with_episode else spec.n_step  # so many can begin in one window
        steps, tickets = self._free()
        # When few are left nobody takes more than a fair share: others wait for their first episode.
        share = max(1, tickets // self._task.workers)
        self.steps[worker], self.tickets[worker] = min(spec.n_step, steps), min(begins, tickets, share)
        return True

    def could_act(self, in_episode: bool) -> bool:
        """Whether there is enough left for one more window of a worker that is or is not in an episode."""
        steps, tickets = self._free()
        return steps > 0 and (in_episode or tickets > 0)

    def has_room_for(self, windows: int) -> bool:
        """Whether that many windows more could be reserved for sure, whoever asks for them."""
        steps, tickets = self._free()
        spec = self._task.learner
        return steps >= windows * spec.n_step and tickets >= windows * (1 if spec.window_ends_with_episode else spec.n_step)

    @property
    def has_all_updates(self) -> bool:
        """Whether the budget allows no further update. What is under way then stays so, uncounted, and goes into the
        checkpoint: a run of N updates is the beginning of a longer one."""
        limit = self._task.budget.max_updates
        return limit is not None and self.updates >= limit

    def _free(self) -> tuple[int, int]:
        """Steps and episodes of the budget that are neither used nor reserved."""
        budget = self._task.budget
        steps = tickets = _PLENTY
        if budget.max_env_steps is not None:
            steps = budget.max_env_steps - self.env_steps - int(self.steps.sum())
        if budget.max_episodes is not None:
            tickets = max(0, budget.max_episodes - self.episodes - self.under_way - int(self.tickets.sum()))
        return steps, tickets

    @property
    def is_overdrawn(self) -> bool:
        """Whether more is reserved than there is: a run that was gone on with got a smaller budget."""
        limit = self._task.budget.max_env_steps
        return limit is not None and self.env_steps + int(self.steps.sum()) > limit

    def take_ticket(self, worker: int) -> bool:
        """Turn a reserved episode into one under way."""
        if self.tickets[worker] <= 0:
            return False
        self.tickets[worker] -= 1
        self.under_way += 1
        return True

    def reserve_all(self, workers: NDArray[np.int64], in_episode: NDArray[np.bool_]) -> None:
        """``reserve`` for these workers, of whom ``in_episode`` says who is in one, where there is room for all and more."""
        spec = self._task.learner
        self.steps[workers] = spec.n_step
        self.tickets[workers] = ~in_episode if spec.window_ends_with_episode else spec.n_step

    def lost_episode(self) -> None:
        """An episode under way will not be lived to its end; its ticket goes back."""
        self.under_way -= 1

    def push(self, pushed: Gradient, lag: int, series: PushSeries | None = None) -> None:
        """Apply a gradient once and settle its account.

        Args:
            pushed: the gradient.
            lag: updates since its weights were pulled.
            series: makes the push where a training has machine code for it; ``None`` leaves it to the optimiser.

        Raises:
            NonFiniteError: it or its loss is not finite; nothing of it was applied.
        """
        if not np.isfinite(pushed.figures).all():
            self._refuse(pushed.figures, pushed.workers)
        rate = float(self._rates[pushed.workers[0]]) * self._rate_factor(self.episodes, self.env_steps, self.updates)
        step = self._task.optimizer.step if series is None else series.push_one
        step(self.weights, pushed.gradient, self.optimizer_state, self.updates, rate)
        self._tally.add(pushed.figures, lag)
        self._settle(pushed.workers, pushed.steps, pushed.ended)

    def push_all(
        self,
        series: PushSeries,
        order: NDArray[np.int64],
        gradients: Tensor,
        own: Tensor,
        figures: NDArray[np.float32],
        steps: NDArray[np.int64],
        ended: Mapping[int, Sequence[EndedEpisode]],
        lags: NDArray[np.int64],
        settled: Callable[[int], object] | None = None,
    ) -> None:
        """``push`` for several workers, one after another, each of whom pulls at once.

        Args:
            series: makes the pushes.
            order: whose comes first, and so on.
            gradients: ``[N, P]`` of all workers.
            own: ``[N, P]`` all workers' copies of the weights.
            figures, steps, lags: ``[len(order), ...]`` of each push.
            ended: the episodes that ended, by worker.
            settled: told of each worker once its account is settled, before the next one's is.

        Raises:
            NonFiniteError: one of them is not finite; those before it were applied, nothing of it and of those behind it.
        """
        finite = np.isfinite(figures).all(axis=1)
        if not finite.all():
            spoilt = int(finite.argmin())
            if spoilt:
                before = figures[:spoilt], steps[:spoilt], ended, lags[:spoilt]
                self.push_all(series, order[:spoilt], gradients, own, *before, settled)
            self._refuse(figures[spoilt], [int(order[spoilt])])
        rates = self._rates[order]
        if self._task.exploration.anneal is not Anneal.none:
            lived = self.env_steps + np.cumsum([0, *steps])
            over = self.episodes + np.cumsum([0, *(len(ended.get(worker, ())) for worker in order.tolist())])
            rates = rates * [self._rate_factor(int(over[i]), int(lived[i]), self.updates + i) for i in range(len(order))]
        (calls,) = series.lined_up(order[np.newaxis], self.updates, rates[np.newaxis])
        with torch.inference_mode():
            series.push(self.weights, self.optimizer_state, gradients, own, calls)
        self._tally.add_all(figures, lags)
        if ended or settled is not None:
            for worker, count in zip(order.tolist(), steps.tolist(), strict=True):
                self._settle([worker], [count], ended.get(worker, ()))
                if settled is not None:
                    settled(worker)
            return
        self.updates += len(order)
        self.env_steps += int(steps.sum())
        self.steps[order] = self.tickets[order] = 0
        self._tally.lived_all(order, steps)

    def whole_rounds(self, until: int) -> int:
        """How many rounds of full windows of everybody can be pushed before environment steps come to ``until``, or anything
        but reserving the same again is to be decided."""
        spec, (steps, tickets) = self._task.learner, self._free()
        a_round, limit = spec.n_step * len(self.steps), self._task.budget.max_updates
        # Windows that end with their episode take no ticket where nobody begins one.
        usual, wanted = (0, 0) if spec.window_ends_with_episode else (spec.n_step, 2 * a_round)
        if (self.steps != spec.n_step).any() or (self.tickets != usual).any() or tickets < wanted:
            return 0
        updates = _PLENTY if limit is None else limit - self.updates
        return min(steps // a_round - 1, (until - self.env_steps - 1) // a_round, updates // len(self.steps))

    def calls_ahead(self, series: PushSeries, orders: NDArray[np.int64]) -> Sequence[Sequence[Call]]:
        """What pushing whole rounds takes, ``orders [rounds, c]`` for c pushes a round, if nothing else happens in them."""
        rates = self._rates[orders]
        if self._task.exploration.anneal is not Anneal.none:
            before = np.arange(orders.size)
            lived = self.env_steps + before * self._steps_of_a_push(orders.shape[1])
            done = self._task.budget.fractions(self.episodes, lived, self.updates + before)
            rates = rates * (1.0 - done).reshape(orders.shape)
        return series.lined_up(orders, self.updates, rates)

    def settle_rounds(self, figures: NDArray[np.float32], lags: NDArray[np.int64]) -> None:
        """Whole rounds were pushed: ``figures [rounds, c, len(Stat)]``, ``lags [rounds, c]`` for c pushes a round."""
        rounds, pushes = lags.shape
        self.updates += lags.size
        self.env_steps += lags.size * self._steps_of_a_push(pushes)
        self._tally.add_rounds(figures, lags)
        workers = len(self.steps)
        self._tally.lived_all(np.arange(workers), np.full(workers, self._task.learner.n_step), rounds)

    def _steps_of_a_push(self, pushes: int) -> int:
        """Where a whole round has so many."""
        return self._task.learner.n_step * len(self.steps) // pushes

    def _rate_factor(self, episodes: int, env_steps: int, updates: int) -> float:
        exploration = self._task.exploration
        return (
            1.0
            if exploration.anneal is Anneal.none
            else exploration.factor(self._task.budget.fraction(episodes, env_steps, updates))
        )

    def _settle(self, workers: Sequence[int], steps: Sequence[int], ended: Sequence[EndedEpisode]) -> None:
        """A push was made of these workers' windows."""
        self.updates += 1
        self.env_steps += sum(steps)
        self.episodes += len(ended)
        self.under_way -= len(ended)
        for worker in workers:
            self.steps[worker] = self.tickets[worker] = 0
        cut_short = {episode.worker for episode in ended if episode.end == "truncated"}
        self._tally.lived(workers, steps, len(cut_short))
        for episode in ended:
            self._events.append(EpisodeEvent(episode, self.env_steps, self.updates, self.index))

    def _refuse(self, figures: NDArray[np.float32], workers: Sequence[int]) -> None:
        terms = [Stat(i).name for i in range(Stat.steps) if not np.isfinite(figures[i])]
        terms = terms or [Stat(int(i)).name for i in (~np.isfinite(figures)).nonzero()[0]]
        who = f"worker {workers[0]}" if len(workers) == 1 else "the workers' batch"
        seed = f" of seed {self.seed}" if self._task.num_seeds > 1 else ""
        raise NonFiniteError(
            f"{who}{seed} computed a value that is not finite for update {self.updates + 1}: {', '.join(terms)}. "
            "It was not applied. Try a lower optimizer.lr, or max_grad_norm=40"
        )

    def hand_over(self) -> list[Event]:
        """What happened since the last time."""
        events, self._events = self._events, []
        if self._tally.windows:
            events.append(TallyEvent(self._tally, self.index))
            self._tally = Tally()
        return events

    def counts(self) -> Counts:
        return Counts(self.env_steps, self.updates, self.episodes)

    def reservations(self) -> dict[str, Any]:
        """What is reserved, in plain values, for a checkpoint."""
        return {"steps": self.steps.tolist(), "tickets": self.tickets.tolist()}

    def restore_reservations(self, plain: dict[str, Any]) -> None:
        self.steps[:], self.tickets[:] = plain["steps"], plain["tickets"]

    def state(self, rounds: NDArray[np.int64], episodes_begun: NDArray[np.int64], details: dict[str, Any]) -> TrainingState:
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
