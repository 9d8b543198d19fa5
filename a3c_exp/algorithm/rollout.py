"""Acting: K workers step their environments side by side for up to n steps, each with its own weights."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.batched_policy import Acting
from a3c_exp.algorithm.episode_tracker import EndedEpisode, Episodes
from a3c_exp.algorithm.types import LearnerSpec, Window
from a3c_exp.compile.compiler import Compiler
from a3c_exp.compile.worker_rows import Rows
from a3c_exp.envs.base import Environments
from a3c_exp.models.base import ActorCritic
from a3c_exp.optimizers.flat_parameters import FlatLayout


class Rollout:
    """K workers and their K environments, which go on from window to window.

    Args:
        model, layout: the network and where its weights stand in the flat vector.
        weights: ``[K, P]`` each worker's own copy, or ``[R, P]`` where each row serves K/R workers that follow each other;
            read in place at every step.
        envs: K environments.
        episodes: the books of their episodes.
        spec: window length and the treatment of rewards and ends.
        max_episode_steps: the time limit, in environment steps; ``None`` for none.
        compiler: makes machine code of acting; ``None`` leaves it alone.
    """

    def __init__(
        self,
        model: ActorCritic,
        layout: FlatLayout,
        weights: Tensor,
        envs: Environments,
        episodes: Episodes,
        spec: LearnerSpec,
        max_episode_steps: int | None,
        compiler: Compiler | None = None,
    ) -> None:
        k, n = envs.num_envs, spec.n_step
        self._envs = envs
        self._spec = spec
        self._episodes = episodes
        self._limit = max_episode_steps
        self._device = weights.device
        self.taken = np.zeros(k, np.int64)
        self._recurrent = model.state_size > 0
        self._on_cpu = self._device.type == "cpu"
        self._by_row = Rows(k, weights.shape[0]).by_row
        self._no_state = torch.zeros(k, 0, device=self._device)
        self._acting = Acting(model, layout, weights, envs.observation, episodes.no_action, n, compiler)

        observation = envs.observation.shape[1:]
        self._observation = np.zeros((k, n, *observation), np.float32)
        self._raw_reward = np.zeros((k, n), np.float64)
        self._reward = np.zeros((k, n), np.float32)
        self._next_value = np.zeros((k, n), np.float32)
        # What every window begins with zeros in lies together, to be wiped at once.
        self._marks = np.zeros((2, k, n), np.float32)
        self._valid, self._first = self._marks
        self._flags = np.zeros((2, k, n), np.bool_)
        self._terminated, self._cut = self._flags
        self._paid = np.zeros((k, n + 1), np.float64)
        self._action = np.repeat(episodes.no_action[:, None], n, axis=1)
        parts: list[NDArray[Any]] = [
            self._observation, self._action, self._reward, self._terminated,
            self._cut, self._next_value, self._valid, self._first,
        ]  # fmt: skip
        self._fields = [self._by_row(torch.from_numpy(part)) for part in parts]  # the same memory, as a window shows it

    @torch.no_grad()
    def run(self, allowed: NDArray[np.int64], noise: NDArray[np.float32]) -> tuple[Window, list[EndedEpisode]]:
        """Act for one window.

        Args:
            allowed: ``[K]`` how many environment steps each worker may take, at most n; 0 leaves it out of this window.
            noise: ``[K, n, noise]`` drawn beforehand, so that a worker's luck does not depend on who is stacked with it.

        Returns:
            The window (its tensors are overwritten by the next call) and the episodes that ended in it. Where rows of weights
            serve several workers, the window's fields are ``[R, G, ...]``.
        """
        envs, n = self._envs, self._spec.n_step
        self._marks.fill(0)
        self._flags.fill(False)
        state_at_start = self._by_row(self._memory.clone() if self._recurrent else self._no_state)
        self._acting.begin(noise)
        ended: list[EndedEpisode] = []
        steps = _Steps(allowed, (allowed > 0) & self._episodes.in_episode)
        for k in ((allowed > 0) & ~self._episodes.in_episode).nonzero()[0].tolist():
            steps.live[k] = self._episodes.begin(k)
        steps.quiet_until = self._quiet_until(steps)

        for t in range(n):
            if not steps.anyone:
                break
            if self._episodes.someone_begins:
                self._begin_at(t)
            actions, state = self._acting.act(t, self._memory)
            if self._recurrent:
                self._keep_state(state, steps.live)
            any_end = envs.step(actions, steps.live)
            self._raw_reward[:, t] = envs.reward
            if any_end or t >= steps.quiet_until:
                self._settle(t, steps, any_end, ended)

        self._acting.write_down(self._observation, self._action)
        self.taken = self._valid.sum(axis=1, dtype=np.int64)
        if self._episodes.log is not None:
            self._episodes.log.window(self._action, self.taken)
        np.add(self._raw_reward, self._spec.reward_shift, out=self._reward, casting="same_kind")
        self._reward /= self._spec.reward_scale
        if self._spec.reward_clip is not None:
            np.clip(self._reward, -self._spec.reward_clip, self._spec.reward_clip, out=self._reward)
        fields = self._fields if self._on_cpu else [field.to(self._device) for field in self._fields]
        return Window._make([*fields, state_at_start]), ended

    def _settle(self, t: int, steps: "_Steps", any_end: bool, ended: list[EndedEpisode]) -> None:
        """Step t ends something for someone: an episode, a window, or a share of the budget."""
        envs, spec, live = self._envs, self._spec, steps.live
        self._account(t, steps)
        ends = live & (self._episodes.length >= self._limit) if self._limit is not None else np.zeros_like(live)
        terminated = ends & False
        if any_end:
            terminated = envs.terminated & live
            ends |= terminated if spec.ignore_truncation else (envs.terminated | envs.truncated) & live
        self._terminated[:, t] = terminated if spec.bootstrap_on_truncation else ends
        stops = live & (steps.remaining == 0) if t < spec.n_step - 1 else live
        if spec.window_ends_with_episode:
            stops = stops | ends
        cut = stops | ends
        self._cut[:, t] = cut
        if (cut & ~self._terminated[:, t]).any():
            # V of what followed, before any reset; asking does not advance the recurrent state.
            self._next_value[:, t] = self._acting.value(self._memory)
        steps.live = live & ~stops
        for k in ends.nonzero()[0].tolist():
            ended.append(self._episodes.end(k, t, bool(terminated[k])))
            envs.observation[k] = 0.0  # a terminal one may be NaN, and the network may see it while others act
            if steps.live[k]:
                steps.live[k] = self._episodes.begin(k)
        if any_end:
            envs.terminated.fill(False)
            envs.truncated.fill(False)
        steps.quiet_until = self._quiet_until(steps)

    def _account(self, t: int, steps: "_Steps") -> None:
        """Bring lengths, returns and shares of the budget up to step t, for those who live."""
        live, count, episodes = steps.live, t + 1 - steps.settled, self._episodes
        past = slice(steps.settled, t + 1)
        self._valid[live, past] = 1.0
        # One after another, so that a return's last bits do not depend on when others' episodes end.
        paid = self._paid[:, : count + 1]
        paid[:, 0] = episodes.return_
        paid[:, 1:] = self._raw_reward[:, past]
        np.copyto(episodes.return_, np.add.accumulate(paid, axis=1)[:, -1], where=live)
        np.add(episodes.length, count, out=episodes.length, where=live)
        np.subtract(steps.remaining, count, out=steps.remaining, where=live)
        steps.settled = t + 1

    def _quiet_until(self, steps: "_Steps") -> int:
        """The next step at which, by the counters alone, something ends; until then only environments can end an episode."""
        live = steps.live
        steps.anyone = bool(live.any())
        if not steps.anyone:
            return steps.settled
        left = steps.remaining[live]
        if self._limit is not None:
            left = np.minimum(left, self._limit - self._episodes.length[live])
        return min(steps.settled + int(left.min()), self._spec.n_step) - 1

    @property
    def _memory(self) -> Tensor:
        """The recurrent state ``[K, state]``."""
        return self._episodes.memory if self._recurrent else self._no_state

    def _keep_state(self, state: Tensor, live: NDArray[np.bool_]) -> None:
        # A worker that sat this step out remembers what it remembered.
        mask = torch.from_numpy(live).to(self._device).unsqueeze(-1)
        self._episodes.memory = torch.where(mask, state, self._episodes.memory)

    def _begin_at(self, t: int) -> None:
        episodes = self._episodes
        self._first[:, t] = episodes.begins
        if self._recurrent:
            episodes.memory = episodes.memory * torch.from_numpy(~episodes.begins).to(self._device).unsqueeze(-1)
        episodes.begins[:] = False
        episodes.someone_begins = False


class _Steps:
    """How far each worker is within the window being lived.

    Attributes:
        remaining: ``[K]`` steps that each may still take, as of ``settled``.
        live: ``[K]`` who steps.
        anyone: whether anybody does.
        settled: steps of the window that are accounted for; the counters are brought up to date only when something ends.
        quiet_until: the step at which something ends next, by the counters.
    """

    def __init__(self, allowed: NDArray[np.int64], live: NDArray[np.bool_]) -> None:
        self.remaining = allowed.copy()
        self.live = live
        self.anyone = True
        self.settled = 0
        self.quiet_until = 0
