"""K workers of one process, stacked: the part that every kind of parallelism shares."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.core.distributions import draw_noise
from a3c_exp.core.stacking import Stacked, stack
from a3c_exp.learner import Stat, clip_by_norm, window_loss
from a3c_exp.parallelism.base import Task
from a3c_exp.rollout import EndedEpisode, Rollout
from a3c_exp.seeding import Purpose, env_seed, stream

_NOISE_BLOCK = 64
"""Rounds of noise drawn at once: making a generator costs more than drawing from it."""


@dataclass(frozen=True)
class Round:
    """One window of each worker: what it learned, and from how many steps.

    Attributes:
        gradients: ``[K, P]``, clipped if asked for.
        figures: ``[K, len(Stat)]``.
        steps: ``[K]`` environment steps taken; 0 for a worker that sat out, whose gradient means nothing.
        ended: the episodes that ended.
    """

    gradients: Tensor
    figures: NDArray[np.float32]
    steps: NDArray[np.int64]
    ended: Sequence[EndedEpisode]


class StackedWorkers:
    """K logical workers with their environments, noise and stale weights ``[K, P]``.

    Args:
        task: what to train.
        ids: the workers' numbers in the whole run; their random streams hang on these, not on who is stacked with them.
        rounds, episodes_begun: ``[K]`` counters of those workers, counted up in place (they may be shared memory).
        take_ticket: asked before an episode begins; false when there is none to be had now.
    """

    def __init__(
        self,
        task: Task,
        ids: Sequence[int],
        rounds: NDArray[np.int64],
        episodes_begun: NDArray[np.int64],
        take_ticket: Callable[[], bool],
    ) -> None:
        self.ids = list(ids)
        self._task = task
        self._rounds = rounds
        self._episodes_begun = episodes_begun
        self._take_ticket = take_ticket
        self.envs = task.make_envs(num_envs=len(self.ids))
        model, layout = task.model(self.envs)
        self.weights = layout.flatten(model).repeat(len(self.ids), 1)
        self.rollout = Rollout(
            model, layout, self.weights, self.envs, task.learner, task.max_episode_steps, self._begin_episode
        )
        self._loss = window_loss(model, layout, task.learner)
        self._stackable = model.stackable
        self._stacked_gradient: Stacked | None = None
        self._family = model.family
        self._noise = np.zeros(self.rollout.noise_shape, np.float32)
        self._noise_blocks: list[tuple[int, NDArray[np.float32]]] = [(-1, self._noise[:1])] * len(self.ids)

    def round(self, allowed: NDArray[np.int64]) -> Round:
        """Act for up to ``allowed [K]`` steps and differentiate, each worker at its own weights."""
        self._draw_noise()
        window, ended = self.rollout.run(allowed, self._noise)
        if self._stacked_gradient is None:
            # Traced at the first window, so that the first environment step does not wait for it.
            self._stacked_gradient = stack(self._loss, self.weights, tuple(window), self._stackable, differentiate=True)
        with torch.no_grad():
            gradients, figures = self._stacked_gradient(*window)
            figures[:, Stat.grad_norm] = clip_by_norm(gradients, self._task.learner.max_grad_norm)
        table = figures.cpu().numpy()
        return Round(gradients, table, table[:, Stat.steps].astype(np.int64), ended)

    def _draw_noise(self) -> None:
        for k, worker in enumerate(self.ids):
            block, row = divmod(int(self._rounds[k]), _NOISE_BLOCK)
            if self._noise_blocks[k][0] != block:
                generator = stream(self._task.seed, Purpose.action, worker, block)
                self._noise_blocks[k] = (block, draw_noise(self._family, generator, (_NOISE_BLOCK, self._noise.shape[1])))
            self._noise[k] = self._noise_blocks[k][1][row]
            self._rounds[k] += 1

    def _begin_episode(self, k: int) -> int | None:
        if not self._take_ticket():
            return None
        seed = env_seed(self._task.seed, self.ids[k], int(self._episodes_begun[k]))
        self._episodes_begun[k] += 1
        return seed

    def close(self) -> None:
        self.envs.close()
