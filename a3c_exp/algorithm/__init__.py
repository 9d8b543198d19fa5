"""A3C and nothing else: acting, n-step returns, the loss, its gradient, and the statistics of training."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.algorithm.batched_policy import BatchedPolicy as BatchedPolicy
    from a3c_exp.algorithm.episode_tracker import EpisodeTracker as EpisodeTracker
    from a3c_exp.algorithm.loss import LossConfig as LossConfig
    from a3c_exp.algorithm.loss import a3c_loss as a3c_loss
    from a3c_exp.algorithm.returns import n_step_returns as n_step_returns
    from a3c_exp.algorithm.rollout import Rollout as Rollout
    from a3c_exp.algorithm.types import LearnerConfig as LearnerConfig
    from a3c_exp.algorithm.types import Window as Window
    from a3c_exp.algorithm.window_gradient import window_loss as window_loss
    from a3c_exp.algorithm.window_stats import Statistic as Statistic
else:
    __getattr__, __all__ = lazy_exports(
        __name__,
        BatchedPolicy="batched_policy",
        EpisodeTracker="episode_tracker",
        LearnerConfig="types",
        LossConfig="loss",
        Rollout="rollout",
        Statistic="window_stats",
        Window="types",
        a3c_loss="loss",
        n_step_returns="returns",
        window_loss="window_gradient",
    )
