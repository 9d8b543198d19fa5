"""K workers of one process, stacked: the part that every kind of parallelism shares."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode, Episodes
from a3c_exp.algorithm.random_streams import Purpose, env_seed, stream
from a3c_exp.algorithm.rollout import Rollout
from a3c_exp.algorithm.window_gradient import clipped, window_loss
from a3c_exp.compile.compiler import Compiler
from a3c_exp.compile.vectorize import Stacked, stack
from a3c_exp.models.base import ActorCritic
from a3c_exp.models.distributions import draw_noise
from a3c_exp.parallelism.base import Task

if TYPE_CHECKING:
    from a3c_exp.envs.tensor.base import InTensors
    from a3c_exp.parallelism.compiled.fused_rollout import FusedRollout

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
        keep_actions: so that ``episodes.save`` can tell where each worker stands.
        compiler: to use if the task wants one; ``None`` makes a new one.
        tickets: how many episodes each worker may begin in the coming round, ``[K]``; ``None`` if only ``take_ticket`` knows.

    Attributes:
        episodes: the books of their episodes.
        weights: ``[R, P]``.
        stackable: whether the model is.
        compiler: what it says of itself; ``None`` if nothing is to be compiled.
        acting, learning: seconds of this process's own time that ``round`` spent so far on rollouts and on gradients, whoever
            else is busy.
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
        tickets: Callable[[], NDArray[np.int64]] | None = None,
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
        self.episodes = Episodes(self.envs, model, self._begin_episode, task.device, keep_actions)
        self._beside = self._beside_windows(rows, share_weights)
        self._fused = self._whole_rounds(model, tickets)
        self._rollout = None if self._fused else self._step_by_step(model)
        self._loss = window_loss(model, self.layout, task.learner)
        self.stackable = model.stackable
        self._stacked_gradient: Stacked | None = None
        self._family = model.family
        k, n = len(self.members), task.learner.n_step
        self._noise = np.zeros((k, n, model.family.noise_size), np.float32)
        self._noise_blocks = np.zeros((k, _NOISE_BLOCK, n, model.family.noise_size), np.float32)
        self._noise_block = np.full(k, -1, np.int64)
        self._coming_noise: list[NDArray[np.float32]] = []  # of a stretch, the next round's last
        self._everyone = np.arange(k)

    def _beside_windows(self, rows: int, share_weights: bool) -> tuple[Tensor, ...]:
        """What the loss takes behind a window, by row: entropy coefficients where workers have their own; with the discount
        factor where machine code is to serve whichever there are."""
        task, device = self._task, self._task.device
        if task.exploration.beta is None and not task.compile:
            return ()
        coefs = torch.tensor([task.entropy_coef(*member) for member in self.members], device=device)
        coefs = coefs.view(rows, -1) if share_weights and task.workers > 1 else coefs
        return (coefs, torch.full((rows,), task.learner.gamma, device=device)) if task.compile else (coefs,)

    @property
    def does_whole_rounds(self) -> bool:
        """Whether a round is machine code from end to end, so that ``open_stretch`` can ever open one."""
        return self._fused is not None

    def round(self, allowed: NDArray[np.int64]) -> Round:
        """Act for up to ``allowed [K]`` steps and differentiate, each row at its own weights."""
        began = time.process_time()
        self._draw_noise(allowed)
        if self._fused is not None:
            done = Round(*self._fused.run(allowed, self._noise))
            self._spent(began, self._fused.acted_at)
            return done
        assert self._rollout is not None
        window, ended = self._rollout.run(allowed, self._noise)
        acted = time.process_time()
        inputs = (*window, *self._beside)
        if self._stacked_gradient is None:
            # Traced at the first window, so that the first environment step does not wait for it.
            self._stacked_gradient = stack(
                self._loss,
                self.weights,
                inputs,
                self.stackable,
                differentiate=True,
                compiler=self.compiler,
                after=partial(clipped, max_norm=self._task.learner.max_grad_norm),
            )
        gradients, figures = self._stacked_gradient(*inputs)
        table = figures.cpu().numpy()
        self._spent(began, acted)
        return Round(gradients, table, self._rollout.taken, ended)

    def open_stretch(self, most: int) -> int:
        """Get ready for rounds of full windows of everybody, one after another: how many can follow, at most so many.

        0 where rounds are not whole pieces of machine code or somebody begins an episode: then nothing was opened.
        """
        fused, episodes = self._fused, self.episodes
        if fused is None or episodes.someone_begins or not episodes.in_episode.all():
            return 0
        n, limit = self._task.learner.n_step, self._task.max_episode_steps
        if limit is not None:
            most = min(most, (limit - int(episodes.length.max()) - 1) // n)
        rows = self._rounds % _NOISE_BLOCK
        count = min(most, _NOISE_BLOCK - int(rows.max()))
        if count < 1:
            return 0
        self._load_noise(np.full(len(rows), True))
        drawn = self._noise_blocks[self._everyone[:, np.newaxis], rows[:, np.newaxis] + np.arange(count)]
        self._coming_noise = list(np.ascontiguousarray(drawn.transpose(1, 2, 0, 3)))
        self._coming_noise.reverse()
        fused.open(np.full(len(rows), n))
        return count

    def stretch_round(self) -> tuple[Tensor, NDArray[np.float32], bool]:
        """The stretch's next round: gradients and figures as ``Round`` has them, and whether an episode ended in it, which
        makes it the last. Call in inference mode."""
        assert self._fused is not None
        gradients, figures = self._fused.again(self._coming_noise.pop())
        self._rounds += 1
        return gradients, figures, self._fused.someone_ended

    def close_stretch(self, gradients: Tensor, figures: NDArray[np.float32]) -> Round:
        """End the stretch with its latest round, of which these are the gradients and figures."""
        assert self._fused is not None
        return Round(gradients, figures, *self._fused.close())

    def _spent(self, began: float, acted: float) -> None:
        self.acting += acted - began
        self.learning += time.process_time() - acted

    def _step_by_step(self, model: ActorCritic) -> Rollout:
        task = self._task
        return Rollout(
            model, self.layout, self.weights, self.envs, self.episodes, task.learner, task.max_episode_steps, self.compiler
        )

    def _whole_rounds(self, model: ActorCritic, tickets: Callable[[], NDArray[np.int64]] | None) -> "FusedRollout | None":
        """Rounds as one piece of machine code, where environments and model allow it."""
        task = self._task
        if self.compiler is None or not model.stackable or getattr(self.envs, "tensor", None) is None:
            return None
        if not task.learner.window_ends_with_episode and task.budget.max_episodes is not None and tickets is None:
            return None  # episodes begin within the round, and nobody knows beforehand how many may
        from a3c_exp.parallelism.compiled.fused_rollout import FusedRollout, NextEpisodes

        at_hand = tickets if task.budget.max_episodes is not None else None
        fused = FusedRollout(
            model,
            self.layout,
            self.weights,
            cast("InTensors", self.envs),
            self.episodes,
            task.learner,
            task.max_episode_steps,
            NextEpisodes(self._seed_ahead, self._episodes_begun, at_hand),
            self._beside,
        )
        return fused if fused.compile(self.compiler) else None

    def _draw_noise(self, allowed: NDArray[np.int64]) -> None:
        self._load_noise(allowed > 0)
        self._noise[:] = self._noise_blocks[self._everyone, self._rounds % _NOISE_BLOCK]
        self._rounds += allowed > 0

    def _load_noise(self, whose: NDArray[np.bool_]) -> None:
        """Have these workers' noise of the coming round at hand, and of those behind it in the same block."""
        blocks = self._rounds // _NOISE_BLOCK
        for k in ((self._noise_block != blocks) & whose).nonzero()[0].tolist():
            generator = stream(self.members[k].seed, Purpose.action, self.members[k].worker, int(blocks[k]))
            self._noise_blocks[k] = draw_noise(self._family, generator, self._noise_blocks.shape[1:3])
            self._noise_block[k] = blocks[k]

    def _begin_episode(self, k: int) -> int | None:
        if not self._take_ticket(k):
            return None
        seed = self._seed_ahead(k, 0)
        self._episodes_begun[k] += 1
        return seed

    def _seed_ahead(self, k: int, j: int) -> int:
        """The seed of worker k's next episode but j."""
        return env_seed(self.members[k].seed, self.members[k].worker, int(self._episodes_begun[k]) + j)

    def close(self) -> None:
        self.envs.close()


def compile_ahead(task: Task, sizes: Iterable[int], beside: Callable[[StackedWorkers], object]) -> Compiler:
    """Live one window with each number of workers, so that machine code lies ready for processes that will host as many:
    they must show life every few seconds, which nobody can who compiles. What else they need, ``beside`` makes for them."""
    compiler = Compiler()
    for k in sizes:
        members = [Member(task.seed, worker) for worker in range(k)]
        rounds, begun = np.zeros((2, k), np.int64)
        workers = StackedWorkers(task, members, rounds, begun, lambda _: True, compiler=compiler)
        try:
            workers.round(np.full(k, task.learner.n_step))
            beside(workers)
        finally:
            workers.close()
    return compiler
