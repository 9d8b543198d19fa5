"""From a window to a gradient: the learning half of A3C, for one worker's weights."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from a3c_exp.algorithm.loss import LossTerms, a3c_loss
from a3c_exp.algorithm.returns import n_step_returns
from a3c_exp.algorithm.types import LearnerConfig, Window
from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.distributions import Distribution
from a3c_exp.optimizers.flat_parameters import ParameterLayout


class WindowStat(IntEnum):
    """What stands where in the figures that come with each gradient. Sums run over the window's valid steps.

    ``max_probability_sum`` adds up the probability of the policy's most likely action; it is 0 for families that have none.
    """

    loss = 0
    policy_loss = 1
    value_loss = 2
    entropy = 3
    grad_norm = 4
    steps = 5
    target_sum = 6
    target_square_sum = 7
    error_sum = 8
    error_square_sum = 9
    value_sum = 10
    value_square_sum = 11
    entropy_sum = 12
    max_probability_sum = 13
    clipped_grad_norm = 14


WindowLoss = Callable[..., tuple[Tensor, Tensor]]


def window_loss(model: ActorCritic, layout: ParameterLayout, config: LearnerConfig) -> WindowLoss:
    """The function ``(weights [P], *window) -> (loss, figures [len(Stat)])``.

    The window is one worker's, ``[n, ...]``, or that of G workers who share these weights, ``[G, n, ...]``. Behind it may stand
    each worker's own entropy coefficient, ``[]`` or ``[G]``, and behind that the discount factor, ``[]``: as numbers that are
    given they are no part of what is compiled. It is pure, so it can be stacked over workers, differentiated with respect to
    the flat vector, taped and compiled.
    """

    fields = len(Window._fields)

    def loss(flat: Tensor, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        window = Window._make(inputs[:fields])
        beside = inputs[fields:]
        own_coef = beside[0] if beside else None
        gamma = beside[1] if len(beside) > 1 else config.gamma
        output = replay(model, layout.unflatten(flat), window, config.bptt)
        # What stands behind a window's end must not reach back through the recursion, whatever it is.
        reward = torch.where(window.valid > 0, window.reward, 0.0)
        target = n_step_returns(reward, window.terminated, window.trajectory_end, window.next_value, gamma)
        terms = a3c_loss(
            model.distribution, output.parameters, output.value, window.action, target, window.valid, config.loss, own_coef
        )
        return terms.total, window_stats(terms, target, output, window.valid, model.distribution)

    return loss


def window_stats(terms: LossTerms, target: Tensor, output: PolicyValue, valid: Tensor, distribution: Distribution) -> Tensor:
    """What is worth knowing of a window, ``[len(Stat)]``; the gradient's norms are filled in once there is a gradient."""
    parameters, value = output.parameters.detach(), output.value.detach()
    error = target - value
    entropy = distribution.entropy(parameters)
    confidence = distribution.max_probability(parameters).nan_to_num()  # NaN is what a family without probabilities says
    steps = torch.stack([target, target * target, error, error * error, value, value * value, entropy, confidence])
    sums = steps.flatten(1) @ valid.flatten()  # all sums over steps by one product
    no_norm = torch.zeros_like(sums[:1])
    reduced = torch.stack([term.detach() for term in terms])
    return torch.cat([reduced, no_norm, valid.sum().unsqueeze(0), sums, no_norm])


def clip_gradients(gradients: Tensor, stats: Tensor, max_norm: float | None) -> tuple[Tensor, Tensor]:
    """Gradients ``[R, P]``, scaled down to an L2 norm of at most ``max_norm``; and ``window_stats [R, len(Stat)]`` with their
    norms before and after that in the places kept for them."""
    norms = clip_by_norm(gradients, max_norm)
    shortened = norms if max_norm is None else norms.clamp(max=max_norm)
    before, behind = stats[:, : WindowStat.grad_norm], stats[:, WindowStat.grad_norm + 1 : WindowStat.clipped_grad_norm]
    return gradients, torch.cat([before, norms.unsqueeze(1), behind, shortened.unsqueeze(1)], dim=1)


def clip_by_norm(gradients: Tensor, max_norm: float | None) -> Tensor:
    """Scale each row's gradient in ``[R, P]`` down to an L2 norm of at most ``max_norm``, in place; returns norms ``[R]``.

    Pascanu et al. 2013 (arXiv:1211.5063), Algorithm 1.
    """
    norms: Tensor = torch.linalg.vector_norm(gradients, dim=1)
    if max_norm is not None:
        gradients.mul_((max_norm / (norms + 1e-6)).clamp(max=1.0).unsqueeze(1))
    return norms


def replay(model: ActorCritic, weights: dict[str, Tensor], window: Window, bptt: int | None = None) -> PolicyValue:
    """The model's output ``[..., n, *]`` over a window ``[..., n]``, from the recurrent state at its start.

    The state is carried through the window, so that gradients flow back through it (cut every ``bptt`` steps, if a number is
    given), and reset where an episode begins.
    """
    if model.hidden_state_size == 0:
        # One long batch: layers multiply a matrix faster than they do a stack of small ones.
        shape = window.reward.shape
        output = functional_forward(
            model, weights, window.observation.flatten(0, len(shape) - 1), window.hidden_state.new_zeros(0)
        )
        return PolicyValue(output.parameters.view(*shape, -1), output.value.view(shape), window.hidden_state)
    prefixed = {f"model.{name}": weight for name, weight in weights.items()}
    unrolled: PolicyValue = functional_call(
        _UnrollModule(model), prefixed, (window.observation, window.episode_start, window.hidden_state, bptt)
    )
    return unrolled


class _UnrollModule(nn.Module):
    """A model whose ``forward`` is its ``unroll``, since ``functional_call`` knows no other method."""

    def __init__(self, model: ActorCritic) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Any) -> PolicyValue:
        return self.model.unroll(*inputs)


def functional_forward(
    model: ActorCritic, weights: dict[str, Tensor], observation: Tensor, hidden_state: Tensor
) -> PolicyValue:
    """The model with other weights than its own."""
    output: Any = functional_call(model, weights, (observation, hidden_state))
    assert isinstance(output, PolicyValue), (
        f"{type(model).__name__}.forward must return PolicyValue, not {type(output).__name__}"
    )
    return output
