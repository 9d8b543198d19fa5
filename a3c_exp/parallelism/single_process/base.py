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
from a3c_exp.config.type_checks import NonNegativeInt, PositiveInt
from a3c_exp.parallelism.base import Counts, Event, MessageEvent, Parallelism, TrainingSetup
from a3c_exp.parallelism.single_process.burst_runner import BurstRunner
from a3c_exp.parallelism.single_process.seed_training import SeedTraining
from a3c_exp.parallelism.worker_group import RoundResult, WorkerGroup, WorkerId
from a3c_exp.system.errors import ConfigError


class SingleProcessStrategy(Parallelism, ABC):
    """Rounds of stacked windows and the pushes between them; whoever derives says who acts and in which order pushes come.

    Training happens in ``advance`` alone, so the same steps are evaluated and saved in every repetition. A checkpoint holds all
    that is under way: to go on from it is to have never stopped, bit for bit, on the same machine and versions.

    The trainings' replicas make pushes for as long as ``next_update`` finds one; when none is left for any, ``allowed_steps`` is asked
    once for each and a round of windows is computed for all that were allowed, then handed to ``collect``.

    Args:
        env_processes: processes that step the environments; 0 steps them here, which is faster unless a step takes long.
        processes: for several seeds, that share them in whole blocks; ``None`` or 1 trains all in this process.
        seed_block: seeds that are stacked together; ``None`` stacks all that a process has.

    Attributes:
        kind: written into checkpoints, so that no other kind goes on from them.
        share_weights: one row of ``worker_group.weights`` a training, which the pushes change, and one gradient of all its windows;
            or a row and a gradient for each worker, which only pulls change (``replica.weights`` is then apart from them).
        worker_group: all trainings' workers, those of replica i from ``i * workers_per_training`` on.
        workers_per_training: N of one training.

    Raises:
        ConfigError: a value is out of its range.
    """

    kind: str
    share_weights: bool

    def __init__(
        self,
        env_processes: NonNegativeInt = 0,
        processes: PositiveInt | None = None,
        seed_block: PositiveInt | None = None,
    ) -> None:
        if env_processes and (processes or 1) > 1:
            raise ConfigError(
                f"parallelism.env_processes is {env_processes} and parallelism.processes is {processes}, but environments get "
                "processes of their own, or seeds do. Try parallelism.env_processes=0"
            )
        self._env_processes = env_processes
        self._processes = processes or 1
        self._seed_block = seed_block
        self._stopped = False
        self.burst_runner: BurstRunner | None = None

    # -- the two things that tell one kind from another ------------------------------------------------------------------

    @abstractmethod
    def allowed_steps(self, training: SeedTraining, allowed: NDArray[np.int64]) -> None:
        """Write into ``allowed [N]`` (all 0) how many steps each worker of a training may take in the coming round: what
        ``training.reserve`` has granted. A worker whose last window was not pushed yet must be left at 0."""

    @abstractmethod
    def collect(self, training: SeedTraining, result: RoundResult, participants: NDArray[np.int64]) -> None:
        """Take in what the round brought for a training; ``participants`` are its workers that acted, by number. Gradients may
        be kept: every round's are new."""

    @abstractmethod
    def next_update(self, training: SeedTraining, until: int) -> bool:
        """Make a training's next update, once for every window, or several that follow each other, of which none but the last
        may bring its environment steps to ``until``; false if a round must come first."""

    @abstractmethod
    def state_dict(self, training: SeedTraining) -> dict[str, Any]:
        """What of a training is under way, in plain values and tensors, for a checkpoint between any two pushes."""

    @abstractmethod
    def load_state_dict(self, training: SeedTraining, state_dict: dict[str, Any] | None) -> None:
        """Begin from a checkpoint's details, or from nothing; the replica and the episodes are back in place by then."""

    def cores(self, workers: int, num_seeds: int) -> int:
        """How many cores a run keeps busy: this process computes while those of the environments wait, and the reverse."""
        return max(min(self._processes, num_seeds), self._env_processes)

    def with_processes(self, setup: TrainingSetup) -> Parallelism:
        """What trains this task: this object, or one that has others like it train a block of seeds each."""
        from a3c_exp.parallelism.seed_processes.strategy import distribute_seeds

        return distribute_seeds(self, setup, self._processes, self._seed_block)

    # -- what the trainer calls ------------------------------------------------------------------------------------------

    def check(self, setup: TrainingSetup) -> None:
        environments = setup.workers * setup.num_seeds
        if self._env_processes > environments:
            raise ConfigError(
                f"parallelism.env_processes is {self._env_processes}, but there are only {environments} environments. "
                f"Try parallelism.env_processes={environments}"
            )

    def start(self, setup: TrainingSetup, states: Sequence[TrainingState]) -> Sequence[Event]:
        for state in states:
            if state.parallelism_state and state.parallelism_state.get("kind") != self.kind:
                raise ConfigError("this checkpoint is of another parallelism; a resumed run keeps the one it was started with")
        self.setup, self.workers_per_training = setup, setup.workers
        members = [WorkerId(seed, worker) for seed in setup.seeds for worker in range(setup.workers)]
        self.rounds = np.concatenate([state.rounds for state in states])
        self.episodes_begun = np.concatenate([state.episodes_begun for state in states])
        self.trainings: list[SeedTraining] = []
        self.worker_group = WorkerGroup(
            self._with_pool(setup),
            members,
            self.rounds,
            self.episodes_begun,
            self._take_ticket,
            self.share_weights,
            keep_actions=True,
            tickets=lambda: np.concatenate([replica.tickets for replica in self.trainings]),
        )
        try:
            for index, state in enumerate(states):
                weights = self.worker_group.weights[index] if self.share_weights else state.weights.to(setup.device, copy=True)
                self.trainings.append(SeedTraining(setup, index, state, weights))
            notices = self._restore_episodes([state.parallelism_state for state in states])
            for replica, state in zip(self.trainings, states, strict=True):
                self.load_state_dict(replica, state.parallelism_state or None)
        except BaseException:
            self.stop()
            raise
        self._has_stepped = self._compile_message_sent = False
        return notices

    def _with_pool(self, setup: TrainingSetup) -> TrainingSetup:
        if not self._env_processes:
            return setup
        from a3c_exp.envs.process_pool.envs import SubprocessEnvs
        from a3c_exp.parallelism.multiprocess.supervisor import start_fork_server

        start_fork_server()  # whoever starts the fork server first decides what it has imported
        return replace(setup, make_envs=partial(SubprocessEnvs, setup.make_envs, processes=self._env_processes))

    def _restore_episodes(self, details: Sequence[dict[str, Any]]) -> list[Event]:
        """Bring all environments back to where they stood."""
        none = [
            EpisodeState.not_started()
        ] * self.workers_per_training  # of a training that has no checkpoint yet, or nothing to do
        kept = [[EpisodeState.from_state_dict(one) for one in each["episodes"]] if each else none for each in details]
        states = [state for each in kept for state in each]
        if not any(state.in_episode for state in states):
            return []
        for index, state in enumerate(states):
            self.trainings[index // self.workers_per_training].episodes_in_progress += state.in_episode
        astray = self.worker_group.episodes.load_episode_states(states)
        for k in astray:
            self.trainings[k // self.workers_per_training].discard_episode()
        if not astray:
            return []
        names = ", ".join(self._worker_name(k) for k in astray)
        return [
            MessageEvent(
                f"the environments of {names} did not come back to the observation they were saved at, though given "
                "the same seed and actions: their episodes are cut and begin anew, so this run goes on differently from "
                "one that was never stopped"
            )
        ]

    def _worker_name(self, k: int) -> str:
        seed, worker = self.worker_group.worker_ids[k]
        return f"worker {worker}" if len(self.trainings) == 1 else f"worker {worker} of seed {seed}"

    def advance(self, timeout: float, until: Sequence[int]) -> Sequence[Event]:
        deadline = time.monotonic() + timeout
        while True:
            for replica in self.trainings:
                while replica.env_steps < until[replica.index] and not replica.updates_exhausted:
                    if not self.next_update(replica, until[replica.index]):
                        break
            reached = any(replica.env_steps >= until[replica.index] for replica in self.trainings)
            if reached or time.monotonic() >= deadline or not self._act(until, deadline):
                return [*self._compile_message(), *(event for replica in self.trainings for event in replica.pop_events())]

    def _compile_message(self) -> Iterator[Event]:
        """How compiling went, once that is known."""
        if self.worker_group.compiler is not None and self._has_stepped and not self._compile_message_sent:
            self._compile_message_sent = True
            yield MessageEvent(self.worker_group.compiler.status_text())

    def _act(self, until: Sequence[int], deadline: float) -> bool:
        """Bring windows to be pushed, or several rounds with their pushes, none of which brings a training's steps to
        ``until``; false if nobody can act. ``deadline`` is on ``time.monotonic()``."""
        if self.burst_runner is None or not self.burst_runner.run(until, deadline):
            return self._round()
        last = self.burst_runner.unfinished_round()
        if last is not None:
            self._distribute(last, np.full(len(last.steps), True))
        return True

    def _round(self) -> bool:
        """One window of every worker that can act; false if none can."""
        allowed = np.zeros(len(self.worker_group.worker_ids), np.int64)
        n = self.workers_per_training
        for replica in self.trainings:
            if replica.updates_exhausted:
                continue
            self.allowed_steps(replica, allowed[replica.index * n : (replica.index + 1) * n])
        if not allowed.any():
            return False
        self._distribute(self.worker_group.round(allowed), allowed > 0)
        return True

    def _distribute(self, result: RoundResult, acted: NDArray[np.bool_]) -> None:
        """Let every training take in what a round brought for its workers, of whom these acted, ``[K]``."""
        self._has_stepped = True
        for replica in self.trainings:
            first = replica.index * self.workers_per_training
            own = acted[first : first + self.workers_per_training].nonzero()[0]
            if len(own):
                self.collect(replica, result, own)

    def _take_ticket(self, k: int) -> bool:
        return self.trainings[k // self.workers_per_training].take_ticket(k % self.workers_per_training)

    def in_episode(self, training: SeedTraining, worker: int) -> bool:
        return bool(self.worker_group.episodes.in_episode[training.index * self.workers_per_training + worker])

    def listen(self) -> Sequence[Event]:
        return []

    def counts(self, index: int = 0) -> Counts:
        return self.trainings[index].counts()

    def first_step_taken(self) -> bool:
        return self._has_stepped

    def weights(self, index: int = 0) -> Tensor:
        return self.trainings[index].weights.detach().clone()

    def snapshot(self, index: int = 0) -> tuple[TrainingState, Sequence[Event]]:
        replica, n = self.trainings[index], self.workers_per_training
        own = slice(index * n, (index + 1) * n)
        details = {
            "kind": self.kind,
            "episodes": [self.worker_group.episodes.episode_state(k).state_dict() for k in range(own.start, own.stop)],
            **self.state_dict(replica),
        }
        return replica.training_state(self.rounds[own], self.episodes_begun[own], details), replica.pop_events()

    def stop(self) -> Sequence[Event]:
        if self._stopped:
            return []
        self._stopped = True
        self.worker_group.close()
        return [event for replica in self.trainings for event in replica.pop_events()]

    def summary(self, index: int = 0) -> dict[str, Any]:
        compiler = self.worker_group.compiler
        return {
            "env_processes": self._env_processes,
            "compiled_functions": 0 if compiler is None else compiler.num_compiled,
        }
