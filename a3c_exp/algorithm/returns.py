"""n-step and lambda-returns, and advantages, over windows whose steps may continue, terminate or be truncated."""

import torch
from torch import Tensor


def n_step_returns(
    reward: Tensor,
    terminated: Tensor,
    trajectory_end: Tensor,
    next_value: Tensor,
    gamma: float | Tensor,
    value: Tensor | None = None,
    gae_lambda: float = 1.0,
) -> Tensor:
    """The target of every step of a window: Mnih et al. 2016 (arXiv:1602.01783), Algorithm S3.

    With ``V(s_{t+1})`` the value of the observation that followed step t, *before* any reset::

        R_t = r_t                         if the episode terminated at t
        R_t = r_t + gamma V(s_{t+1})      if the chain is cut at t (truncated, or the window's last step)
        R_t = r_t + gamma R_{t+1}         otherwise

    With ``gae_lambda`` < 1 the last line becomes ``r_t + gamma ((1 - lambda) V(s_{t+1}) + lambda R_{t+1})``: the lambda-return,
    whose difference to V(s_t) is the generalized advantage of Schulman et al. 2016 (arXiv:1506.02438), equation 16.

    Args:
        reward: ``[..., n]`` rewards as the learner sees them (shifted and scaled).
        terminated: ``[..., n]`` bool; the state after this step is terminal, so its value is zero by definition.
        trajectory_end: ``[..., n]`` bool; later rewards do not belong to this step. Always true at the last valid step.
        next_value: ``[..., n]`` ``V(s_{t+1})``; read only where ``trajectory_end`` and not ``terminated``.
        gamma: discount factor in (0, 1]; a number or ``[]``.
        value: ``[..., n]`` V(s_t) under the weights that acted; read only if ``gae_lambda`` < 1.
        gae_lambda: in [0, 1]; 1 gives n-step returns, 0 one-step returns.

    Returns:
        ``[..., n]`` targets, without gradient. Steps after the last valid one hold numbers without meaning; mask them.

    >>> n_step_returns(torch.tensor([1.0, 1.0]), torch.tensor([False, False]), torch.tensor([False, True]),
    ...                torch.tensor([0.0, 10.0]), 0.5)
    tensor([4., 6.])
    """
    assert reward.shape == terminated.shape == trajectory_end.shape == next_value.shape, (
        f"shapes differ: {reward.shape}, {terminated.shape}, {trajectory_end.shape}, {next_value.shape}"
    )
    # R_t = (r_t + gamma V_t) + (gamma or 0) R_{t+1}: what does not depend on R is computed for all steps at once.
    bootstrap = torch.where(trajectory_end & ~terminated, next_value, 0.0)
    continues = ~(trajectory_end | terminated)
    if gae_lambda < 1.0:
        assert value is not None and value.shape == reward.shape, "lambda-returns need the value of every step"
        following = torch.cat([value.detach()[..., 1:], torch.zeros_like(value[..., :1])], dim=-1)
        bootstrap = bootstrap + torch.where(continues, (1.0 - gae_lambda) * following, 0.0)
    if isinstance(gamma, Tensor):
        one_step = torch.addcmul(reward, bootstrap, gamma).unbind(-1)
    else:
        one_step = torch.add(reward, bootstrap, alpha=gamma).unbind(-1)
    discount = (continues.to(reward.dtype) * (gamma if gae_lambda == 1.0 else gamma * gae_lambda)).unbind(-1)
    target = one_step[-1]  # nothing follows the last step
    targets = [target]
    for t in reversed(range(reward.shape[-1] - 1)):
        target = torch.addcmul(one_step[t], discount[t], target)
        targets.append(target)
    return torch.stack(targets[::-1], dim=-1).detach()


def advantage(target: Tensor, value: Tensor) -> Tensor:
    """``A_t = R_t - V(s_t)`` without gradient, so that the policy loss never trains the critic.

    Raises:
        AssertionError: the shapes differ; broadcasting ``[n, 1]`` against ``[n]`` is the classic silent A3C mistake.
    """
    assert target.shape == value.shape, f"target {tuple(target.shape)} and value {tuple(value.shape)} differ in shape"
    return (target - value).detach()


def normalize(advantage: Tensor, valid: Tensor) -> Tensor:
    """Advantages ``[..., n]`` of one update, with mean 0 and (sample) standard deviation 1 over its valid steps; a lone step,
    which has no deviation, is left as it is."""
    steps = valid.sum()
    advantage = torch.where(valid > 0, advantage, 0.0)  # numbers after a window's end may be NaN
    centered = torch.where(valid > 0, advantage - advantage.sum() / steps.clamp(min=1.0), 0.0)
    deviation = (centered.square().sum() / (steps - 1.0).clamp(min=1.0)).sqrt()
    return torch.where(steps > 1.0, centered / (deviation + 1e-8), advantage)
