"""Acting: K workers step their environments for up to n steps, each with its own weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.batched_policy import BatchedPolicy
from a3c_exp.algorithm.episode_tracker import EndedEpisode, EpisodeTracker
from a3c_exp.algorithm.types import LearnerConfig, Window
from a3c_exp.compile.compiler import Compiler
from a3c_exp.compile.vectorize import WorkerGrouping
from a3c_exp.envs.base import EnvBatch
from a3c_exp.models.base import ActorCritic
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from a3c_exp.system.errors import EnvInterfaceError


class Rollout:
    """K workers and their K environments, from window to window.

    Args:
        weights: ``[K, P]`` each worker's own copy, or ``[R, P]`` where each row serves K/R workers that follow each other;
            read in place at every step.
        envs: K environments.
        max_episode_steps: the time limit, in environment steps; ``None`` for none.
        keep: layers whose outputs are kept, as in ``BatchedPolicy``.
    """

    def __init__(
        self,
        model: ActorCritic,
        layout: ParameterLayout,
        weights: Tensor,
        envs: EnvBatch,
        episode_tracker: EpisodeTracker,
        config: LearnerConfig,
        max_episode_steps: int | None,
        compiler: Compiler | None = None,
        keep: Sequence[str] = (),
    ) -> None:
        k, n = envs.num_envs, config.n_step
        self._envs, self._episode_tracker = envs, episode_tracker
        self._config, self._max_episode_steps = config, max_episode_steps
        self._device, self._on_cpu = weights.device, weights.device.type == "cpu"
        self._recurrent = model.hidden_state_size > 0
        self.steps_taken = np.zeros(k, np.int64)
        self._by_row = WorkerGrouping(k, weights.shape[0]).by_row
        self._empty_hidden_state = torch.zeros(k, 0, device=self._device)
        self._policy = BatchedPolicy(model, layout, weights, envs.observation, n, compiler, keep=keep)
        self.kept = self._policy.kept

        observation = envs.observation.shape[1:]
        self._observation = np.zeros((k, n, *observation), envs.observation.dtype)
        self._raw_reward, self._cumulative_reward = np.zeros((k, n)), np.zeros((k, n + 1))
        self._reward, self._next_value = np.zeros((k, n), np.float32), np.zeros((k, n), np.float32)
        # Arrays that every window begins with zeros are contiguous, to be cleared at once.
        self._float_masks = np.zeros((2, k, n), np.float32)
        self._valid, self._first = self._float_masks
        self._bool_masks = np.zeros((2, k, n), np.bool_)
        self._terminated, self._trajectory_end = self._bool_masks
        self._masks_are_full = False  # whether they are those of full windows, in which nothing ended
        self._all_workers = np.full(k, True)
        self._action = np.repeat(episode_tracker.zero_action[:, None], n, axis=1)
        fields: list[NDArray[Any]] = [
            self._observation, self._action, self._reward, self._terminated,
            self._trajectory_end, self._next_value, self._valid, self._first,
        ]  # fmt: skip
        self._window_fields = [self._by_row(torch.from_numpy(field)) for field in fields]  # views of the same memory

    def run(self, allowed_steps: NDArray[np.int64], noise: NDArray[np.float32]) -> tuple[Window, list[EndedEpisode]]:
        """Act for one window.

        Args:
            allowed_steps: ``[K]`` how many environment steps each worker may take, at most n; 0 leaves it out of this window.
            noise: ``[K, n, noise]`` drawn beforehand, so that it does not depend on which workers are stacked.

        Returns:
            The window (its tensors are overwritten by the next call) and the episodes that ended in it.

        Raises:
            EnvInterfaceError: an environment returned what it must not; says at which step.
        """
        envs, n = self._envs, self._config.n_step
        state_at_start = self._by_row(self._hidden_state.clone() if self._recurrent else self._empty_hidden_state)
        self._policy.begin(noise)
        ended: list[EndedEpisode] = []
        steps = self._begin_window(allowed_steps)

        for t in range(n):
            if not steps.any_active:
                break
            if self._episode_tracker.any_episode_start:
                self._mark_episode_starts(t)
            actions, state = self._policy.act(t, self._hidden_state)
            if self._recurrent:  # an inactive worker keeps its state
                active = torch.from_numpy(steps.active).to(self._device).unsqueeze(-1)
                self._episode_tracker.hidden_state = torch.where(active, state, self._episode_tracker.hidden_state)
            try:
                any_end = envs.step(actions, steps.active)
            except EnvInterfaceError as error:
                step = int(self._episode_tracker.length[error.index]) + t + 1 - steps.steps_counted
                raise EnvInterfaceError(error.problem, error.index, step=step) from error
            self._raw_reward[:, t] = envs.reward
            if any_end or t >= steps.next_known_end:
                if steps.is_full and not any_end:
                    self._end_full_window()
                else:
                    self._handle_ends(t, steps, any_end, ended)

        self._policy.record(self._observation, self._action)
        self.steps_taken = allowed_steps.copy() if steps.is_full else self._valid.sum(axis=1, dtype=np.int64)
        if self._episode_tracker.action_log is not None:
            self._episode_tracker.action_log.add_window(self._action, self.steps_taken)
        np.add(self._raw_reward, self._config.reward_shift, out=self._reward, casting="same_kind")
        self._reward /= self._config.reward_scale
        if self._config.reward_clip is not None:
            np.clip(self._reward, -self._config.reward_clip, self._config.reward_clip, out=self._reward)
        fields = self._window_fields if self._on_cpu else [field.to(self._device) for field in self._window_fields]
        return Window._make([*fields, state_at_start]), ended

    def _begin_window(self, allowed_steps: NDArray[np.int64]) -> "_WindowProgress":
        """Begin the episodes that are due; who steps, and how far that is known."""
        episodes, n = self._episode_tracker, self._config.n_step
        k, limit = len(allowed_steps), self._max_episode_steps
        # Asked in the quickest ways, since nearly all windows are full.
        goes_on = not episodes.any_episode_start and np.count_nonzero(episodes.in_episode) == k
        if goes_on and (limit is None or limit - max(episodes.length.tolist()) > n) and allowed_steps.tolist().count(n) == k:
            return _WindowProgress(allowed_steps.copy(), self._all_workers, next_known_end=n - 1, is_full=True)
        self._clear_masks()
        steps = _WindowProgress(allowed_steps.copy(), (allowed_steps > 0) & episodes.in_episode)
        for k in ((allowed_steps > 0) & ~episodes.in_episode).nonzero()[0].tolist():
            steps.active[k] = episodes.begin(k)
        steps.next_known_end = self._next_known_end(steps)
        return steps

    def _clear_masks(self) -> None:
        self._float_masks.fill(0)
        self._bool_masks.fill(False)
        self._masks_are_full = False

    def _end_full_window(self) -> None:
        """What ``_handle_ends`` does at the last step of most windows: every worker took n steps, and its episode goes on."""
        if not self._masks_are_full:
            self._clear_masks()
            self._valid.fill(1)
            self._trajectory_end[:, -1] = True
            self._masks_are_full = True
        self._add_rewards(slice(None), self._all_workers)
        self._episode_tracker.length += self._config.n_step
        self._next_value[:, -1] = self._policy.value(self._hidden_state)

    def _handle_ends(self, t: int, progress: "_WindowProgress", any_end: bool, ended: list[EndedEpisode]) -> None:
        """At step t an episode, a worker's window or its share of the budget ends."""
        envs, config, active = self._envs, self._config, progress.active
        if progress.is_full:
            self._clear_masks()
            progress.is_full = False
        self._update_counters(t, progress)
        ends, terminated = np.zeros_like(active), np.zeros_like(active)
        if self._max_episode_steps is not None:
            ends = active & (self._episode_tracker.length >= self._max_episode_steps)
        if any_end:
            terminated = envs.terminated & active
            ends |= terminated if config.ignore_truncation else (envs.terminated | envs.truncated) & active
        self._terminated[:, t] = terminated if config.bootstrap_on_truncation else ends
        stops = active & (progress.remaining == 0) if t < config.n_step - 1 else active
        if config.window_ends_with_episode:
            stops = stops | ends
        trajectory_end = stops | ends
        if any_end and envs.life_lost is not None and (lost := envs.life_lost & active).any():
            # To the learner as if the episode ended and another began, though it goes on and so does its return.
            self._terminated[:, t] |= lost
            trajectory_end |= lost
            self._episode_tracker.begin_life(lost & ~ends)
        self._trajectory_end[:, t] = trajectory_end
        if (trajectory_end & ~self._terminated[:, t]).any():
            # V of what followed, before any reset; the recurrent state does not advance.
            self._next_value[:, t] = self._policy.value(self._hidden_state)
        progress.active = active & ~stops
        for k in ends.nonzero()[0].tolist():
            ended.append(self._episode_tracker.end(k, t, bool(terminated[k])))
            envs.observation[k] = 0.0  # a terminal one may be NaN, and is still an input while others act
            if progress.active[k]:
                progress.active[k] = self._episode_tracker.begin(k)
        if any_end:
            envs.terminated.fill(False)
            envs.truncated.fill(False)
            if envs.life_lost is not None:
                envs.life_lost.fill(False)
        progress.next_known_end = self._next_known_end(progress)

    def _update_counters(self, t: int, progress: "_WindowProgress") -> None:
        """Bring lengths, returns and remaining steps of active workers up to step t."""
        active, count, episodes = progress.active, t + 1 - progress.steps_counted, self._episode_tracker
        uncounted = slice(progress.steps_counted, t + 1)
        self._valid[active, uncounted] = 1.0
        self._add_rewards(uncounted, active)
        np.add(episodes.length, count, out=episodes.length, where=active)
        np.subtract(progress.remaining, count, out=progress.remaining, where=active)
        progress.steps_counted = t + 1

    def _add_rewards(self, steps: slice, active: NDArray[np.bool_]) -> None:
        """Add the rewards of these steps to the returns of active workers."""
        # One by one, so that a return's last bits do not depend on when other episodes end.
        return_, rewards = self._episode_tracker.return_, self._raw_reward[:, steps]
        cumulative = self._cumulative_reward[:, : rewards.shape[1] + 1]
        cumulative[:, 0] = return_
        cumulative[:, 1:] = rewards
        np.copyto(return_, np.add.accumulate(cumulative, axis=1)[:, -1], where=active)

    def _next_known_end(self, progress: "_WindowProgress") -> int:
        """The next step at which, by the counters, something ends; before that only environments can end an episode."""
        active = progress.active
        progress.any_active = bool(active.any())
        if not progress.any_active:
            return progress.steps_counted
        remaining = progress.remaining[active]
        if self._max_episode_steps is not None:
            remaining = np.minimum(remaining, self._max_episode_steps - self._episode_tracker.length[active])
        return min(progress.steps_counted + int(remaining.min()), self._config.n_step) - 1

    @property
    def _hidden_state(self) -> Tensor:
        return self._episode_tracker.hidden_state if self._recurrent else self._empty_hidden_state

    def _mark_episode_starts(self, t: int) -> None:
        episodes = self._episode_tracker
        self._first[:, t] = episodes.episode_starts
        if self._recurrent:
            keep = torch.from_numpy(~episodes.episode_starts).to(self._device).unsqueeze(-1)
            episodes.hidden_state = episodes.hidden_state * keep
        episodes.episode_starts[:] = False
        episodes.any_episode_start = False


@dataclass
class _WindowProgress:
    """How far each worker is within the current window."""

    remaining: NDArray[np.int64]  # [K] steps that each may still take, as of steps_counted
    active: NDArray[np.bool_]  # [K] which workers step
    any_active: bool = True
    steps_counted: int = 0  # steps of the window that are counted; counters are updated only when something ends
    next_known_end: int = 0  # the step at which something ends next, by the counters
    is_full: bool = False  # every worker takes n steps and its episode goes on, unless an environment ends one
