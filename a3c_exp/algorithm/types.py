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
    """How experience becomes gradients."""

    gamma: float = 0.99  # discount factor in (0, 1]
    n_step: int = 5  # window length n; at most n steps between two pulls
    gae_lambda: float = 1.0  # in [0, 1]; 1 learns from n-step returns, less from lambda-returns (generalized advantages)
    loss: LossConfig = field(default_factory=LossConfig)
    max_grad_norm: float | None = None  # a worker's gradient is scaled down to this L2 norm; None does not
    bootstrap_on_truncation: bool = True  # a time limit's target is V(final observation); False treats it as terminal
    reward_shift: float = 0.0  # the learner sees (reward + reward_shift) / reward_scale; logs keep the raw reward
    reward_scale: float = 1.0
    reward_clip: float | None = None  # what the learner sees is clipped to plus and minus this; None does not
    window_ends_with_episode: bool = True  # as published for A3C on Pendulum; or the window rolls through it
    ignore_truncation: bool = False  # environments step on past their time limit; an episode ends only where it terminates
    bptt: int | None = None  # a recurrent state is detached every so many steps of a window, from its start; None: never
    statistics: StatisticsTable = field(default_factory=StatisticsTable)  # what is logged of each window


class Window(NamedTuple):
    """What K workers did between two pulls; worker k's steps are those with ``valid[k] = 1``. Where workers share weights they
    are grouped: then every field has ``[R, G]`` instead of ``[K]``.

    ``next_value[k, t]`` is V of the observation that followed ``action[k, t]``, before any reset, under the weights that acted,
    and is set wherever a trajectory ends without a terminal state.
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
    """What training continues from: shared weights and every counter that a random stream or a budget depends on."""

    weights: Tensor  # [P] float32
    optimizer_state: Tensor  # [state_rows, P] float32
    updates: int  # of the shared weights so far
    env_steps: int  # taken so far
    episodes: int  # training episodes finished so far
    rounds: NDArray[np.int64]  # [N] windows that each worker began: the counter of its action stream
    episodes_begun: NDArray[np.int64]  # [N] episodes that each worker began: the counter of its environment seeds
    # What the parallelism needs to continue exactly, in plain values and tensors; empty where resume is approximate.
    parallelism_state: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def initial(cls, weights: Tensor, state_rows: int, workers: int) -> "TrainingState":
        """Before the first update."""
        zeros = torch.zeros(state_rows, weights.numel())
        return cls(weights, zeros, 0, 0, 0, np.zeros(workers, np.int64), np.zeros(workers, np.int64))
