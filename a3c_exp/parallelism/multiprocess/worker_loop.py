"""The loop of one worker process: act, learn, exchange, settle."""

import threading
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import final

import numpy as np
import torch

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.parallelism.base import EpisodeEvent, TrainingSetup
from a3c_exp.parallelism.multiprocess.exchange import Exchange
from a3c_exp.parallelism.multiprocess.owned_lock import OwnedLock
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn, SharedCounters
from a3c_exp.parallelism.multiprocess.worker_budget import WorkerBudget
from a3c_exp.parallelism.multiprocess.worker_process import NonFinite, ProcessControl, WorkerAssignment
from a3c_exp.parallelism.worker_group import RoundResult, WorkerGroup, WorkerId

BURST_SECONDS = 0.05
"""Seconds after which a burst ends early, so that the process shows a heartbeat and follows commands."""
_LOOK_SECONDS = 0.5
"""Time between two looks at whether environments have stepped."""
_IDLE_SECONDS = 0.002
"""How long a process waits that may do nothing now: what another one reserved may still come back."""


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

    Where nothing can need a decision for several rounds, they run as a burst, with only the exchange between them.

    Args:
        setup: what is trained.
        control: the link to the main process.
        counters: the shared counters.
        budget: this process's share of the budget.
        group: the workers.
        exchange: how their gradients become new weights.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        control: ProcessControl,
        counters: SharedCounters,
        budget: WorkerBudget,
        group: WorkerGroup,
        exchange: Exchange,
    ) -> None:
        self._statistics = setup.learner.statistics
        self.control, self._counters, self._budget = control, counters, budget
        self.group, self.exchange = group, exchange

    def run(self) -> None:
        """Run rounds until the main process says stop."""
        threading.Thread(target=self._send_step_heartbeats, name="steps", daemon=True).start()
        try:
            self.exchange.pull_all()
            while self.control.poll_commands():
                if not self.run_round():
                    time.sleep(_IDLE_SECONDS)
            self.exchange.close()
        finally:
            with suppress(Exception):  # a third party's; what went wrong before is what counts
                self.group.close()

    def _send_step_heartbeats(self) -> None:
        """Show a heartbeat when observations have changed: a window of slow steps may take longer than ``worker_timeout``, and
        a process that steps is alive. From a thread, since steps are too many to do anything in each."""
        latest = None
        while True:
            observed = zlib.crc32(self.group.envs.observation.tobytes())
            if latest is not None and observed != latest:
                self.control.heartbeat()
            latest = observed
            time.sleep(_LOOK_SECONDS)

    def run_round(self) -> bool:
        """One round, or a burst of them; false if the budget allows none now."""
        group, exchange = self.group, self.exchange
        self._report_episodes(exchange.before_round())
        result = self._run_burst()
        if result is None:
            allowed = self._budget.reserve_round(group.episodes.in_episode, exchange.updates)
            if not allowed.any():
                return False
            group.act(allowed)
            result = group.learn()
            self.control.row[CounterColumn.stepping] = 1
        workers = result.steps.nonzero()[0].tolist()
        diverged = result.first_non_finite()
        exchange.push_and_pull(result, workers if diverged is None else workers[: workers.index(diverged)])
        if diverged is not None:
            self._report_non_finite(diverged, result)
            return False
        exchange.settle(int(result.steps.sum()))
        self._report_episodes(result.ended)
        return True

    def _run_burst(self) -> RoundResult | None:
        """Rounds of full windows of all workers, each with its exchange but the last, whose result is returned; ``None`` if the
        next round may need a decision."""
        max_rounds = self.exchange.burst_rounds
        if not max_rounds or not self._budget.reserve_burst(max_rounds):
            return None
        count = self.group.begin_burst(max_rounds)
        if not count:
            self._budget.release()
            return None
        deadline = time.monotonic() + BURST_SECONDS
        with torch.inference_mode():
            while True:
                gradients, window_stats, any_end = self.group.burst_round()
                count -= 1
                if not count or any_end or time.monotonic() >= deadline or not np.isfinite(window_stats).all():
                    return self.group.end_burst(gradients, window_stats)
                self.exchange.push_and_pull_all(gradients, window_stats)
                self._budget.settle_burst_round()

    def _report_episodes(self, ended: Iterable[EndedEpisode]) -> None:
        for episode in ended:
            named = replace(episode, worker=self.group.worker_ids[episode.worker].worker)
            self.control.send(EpisodeEvent(named, self._counters.env_steps(), self.exchange.updates()))

    def _report_non_finite(self, k: int, result: RoundResult) -> None:
        """Say which worker diverged, and wait for the main process to end the run."""
        worker = self.group.worker_ids[k].worker
        window = int(self._counters.workers[0, worker])
        self.control.send(NonFinite(worker, window, self._statistics.non_finite(result.window_stats[k])))
        while self.control.poll_commands():
            time.sleep(_IDLE_SECONDS)


def make_workers(
    setup: TrainingSetup, assignment: WorkerAssignment, counters: SharedCounters, lock: OwnedLock
) -> tuple[WorkerBudget, WorkerGroup]:
    """The workers of one process, and their share of the budget; ``lock`` is held while something is taken from it."""
    ids = assignment.worker_ids
    budget = WorkerBudget(setup, counters, assignment.slot, len(ids), lock)
    rounds, episodes_begun = counters.workers.numpy()[:, ids[0] : ids[-1] + 1]
    members = [WorkerId(setup.seed, worker) for worker in ids]
    return budget, WorkerGroup(setup, members, rounds, episodes_begun, budget.take_ticket)
