"""K workers of one process, stacked: the part that every kind of parallelism shares."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.core.compiling import Compiler
from a3c_exp.core.distributions import draw_noise
from a3c_exp.core.stacking import Stacked, stack
from a3c_exp.learner import Stat, clip_by_norm, window_loss
from a3c_exp.parallelism.base import Task
from a3c_exp.rollout import EndedEpisode, Rollout
from a3c_exp.seeding import Purpose, env_seed, stream

_NOISE_BLOCK = 64
"""Rounds of noise drawn at once: making a generator costs more than drawing from it."""


class Member(NamedTuple):
    """One worker among those of a process: its random streams hang on these two, not on who is stacked with it."""

    seed: int  # root seed of the training it belongs to
    worker: int  # its number in that training


@dataclass(frozen=True)
class Round:
    """One window of each worker: what it learned, and from how many steps.

    Attributes:
        gradients: ``[R, P]``, clipped if asked for; one a row of weights.
        figures: ``[R, len(Stat)]``.
        steps: ``[K]`` environment steps taken; 0 for a worker that sat out. A row whose workers all sat out has a gradient that
            means nothing.
        ended: the episodes that ended.
    """

    gradients: Tensor
    figures: NDArray[np.float32]
    steps: NDArray[np.int64]
    ended: Sequence[EndedEpisode]


class StackedWorkers:
    """K logical workers with their environments, noise and weights ``[R, P]``: R = K, each worker's own stale copy, or one row
    for all workers of a training.

    Args:
        task: what to train.
        members: the workers, those of a training next to each other.
        rounds, episodes_begun: ``[K]`` counters of those workers, counted up in place (they may be shared memory).
        take_ticket: asked with a worker's index before an episode begins; false when there is none to be had now.
        share_weights: one row of weights serves all workers of a training.
        keep_actions: so that ``rollout.save`` can tell where each worker stands.
        compiler: to use if the task wants one; ``None`` makes a new one.

    Attributes:
        acting, learning: seconds of this process's own time spent so far on rollouts and on gradients, whoever else is busy.
    """

    def __init__(
        self,
        task: Task,
        members: Sequence[Member],
        rounds: NDArray[np.int64],
        episodes_begun: NDArray[np.int64],
        take_ticket: Callable[[int], bool],
        share_weights: bool = False,
        keep_actions: bool = False,
        compiler: Compiler | None = None,
    ) -> None:
        self.acting = self.learning = 0.0
        self.members = list(members)
        self._task = task
        self._rounds = rounds
        self._episodes_begun = episodes_begun
        self._take_ticket = take_ticket
        self.envs = task.make_envs(num_envs=len(self.members))
        model, self.layout = task.model(self.envs)
        seeds = len({member.seed for member in self.members})
        rows = seeds if share_weights else len(self.members)
        self.weights = self.layout.flatten(model).repeat(rows, 1)
        self.compiler = (compiler or Compiler()) if task.compile else None
        self.rollout = Rollout(
            model,
            self.layout,
            self.weights,
            self.envs,
            task.learner,
            task.max_episode_steps,
            self._begin_episode,
            keep_actions,
            self.compiler,
        )
        self._loss = window_loss(model, self.layout, task.learner)
        self._own_coefs: tuple[Tensor, ...] = ()
        if task.exploration.beta is not None:
            coefs = torch.tensor([task.entropy_coef(*member) for member in self.members], device=task.device)
            self._own_coefs = (coefs.view(rows, -1) if share_weights and task.workers > 1 else coefs,)
        self._stackable = model.stackable
        self._stacked_gradient: Stacked | None = None
        self._family = model.family
        self._noise = np.zeros(self.rollout.noise_shape, np.float32)
        self._noise_blocks: list[tuple[int, NDArray[np.float32]]] = [(-1, self._noise[:1])] * len(self.members)

    def round(self, allowed: NDArray[np.int64]) -> Round:
        """Act for up to ``allowed [K]`` steps and differentiate, each row at its own weights."""
        began = time.process_time()
        self._draw_noise(allowed)
        window, ended = self.rollout.run(allowed, self._noise)
        acted = time.process_time()
        self.acting += acted - began
        inputs = (*window, *self._own_coefs)
        if self._stacked_gradient is None:
            # Traced at the first window, so that the first environment step does not wait for it.
            self._stacked_gradient = stack(
                self._loss, self.weights, inputs, self._stackable, differentiate=True, compiler=self.compiler
            )
        gradients, figures = self._stacked_gradient(*inputs)
        with torch.inference_mode():
            limit = self._task.learner.max_grad_norm
            norms = clip_by_norm(gradients, limit).cpu().numpy()
        table = figures.cpu().numpy()
        table[:, Stat.grad_norm] = norms
        table[:, Stat.clipped_grad_norm] = norms if limit is None else np.minimum(norms, limit)
        self.learning += time.process_time() - acted
        return Round(gradients, table, self.rollout.taken, ended)

    def _draw_noise(self, allowed: NDArray[np.int64]) -> None:
        for k in allowed.nonzero()[0].tolist():
            block, row = divmod(int(self._rounds[k]), _NOISE_BLOCK)
            if self._noise_blocks[k][0] != block:
                generator = stream(self.members[k].seed, Purpose.action, self.members[k].worker, block)
                self._noise_blocks[k] = (block, draw_noise(self._family, generator, (_NOISE_BLOCK, self._noise.shape[1])))
            self._noise[k] = self._noise_blocks[k][1][row]
            self._rounds[k] += 1

    def _begin_episode(self, k: int) -> int | None:
        if not self._take_ticket(k):
            return None
        seed = env_seed(self.members[k].seed, self.members[k].worker, int(self._episodes_begun[k]))
        self._episodes_begun[k] += 1
        return seed

    def close(self) -> None:
        self.envs.close()


def compile_ahead(task: Task, sizes: Iterable[int]) -> Compiler:
    """Live one window with each number of workers, so that machine code lies ready for processes that will host as many:
    they must show life every few seconds, which nobody can who compiles."""
    compiler = Compiler()
    for k in sizes:
        members = [Member(task.seed, worker) for worker in range(k)]
        rounds, begun = np.zeros((2, k), np.int64)
        workers = StackedWorkers(task, members, rounds, begun, lambda _: True, compiler=compiler)
        try:
            workers.round(np.full(k, task.learner.n_step))
        finally:
            workers.close()
    return compiler
