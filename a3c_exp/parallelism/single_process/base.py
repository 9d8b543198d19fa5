"""What kinds of parallelism share that run all workers in this process, several seeds side by side, and repeat exactly."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_state import EpisodeState
from a3c_exp.algorithm.types import TrainingState
from a3c_exp.parallelism.base import Counts, Event, Notice, Parallelism, Task
from a3c_exp.parallelism.single_process.burst_runner import Lockstep
from a3c_exp.parallelism.single_process.seed_training import Replica
from a3c_exp.parallelism.worker_group import Member, Round, StackedWorkers
from a3c_exp.system.errors import ConfigError


class InProcess(ABC):
    """Rounds of stacked windows and the pushes between them; whoever derives says who acts and in which order pushes come.

    Training happens in ``advance`` alone, so the same steps are evaluated and saved in every repetition. A checkpoint holds all
    that is under way: to go on from it is to have never stopped, bit for bit, on the same machine and versions.

    The trainings' replicas make pushes for as long as ``_push_next`` finds one; when none is left for any, ``_allow`` is asked
    once for each and a round of windows is computed for all that were allowed, then handed to ``_take``.

    Args:
        env_processes: processes that step the environments; 0 steps them here, which is faster unless a step takes long.
        processes: for several seeds, that share them in whole blocks; ``None`` or 1 trains all in this process.
        seed_block: seeds that are stacked together; ``None`` stacks all that a process has.

    Attributes:
        kind: written into checkpoints, so that no other kind goes on from them.
        share_weights: one row of ``workers.weights`` a training, which the pushes change, and one gradient of all its windows;
            or a row and a gradient for each worker, which only pulls change (``replica.weights`` is then apart from them).
        workers: all trainings' workers, those of replica i from ``i * workers_each`` on.
        workers_each: N of one training.

    Raises:
        ConfigError: a value is out of its range.
    """

    kind: str
    share_weights: bool

    def __init__(self, env_processes: int = 0, processes: int | None = None, seed_block: int | None = None) -> None:
        for key, value in (("processes", processes), ("seed_block", seed_block)):
            if value is not None and value < 1:
                raise ConfigError(f"parallelism.{key} is {value}, but it is 1 or more, or null. Try parallelism.{key}=2")
        if env_processes and (processes or 1) > 1:
            raise ConfigError(
                f"parallelism.env_processes is {env_processes} and parallelism.processes is {processes}, but environments get "
                "processes of their own, or seeds do. Try parallelism.env_processes=0"
            )
        if env_processes < 0:
            raise ConfigError(
                f"parallelism.env_processes is {env_processes}, but it is 0 (in this process) or a number of processes. "
                "Try parallelism.env_processes=2"
            )
        self._env_processes = env_processes
        self._processes = processes or 1
        self._seed_block = seed_block
        self._stopped = False
        self.lockstep: Lockstep | None = None

    # -- the two things that tell one kind from another ------------------------------------------------------------------

    @abstractmethod
    def _allow(self, replica: Replica, allowed: NDArray[np.int64]) -> None:
        """Write into ``allowed [N]`` (all 0) how many steps each worker of a training may take in the coming round: what
        ``replica.reserve`` has granted. A worker whose last window was not pushed yet must be left at 0."""

    @abstractmethod
    def _take(self, replica: Replica, done: Round, participants: NDArray[np.int64]) -> None:
        """Take in what the round brought for a training; ``participants`` are its workers that acted, by number. Gradients may
        be kept: every round's are new."""

    @abstractmethod
    def _push_next(self, replica: Replica, until: int) -> bool:
        """Make a training's next update, once for every window, or several that follow each other, of which none but the last
        may bring its environment steps to ``until``; false if a round must come first."""

    @abstractmethod
    def _details(self, replica: Replica) -> dict[str, Any]:
        """What of a training is under way, in plain values and tensors, for a checkpoint between any two pushes."""

    @abstractmethod
    def _restore(self, replica: Replica, details: dict[str, Any] | None) -> None:
        """Begin from a checkpoint's details, or from nothing; the replica and the episodes are back in place by then."""

    def cores(self, workers: int, num_seeds: int) -> int:
        """How many cores a run keeps busy: this process computes while those of the environments wait, and the reverse."""
        return max(min(self._processes, num_seeds), self._env_processes)

    def arranged(self, task: Task) -> Parallelism:
        """What trains this task: this object, or one that has others like it train a block of seeds each."""
        from a3c_exp.parallelism.seed_processes.strategy import arrange

        return arrange(self, task, self._processes, self._seed_block)

    # -- what the trainer calls ------------------------------------------------------------------------------------------

    def check(self, task: Task) -> None:
        environments = task.workers * task.num_seeds
        if self._env_processes > environments:
            raise ConfigError(
                f"parallelism.env_processes is {self._env_processes}, but there are only {environments} environments. "
                f"Try parallelism.env_processes={environments}"
            )

    def start(self, task: Task, states: Sequence[TrainingState]) -> Sequence[Event]:
        for state in states:
            if state.details and state.details.get("kind") != self.kind:
                raise ConfigError("this checkpoint is of another parallelism; a resumed run keeps the one it was started with")
        self.task, self.workers_each = task, task.workers
        members = [Member(seed, worker) for seed in task.seeds for worker in range(task.workers)]
        self.rounds = np.concatenate([state.rounds for state in states])
        self.episodes_begun = np.concatenate([state.episodes_begun for state in states])
        self.replicas: list[Replica] = []
        self.workers = StackedWorkers(
            self._with_pool(task),
            members,
            self.rounds,
            self.episodes_begun,
            self._take_ticket,
            self.share_weights,
            keep_actions=True,
            tickets=lambda: np.concatenate([replica.tickets for replica in self.replicas]),
        )
        try:
            for index, state in enumerate(states):
                weights = self.workers.weights[index] if self.share_weights else state.weights.to(task.device, copy=True)
                self.replicas.append(Replica(task, index, state, weights))
            notices = self._restore_episodes([state.details for state in states])
            for replica, state in zip(self.replicas, states, strict=True):
                self._restore(replica, state.details or None)
        except BaseException:
            self.stop()
            raise
        self._begun = self._told = False
        return notices

    def _with_pool(self, task: Task) -> Task:
        if not self._env_processes:
            return task
        from a3c_exp.envs.process_pool.envs import PooledEnvironments
        from a3c_exp.parallelism.multiprocess.supervisor import warm_up

        warm_up()  # whoever starts the fork server first decides what it has imported
        return replace(task, make_envs=partial(PooledEnvironments, task.make_envs, processes=self._env_processes))

    def _restore_episodes(self, details: Sequence[dict[str, Any]]) -> list[Event]:
        """Bring all environments back to where they stood."""
        none = [EpisodeState.none()] * self.workers_each  # of a training that has no checkpoint yet, or nothing to do
        kept = [[EpisodeState.of(one) for one in each["episodes"]] if each else none for each in details]
        states = [state for each in kept for state in each]
        if not any(state.in_episode for state in states):
            return []
        for index, state in enumerate(states):
            self.replicas[index // self.workers_each].under_way += state.in_episode
        astray = self.workers.episodes.restore(states)
        for k in astray:
            self.replicas[k // self.workers_each].lost_episode()
        if not astray:
            return []
        names = ", ".join(self._name(k) for k in astray)
        return [
            Notice(
                f"the environments of {names} did not come back to the observation they were saved at, though given "
                "the same seed and actions: their episodes are cut and begin anew, so this run goes on differently from "
                "one that was never stopped"
            )
        ]

    def _name(self, k: int) -> str:
        seed, worker = self.workers.members[k]
        return f"worker {worker}" if len(self.replicas) == 1 else f"worker {worker} of seed {seed}"

    def advance(self, timeout: float, until: Sequence[int]) -> Sequence[Event]:
        deadline = time.monotonic() + timeout
        while True:
            for replica in self.replicas:
                while replica.env_steps < until[replica.index] and not replica.has_all_updates:
                    if not self._push_next(replica, until[replica.index]):
                        break
            reached = any(replica.env_steps >= until[replica.index] for replica in self.replicas)
            if reached or time.monotonic() >= deadline or not self._act(until, deadline):
                return [*self._compiled(), *(event for replica in self.replicas for event in replica.hand_over())]

    def _compiled(self) -> Iterator[Event]:
        """How compiling went, once that is known."""
        if self.workers.compiler is not None and self._begun and not self._told:
            self._told = True
            yield Notice(self.workers.compiler.told())

    def _act(self, until: Sequence[int], deadline: float) -> bool:
        """Bring windows to be pushed, or several rounds with their pushes, none of which brings a training's steps to
        ``until``; false if nobody can act. ``deadline`` is on ``time.monotonic()``."""
        if self.lockstep is None or not self.lockstep.run(until, deadline):
            return self._round()
        last = self.lockstep.left_over()
        if last is not None:
            self._hand_out(last, np.full(len(last.steps), True))
        return True

    def _round(self) -> bool:
        """One window of every worker that can act; false if none can."""
        allowed = np.zeros(len(self.workers.members), np.int64)
        n = self.workers_each
        for replica in self.replicas:
            if replica.has_all_updates:
                continue
            self._allow(replica, allowed[replica.index * n : (replica.index + 1) * n])
        if not allowed.any():
            return False
        self._hand_out(self.workers.round(allowed), allowed > 0)
        return True

    def _hand_out(self, done: Round, acted: NDArray[np.bool_]) -> None:
        """Let every training take in what a round brought for its workers, of whom these acted, ``[K]``."""
        self._begun = True
        for replica in self.replicas:
            first = replica.index * self.workers_each
            own = acted[first : first + self.workers_each].nonzero()[0]
            if len(own):
                self._take(replica, done, own)

    def _take_ticket(self, k: int) -> bool:
        return self.replicas[k // self.workers_each].take_ticket(k % self.workers_each)

    def in_episode(self, replica: Replica, worker: int) -> bool:
        return bool(self.workers.episodes.in_episode[replica.index * self.workers_each + worker])

    def listen(self) -> Sequence[Event]:
        return []

    def counts(self, index: int = 0) -> Counts:
        return self.replicas[index].counts()

    def first_step_taken(self) -> bool:
        return self._begun

    def weights(self, index: int = 0) -> Tensor:
        return self.replicas[index].weights.detach().clone()

    def snapshot(self, index: int = 0) -> tuple[TrainingState, Sequence[Event]]:
        replica, n = self.replicas[index], self.workers_each
        own = slice(index * n, (index + 1) * n)
        details = {
            "kind": self.kind,
            "episodes": [self.workers.episodes.save(k).plain() for k in range(own.start, own.stop)],
            **self._details(replica),
        }
        return replica.state(self.rounds[own], self.episodes_begun[own], details), replica.hand_over()

    def stop(self) -> Sequence[Event]:
        if self._stopped:
            return []
        self._stopped = True
        self.workers.close()
        return [event for replica in self.replicas for event in replica.hand_over()]

    def figures(self, index: int = 0) -> dict[str, Any]:
        compiler = self.workers.compiler
        return {
            "env_processes": self._env_processes,
            "compiled_functions": 0 if compiler is None else compiler.programs,
        }
