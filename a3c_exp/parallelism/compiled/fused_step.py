"""A round in environments written in tensors, as two functions of tensors alone: one step of everybody, and what they learn.

What ``Rollout`` does with numpy between the network's calls, and ``StackedWorkers`` with the window afterwards, stands here for
a compiler to make machine code of. It means the same, to rounding. Steps are written where the last one left off, time first,
so that one piece of code serves every step of every round.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from a3c_exp.algorithm.types import LearnerSpec, Window
from a3c_exp.algorithm.window_gradient import call, clipped, window_loss
from a3c_exp.compile.vectorize import gradient_over_rows, over_rows
from a3c_exp.compile.worker_rows import Rows
from a3c_exp.envs.tensor.base import TensorEnvironment
from a3c_exp.models.base import ActorCritic
from a3c_exp.optimizers.flat_parameters import FlatLayout


class Now(NamedTuple):
    """Where K workers stand; every step writes into all of it but what lies ahead.

    Attributes:
        state: ``[K, state_size]`` float64 of the environments.
        remaining: ``[K]`` int64 steps that each worker may still take in this round.
        length: ``[K]`` int64 steps of the episodes under way.
        return_: ``[K]`` float64 what they earned so far.
        memory: ``[K, state]`` of a recurrent model; ``None`` of others.
        ahead: of windows that roll through episode ends; ``None`` of others.
    """

    state: Tensor
    remaining: Tensor
    length: Tensor
    return_: Tensor
    memory: Tensor | None
    ahead: "Ahead | None"


class Ahead(NamedTuple):
    """The episodes that each worker comes to next, known beforehand, since nobody can be asked within a round.

    Attributes:
        state: ``[K, E, state_size]`` where they begin, in turn.
        observation: ``[K, E, *observation]``.
        begun: ``[K]`` int64: how many of them were begun in this round; written by each step.
        may_begin: ``[K]`` int64: how many of them may be.
    """

    state: Tensor
    observation: Tensor
    begun: Tensor
    may_begin: Tensor


class Before(NamedTuple):
    """What is known before a step ``[K, ...]``, which the step before it has written; of all steps ``[n + 1, K, ...]``.

    Attributes:
        observation: ``[K, *observation]`` to act upon; 0 where an episode ended and no other began.
        live: ``[K]`` bool: who steps.
        begins: ``[K]`` bool: whose episode begins with this step.
    """

    observation: Tensor
    live: Tensor
    begins: Tensor


class Page(NamedTuple):
    """What is written down of a step ``[K, ...]``; of all steps ``[n, K, ...]``.

    Attributes:
        action: ``[K, *action]``.
        raw_reward: ``[K]`` float64, as the environment gave it; 0 for who did not step.
        seen: ``[K, *observation]`` what followed, before any reset.
        ends, terminated, stops: ``[K]`` bool: whose episode ended with the step; whose was ended by the task itself; and who
            takes no further step in this round.
        memory: ``[K, state]`` of a recurrent model after the step; ``None`` of others.
    """

    action: Tensor
    raw_reward: Tensor
    seen: Tensor
    ends: Tensor
    terminated: Tensor
    stops: Tensor
    memory: Tensor | None


class FusedRound:
    """Both functions, for weights ``[R, P]`` with R = K or for rows that serve K/R workers each.

    Args:
        model, layout: the network and where its weights stand in the flat vector.
        env: the task.
        spec: window length and how experience becomes gradients.
        max_episode_steps: the time limit; ``None`` for none.
        workers, rows: K and R.
    """

    def __init__(
        self,
        model: ActorCritic,
        layout: FlatLayout,
        env: TensorEnvironment,
        spec: LearnerSpec,
        max_episode_steps: int | None,
        workers: int,
        rows: int,
    ) -> None:
        self._env, self._spec, self._limit = env, spec, max_episode_steps
        grouped = Rows(workers, rows)
        self._by_row, self._by_worker = grouped.by_row, grouped.by_worker
        self._no_memory = torch.zeros(workers, 0)

        def act(flat: Tensor, observed: Tensor, noise: Tensor, memory: Tensor, *turned: Tensor) -> tuple[Tensor, Tensor]:
            output = call(model, layout.unflatten_turned(flat, turned), observed, memory)
            return model.family.sample(output.parameters, noise), output.state

        def value(flat: Tensor, observed: Tensor, memory: Tensor) -> tuple[Tensor]:
            return (call(model, layout.unflatten(flat), observed, memory).value,)

        self._act = over_rows(act)
        self._value = over_rows(value)
        self._gradient = gradient_over_rows(window_loss(model, layout, spec))

    @torch.no_grad()
    def step(
        self, weights: Tensor, turned: Sequence[Tensor], now: Now, noise: Tensor, before: Before, page: Page, after: Before
    ) -> None:
        """Everybody who lives takes a step: ``now`` moves on, ``page`` and ``after`` are written.

        Args:
            weights: ``[R, P]``.
            turned: their narrow matrices once more, as ``FlatLayout.turned`` has them, but contiguous.
            noise: ``[K, noise]`` of the policy, drawn beforehand.
        """
        env, live = self._env, before.live
        memory = self._no_memory if now.memory is None else now.memory * (~before.begins).unsqueeze(-1)
        acted = self._act(weights, self._by_row(before.observation), self._by_row(noise), self._by_row(memory), *turned)
        action, remembered = (self._by_worker(one) for one in acted)
        stepped = env.step(now.state, action)
        state = torch.where(live.unsqueeze(-1), stepped.state, now.state)
        seen = env.observe(state)
        length = now.length + live.long()
        terminated = stepped.terminated & live
        ends = terminated if self._limit is None else terminated | ((length >= self._limit) & live)
        stops = live & (now.remaining == 1)
        if self._spec.window_ends_with_episode:
            stops = stops | ends
        # What ends an episode may be NaN, and the network may see it while others act.
        observation = torch.where(_like(ends, seen), 0.0, seen)
        again = torch.zeros_like(ends)
        if now.ahead is not None:
            again = ends & ~stops & (now.ahead.begun < now.ahead.may_begin)
            state = torch.where(again.unsqueeze(-1), _picked(now.ahead.state, now.ahead.begun), state)
            observation = torch.where(_like(again, seen), _picked(now.ahead.observation, now.ahead.begun), observation)
            now.ahead.begun.copy_(now.ahead.begun + again.long())

        paid = torch.where(live, stepped.reward, 0.0)
        _write(page, action, paid, seen, ends, terminated, stops)
        _write(after, observation, live & ~stops & (~ends | again), again)
        earned = torch.where(ends, 0.0, now.return_ + paid)
        _write(now, state, now.remaining - live.long(), torch.where(ends, 0, length), earned)
        if now.memory is not None and page.memory is not None:
            memory = torch.where(live.unsqueeze(-1), remembered, memory)
            page.memory.copy_(memory)
            now.memory.copy_(memory)

    @torch.no_grad()
    def learn(
        self, weights: Tensor, before: Before, pages: Page, memory: Tensor | None, beside: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Gradients ``[R, P]``, clipped if asked for, and figures ``[R, len(Stat)]`` of a round.

        Args:
            weights: ``[R, P]`` that acted.
            before, pages: of all its steps.
            memory: ``[K, state]`` of a recurrent model at the round's start.
            beside: what the loss takes behind the window, by row.
        """
        before = Before(*(one[: self._spec.n_step] for one in before))
        window = self._window(weights, before, pages, self._no_memory if memory is None else memory)
        gradients, figures = self._gradient(weights, *(self._by_row(field) for field in window), *beside)
        return clipped(gradients, figures, self._spec.max_grad_norm)

    def _window(self, weights: Tensor, before: Before, pages: Page, memory: Tensor) -> Window:
        spec = self._spec
        terminal = pages.terminated if spec.bootstrap_on_truncation else pages.ends
        reward = (pages.raw_reward + spec.reward_shift).float() / spec.reward_scale
        if spec.reward_clip is not None:
            reward = reward.clamp(-spec.reward_clip, spec.reward_clip)
        values = self._next_values(weights, before.live, pages, terminal)
        return Window(
            before.observation.transpose(0, 1),
            pages.action.transpose(0, 1),
            reward.transpose(0, 1),
            terminal.transpose(0, 1),
            (pages.stops | pages.ends).transpose(0, 1),
            values,
            before.live.float().transpose(0, 1),
            before.begins.float().transpose(0, 1),
            memory,
        )

    def _next_values(self, weights: Tensor, live: Tensor, pages: Page, terminal: Tensor) -> Tensor:
        """``[K, n]`` V of what followed each step that cuts a chain without ending it. There are few: the last step taken, and
        those at a time limit before it."""
        spec, n = self._spec, len(live)
        last = torch.arange(n).unsqueeze(1) == live.sum(0) - 1
        places = [last]
        if self._limit is not None and not spec.window_ends_with_episode and spec.bootstrap_on_truncation and n > 1:
            limited = pages.ends & ~terminal & ~last
            number = limited.cumsum(0)
            places += [limited & (number == i + 1) for i in range((n - 2) // self._limit + 1)]
        place = torch.stack(places, 1)  # [n, slots, K], at most one of each slot and worker
        index = place.long().argmax(0).transpose(0, 1)  # [K, slots]
        memory = self._no_memory.unsqueeze(1).expand(-1, len(places), -1)
        if pages.memory is not None:
            memory = _taken(pages.memory.transpose(0, 1), index)
        seen = _taken(pages.seen.transpose(0, 1), index)
        values = self._by_worker(self._value(weights, self._by_row(seen), self._by_row(memory))[0])  # [K, slots]
        return torch.where(place.permute(2, 1, 0), values.unsqueeze(-1), 0.0).sum(1)


def _write(places: NamedTuple, *values: Tensor) -> None:
    """Write into the first of these places, in order."""
    for place, value in zip(places, values, strict=False):
        place.copy_(value)


def _like(flags: Tensor, other: Tensor) -> Tensor:
    """``[K]`` flags that broadcast over ``[K, ...]``."""
    return flags.view(-1, *(1,) * (other.dim() - 1))


def _picked(choices: Tensor, index: Tensor) -> Tensor:
    """``choices[k, index[k]]`` of ``[K, E, ...]``; the last for an index beyond."""
    return _taken(choices, index.clamp(max=choices.shape[1] - 1).unsqueeze(1)).squeeze(1)


def _taken(choices: Tensor, index: Tensor) -> Tensor:
    """``[K, m, ...]``: of each worker's ``choices [K, n, ...]`` those at ``index [K, m]``."""
    where = index.view(*index.shape, *(1,) * (choices.dim() - 2)).expand(*index.shape, *choices.shape[2:])
    return choices.gather(1, where)
