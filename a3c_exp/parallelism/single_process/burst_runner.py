"""Rounds that need no decision, computed and applied one after another; everything is counted afterwards.

In most rounds every worker acts for a full window and nothing falls due. Counting such a round takes longer than the round, and
the counters come out as if each had been counted, bit for bit. An episode may end in such a round, unless a budget limits
episodes or a window ends with its episode: then it has to be decided whether the worker begins another.
"""

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.parallelism.round_result import episodes_of
from a3c_exp.parallelism.single_process.seed_training import SeedTraining
from a3c_exp.parallelism.single_process.update_rule import UpdateRule
from a3c_exp.parallelism.worker_group import RoundResult, WorkerGroup

_MAX_BURST = 32  # rounds that are prepared at once
_COOLDOWN_ROUNDS = 8  # rounds computed one by one after a burst that was cut short by its first


class BurstRunner:
    """Runs as many rounds of all ``trainings`` at once as need no decision. ``unfinished_round`` is the latest burst's last, if
    its gradients were not applied: an episode ended in it after which a decision is due, or something was not finite."""

    def __init__(self, worker_group: WorkerGroup, trainings: Sequence[SeedTraining], rule: UpdateRule) -> None:
        assert rule.sequential_updates is not None
        self._worker_group, self._trainings, self._rule = worker_group, trainings, rule
        self._sequential_updates = rule.sequential_updates
        # Where workers share the weights, what an update pulls is not read.
        unread = torch.zeros(1, worker_group.layout.size)
        self._worker_weights = [unread if rule.share_weights else training.worker_weights for training in trainings]
        self._updates_per_round = len(self._worker_weights[0])
        self._workers = np.arange(len(trainings[0].in_episode))  # of each training
        self._burst_length, self._cooldown = 2, 0
        self._ended: list[tuple[int, Sequence[EndedEpisode]]] = []  # of the latest burst, by round
        self.unfinished_round: RoundResult | None = None

    def run(self, until: Sequence[int], deadline: float) -> bool:
        """Rounds with all their updates, in which each training's environment steps stay below ``until``; false if none can be
        run in this way now. ``deadline`` is on ``time.monotonic()``."""
        if self._cooldown:
            self._cooldown -= 1
            return False
        orders = self._push_orders(until)
        if orders is None:
            return False
        window_stats = self._run_rounds(orders, deadline)
        rounds, c = len(window_stats), self._updates_per_round
        for i, (training, order) in enumerate(zip(self._trainings, orders, strict=True)):
            ended = [(round_, episodes_of(episodes, training.workers)) for round_, episodes in self._ended]
            self._rule.settle_burst(training, order[:rounds], window_stats[:, i * c : (i + 1) * c], ended)
        # What cuts bursts short tends to come again as soon, but for a time limit, which is seen beforehand.
        as_prepared = rounds + (self.unfinished_round is not None) == len(orders[0])
        self._burst_length = min(_MAX_BURST, max(2, 2 * (self._burst_length if as_prepared else rounds)))
        self._cooldown = 0 if rounds else _COOLDOWN_ROUNDS
        return True

    def _push_orders(self, until: Sequence[int]) -> list[NDArray[np.int64]] | None:
        """``[rounds, c]`` for each training."""
        limits = (self._rule.max_burst_rounds(training, until[training.index]) for training in self._trainings)
        max_rounds = min(self._burst_length, *limits)
        if max_rounds < 2:
            return None
        orders = [self._rule.push_orders(training, max_rounds) for training in self._trainings]
        group, unordered = self._worker_group, any(order is None for order in orders)
        count = 0 if unordered else group.begin_burst(max_rounds, through_ends=group.bursts_outlast_episodes)
        return [order[:count] for order in orders if order is not None] if count else None

    def _run_rounds(self, orders: Sequence[NDArray[np.int64]], deadline: float) -> NDArray[np.float32]:
        """Window statistics ``[rounds, R, len(statistics)]`` of the rounds that were applied."""
        updates, c, self.unfinished_round = self._sequential_updates, self._updates_per_round, None
        prepared = [training.prepare_burst(updates, order) for training, order in zip(self._trainings, orders, strict=True)]
        applied: list[NDArray[np.float32]] = []
        group, fractions = self._worker_group, self._burst_fractions(orders)
        self._ended.clear()
        with torch.inference_mode():
            for i, batches_by_training in enumerate(zip(*prepared, strict=True)):
                if fractions is not None:
                    group.loss_inputs.follow_schedules(fractions[i])
                gradients, window_stats, any_end = group.burst_round()
                if (any_end and not group.bursts_outlast_episodes) or not np.isfinite(window_stats).all():
                    self.unfinished_round = group.end_burst(gradients, window_stats)
                    break
                parts = torch.split(gradients, c) if len(self._trainings) > 1 else (gradients,)
                by_training = zip(self._trainings, parts, self._worker_weights, batches_by_training, strict=True)
                for training, own, pulled, batches in by_training:
                    updates.push(training.weights, training.optimizer_state, own, pulled, batches)
                applied.append(window_stats)
                if any_end:
                    self._ended.append((i, group.count_ends()))
                    for training in self._trainings:
                        training.reserve_all(self._workers)
                if time.monotonic() >= deadline:
                    break
        if self.unfinished_round is None and not any_end:
            group.end_burst(gradients, window_stats)
        return np.stack(applied) if applied else np.zeros((0, *window_stats.shape), np.float32)

    def _burst_fractions(self, orders: Sequence[NDArray[np.int64]]) -> NDArray[np.float64] | None:
        """``[rounds + 1, K]`` what the windows' schedules go by; ``None`` if they have none."""
        if not self._worker_group.loss_inputs.is_scheduled:
            return None
        by_training = zip(self._trainings, orders, strict=True)
        return np.concatenate([self._rule.burst_fractions(training, order) for training, order in by_training], axis=1)
