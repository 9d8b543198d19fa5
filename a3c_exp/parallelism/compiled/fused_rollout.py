"""K workers in environments written in tensors: acting and learning are machine code, and the books are kept from its pages."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode, EpisodeTracker
from a3c_exp.algorithm.types import LearnerConfig
from a3c_exp.compile.compiler import BoundFunction, Compiler, TensorFunction, bind
from a3c_exp.compile.vectorize import compile_checked
from a3c_exp.envs.base import EnvBatch
from a3c_exp.models.base import ActorCritic
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from a3c_exp.parallelism.compiled.fused_step import FusedStep, StepInput, StepRecord, UpcomingEpisodes, WorkerState

_UNLIMITED = 2**40
_Fields = TypeVar("_Fields", WorkerState, StepInput, StepRecord, UpcomingEpisodes)


class NextEpisodes(NamedTuple):
    """What windows that roll through episode ends must know of the episodes to come.

    Attributes:
        seed: of worker k's next episode but j.
        begun: ``[K]`` how many each worker has begun, kept by others.
        remaining_tickets: how many each worker may begin in the coming round, ``[K]``; ``None`` if there is no end of them.
    """

    seed: Callable[[int, int], int]
    begun: NDArray[np.int64]
    remaining_tickets: Callable[[], NDArray[np.int64]] | None


class FusedRollout:
    """Acts and differentiates like ``Rollout`` and the learner, without Python between a step's operations.

    A round is ``begin``, ``act``, ``learn``, ``end``. Where it is known that no worker begins an episode, rounds follow each
    other without the counters being touched between them: ``begin``, then ``act`` and ``learn`` until an episode ends, ``end``.

    Args:
        model, layout, weights: as ``Rollout`` takes them.
        envs: K environments that have a ``tensor_env``.
        episodes: the books of their episodes.
        config: window length and how experience becomes gradients.
        max_episode_steps: the time limit, in environment steps; ``None`` for none.
        next_episodes: for windows that roll through episode ends; not used by others.
        extra_inputs: what the loss takes behind the window, by row.
    """

    def __init__(
        self,
        model: ActorCritic,
        layout: ParameterLayout,
        weights: Tensor,
        envs: EnvBatch,
        episodes: EpisodeTracker,
        config: LearnerConfig,
        max_episode_steps: int | None,
        next_episodes: NextEpisodes,
        extra_inputs: tuple[Tensor, ...],
    ) -> None:
        assert envs.tensor_env is not None and envs.env_state is not None, "whole rounds need environments in tensors"
        k, n = envs.num_envs, config.n_step
        self._envs, self._tensor_env, self._episodes, self._n = envs, envs.tensor_env, episodes, n
        self._layout, self._weights = layout, weights
        self._transposed = [matrix.contiguous() for matrix in layout.transposed(weights)]
        self._fused_step = FusedStep(model, layout, envs.tensor_env, config, max_episode_steps, k, weights.shape[0])
        self._next_episodes = None if config.window_ends_with_episode or n == 1 else next_episodes
        self._first_upcoming = np.full(k, -n, np.int64)  # the episode that the first of those ahead is
        self._allowed_steps = np.zeros(k, np.int64)
        self._counters_before = np.zeros(k, np.int64), np.zeros(k, np.float64)  # lengths and returns before the latest round

        seen, size = envs.observation.shape[1:], envs.env_state.shape[1]
        ahead = None
        if self._next_episodes is not None:
            counts = torch.zeros(k, dtype=torch.int64), torch.full((k,), _UNLIMITED)
            ahead = UpcomingEpisodes(torch.zeros(k, n - 1, size, dtype=torch.float64), torch.zeros(k, n - 1, *seen), *counts)
        remembers = episodes.hidden_state if model.hidden_state_size else None
        remaining = torch.zeros(k, dtype=torch.int64)
        length, return_ = torch.from_numpy(episodes.length), torch.from_numpy(episodes.return_)
        self._worker_state = WorkerState(torch.from_numpy(envs.env_state), remaining, length, return_, remembers, ahead)
        self._noise = torch.zeros(n, k, model.distribution.noise_size)
        no, action = torch.zeros(n + 1, k, dtype=torch.bool), torch.from_numpy(episodes.zero_action)
        self._step_inputs = StepInput(torch.zeros(n + 1, k, *seen), no, no.clone())
        self._step_records = StepRecord(
            action=action.unsqueeze(0).repeat(n, *(1,) * action.dim()),
            raw_reward=torch.zeros(n, k, dtype=torch.float64),
            next_observation=torch.zeros(n, k, *seen),
            ends=no[:n].clone(),
            terminated=no[:n].clone(),
            stops=no[:n].clone(),
            hidden_state=None if remembers is None else torch.zeros(n, *remembers.shape),
        )
        self._initial_hidden_state = None if remembers is None else remembers.clone()
        # What numpy is to look at, and what each call is given, is put together once.
        self._views = _NumpyViews(
            *(one.numpy() for one in self._step_inputs),
            *(one.numpy() for one in (self._step_records.raw_reward, *self._step_records[3:5])),
        )
        self._remaining, self._noise_view = remaining.numpy(), self._noise.numpy()
        self._step_call_inputs = [
            [*self._transposed, *_tensors(self._worker_state), self._noise[t]]
            + [*(one[t] for one in self._step_inputs), *(one[t] for one in _tensors(self._step_records))]
            + [one[t + 1] for one in self._step_inputs]
            for t in range(n)
        ]
        self._learn_call_inputs = _tensors(self._step_inputs) + _tensors(self._step_records)
        if self._initial_hidden_state is not None:
            self._learn_call_inputs.append(self._initial_hidden_state)
        self._learn_call_inputs += extra_inputs
        self._transpose: TensorFunction = self._uncompiled_transpose
        self._step: TensorFunction = self._uncompiled_step
        self._learn: TensorFunction = self._uncompiled_learn
        self._bind_calls()

    def compile(self, compiler: Compiler) -> bool:
        """Make machine code of it; false if that cannot be had, and then it runs as it is, slowly."""
        wanted = [
            (self._uncompiled_step, self._step_call_inputs[0], "a step"),
            (self._uncompiled_learn, self._learn_call_inputs, "learning"),
            *([(self._uncompiled_transpose, self._transposed, "turning weights")] if self._transposed else []),
        ]
        weights = self._weights
        found = [compile_checked(partial(plain, weights), weights, given, compiler, name) for plain, given, name in wanted]
        step, learn, *turn = found
        if step is None or learn is None or None in turn:
            return False
        self._step, self._learn = step, learn
        if turn and turn[0] is not None:
            self._transpose = turn[0]
        self._bind_calls()
        return True

    def _bind_calls(self) -> None:
        """Put together the calls of a round."""
        weights = self._weights
        self._step_calls: list[BoundFunction] = [bind(self._transpose, weights, *self._transposed)] if self._transposed else []
        self._step_calls += [bind(self._step, weights, *given) for given in self._step_call_inputs]
        self._learn_call = bind(self._learn, weights, *self._learn_call_inputs)

    def _uncompiled_transpose(self, weights: Tensor, *targets: Tensor) -> Sequence[Tensor]:
        for place, matrix in zip(targets, self._layout.transposed(weights), strict=True):
            place.copy_(matrix)
        return ()

    def _uncompiled_step(self, weights: Tensor, *inputs: Tensor) -> Sequence[Tensor]:
        turned, left = inputs[: len(self._transposed)], iter(inputs[len(self._transposed) :])
        now, noise = _rebuild(self._worker_state, left), next(left)
        before, page = _rebuild(self._step_inputs, left), _rebuild(self._step_records, left)
        self._fused_step.step(weights, turned, now, noise, before, page, _rebuild(self._step_inputs, left))
        return ()

    def _uncompiled_learn(self, weights: Tensor, *inputs: Tensor) -> Sequence[Tensor]:
        left = iter(inputs)
        before, pages = _rebuild(self._step_inputs, left), _rebuild(self._step_records, left)
        memory = None if self._initial_hidden_state is None else next(left)
        return self._fused_step.learn(weights, before, pages, memory, tuple(left))

    def begin(self, allowed: NDArray[np.int64]) -> None:
        """Begin the episodes that are due, and prepare the inputs of the coming rounds.

        Args:
            allowed: ``[K]`` how many environment steps each worker may take, at most n; 0 leaves it out.
        """
        episodes = self._episodes
        may = allowed > 0
        if not episodes.in_episode.all():
            for k in (may & ~episodes.in_episode).nonzero()[0].tolist():
                may[k] = episodes.begin(k)
        paper = self._views
        paper.observation[0], paper.active[0], paper.begins[0] = self._envs.observation, may, episodes.episode_starts
        np.multiply(allowed, may, out=self._allowed_steps)
        if self._next_episodes is not None:
            self._fill_upcoming_episodes(self._next_episodes)

    def act(self, noise: NDArray[np.float32]) -> None:
        """Take a round's steps. Call in inference mode.

        Args:
            noise: ``[n, K, noise]`` drawn beforehand.
        """
        state = self._worker_state
        length, return_ = self._counters_before
        length[:], return_[:] = self._episodes.length, self._episodes.return_
        self._remaining[:], self._noise_view[:] = self._allowed_steps, noise
        if state.hidden_state is not None and self._initial_hidden_state is not None:
            self._initial_hidden_state.copy_(state.hidden_state)
        for call in self._step_calls:
            call()

    def learn(self) -> tuple[Tensor, NDArray[np.float32]]:
        """The round's gradients ``[R, P]`` and window statistics ``[R, len(WindowStat)]``. Call in inference mode."""
        views = self._views
        gradients, window_stats = self._learn_call()
        views.observation[0], views.begins[0] = views.observation[-1], False
        return gradients, window_stats.numpy()

    @property
    def any_episode_ended(self) -> bool:
        """Whether an episode ended in the latest round: it must be the last before ``end``."""
        return int(np.count_nonzero(self._views.ends)) > 0  # the quickest way to ask

    def end(self) -> tuple[NDArray[np.int64], list[EndedEpisode]]:
        """Enter the latest round in the books; its steps ``[K]``, and the episodes that ended in it."""
        episodes, paper = self._episodes, self._views
        self._envs.observation[:] = paper.observation[-1]
        if episodes.any_episode_start:
            episodes.episode_starts[:] = False
        found = self._allowed_steps.copy(), list[EndedEpisode]()
        if paper.ends.any():
            found = paper.active[:-1].sum(axis=0, dtype=np.int64), self._replay_episode_ends()
        episodes.any_episode_start = False
        return found

    def _replay_episode_ends(self) -> list[EndedEpisode]:
        """The episodes that ended, with what was begun after them, step by step."""
        episodes, paper = self._episodes, self._views
        ended: list[EndedEpisode] = []
        episodes.length[:], episodes.return_[:] = self._counters_before
        for t in range(self._n):
            # One after another, so that a return's last bits do not depend on when others' episodes end.
            episodes.return_ += paper.raw_reward[t]
            episodes.length += paper.active[t]
            for k in paper.ends[t].nonzero()[0].tolist():
                ended.append(episodes.end(k, t, bool(paper.terminated[t, k])))
                if t + 1 < self._n and paper.begins[t + 1, k]:
                    seed = episodes.start(k)
                    assert seed is not None, f"worker {k} began an episode that it had no ticket for"
        episodes.episode_starts[:] = False
        return ended

    def _fill_upcoming_episodes(self, next_episodes: NextEpisodes) -> None:
        """Where the next episodes of each worker begin, as many as a round could come to."""
        ahead, env = self._worker_state.upcoming, self._tensor_env
        assert ahead is not None
        ahead.begun.zero_()
        if next_episodes.remaining_tickets is not None:
            ahead.may_begin.numpy()[:] = next_episodes.remaining_tickets()
        for k in (self._first_upcoming != next_episodes.begun).nonzero()[0].tolist():
            behind = min(int(next_episodes.begun[k] - self._first_upcoming[k]), self._n - 1)
            known = self._n - 1 - behind
            ahead.env_state[k, :known] = ahead.env_state[k, behind:].clone()
            noise = np.stack([env.draw_noise(next_episodes.seed(k, j)) for j in range(known, self._n - 1)])
            ahead.env_state[k, known:] = env.reset(torch.from_numpy(noise))
            ahead.observation[k] = env.observe(ahead.env_state[k])
            self._first_upcoming[k] = next_episodes.begun[k]


class _NumpyViews(NamedTuple):
    """What the books are kept from; ``[n, K, ...]``, and what is known before a step ``[n + 1, K, ...]``."""

    observation: NDArray[np.float32]
    active: NDArray[np.bool_]
    begins: NDArray[np.bool_]
    raw_reward: NDArray[np.float64]
    ends: NDArray[np.bool_]
    terminated: NDArray[np.bool_]


def _tensors(fields: WorkerState | StepInput | StepRecord | UpcomingEpisodes) -> list[Tensor]:
    """All there are, in order."""
    found: list[Tensor] = []
    for field in fields:
        if isinstance(field, Tensor):
            found.append(field)
        elif field is not None:
            found += _tensors(field)
    return found


def _rebuild(template: _Fields, tensors: Iterator[Tensor]) -> _Fields:
    """The same kind of fields with these tensors, wherever ``template`` has one."""
    fields: list[Any] = []
    for field in template:
        fields.append(field if field is None else next(tensors) if isinstance(field, Tensor) else _rebuild(field, tensors))
    return type(template)(*fields)
