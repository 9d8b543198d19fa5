"""Acting: K workers step their environments side by side for up to n steps, each with its own weights."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.batched_policy import BatchedPolicy
from a3c_exp.algorithm.episode_tracker import EndedEpisode, EpisodeTracker
from a3c_exp.algorithm.types import LearnerConfig, Window
from a3c_exp.compile.compiler import Compiler
from a3c_exp.compile.worker_rows import WorkerGrouping
from a3c_exp.envs.base import EnvBatch
from a3c_exp.models.base import ActorCritic
from a3c_exp.optimizers.flat_parameters import ParameterLayout


class Rollout:
    """K workers and their K environments, which go on from window to window.

    Args:
        model, layout: the network and where its weights stand in the flat vector.
        weights: ``[K, P]`` each worker's own copy, or ``[R, P]`` where each row serves K/R workers that follow each other;
            read in place at every step.
        envs: K environments.
        episode_tracker: the books of their episodes.
        config: window length and the treatment of rewards and ends.
        max_episode_steps: the time limit, in environment steps; ``None`` for none.
        compiler: makes machine code of acting; ``None`` leaves it alone.
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
    ) -> None:
        k, n = envs.num_envs, config.n_step
        self._envs = envs
        self._config = config
        self._episode_tracker = episode_tracker
        self._max_episode_steps = max_episode_steps
        self._device = weights.device
        self.steps_taken = np.zeros(k, np.int64)
        self._recurrent = model.hidden_state_size > 0
        self._on_cpu = self._device.type == "cpu"
        self._by_row = WorkerGrouping(k, weights.shape[0]).by_row
        self._empty_hidden_state = torch.zeros(k, 0, device=self._device)
        self._policy = BatchedPolicy(model, layout, weights, envs.observation, n, compiler)

        observation = envs.observation.shape[1:]
        self._observation = np.zeros((k, n, *observation), np.float32)
        self._raw_reward = np.zeros((k, n), np.float64)
        self._reward = np.zeros((k, n), np.float32)
        self._next_value = np.zeros((k, n), np.float32)
        # What every window begins with zeros in lies together, to be wiped at once.
        self._float_masks = np.zeros((2, k, n), np.float32)
        self._valid, self._first = self._float_masks
        self._bool_masks = np.zeros((2, k, n), np.bool_)
        self._terminated, self._cut = self._bool_masks
        self._cumulative_reward = np.zeros((k, n + 1), np.float64)
        self._action = np.repeat(episode_tracker.zero_action[:, None], n, axis=1)
        parts: list[NDArray[Any]] = [
            self._observation, self._action, self._reward, self._terminated,
            self._cut, self._next_value, self._valid, self._first,
        ]  # fmt: skip
        self._window_fields = [self._by_row(torch.from_numpy(part)) for part in parts]  # the same memory, as a window shows it

    @torch.no_grad()
    def run(self, allowed_steps: NDArray[np.int64], noise: NDArray[np.float32]) -> tuple[Window, list[EndedEpisode]]:
        """Act for one window.

        Args:
            allowed_steps: ``[K]`` how many environment steps each worker may take, at most n; 0 leaves it out of this window.
            noise: ``[K, n, noise]`` drawn beforehand, so that a worker's luck does not depend on who is stacked with it.

        Returns:
            The window (its tensors are overwritten by the next call) and the episodes that ended in it. Where rows of weights
            serve several workers, the window's fields are ``[R, G, ...]``.
        """
        envs, n = self._envs, self._config.n_step
        self._float_masks.fill(0)
        self._bool_masks.fill(False)
        state_at_start = self._by_row(self._hidden_state.clone() if self._recurrent else self._empty_hidden_state)
        self._policy.begin(noise)
        ended: list[EndedEpisode] = []
        steps = _WindowProgress(allowed_steps, (allowed_steps > 0) & self._episode_tracker.in_episode)
        for k in ((allowed_steps > 0) & ~self._episode_tracker.in_episode).nonzero()[0].tolist():
            steps.active[k] = self._episode_tracker.begin(k)
        steps.next_known_end = self._next_known_end(steps)

        for t in range(n):
            if not steps.any_active:
                break
            if self._episode_tracker.any_episode_start:
                self._mark_episode_starts(t)
            actions, state = self._policy.act(t, self._hidden_state)
            if self._recurrent:
                self._update_hidden_state(state, steps.active)
            any_end = envs.step(actions, steps.active)
            self._raw_reward[:, t] = envs.reward
            if any_end or t >= steps.next_known_end:
                self._handle_ends(t, steps, any_end, ended)

        self._policy.record(self._observation, self._action)
        self.steps_taken = self._valid.sum(axis=1, dtype=np.int64)
        if self._episode_tracker.action_log is not None:
            self._episode_tracker.action_log.add_window(self._action, self.steps_taken)
        np.add(self._raw_reward, self._config.reward_shift, out=self._reward, casting="same_kind")
        self._reward /= self._config.reward_scale
        if self._config.reward_clip is not None:
            np.clip(self._reward, -self._config.reward_clip, self._config.reward_clip, out=self._reward)
        fields = self._window_fields if self._on_cpu else [field.to(self._device) for field in self._window_fields]
        return Window._make([*fields, state_at_start]), ended

    def _handle_ends(self, t: int, progress: "_WindowProgress", any_end: bool, ended: list[EndedEpisode]) -> None:
        """Step t ends something for someone: an episode, a window, or a share of the budget."""
        envs, spec, live = self._envs, self._config, progress.active
        self._update_counters(t, progress)
        ends = (
            live & (self._episode_tracker.length >= self._max_episode_steps)
            if self._max_episode_steps is not None
            else np.zeros_like(live)
        )
        terminated = ends & False
        if any_end:
            terminated = envs.terminated & live
            ends |= terminated if spec.ignore_truncation else (envs.terminated | envs.truncated) & live
        self._terminated[:, t] = terminated if spec.bootstrap_on_truncation else ends
        stops = live & (progress.remaining == 0) if t < spec.n_step - 1 else live
        if spec.window_ends_with_episode:
            stops = stops | ends
        cut = stops | ends
        self._cut[:, t] = cut
        if (cut & ~self._terminated[:, t]).any():
            # V of what followed, before any reset; asking does not advance the recurrent state.
            self._next_value[:, t] = self._policy.value(self._hidden_state)
        progress.active = live & ~stops
        for k in ends.nonzero()[0].tolist():
            ended.append(self._episode_tracker.end(k, t, bool(terminated[k])))
            envs.observation[k] = 0.0  # a terminal one may be NaN, and the network may see it while others act
            if progress.active[k]:
                progress.active[k] = self._episode_tracker.begin(k)
        if any_end:
            envs.terminated.fill(False)
            envs.truncated.fill(False)
        progress.next_known_end = self._next_known_end(progress)

    def _update_counters(self, t: int, progress: "_WindowProgress") -> None:
        """Bring lengths, returns and shares of the budget up to step t, for those who live."""
        live, count, episodes = progress.active, t + 1 - progress.steps_counted, self._episode_tracker
        past = slice(progress.steps_counted, t + 1)
        self._valid[live, past] = 1.0
        # One after another, so that a return's last bits do not depend on when others' episodes end.
        paid = self._cumulative_reward[:, : count + 1]
        paid[:, 0] = episodes.return_
        paid[:, 1:] = self._raw_reward[:, past]
        np.copyto(episodes.return_, np.add.accumulate(paid, axis=1)[:, -1], where=live)
        np.add(episodes.length, count, out=episodes.length, where=live)
        np.subtract(progress.remaining, count, out=progress.remaining, where=live)
        progress.steps_counted = t + 1

    def _next_known_end(self, progress: "_WindowProgress") -> int:
        """The next step at which, by the counters alone, something ends; until then only environments can end an episode."""
        live = progress.active
        progress.any_active = bool(live.any())
        if not progress.any_active:
            return progress.steps_counted
        left = progress.remaining[live]
        if self._max_episode_steps is not None:
            left = np.minimum(left, self._max_episode_steps - self._episode_tracker.length[live])
        return min(progress.steps_counted + int(left.min()), self._config.n_step) - 1

    @property
    def _hidden_state(self) -> Tensor:
        """The recurrent state ``[K, state]``."""
        return self._episode_tracker.hidden_state if self._recurrent else self._empty_hidden_state

    def _update_hidden_state(self, hidden_state: Tensor, active: NDArray[np.bool_]) -> None:
        # A worker that sat this step out remembers what it remembered.
        mask = torch.from_numpy(active).to(self._device).unsqueeze(-1)
        self._episode_tracker.hidden_state = torch.where(mask, hidden_state, self._episode_tracker.hidden_state)

    def _mark_episode_starts(self, t: int) -> None:
        episodes = self._episode_tracker
        self._first[:, t] = episodes.episode_starts
        if self._recurrent:
            episodes.hidden_state = episodes.hidden_state * torch.from_numpy(~episodes.episode_starts).to(
                self._device
            ).unsqueeze(-1)
        episodes.episode_starts[:] = False
        episodes.any_episode_start = False


class _WindowProgress:
    """How far each worker is within the window being lived.

    Attributes:
        remaining: ``[K]`` steps that each may still take, as of ``steps_counted``.
        active: ``[K]`` who steps.
        any_active: whether anybody does.
        steps_counted: steps of the window that are accounted for; the counters are brought up to date only when something ends.
        next_known_end: the step at which something ends next, by the counters.
    """

    def __init__(self, allowed_steps: NDArray[np.int64], active: NDArray[np.bool_]) -> None:
        self.remaining = allowed_steps.copy()
        self.active = active
        self.any_active = True
        self.steps_counted = 0
        self.next_known_end = 0
