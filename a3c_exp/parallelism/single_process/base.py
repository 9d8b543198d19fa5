"""Training with all workers in one process, several seeds side by side, which repeats bit for bit."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EpisodeState
from a3c_exp.algorithm.types import TrainingState
from a3c_exp.config.type_checks import NonNegativeInt, PositiveInt
from a3c_exp.parallelism.base import ClusterProcesses, Counts, Event, MessageEvent, Parallelism, TrainingSetup
from a3c_exp.parallelism.single_process.burst_runner import BurstRunner
from a3c_exp.parallelism.single_process.seed_training import SeedTraining
from a3c_exp.parallelism.single_process.update_rule import UpdateRule
from a3c_exp.parallelism.worker_group import RoundResult, WorkerGroup, WorkerId
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.ray.cluster import chosen_address

if TYPE_CHECKING:
    from a3c_exp.parallelism.seed_processes.ray_place import RayPlace


SeedPlace = Literal["local", "ray"]
"""Where processes that share seeds are."""


class SingleProcessStrategy(Parallelism):
    """Trains all seeds in this process, in rounds of one window of each worker::

        until the trainer wants something:
            for each training: updates, for as long as its rule has gradients to apply
            one round: every worker that may act steps its environment and learns, all side by side

    Training happens in ``advance`` alone, so the same steps are evaluated and saved in every repetition. A run that goes on
    from a checkpoint is the same, bit for bit, as one that never stopped, on the same machine and versions.

    Args:
        rule: who acts, and which gradient is applied next.
        env_processes: processes that step the environments; 0 steps them here, which is faster unless a step takes long.
        processes: for several seeds, that share them in whole blocks; ``None`` or 1 trains all in this process.
        seed_block: seeds that are stacked together; ``None`` stacks all that a process has.
        on: where these processes are: ``local``, this machine, or ``ray``, the nodes of a Ray cluster, with a core each.
        address: of that cluster; see ``system.ray.connect``.

    Attributes:
        worker_group: all trainings' workers, those of each next to each other.

    Raises:
        ConfigError: a value is out of its range.
    """

    def __init__(
        self,
        rule: UpdateRule,
        env_processes: NonNegativeInt = 0,
        processes: PositiveInt | None = None,
        seed_block: PositiveInt | None = None,
        on: SeedPlace = "local",
        address: str | None = None,
    ) -> None:
        if env_processes and on == "ray":
            raise ConfigError(
                f"parallelism.env_processes is {env_processes}, but on a cluster seeds get processes, with a core each. "
                "Try parallelism.env_processes=0"
            )
        if env_processes and (processes or 1) > 1:
            raise ConfigError(
                f"parallelism.env_processes is {env_processes} and parallelism.processes is {processes}, but environments get "
                "processes of their own, or seeds do. Try parallelism.env_processes=0"
            )
        self.rule, self.kind, self.share_weights = rule, rule.name, rule.share_weights
        self._env_processes, self._processes, self._seed_block = env_processes, processes, seed_block
        if on == "ray" and processes is seed_block is None:
            raise ConfigError(
                "parallelism.on=ray shares the seeds among processes on a cluster, but nothing says how many. "
                "Try parallelism.processes=4"
            )
        self._on, self._address = on, address
        self._stopped = self._in_round = False
        self.burst_runner: BurstRunner | None = None

    def cores(self, workers: int, num_seeds: int) -> int:
        return 1 if self._on == "ray" else max(min(self._processes or 1, num_seeds), self._env_processes)

    def cluster_processes(self, workers: int, num_seeds: int) -> ClusterProcesses | None:
        address = chosen_address(self._address)
        if self._on == "local" or address == "local":
            return None
        count = min(self._processes or num_seeds, num_seeds)
        block = self._seed_block or -(-num_seeds // count)
        return ClusterProcesses(address, min(count, -(-num_seeds // block)), 1, "parallelism.on=local")

    def with_processes(self, setup: TrainingSetup) -> Parallelism:
        from a3c_exp.parallelism.seed_processes.strategy import distribute_seeds

        processes = self._processes or (setup.num_seeds if self._on == "ray" else 1)
        return distribute_seeds(self, setup, processes, self._seed_block, self._ray_place())

    def _ray_place(self) -> "RayPlace | None":
        if self._on == "local":
            return None
        from a3c_exp.parallelism.seed_processes.ray_place import RayPlace

        return RayPlace(self._address)

    def check(self, setup: TrainingSetup) -> None:
        environments = setup.workers * setup.num_seeds
        if self._env_processes > environments:
            raise ConfigError(
                f"parallelism.env_processes is {self._env_processes}, but there are only {environments} environments. "
                f"Try parallelism.env_processes={environments}"
            )
        if (place := self._ray_place()) is not None:
            place.check(setup.device)
        self.rule.check(setup)

    def start(self, setup: TrainingSetup, states: Sequence[TrainingState]) -> Sequence[Event]:
        for state in states:
            if state.parallelism_state and state.parallelism_state.get("kind") != self.kind:
                raise ConfigError(
                    "this checkpoint is of another parallelism; a resumed run keeps the one it was started with. "
                    "Leave out parallelism"
                )
        self._num_workers = setup.workers
        self._rounds = np.concatenate([state.rounds for state in states])
        self._episodes_begun = np.concatenate([state.episodes_begun for state in states])
        self.trainings: list[SeedTraining] = []
        self.worker_group = WorkerGroup(
            self._with_env_processes(setup),
            [WorkerId(seed, worker) for seed in setup.seeds for worker in range(setup.workers)],
            self._rounds,
            self._episodes_begun,
            self._take_ticket,
            self.share_weights,
            keep_actions=True,
            tickets=lambda: np.concatenate([training.tickets for training in self.trainings]),
        )
        try:
            for index, state in enumerate(states):
                self.trainings.append(SeedTraining(setup, index, state, self.worker_group, self.share_weights))
            notices = self._restore_episodes([state.parallelism_state for state in states])
            self.rule.start(setup, self.worker_group, self.trainings)
            if self.rule.has_bursts:
                self.burst_runner = BurstRunner(self.worker_group, self.trainings, self.rule)
            for training, state in zip(self.trainings, states, strict=True):
                self.rule.load_state_dict(training, state.parallelism_state or None)
        except BaseException:
            self.stop()
            raise
        self._has_stepped = self._compile_message_sent = False
        return notices

    def _with_env_processes(self, setup: TrainingSetup) -> TrainingSetup:
        if not self._env_processes:
            return setup
        from a3c_exp.envs.process_pool.envs import SubprocessEnvs
        from a3c_exp.parallelism.multiprocess.supervisor import start_fork_server

        start_fork_server()  # what the fork server has imported is decided by the first that starts it
        return replace(setup, make_envs=partial(SubprocessEnvs, setup.make_envs, processes=self._env_processes))

    def _restore_episodes(self, state_dicts: Sequence[dict[str, Any]]) -> list[Event]:
        n = self._num_workers
        # A training without a checkpoint has no episodes yet, and neither has one with nothing to do.
        saved = [each.get("episodes") or [EpisodeState.not_started().state_dict()] * n for each in state_dicts]
        states = [EpisodeState(**episode) for episodes in saved for episode in episodes]
        if not any(state.in_episode for state in states):
            return []
        for k, state in enumerate(states):
            self.trainings[k // n].episodes_in_progress += state.in_episode
        lost = self.worker_group.episodes.load_episode_states(states)
        for k in lost:  # the ticket goes back
            self.trainings[k // n].episodes_in_progress -= 1
        if not lost:
            return []
        ids = (self.worker_group.worker_ids[k] for k in lost)
        names = ", ".join(f"worker {worker}{f' of seed {seed}' if len(self.trainings) > 1 else ''}" for seed, worker in ids)
        return [
            MessageEvent(
                f"the environments of {names} did not come back to the observation they were saved at, though given the same "
                "seed and actions: their episodes are cut and begin anew, so this run goes on differently from one that was "
                "never stopped"
            )
        ]

    def advance(self, timeout: float, until: Sequence[int]) -> Sequence[Event]:
        deadline = time.monotonic() + timeout
        self._in_round = True  # for good, if an error ends it
        while True:
            for training in self.trainings:
                while training.env_steps < until[training.index] and not training.updates_exhausted:
                    if not self.rule.next_update(training, until[training.index]):
                        break
            reached = any(training.env_steps >= until[training.index] for training in self.trainings)
            if reached or time.monotonic() >= deadline or not self._run_rounds(until, deadline):
                self._in_round = False
                compiler = self.worker_group.compiler if self._has_stepped and not self._compile_message_sent else None
                self._compile_message_sent |= compiler is not None  # how compiling went is known by now
                message = [] if compiler is None else [MessageEvent(compiler.status_text())]
                return [*message, *(event for training in self.trainings for event in training.pop_events())]

    def _run_rounds(self, until: Sequence[int], deadline: float) -> bool:
        """One round, or a burst of rounds with their updates, none of which brings a training's steps to ``until``; false if no
        worker can act. ``deadline`` is on ``time.monotonic()``."""
        if self.burst_runner is None or not self.burst_runner.run(until, deadline):
            return self.run_round()
        if (last := self.burst_runner.unfinished_round) is not None:
            self._distribute(last, np.full(len(last.steps), True))
        return True

    def run_round(self) -> bool:
        """One window of every worker that can act; false if none can."""
        allowed = np.zeros(len(self.worker_group.worker_ids), np.int64)
        for training in self.trainings:
            if not training.updates_exhausted:
                self.rule.allowed_steps(training, allowed[training.workers])
        if not allowed.any():
            return False
        if self.worker_group.loss_inputs.is_scheduled:
            fractions = [self.rule.window_fractions(training) for training in self.trainings]
            self.worker_group.loss_inputs.follow_schedules(np.concatenate(fractions))
        self._distribute(self.worker_group.round(allowed), allowed > 0)
        return True

    def _distribute(self, result: RoundResult, acted: NDArray[np.bool_]) -> None:
        """Give every training its part of a round, in which the workers ``acted [K]``."""
        self._has_stepped = True
        for training in self.trainings:
            participants = acted[training.workers].nonzero()[0]
            if len(participants):
                self.rule.collect(training, result.of_workers(training.workers), participants)

    def _take_ticket(self, k: int) -> bool:
        return self.trainings[k // self._num_workers].take_ticket(k % self._num_workers)

    def listen(self) -> Sequence[Event]:
        return []

    def counts(self, index: int = 0) -> Counts:
        training = self.trainings[index]
        return Counts(training.env_steps, training.updates, training.episodes)

    def first_step_taken(self) -> bool:
        return self._has_stepped

    def weights(self, index: int = 0) -> Tensor:
        return self.trainings[index].weights.detach().clone()

    def snapshot(self, index: int = 0) -> tuple[TrainingState, Sequence[Event]]:
        training, own = self.trainings[index], self.trainings[index].workers
        episodes = [self.worker_group.episodes.episode_state(k).state_dict() for k in range(own.start, own.stop)]
        state = TrainingState(
            training.weights.detach().cpu().clone(),
            training.optimizer_state.cpu().clone(),
            training.updates,
            training.env_steps,
            training.episodes,
            self._rounds[own].copy(),
            self._episodes_begun[own].copy(),
            {"kind": self.kind, "episodes": episodes, **self.rule.state_dict(training)},
        )
        return state, training.pop_events()

    def can_resume(self, index: int = 0) -> bool:
        return not self._in_round

    def stop(self) -> Sequence[Event]:
        if self._stopped:
            return []
        self._stopped = True
        self.worker_group.close()
        return [event for training in self.trainings for event in training.pop_events()]

    def summary(self, index: int = 0) -> dict[str, Any]:
        compiler = self.worker_group.compiler
        return {
            "env_processes": self._env_processes,
            "compiled_functions": 0 if compiler is None else compiler.num_compiled,
            **self.rule.summary(index),
        }
