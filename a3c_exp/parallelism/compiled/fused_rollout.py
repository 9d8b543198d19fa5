"""K workers in environments written in tensors: acting and learning are machine code, and the books are kept from its pages."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode, Episodes
from a3c_exp.algorithm.types import LearnerSpec
from a3c_exp.compile.compiler import Compiled, Compiler, Ready, ready
from a3c_exp.compile.vectorize import compiled_for
from a3c_exp.envs.tensor.base import InTensors
from a3c_exp.models.base import ActorCritic
from a3c_exp.optimizers.flat_parameters import FlatLayout
from a3c_exp.parallelism.compiled.fused_step import Ahead, Before, FusedRound, Now, Page

_PLENTY = 2**40
_Fields = TypeVar("_Fields", Now, Before, Page, Ahead)


class Learned(NamedTuple):
    """A round's gradients ``[R, P]`` and figures ``[R, len(Stat)]``, the steps taken ``[K]``, and the episodes that ended."""

    gradients: Tensor
    figures: NDArray[np.float32]
    taken: NDArray[np.int64]
    ended: list[EndedEpisode]


class NextEpisodes(NamedTuple):
    """What windows that roll through episode ends must know of the episodes to come.

    Attributes:
        seed: of worker k's next episode but j.
        begun: ``[K]`` how many each worker has begun, kept by others.
        at_hand: how many each worker may begin in the coming round, ``[K]``; ``None`` if there is no end of them.
    """

    seed: Callable[[int, int], int]
    begun: NDArray[np.int64]
    at_hand: Callable[[], NDArray[np.int64]] | None


class FusedRollout:
    """Acts and differentiates like ``Rollout`` and the learner, without Python between a step's operations.

    ``run`` is a round. Where it is known that nobody begins an episode, rounds follow each other without the books being opened
    and closed between them: ``open``, ``again`` until one brings an end, ``close``.

    Args:
        model, layout, weights: as ``Rollout`` takes them.
        envs: K environments.
        episodes: the books of their episodes.
        spec: window length and how experience becomes gradients.
        max_episode_steps: the time limit, in environment steps; ``None`` for none.
        next_episodes: for windows that roll through episode ends; not used by others.
        beside: what the loss takes behind the window, by row.

    Attributes:
        acted_at: the process's own time when the latest round's acting was over.
    """

    acted_at = 0.0

    def __init__(
        self,
        model: ActorCritic,
        layout: FlatLayout,
        weights: Tensor,
        envs: InTensors,
        episodes: Episodes,
        spec: LearnerSpec,
        max_episode_steps: int | None,
        next_episodes: NextEpisodes,
        beside: tuple[Tensor, ...],
    ) -> None:
        k, n = envs.num_envs, spec.n_step
        self._envs, self._episodes, self._n = envs, episodes, n
        self._layout, self._weights = layout, weights
        self._turned = [matrix.contiguous() for matrix in layout.turned(weights)]
        self._round = FusedRound(model, layout, envs.tensor, spec, max_episode_steps, k, weights.shape[0])
        self._next = None if spec.window_ends_with_episode or n == 1 else next_episodes
        self._ahead_of = np.full(k, -n, np.int64)  # the episode that the first of those ahead is
        self._allowed = np.zeros(k, np.int64)
        self._started = np.zeros(k, np.int64), np.zeros(k, np.float64)  # lengths and returns before the latest round

        seen, size = envs.observation.shape[1:], envs.state.shape[1]
        ahead = None
        if self._next is not None:
            counts = torch.zeros(k, dtype=torch.int64), torch.full((k,), _PLENTY)
            ahead = Ahead(torch.zeros(k, n - 1, size, dtype=torch.float64), torch.zeros(k, n - 1, *seen), *counts)
        remembers = episodes.memory if model.state_size else None
        remaining = torch.zeros(k, dtype=torch.int64)
        length, return_ = torch.from_numpy(episodes.length), torch.from_numpy(episodes.return_)
        self._now = Now(torch.from_numpy(envs.state), remaining, length, return_, remembers, ahead)
        self._noise = torch.zeros(n, k, model.family.noise_size)
        no, action = torch.zeros(n + 1, k, dtype=torch.bool), torch.from_numpy(episodes.no_action)
        self._before = Before(torch.zeros(n + 1, k, *seen), no, no.clone())
        self._pages = Page(
            action=action.unsqueeze(0).repeat(n, *(1,) * action.dim()),
            raw_reward=torch.zeros(n, k, dtype=torch.float64),
            seen=torch.zeros(n, k, *seen),
            ends=no[:n].clone(),
            terminated=no[:n].clone(),
            stops=no[:n].clone(),
            memory=None if remembers is None else torch.zeros(n, *remembers.shape),
        )
        self._memory_at_start = None if remembers is None else remembers.clone()
        # What numpy is to look at, and what each call is given, is put together once.
        self._paper = _Paper(
            *(one.numpy() for one in self._before), *(one.numpy() for one in (self._pages.raw_reward, *self._pages[3:5]))
        )
        self._remaining, self._drawn = remaining.numpy(), self._noise.numpy()
        self._of_step = [
            [*self._turned, *_tensors(self._now), self._noise[t]]
            + [*(one[t] for one in self._before), *(one[t] for one in _tensors(self._pages))]
            + [one[t + 1] for one in self._before]
            for t in range(n)
        ]
        self._of_learning = _tensors(self._before) + _tensors(self._pages)
        if self._memory_at_start is not None:
            self._of_learning.append(self._memory_at_start)
        self._of_learning += beside
        self._turn: Compiled = self._uncompiled_turn
        self._step: Compiled = self._uncompiled_step
        self._learn: Compiled = self._uncompiled_learn
        self._line_up()

    def compile(self, compiler: Compiler) -> bool:
        """Make machine code of it; false if that cannot be had, and then it runs as it is, slowly."""
        wanted = [
            (self._uncompiled_step, self._of_step[0], "a step"),
            (self._uncompiled_learn, self._of_learning, "learning"),
            *([(self._uncompiled_turn, self._turned, "turning weights")] if self._turned else []),
        ]
        weights = self._weights
        found = [compiled_for(partial(plain, weights), weights, given, compiler, name) for plain, given, name in wanted]
        step, learn, *turn = found
        if step is None or learn is None or None in turn:
            return False
        self._step, self._learn = step, learn
        if turn and turn[0] is not None:
            self._turn = turn[0]
        self._line_up()
        return True

    def _line_up(self) -> None:
        """Put together the calls of a round."""
        weights = self._weights
        self._acting: list[Ready] = [ready(self._turn, weights, *self._turned)] if self._turned else []
        self._acting += [ready(self._step, weights, *given) for given in self._of_step]
        self._learning = ready(self._learn, weights, *self._of_learning)

    def _uncompiled_turn(self, weights: Tensor, *into: Tensor) -> Sequence[Tensor]:
        for place, matrix in zip(into, self._layout.turned(weights), strict=True):
            place.copy_(matrix)
        return ()

    def _uncompiled_step(self, weights: Tensor, *given: Tensor) -> Sequence[Tensor]:
        turned, left = given[: len(self._turned)], iter(given[len(self._turned) :])
        now, noise = _filled(self._now, left), next(left)
        before, page = _filled(self._before, left), _filled(self._pages, left)
        self._round.step(weights, turned, now, noise, before, page, _filled(self._before, left))
        return ()

    def _uncompiled_learn(self, weights: Tensor, *given: Tensor) -> Sequence[Tensor]:
        left = iter(given)
        before, pages = _filled(self._before, left), _filled(self._pages, left)
        memory = None if self._memory_at_start is None else next(left)
        return self._round.learn(weights, before, pages, memory, tuple(left))

    def run(self, allowed: NDArray[np.int64], noise: NDArray[np.float32]) -> Learned:
        """Act for one window and differentiate.

        Args:
            allowed: ``[K]`` how many environment steps each worker may take, at most n; 0 leaves it out of this window.
            noise: ``[K, n, noise]`` drawn beforehand.
        """
        self.open(allowed)
        with torch.inference_mode():
            gradients, figures = self.again(noise.swapaxes(0, 1))
        return Learned(gradients, figures, *self.close())

    def open(self, allowed: NDArray[np.int64]) -> None:
        """Begin the episodes that are due, and lay out what the coming rounds must know; ``allowed`` as ``run`` takes it."""
        episodes = self._episodes
        may = allowed > 0
        if not episodes.in_episode.all():
            for k in (may & ~episodes.in_episode).nonzero()[0].tolist():
                may[k] = episodes.begin(k)
        paper = self._paper
        paper.observation[0], paper.live[0], paper.begins[0] = self._envs.observation, may, episodes.begins
        np.multiply(allowed, may, out=self._allowed)
        if self._next is not None:
            self._look_ahead(self._next)

    def again(self, noise: NDArray[np.float32]) -> tuple[Tensor, NDArray[np.float32]]:
        """A round as it was opened: its gradients ``[R, P]`` and figures ``[R, len(Stat)]``. Call in inference mode.

        Args:
            noise: ``[n, K, noise]``.
        """
        now, paper = self._now, self._paper
        length, return_ = self._started
        length[:], return_[:] = self._episodes.length, self._episodes.return_
        self._remaining[:], self._drawn[:] = self._allowed, noise
        if now.memory is not None and self._memory_at_start is not None:
            self._memory_at_start.copy_(now.memory)
        for act in self._acting:
            act()
        self.acted_at = time.process_time()
        gradients, figures = self._learning()
        paper.observation[0], paper.begins[0] = paper.observation[-1], False
        return gradients, figures.numpy()

    @property
    def someone_ended(self) -> bool:
        """Whether an episode ended in the latest round: it must be the last before ``close``."""
        return int(np.count_nonzero(self._paper.ends)) > 0  # the quickest way to ask

    def close(self) -> tuple[NDArray[np.int64], list[EndedEpisode]]:
        """Enter the latest round in the books; its steps ``[K]``, and the episodes that ended in it."""
        episodes, paper = self._episodes, self._paper
        self._envs.observation[:] = paper.observation[-1]
        if episodes.someone_begins:
            episodes.begins[:] = False
        found = self._allowed.copy(), list[EndedEpisode]()
        if paper.ends.any():
            found = paper.live[:-1].sum(axis=0, dtype=np.int64), self._ends()
        episodes.someone_begins = False
        return found

    def _ends(self) -> list[EndedEpisode]:
        """The episodes that ended, with what was begun after them, step by step."""
        episodes, paper = self._episodes, self._paper
        ended: list[EndedEpisode] = []
        episodes.length[:], episodes.return_[:] = self._started
        for t in range(self._n):
            # One after another, so that a return's last bits do not depend on when others' episodes end.
            episodes.return_ += paper.raw_reward[t]
            episodes.length += paper.live[t]
            for k in paper.ends[t].nonzero()[0].tolist():
                ended.append(episodes.end(k, t, bool(paper.terminated[t, k])))
                if t + 1 < self._n and paper.begins[t + 1, k]:
                    seed = episodes.enter(k)
                    assert seed is not None, f"worker {k} began an episode that it had no ticket for"
        episodes.begins[:] = False
        return ended

    def _look_ahead(self, following: NextEpisodes) -> None:
        """Where the next episodes of each worker begin, as many as a round could come to."""
        ahead, env = self._now.ahead, self._envs.tensor
        assert ahead is not None
        ahead.begun.zero_()
        if following.at_hand is not None:
            ahead.may_begin.numpy()[:] = following.at_hand()
        for k in (self._ahead_of != following.begun).nonzero()[0].tolist():
            behind = min(int(following.begun[k] - self._ahead_of[k]), self._n - 1)
            known = self._n - 1 - behind
            ahead.state[k, :known] = ahead.state[k, behind:].clone()
            noise = np.stack([env.draw_noise(following.seed(k, j)) for j in range(known, self._n - 1)])
            ahead.state[k, known:] = env.reset(torch.from_numpy(noise))
            ahead.observation[k] = env.observe(ahead.state[k])
            self._ahead_of[k] = following.begun[k]


class _Paper(NamedTuple):
    """What the books are kept from; ``[n, K, ...]``, and what is known before a step ``[n + 1, K, ...]``."""

    observation: NDArray[np.float32]
    live: NDArray[np.bool_]
    begins: NDArray[np.bool_]
    raw_reward: NDArray[np.float64]
    ends: NDArray[np.bool_]
    terminated: NDArray[np.bool_]


def _tensors(fields: Now | Before | Page | Ahead) -> list[Tensor]:
    """All there are, in order."""
    found: list[Tensor] = []
    for field in fields:
        if isinstance(field, Tensor):
            found.append(field)
        elif field is not None:
            found += _tensors(field)
    return found


def _filled(like: _Fields, tensors: Iterator[Tensor]) -> _Fields:
    """The same kind of fields with these tensors, wherever ``like`` has one."""
    fields: list[Any] = []
    for field in like:
        fields.append(field if field is None else next(tensors) if isinstance(field, Tensor) else _filled(field, tensors))
    return type(like)(*fields)
