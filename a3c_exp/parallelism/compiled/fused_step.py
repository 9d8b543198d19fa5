"""A round in environments written in tensors, as two pure functions of tensors: one step of all workers, and their gradients.

What ``Rollout`` and ``WorkerGroup`` do stands here for a compiler; the results are the same, to rounding. Steps are written
where the last one ended, time first, so that one piece of code serves every step of every round.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from a3c_exp.algorithm.types import LearnerConfig, Window
from a3c_exp.algorithm.window_gradient import clip_gradients, functional_forward, window_loss
from a3c_exp.compile.vectorize import WorkerGrouping, vmap_rows
from a3c_exp.envs.tensor.base import TensorEnv
from a3c_exp.models.base import ActorCritic
from a3c_exp.optimizers.flat_parameters import ParameterLayout


class WorkerState(NamedTuple):
    """Where K workers stand; every step writes into all of it but what lies ahead."""

    env_state: Tensor  # [K, state_size] float64 of the environments
    remaining: Tensor  # [K] int64 steps that each worker may still take in this round
    length: Tensor  # [K] int64 steps of the current episodes
    return_: Tensor  # [K] float64 their returns so far
    hidden_state: Tensor | None  # [K, state] of a recurrent model
    upcoming: "UpcomingEpisodes | None"  # of windows that roll through episode ends


class UpcomingEpisodes(NamedTuple):
    """The episodes that each worker comes to next, prepared beforehand, since nothing can be looked up within a round."""

    env_state: Tensor  # [K, E, state_size] where they begin, in order
    observation: Tensor  # [K, E, *observation]
    begun: Tensor  # [K] int64: how many of them were begun in this round; written by each step
    may_begin: Tensor  # [K] int64: how many of them may be


class StepInput(NamedTuple):
    """What is known before a step ``[K, ...]``, which the step before it has written; of all steps ``[n + 1, K, ...]``."""

    observation: Tensor  # [K, *observation] to act upon; 0 where an episode ended and no other began
    active: Tensor  # [K] bool: who steps
    begins: Tensor  # [K] bool: whose episode begins with this step


class StepRecord(NamedTuple):
    """What is written down of a step ``[K, ...]``; of all steps ``[n, K, ...]``."""

    action: Tensor  # [K, *action]
    raw_reward: Tensor  # [K] float64, as the environment gave it; 0 for who did not step
    next_observation: Tensor  # [K, *observation] what followed, before any reset
    ends: Tensor  # [K] bool: whose episode ended with the step
    terminated: Tensor  # [K] bool: whose was ended by the environment itself
    stops: Tensor  # [K] bool: who takes no further step in this round
    hidden_state: Tensor | None  # [K, state] of a recurrent model after the step


class FusedStep:
    """Both functions, for weights ``[R, P]`` with R = K or for rows that serve K/R workers each."""

    def __init__(
        self,
        model: ActorCritic,
        layout: ParameterLayout,
        env: TensorEnv,
        config: LearnerConfig,
        max_episode_steps: int | None,
        workers: int,
        rows: int,
    ) -> None:
        self._env, self._config, self._limit = env, config, max_episode_steps
        grouped = WorkerGrouping(workers, rows)
        self._by_row, self._by_worker = grouped.by_row, grouped.by_worker
        self._no_hidden_state = torch.zeros(workers, 0)

        def act(flat: Tensor, observed: Tensor, noise: Tensor, memory: Tensor, *transposed: Tensor) -> tuple[Tensor, Tensor]:
            output = functional_forward(model, layout.unflatten_transposed(flat, transposed), observed, memory)
            return model.distribution.sample(output.parameters, noise), output.hidden_state

        def value(flat: Tensor, observed: Tensor, memory: Tensor) -> tuple[Tensor]:
            return (functional_forward(model, layout.unflatten(flat), observed, memory).value,)

        self._act = vmap_rows(act)
        self._value = vmap_rows(value)
        self._gradient = vmap_rows(window_loss(model, layout, config), differentiate=True)

    @torch.no_grad()
    def step(
        self,
        weights: Tensor,
        transposed: Sequence[Tensor],
        worker_state: WorkerState,
        noise: Tensor,
        step_input: StepInput,
        record: StepRecord,
        next_input: StepInput,
    ) -> None:
        """Every active worker takes a step with the ``weights [R, P]``, whose narrow matrices stand in ``transposed``, too,
        contiguous, and with ``noise [K, noise]``: ``worker_state``, ``record`` and ``next_input`` are written."""
        env, active = self._env, step_input.active
        memory = self._no_hidden_state
        if worker_state.hidden_state is not None:
            memory = worker_state.hidden_state * (~step_input.begins).unsqueeze(-1)
        inputs = (self._by_row(each) for each in (step_input.observation, noise, memory))
        action, next_memory = (self._by_worker(output) for output in self._act(weights, *inputs, *transposed))
        stepped = env.step(worker_state.env_state, action)
        state = torch.where(active.unsqueeze(-1), stepped.state, worker_state.env_state)
        seen = env.observe(state)
        length = worker_state.length + active.long()
        terminated = stepped.terminated & active
        ends = terminated if self._limit is None else terminated | ((length >= self._limit) & active)
        stops = active & (worker_state.remaining == 1)
        if self._config.window_ends_with_episode:
            stops = stops | ends
        # What ends an episode may be NaN, and the network may see it while others act.
        observation = torch.where(_broadcast_like(ends, seen), 0.0, seen)
        again = torch.zeros_like(ends)
        if (upcoming := worker_state.upcoming) is not None:
            again = ends & ~stops & (upcoming.begun < upcoming.may_begin)
            state = torch.where(again.unsqueeze(-1), _gather_one(upcoming.env_state, upcoming.begun), state)
            first = _gather_one(upcoming.observation, upcoming.begun)
            observation = torch.where(_broadcast_like(again, seen), first, observation)
            upcoming.begun.copy_(upcoming.begun + again.long())

        reward = torch.where(active, stepped.reward, 0.0)
        _write(record, action, reward, seen, ends, terminated, stops)
        _write(next_input, observation, active & ~stops & (~ends | again), again)
        return_ = torch.where(ends, 0.0, worker_state.return_ + reward)
        _write(worker_state, state, worker_state.remaining - active.long(), torch.where(ends, 0, length), return_)
        if worker_state.hidden_state is not None and record.hidden_state is not None:
            memory = torch.where(active.unsqueeze(-1), next_memory, memory)
            record.hidden_state.copy_(memory)
            worker_state.hidden_state.copy_(memory)

    @torch.no_grad()
    def learn(
        self,
        weights: Tensor,
        step_inputs: StepInput,
        records: StepRecord,
        hidden_state: Tensor | None,
        extra_inputs: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Gradients ``[R, P]``, clipped if asked for, and window statistics ``[R, len(statistics)]`` of a round that began with
        the ``hidden_state [K, state]``; ``extra_inputs`` are what the loss takes after the window, by row. Among them the
        discounted returns, where something is normalized, are brought to the window's end in place."""
        step_inputs = StepInput(*(field[: self._config.n_step] for field in step_inputs))
        window = self._window(weights, step_inputs, records, self._no_hidden_state if hidden_state is None else hidden_state)
        outputs = self._gradient(weights, *(self._by_row(field) for field in window), *extra_inputs)
        gradients, window_stats, *discounted_returns = clip_gradients(
            *outputs, table=self._config.statistics, max_norm=self._config.max_grad_norm
        )
        if discounted_returns:
            _, _, before, *_ = extra_inputs
            before.copy_(discounted_returns[0])
        return gradients, window_stats

    def _window(self, weights: Tensor, step_inputs: StepInput, records: StepRecord, hidden_state: Tensor) -> Window:
        spec = self._config
        terminal = records.terminated if spec.bootstrap_on_truncation else records.ends
        reward = (records.raw_reward + spec.reward_shift).float() / spec.reward_scale
        if spec.reward_clip is not None:
            reward = reward.clamp(-spec.reward_clip, spec.reward_clip)
        values = self._next_values(weights, step_inputs.active, records, terminal)
        return Window(
            step_inputs.observation.transpose(0, 1),
            records.action.transpose(0, 1),
            reward.transpose(0, 1),
            terminal.transpose(0, 1),
            (records.stops | records.ends).transpose(0, 1),
            values,
            step_inputs.active.float().transpose(0, 1),
            step_inputs.begins.float().transpose(0, 1),
            hidden_state,
        )

    def _next_values(self, weights: Tensor, active: Tensor, records: StepRecord, terminal: Tensor) -> Tensor:
        """``[K, n]`` V of what followed each step that cuts a chain without ending it: the last, and those at a time limit."""
        spec, n = self._config, len(active)
        last = torch.arange(n).unsqueeze(1) == active.sum(0) - 1
        places = [last]
        if self._limit is not None and not spec.window_ends_with_episode and spec.bootstrap_on_truncation and n > 1:
            limited = records.ends & ~terminal & ~last
            number = limited.cumsum(0)
            places += [limited & (number == i + 1) for i in range((n - 2) // self._limit + 1)]
        place = torch.stack(places, 1)  # [n, slots, K], at most one of each slot and worker
        index = place.long().argmax(0).transpose(0, 1)  # [K, slots]
        memory = self._no_hidden_state.unsqueeze(1).expand(-1, len(places), -1)
        if records.hidden_state is not None:
            memory = _gather_rows(records.hidden_state.transpose(0, 1), index)
        seen = _gather_rows(records.next_observation.transpose(0, 1), index)
        values = self._by_worker(self._value(weights, self._by_row(seen), self._by_row(memory))[0])  # [K, slots]
        return torch.where(place.permute(2, 1, 0), values.unsqueeze(-1), 0.0).sum(1)


def _write(targets: NamedTuple, *values: Tensor) -> None:
    """Write into the first of these places, in order."""
    for place, value in zip(targets, values, strict=False):
        place.copy_(value)


def _broadcast_like(flags: Tensor, other: Tensor) -> Tensor:
    """``[K]`` flags that broadcast over ``[K, ...]``."""
    return flags.view(-1, *(1,) * (other.dim() - 1))


def _gather_one(choices: Tensor, index: Tensor) -> Tensor:
    """``choices[k, index[k]]`` of ``[K, E, ...]``; the last for an index beyond."""
    return _gather_rows(choices, index.clamp(max=choices.shape[1] - 1).unsqueeze(1)).squeeze(1)


def _gather_rows(choices: Tensor, index: Tensor) -> Tensor:
    """``[K, m, ...]``: of each worker's ``choices [K, n, ...]`` those at ``index [K, m]``."""
    where = index.view(*index.shape, *(1,) * (choices.dim() - 2)).expand(*index.shape, *choices.shape[2:])
    return choices.gather(1, where)
