"""K workers of one process, stacked: what every parallelism shares."""

import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode, EpisodeTracker
from a3c_exp.algorithm.random_streams import NOISE_BLOCK, env_seed, noise_block, sde_noise
from a3c_exp.algorithm.rollout import Rollout
from a3c_exp.algorithm.types import Window
from a3c_exp.algorithm.window_gradient import clip_gradients, window_loss
from a3c_exp.compile.compiler import Compiler
from a3c_exp.compile.vectorize import VectorizedFunction, vectorize
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.loss_inputs import LossInputs
from a3c_exp.system.errors import EnvInterfaceError

if TYPE_CHECKING:
    from a3c_exp.parallelism.compiled.fused_rollout import FusedRollout


class WorkerId(NamedTuple):
    """One worker: its random streams depend on these two, not on the workers that are stacked with it."""

    seed: int  # root seed of the training it belongs to
    worker: int  # its number in that training


@dataclass(frozen=True)
class RoundResult:
    """One window of each worker. A row whose workers all sat out has a gradient that means nothing."""

    gradients: Tensor  # [R, P], clipped if asked for; one for each row of weights
    window_stats: NDArray[np.float32]  # [R, len(statistics)]
    steps: NDArray[np.int64]  # [K] environment steps taken; 0 for a worker that sat out
    ended: Sequence[EndedEpisode]

    def first_non_finite(self) -> int | None:
        """The first worker that acted and whose row's loss or gradient is not finite."""
        finite = np.isfinite(self.window_stats).all(axis=1)
        if finite.all():
            return None
        of_workers = np.repeat(finite, len(self.steps) // len(self.window_stats))
        return next(iter((~of_workers & (self.steps > 0)).nonzero()[0].tolist()), None)

    def row(self, worker: int) -> int:
        """The row of gradients and statistics that a worker's window is in."""
        return worker * len(self.window_stats) // len(self.steps)

    def truncated_workers(self) -> set[int]:
        """The workers in whose windows a time limit ended an episode."""
        return {episode.worker for episode in self.ended if episode.end == "truncated"}

    def of_workers(self, own: slice) -> "RoundResult":
        """The part of these workers, numbered from 0; one row, where rows serve so many workers each."""
        rows, workers = len(self.gradients), len(self.steps)
        if own == slice(0, workers):
            return self
        own_rows = slice(own.start * rows // workers, own.stop * rows // workers)
        mine = (episode for episode in self.ended if own.start <= episode.worker < own.stop)
        ended = [replace(episode, worker=episode.worker - own.start) for episode in mine]
        return RoundResult(self.gradients[own_rows], self.window_stats[own_rows], self.steps[own], ended)


class WorkerGroup:
    """K logical workers with their environments, noise and ``weights [R, P]``: R = K, each worker's own stale copy, or one row
    for all workers of a training.

    Args:
        worker_ids: the workers, those of a training next to each other.
        rounds, episodes_begun: ``[K]`` counters of those workers, counted up in place (they may be shared memory).
        take_ticket: asked with a worker's index before an episode begins; false when there is none to be had now.
        share_weights: one row of weights serves all workers of a training.
        keep_actions: so that ``episodes.episode_state`` can tell where each worker stands.
        tickets: how many episodes each worker may begin in the coming round, ``[K]``; ``None``: ``take_ticket`` alone can tell.

    Attributes:
        acting_seconds, learning_seconds: processor time spent so far on rollouts and on gradients.
        loss_inputs: what the loss takes besides a window; who runs rounds has it follow the schedules before each.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        worker_ids: Sequence[WorkerId],
        rounds: NDArray[np.int64],
        episodes_begun: NDArray[np.int64],
        take_ticket: Callable[[int], bool],
        share_weights: bool = False,
        keep_actions: bool = False,
        compiler: Compiler | None = None,
        tickets: Callable[[], NDArray[np.int64]] | None = None,
    ) -> None:
        self.acting_seconds = self.learning_seconds = 0.0
        self.worker_ids, self._setup = list(worker_ids), setup
        self._rounds, self._episodes_begun, self._take_ticket = rounds, episodes_begun, take_ticket
        self.envs = setup.make_envs(num_envs=len(self.worker_ids))
        model, self.layout = setup.model(self.envs)
        seeds = len({member.seed for member in self.worker_ids})
        rows = seeds if share_weights else len(self.worker_ids)
        self.weights, self.stackable = self.layout.flatten(model).repeat(rows, 1), model.stackable
        self.compiler = (compiler or Compiler()) if setup.compile else None
        self.episodes = EpisodeTracker(self.envs, model, self._begin_episode, setup.device, keep_actions)
        returns = self.episodes.discounted_return
        self.loss_inputs = LossInputs(setup, self.worker_ids, returns, rows, by_worker=len(self.worker_ids) > rows)
        common = model, self.layout, self.weights, self.envs, self.episodes, setup.learner, setup.max_episode_steps
        self._fused_rollout = self._make_fused_rollout(common, tickets)
        self._rollout = None if self._fused_rollout else Rollout(*common, self.compiler)
        self._loss = window_loss(model, self.layout, setup.learner)
        self._vectorized_gradient: VectorizedFunction | None = None
        self._distribution = model.distribution
        k, n = len(self.worker_ids), setup.learner.n_step
        self._noise = np.zeros((k, n, model.distribution.noise_size), np.float32)
        self._own_noise = model.distribution.noise_size - model.distribution.sde_noise  # of each step
        self._noise_blocks = np.zeros((k, NOISE_BLOCK, n, self._own_noise), np.float32)
        self._noise_block = np.full(k, -1, np.int64)
        self._upcoming_noise: list[NDArray[np.float32]] = []  # of a burst, the next round's last
        self._all_indices = np.arange(k)
        self._acted: tuple[Window, Sequence[EndedEpisode]] | None = None  # to be learned from

    @property
    def has_fused_rounds(self) -> bool:
        """Whether a whole round is compiled, so that ``begin_burst`` can ever begin one."""
        return self._fused_rollout is not None

    @property
    def in_episode(self) -> NDArray[np.bool_]:
        """``[K]`` whether a worker is within an episode."""
        return self.episodes.in_episode

    def progress(self) -> int:
        """A number that changes when environments have stepped."""
        return zlib.crc32(self.envs.observation.tobytes())

    def truncate(self, workers: Iterable[int]) -> list[EndedEpisode]:
        """End the episodes that these workers are in, as a time limit would, between two windows."""
        return [episode for k in workers if (episode := self.episodes.truncate(k)) is not None]

    def round(self, allowed: NDArray[np.int64]) -> RoundResult:
        self.act(allowed)
        return self.learn()

    def act(self, allowed: NDArray[np.int64]) -> None:
        """Act for up to ``allowed [K]`` steps, each worker with its own weights.

        Raises:
            EnvInterfaceError: an environment returned what it must not; says which worker's, in which episode and step.
        """
        began = time.process_time()
        self._draw_noise(allowed)
        if self._fused_rollout is not None:
            self._fused_rollout.begin(allowed)
            with torch.inference_mode():
                self._fused_rollout.act(self._noise.swapaxes(0, 1))
        else:
            assert self._rollout is not None
            try:
                self._acted = self._rollout.run(allowed, self._noise)
            except EnvInterfaceError as error:
                own, k = self.worker_ids[error.index], error.index
                seed = f" of seed {own.seed}" if self._setup.num_seeds > 1 else ""
                where = f"worker {own.worker}{seed}, episode {self._episodes_begun[k]}"
                raise EnvInterfaceError(error.problem, k, where, error.step) from error
        self.acting_seconds += time.process_time() - began

    def learn(self) -> RoundResult:
        """The gradient of what was just acted, each row's at its own weights."""
        began = time.process_time()
        if self._fused_rollout is not None:
            with torch.inference_mode():
                gradients, window_stats = self._fused_rollout.learn()
            result = RoundResult(gradients, window_stats, *self._fused_rollout.end())
        else:
            assert self._rollout is not None and self._acted is not None
            (window, ended), learner = self._acted, self._setup.learner
            inputs = *window, *self.loss_inputs.tensors
            if self._vectorized_gradient is None:
                # Traced at the first window, so that the first environment step does not wait for it.
                self._vectorized_gradient = vectorize(
                    self._loss,
                    self.weights,
                    inputs,
                    self.stackable,
                    differentiate=True,
                    compiler=self.compiler,
                    output_transform=partial(clip_gradients, table=learner.statistics, max_norm=learner.max_grad_norm),
                )
            gradients, stats, *discounted_returns = self._vectorized_gradient(*inputs)
            if discounted_returns:
                self.episodes.discounted_return.copy_(discounted_returns[0].view(-1))
            result = RoundResult(gradients, stats.cpu().numpy(), self._rollout.steps_taken, ended)
        self.learning_seconds += time.process_time() - began
        return result

    def begin_burst(self, max_rounds: int) -> int:
        """Prepare rounds of full windows of all workers: how many can follow, at most so many; 0, and nothing was begun, where
        rounds are not compiled as a whole or a worker begins an episode."""
        fused, episodes = self._fused_rollout, self.episodes
        if fused is None or episodes.any_episode_start or not episodes.in_episode.all():
            return 0
        n, limit = self._setup.learner.n_step, self._setup.max_episode_steps
        if limit is not None:
            max_rounds = min(max_rounds, (limit - int(episodes.length.max()) - 1) // n)
        rows = self._rounds % NOISE_BLOCK
        count = min(max_rounds, NOISE_BLOCK - int(rows.max()))
        if count < 1:
            return 0
        self._load_noise(np.full(len(rows), True))
        noise = self._noise_blocks[self._all_indices[:, np.newaxis], rows[:, np.newaxis] + np.arange(count)]
        if self._distribution.sde_noise:
            rounds = range(count)
            noise = np.concatenate([noise, np.stack([self._draw_sde_noise(self._rounds + i) for i in rounds], 1)], axis=-1)
        self._upcoming_noise = list(np.ascontiguousarray(noise.transpose(1, 2, 0, 3)))[::-1]
        fused.begin(np.full(len(rows), n))
        return count

    def burst_round(self) -> tuple[Tensor, NDArray[np.float32], bool]:
        """The burst's next round: gradients and window statistics as in ``RoundResult``, and whether an episode ended in it,
        which makes it the last. Call in inference mode."""
        fused = self._fused_rollout
        assert fused is not None
        fused.act(self._upcoming_noise.pop())
        gradients, window_stats = fused.learn()
        self._rounds += 1
        return gradients, window_stats, fused.any_episode_ended

    def end_burst(self, gradients: Tensor, window_stats: NDArray[np.float32]) -> RoundResult:
        """End the burst with its latest round, of which these are the gradients and window statistics."""
        assert self._fused_rollout is not None
        return RoundResult(gradients, window_stats, *self._fused_rollout.end())

    def _make_fused_rollout(
        self, common: tuple[Any, ...], tickets: Callable[[], NDArray[np.int64]] | None
    ) -> "FusedRollout | None":
        """Rounds that are compiled as a whole, where environments and model allow it; ``common`` is as in ``Rollout``."""
        setup = self._setup
        if self.compiler is None or not self.stackable or self.envs.tensor_env is None:
            return None
        if not setup.learner.window_ends_with_episode and setup.budget.max_episodes is not None and tickets is None:
            return None  # episodes begin within the round, and how many may is not known beforehand
        from a3c_exp.parallelism.compiled.fused_rollout import FusedRollout, NextEpisodes

        remaining_tickets = tickets if setup.budget.max_episodes is not None else None
        next_episodes = NextEpisodes(self._upcoming_seed, self._episodes_begun, remaining_tickets)
        fused = FusedRollout(next_episodes, self.loss_inputs.tensors, *common)
        return fused if fused.compile(self.compiler) else None

    def _draw_noise(self, allowed: NDArray[np.int64]) -> None:
        self._load_noise(allowed > 0)
        self._noise[..., : self._own_noise] = self._noise_blocks[self._all_indices, self._rounds % NOISE_BLOCK]
        if self._distribution.sde_noise:
            self._noise[..., self._own_noise :] = self._draw_sde_noise(self._rounds)
        self._rounds += allowed > 0

    def _draw_sde_noise(self, rounds: NDArray[np.int64]) -> NDArray[np.float32]:
        """``[K, n, sde_noise]`` of these rounds ``[K]``, one of each worker."""
        common = self._distribution, self._setup.learner.n_step
        of_workers = zip(self.worker_ids, rounds.tolist(), strict=True)
        return np.stack([sde_noise(*common, *member, window) for member, window in of_workers])

    def _load_noise(self, needed: NDArray[np.bool_]) -> None:
        """Draw these workers' noise of the coming round, and of those after it in the same block."""
        blocks = self._rounds // NOISE_BLOCK
        for k in ((self._noise_block != blocks) & needed).nonzero()[0].tolist():
            seed, worker = self.worker_ids[k]
            self._noise_blocks[k] = noise_block(self._distribution, self._noise_blocks.shape[2], seed, worker, int(blocks[k]))
            self._noise_block[k] = blocks[k]

    def _begin_episode(self, k: int) -> int | None:
        if not self._take_ticket(k):
            return None
        seed = self._upcoming_seed(k, 0)
        self._episodes_begun[k] += 1
        return seed

    def _upcoming_seed(self, k: int, j: int) -> int:
        """The seed of worker k's next episode after j others."""
        return env_seed(self.worker_ids[k].seed, self.worker_ids[k].worker, int(self._episodes_begun[k]) + j)

    def close(self) -> None:
        self.envs.close()
