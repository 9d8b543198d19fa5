"""A3C and nothing else: acting, n-step returns, the loss, its gradient, and the statistics of training."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.algorithm.batched_policy import BatchedPolicy as BatchedPolicy
    from a3c_exp.algorithm.episode_tracker import EpisodeTracker as EpisodeTracker
    from a3c_exp.algorithm.loss import LossConfig as LossConfig, a3c_loss as a3c_loss
    from a3c_exp.algorithm.returns import n_step_returns as n_step_returns
    from a3c_exp.algorithm.rollout import Rollout as Rollout
    from a3c_exp.algorithm.types import LearnerConfig as LearnerConfig, Window as Window
    from a3c_exp.algorithm.window_gradient import window_loss as window_loss
    from a3c_exp.algorithm.window_stats import Statistic as Statistic
