"""What crosses module boundaries: the learner's configuration, a window of experience, the state of a training."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.algorithm.window_stats import StatisticsTable


@dataclass(frozen=True)
class LearnerConfig:
    """How experience becomes gradients.

    Attributes:
        gamma: discount factor in (0, 1].
        n_step: window length n; at most n steps between two pulls.
        gae_lambda: in [0, 1]; 1 learns from n-step returns, less from lambda-returns (generalized advantage estimation).
        loss: coefficients and reductions.
        max_grad_norm: a worker's gradient is scaled down to this L2 norm; ``None`` does not.
        bootstrap_on_truncation: a time limit's target is V(final observation). ``False`` treats it as terminal, as the code
            does that the Pendulum report descends from.
        reward_shift, reward_scale: the learner sees ``(reward + reward_shift) / reward_scale``; logs keep the raw reward.
        reward_clip: what the learner sees is clipped to plus and minus this; ``None`` does not.
        ignore_truncation: environments step on past their time limit; an episode ends only where it terminates.
        bptt: truncated back-propagation through time: a recurrent state is detached every so many steps of a window, counted
            from its start; ``None`` lets gradients flow through the whole window, 1 detaches at every step.
        window_ends_with_episode: a window stops at an episode's end (as published for A3C on Pendulum) or rolls through it.
        statistics: what is logged of each window.
    """

    gamma: float = 0.99
    n_step: int = 5
    gae_lambda: float = 1.0
    loss: LossConfig = field(default_factory=LossConfig)
    max_grad_norm: float | None = None
    bootstrap_on_truncation: bool = True
    reward_shift: float = 0.0
    reward_scale: float = 1.0
    reward_clip: float | None = None
    window_ends_with_episode: bool = True
    ignore_truncation: bool = False
    bptt: int | None = None
    statistics: StatisticsTable = field(default_factory=StatisticsTable)


class Window(NamedTuple):
    """What K workers did between two pulls; worker k's steps are those with ``valid[k] = 1``.

    Workers that share one set of weights are grouped: then every field has ``[R, G]`` instead of ``[K]``.

    ``observation[k, t]`` led to ``action[k, t]``; ``next_value[k, t]`` is V of the observation that followed, before any
    reset, under the weights that acted, and is set wherever a trajectory ends without a terminal state.
    """

    observation: Tensor  # [K, n, *observation]
    action: Tensor  # [K, n, *action]
    reward: Tensor  # [K, n], shifted and scaled
    terminated: Tensor  # [K, n] bool
    trajectory_end: Tensor  # [K, n] bool: terminated, truncated or the window's last valid step
    next_value: Tensor  # [K, n]
    valid: Tensor  # [K, n] float, 1 or 0
    episode_start: Tensor  # [K, n] float, 1 where this step begins an episode (recurrent state is reset before it)
    hidden_state: Tensor  # [K, state] recurrent state at the window's start, detached


@dataclass
class TrainingState:
    """What training continues from: shared weights and every counter that a random stream or a budget depends on.

    Attributes:
        weights: ``[P]`` float32.
        optimizer_state: ``[state_rows, P]`` float32.
        updates: updates of the shared weights so far.
        env_steps: environment steps taken so far.
        episodes: training episodes finished so far.
        rounds: ``[N]`` windows that each worker began: the counter of its action stream.
        episodes_begun: ``[N]`` episodes that each worker began: the counter of its environment seeds.
        parallelism_state: what the parallelism itself needs to continue exactly, in plain containers, numbers and tensors;
            empty for those whose resume is approximate.
    """

    weights: Tensor
    optimizer_state: Tensor
    updates: int
    env_steps: int
    episodes: int
    rounds: NDArray[np.int64]
    episodes_begun: NDArray[np.int64]
    parallelism_state: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def initial(cls, weights: Tensor, state_rows: int, workers: int) -> "TrainingState":
        """Before the first update."""
        return cls(
            weights=weights,
            optimizer_state=torch.zeros(state_rows, weights.numel()),
            updates=0,
            env_steps=0,
            episodes=0,
            rounds=np.zeros(workers, np.int64),
            episodes_begun=np.zeros(workers, np.int64),
        )
