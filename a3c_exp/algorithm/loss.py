"""The A3C loss of one window: policy, value and entropy terms under one documented reduction."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from a3c_exp.algorithm.returns import advantage, normalize
from a3c_exp.config.enums import Reduction, ValueLoss
from a3c_exp.models.distributions import Distribution


@dataclass(frozen=True)
class LossConfig:
    """The loss ``policy + value_coef * value - entropy_coef * entropy``, each term reduced over the window's valid steps: by
    their mean (a window's length does not change the step), or their sum (as in the A3C paper's Algorithm S3)."""

    value_coef: float = 1.0  # at least 0
    entropy_coef: float = 0.0  # of the entropy bonus (``beta`` on the command line); at least 0
    value_loss: ValueLoss = ValueLoss.mse  # squared error or Huber's
    policy_reduction: Reduction = Reduction.mean
    value_reduction: Reduction = Reduction.mean
    entropy_reduction: Reduction = Reduction.mean
    normalize_advantage: bool = False  # the policy's term takes advantages of mean 0 and deviation 1 over the update's steps


class LossTerms(NamedTuple):
    """The loss of one window and its reduced terms, before their coefficients: scalars."""

    total: Tensor
    policy: Tensor
    value: Tensor
    entropy: Tensor


def a3c_loss(
    distribution: Distribution,
    parameters: Tensor,
    value: Tensor,
    action: Tensor,
    target: Tensor,
    valid: Tensor,
    config: LossConfig,
    entropy_coef: Tensor | None = None,
) -> LossTerms:
    """Loss of one worker's window, or of a batch of windows that make one update: Mnih et al. 2016 (arXiv:1602.01783),
    section 4 and Algorithm S3. Shapes are ``[n]`` or, for a batch of G windows, ``[G, n]``.

    Args:
        parameters: ``[..., n, distribution.parameters_size]`` the policy head's output.
        value: ``[..., n]`` V(s_t), with gradient.
        action: ``[..., n, *action]`` the sampled actions, unclipped.
        target: ``[..., n]`` n-step returns, without gradient.
        valid: ``[..., n]`` 1.0 for steps that were taken, 0.0 after the window's end.
        entropy_coef: ``[...]`` each window's own coefficient instead of ``config.entropy_coef``.
    """
    assert value.shape == target.shape == valid.shape, (value.shape, target.shape, valid.shape)
    log_prob = distribution.log_prob(parameters, action)  # [n]
    entropy = distribution.entropy(parameters)  # [n]
    assert log_prob.shape == entropy.shape == value.shape, (log_prob.shape, entropy.shape, value.shape)

    # After a window's end a target may be NaN, and so would be the gradient: reduce() makes it 0, and 0 * NaN is NaN.
    target = torch.where(valid > 0, target, 0.0)
    gap = advantage(target, value)
    policy_term = -log_prob * (normalize(gap, valid) if config.normalize_advantage else gap)
    if config.value_loss is ValueLoss.mse:
        error = target - value
        value_term = error * error
    else:
        value_term = functional.smooth_l1_loss(value, target, reduction="none")

    policy = reduce(policy_term, valid, config.policy_reduction)
    value_ = reduce(value_term, valid, config.value_reduction)
    entropy_ = reduce(entropy, valid, config.entropy_reduction)
    total = policy + config.value_coef * value_
    if entropy_coef is not None:
        total = total - reduce(entropy_coef.unsqueeze(-1) * entropy, valid, config.entropy_reduction)
    elif config.entropy_coef:  # without a bonus no gradient flows through the entropy
        total = total - config.entropy_coef * entropy_
    return LossTerms(total, policy, value_, entropy_)


def reduce(term: Tensor, valid: Tensor, reduction: Reduction) -> Tensor:
    """Sum or mean of ``term`` over the steps with ``valid`` = 1; zero if there is none. Of a batch ``[G, n]`` the mean is taken
    over all its steps, and sums over a window are averaged over the windows: the number of workers changes no update's size."""
    # where, not a product: numbers after a window's end may be NaN, and NaN * 0 is NaN.
    total = torch.where(valid > 0, term, 0.0).sum()
    if reduction is Reduction.mean:
        return total / valid.sum().clamp(min=1.0)
    if valid.dim() == 1:
        return total
    return total / (valid.sum(dim=-1) > 0).sum().clamp(min=1)
