"""K workers in environments written in tensors: acting and learning are compiled, and episodes counted from the records."""

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
    """What windows that continue past episode ends must know of the next episodes."""

    seed: Callable[[int, int], int]  # of worker k's next episode after j others
    begun: NDArray[np.int64]  # [K] how many each worker has begun, counted elsewhere
    remaining_tickets: Callable[[], NDArray[np.int64]] | None  # [K] how many may begin in the coming round; None: any number


class FusedRollout:
    """Acts and differentiates like ``Rollout`` and the loss, without Python between a step's operations.

    A round is ``begin``, ``act``, ``learn``, ``end``. Where it is known that no worker begins an episode, rounds follow each
    other without the counters being touched between them: ``begin``, then ``act`` and ``learn`` until an episode ends, ``end``.

    Args:
        extra_inputs: what the loss takes after the window, by row.
        others: as ``Rollout`` takes them; ``envs`` have a ``tensor_env``.
    """

    def __init__(
        self,
        next_episodes: NextEpisodes,
        extra_inputs: tuple[Tensor, ...],
        model: ActorCritic,
        layout: ParameterLayout,
        weights: Tensor,
        envs: EnvBatch,
        episodes: EpisodeTracker,
        config: LearnerConfig,
        max_episode_steps: int | None,
    ) -> None:
        assert envs.tensor_env is not None and envs.env_state is not None, "whole rounds need environments in tensors"
        k, n = envs.num_envs, config.n_step
        self._envs, self._tensor_env, self._episodes, self._n = envs, envs.tensor_env, episodes, n
        self._layout, self._weights = layout, weights
        self._transposed = [matrix.contiguous() for matrix in layout.transposed(weights)]
        self._fused_step = FusedStep(model, layout, envs.tensor_env, config, max_episode_steps, k, weights.shape[0])
        self._next_episodes = None if config.window_ends_with_episode or n == 1 else next_episodes
        self._first_upcoming = np.full(k, -n, np.int64)  # the episode that the first of those upcoming is
        self._allowed_steps = np.zeros(k, np.int64)
        self._counters_before = np.zeros(k, np.int64), np.zeros(k, np.float64)  # lengths and returns before the latest round

        seen, size = envs.observation.shape[1:], envs.env_state.shape[1]
        upcoming = None
        if self._next_episodes is not None:
            counts = torch.zeros(k, dtype=torch.int64), torch.full((k,), _UNLIMITED)
            upcoming = UpcomingEpisodes(torch.zeros(k, n - 1, size, dtype=torch.float64), torch.zeros(k, n - 1, *seen), *counts)
        hidden_state = episodes.hidden_state if model.hidden_state_size else None
        remaining = torch.zeros(k, dtype=torch.int64)
        length, return_ = torch.from_numpy(episodes.length), torch.from_numpy(episodes.return_)
        self._worker_state = WorkerState(torch.from_numpy(envs.env_state), remaining, length, return_, hidden_state, upcoming)
        self._noise = torch.zeros(n, k, model.distribution.noise_size)
        no, action = torch.zeros(n + 1, k, dtype=torch.bool), torch.from_numpy(episodes.zero_action)
        self._step_inputs = StepInput(torch.zeros(n + 1, k, *seen), no, no.clone())
        self._step_records = StepRecord(
            action=action.unsqueeze(0).repeat(n, *(1,) * action.dim()),
            raw_reward=torch.zeros(n, k, dtype=torch.float64),
            next_observation=torch.zeros(n, k, *seen),
            **{name: no[:n].clone() for name in ("ends", "terminated", "stops")},
            hidden_state=None if hidden_state is None else torch.zeros(n, *hidden_state.shape),
        )
        self._initial_hidden_state = None if hidden_state is None else hidden_state.clone()
        self._remaining, self._noise_view = remaining.numpy(), self._noise.numpy()
        self._prepare_calls(extra_inputs)

    def _prepare_calls(self, extra_inputs: tuple[Tensor, ...]) -> None:
        records = self._step_records.raw_reward, self._step_records.ends, self._step_records.terminated
        self._views = _NumpyViews(*(field.numpy() for field in (*self._step_inputs, *records)))
        self._step_call_inputs = [
            [*self._transposed, *_tensors(self._worker_state), self._noise[t]]
            + [*(field[t] for field in self._step_inputs), *(field[t] for field in _tensors(self._step_records))]
            + [field[t + 1] for field in self._step_inputs]
            for t in range(self._n)
        ]
        self._learn_call_inputs = _tensors(self._step_inputs) + _tensors(self._step_records)
        if self._initial_hidden_state is not None:
            self._learn_call_inputs.append(self._initial_hidden_state)
        self._learn_call_inputs += extra_inputs
        self._bind_calls(self._uncompiled_transpose, self._uncompiled_step, self._uncompiled_learn)

    @property
    def begins_episodes_freely(self) -> bool:
        """Whether a worker whose episode ends begins the next one within its window, and no budget limits how many."""
        return self._next_episodes is not None and self._next_episodes.remaining_tickets is None

    def compile(self, compiler: Compiler) -> bool:
        """Compile it; false if that is impossible, and then it runs as it is, slowly."""
        functions: list[tuple[TensorFunction, list[Tensor], str]] = [
            (self._uncompiled_step, self._step_call_inputs[0], "a step"),
            (self._uncompiled_learn, self._learn_call_inputs, "learning"),
            *([(self._uncompiled_transpose, self._transposed, "transposing weights")] if self._transposed else []),
        ]
        weights = self._weights
        step, learn, *transpose = [
            compile_checked(partial(function, weights), weights, inputs, compiler, name) for function, inputs, name in functions
        ]
        if step is None or learn is None or None in transpose:
            return False
        self._bind_calls(next(iter(transpose), None) or self._uncompiled_transpose, step, learn)
        return True

    def _bind_calls(self, transpose: TensorFunction, step: TensorFunction, learn: TensorFunction) -> None:
        weights = self._weights
        self._step_calls: list[BoundFunction] = [bind(transpose, weights, *self._transposed)] if self._transposed else []
        self._step_calls += [bind(step, weights, *inputs) for inputs in self._step_call_inputs]
        self._learn_call = bind(learn, weights, *self._learn_call_inputs)

    def _uncompiled_transpose(self, weights: Tensor, *targets: Tensor) -> Sequence[Tensor]:
        for target, matrix in zip(targets, self._layout.transposed(weights), strict=True):
            target.copy_(matrix)
        return ()

    def _uncompiled_step(self, weights: Tensor, *inputs: Tensor) -> Sequence[Tensor]:
        transposed, rest = inputs[: len(self._transposed)], iter(inputs[len(self._transposed) :])
        state, noise = _rebuild(self._worker_state, rest), next(rest)
        step_input, record = _rebuild(self._step_inputs, rest), _rebuild(self._step_records, rest)
        self._fused_step.step(weights, transposed, state, noise, step_input, record, _rebuild(self._step_inputs, rest))
        return ()

    def _uncompiled_learn(self, weights: Tensor, *inputs: Tensor) -> Sequence[Tensor]:
        rest = iter(inputs)
        step_inputs, records = _rebuild(self._step_inputs, rest), _rebuild(self._step_records, rest)
        hidden_state = None if self._initial_hidden_state is None else next(rest)
        return self._fused_step.learn(weights, step_inputs, records, hidden_state, tuple(rest))

    def begin(self, allowed: NDArray[np.int64]) -> None:
        """Begin the episodes that are due, and prepare the inputs of the coming rounds, in which each worker may take ``allowed
        [K]`` environment steps, at most n; 0 leaves it out."""
        episodes = self._episodes
        may = allowed > 0
        if not episodes.in_episode.all():
            for k in (may & ~episodes.in_episode).nonzero()[0].tolist():
                may[k] = episodes.begin(k)
        views = self._views
        views.observation[0], views.active[0], views.begins[0] = self._envs.observation, may, episodes.episode_starts
        np.multiply(allowed, may, out=self._allowed_steps)
        if self._next_episodes is not None:
            self._fill_upcoming_episodes(self._next_episodes)

    def act(self, noise: NDArray[np.float32]) -> None:
        """Take a round's steps, with ``noise [n, K, noise]`` that was drawn beforehand. Call in inference mode."""
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
        """Count the latest round; returns its steps ``[K]``, and the episodes that ended in it."""
        episodes, views = self._episodes, self._views
        self._envs.observation[:] = views.observation[-1]
        if episodes.any_episode_start:
            episodes.episode_starts[:] = False
        result = self._allowed_steps.copy(), list[EndedEpisode]()
        if views.ends.any():
            result = views.active[:-1].sum(axis=0, dtype=np.int64), self._replay_episode_ends()
        episodes.any_episode_start = False
        return result

    def _replay_episode_ends(self) -> list[EndedEpisode]:
        """The episodes that ended, step by step, with those that were begun after them."""
        episodes, views = self._episodes, self._views
        ended: list[EndedEpisode] = []
        episodes.length[:], episodes.return_[:] = self._counters_before
        for t in range(self._n):
            # One after another, so that a return's last bits do not depend on when others' episodes end.
            episodes.return_ += views.raw_reward[t]
            episodes.length += views.active[t]
            for k in views.ends[t].nonzero()[0].tolist():
                ended.append(episodes.end(k, t, bool(views.terminated[t, k])))
                if t + 1 < self._n and views.begins[t + 1, k]:
                    seed = episodes.start(k)
                    assert seed is not None, f"worker {k} began an episode that it had no ticket for"
        episodes.episode_starts[:] = False
        return ended

    def _fill_upcoming_episodes(self, next_episodes: NextEpisodes) -> None:
        """Where the next episodes of each worker begin, as many as a round could come to."""
        upcoming, env = self._worker_state.upcoming, self._tensor_env
        assert upcoming is not None
        upcoming.begun.zero_()
        if next_episodes.remaining_tickets is not None:
            upcoming.may_begin.numpy()[:] = next_episodes.remaining_tickets()
        for k in (self._first_upcoming != next_episodes.begun).nonzero()[0].tolist():
            used = min(int(next_episodes.begun[k] - self._first_upcoming[k]), self._n - 1)
            known = self._n - 1 - used
            upcoming.env_state[k, :known] = upcoming.env_state[k, used:].clone()
            noise = np.stack([env.draw_noise(next_episodes.seed(k, j)) for j in range(known, self._n - 1)])
            upcoming.env_state[k, known:] = env.reset(torch.from_numpy(noise))
            upcoming.observation[k] = env.observe(upcoming.env_state[k])
            self._first_upcoming[k] = next_episodes.begun[k]


class _NumpyViews(NamedTuple):
    """What episodes are counted from: ``[n, K, ...]``, and what is known before a step ``[n + 1, K, ...]``."""

    observation: NDArray[np.float32]
    active: NDArray[np.bool_]
    begins: NDArray[np.bool_]
    raw_reward: NDArray[np.float64]
    ends: NDArray[np.bool_]
    terminated: NDArray[np.bool_]


def _tensors(fields: WorkerState | StepInput | StepRecord | UpcomingEpisodes) -> list[Tensor]:
    """All tensors among the fields, in order."""
    tensors: list[Tensor] = []
    for field in fields:
        if isinstance(field, Tensor):
            tensors.append(field)
        elif field is not None:
            tensors += _tensors(field)
    return tensors


def _rebuild(template: _Fields, tensors: Iterator[Tensor]) -> _Fields:
    """The same kind of fields with these tensors, wherever ``template`` has one."""
    fields: list[Any] = []
    for field in template:
        fields.append(field if field is None else next(tensors) if isinstance(field, Tensor) else _rebuild(field, tensors))
    return type(template)(*fields)
