"""From a window to a gradient: the learning half of A3C, for one worker's weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from a3c_exp.algorithm.loss import LossTerms, a3c_loss
from a3c_exp.algorithm.normalization import discounted_returns
from a3c_exp.algorithm.returns import n_step_returns
from a3c_exp.algorithm.types import LearnerConfig, Window
from a3c_exp.algorithm.window_stats import CLIPPED_NORM, GRADIENT_NORM, StatisticsTable, WindowOutputs
from a3c_exp.models.base import ActorCritic, PolicyValue, network_input
from a3c_exp.models.distributions import Distribution
from a3c_exp.models.normalization import NormalizedModel, packed_size
from a3c_exp.optimizers.flat_parameters import ParameterLayout

KERNEL_ROWS = 8  # a multiple of what the kernels of MKL and oneDNN take at a time, with AVX2 and with AVX-512
WindowLoss = Callable[..., tuple[Tensor, ...]]


def window_loss(model: ActorCritic, layout: ParameterLayout, config: LearnerConfig) -> WindowLoss:
    """The function ``(weights [P], *window, *extra_inputs) -> (loss, window_stats [len(config.statistics)])``, pure.

    The window is one worker's, ``[n, ...]``, or that of G workers that share these weights, ``[G, n, ...]``. ``extra_inputs``
    are each worker's own entropy coefficient, ``[]`` or ``[G]``; the discount factor, ``[]``; each worker's discounted return
    before the window, ``[]`` or ``[G]``, where something is normalized; and the norm to clip to, ``[]``, where it has a
    schedule. Inputs are not compiled in, and may differ from call to call.

    The norm to clip to is handed on. Where something is normalized, two outputs follow: the window's packed moments, and the
    discounted returns after it.
    """
    fields, outcome = len(Window._fields), window_outcome(model, config)

    def loss(flat: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        output = replay(model, layout.unflatten(flat), Window._make(inputs[:fields]), config.bptt)
        return outcome(flat, output, *inputs)

    return loss


def window_outcome(model: ActorCritic, config: LearnerConfig) -> WindowLoss:
    """What ``window_loss`` returns, as a function of the weights, the model's output over the window, and the same inputs."""
    fields = len(Window._fields)

    def outcome(flat: Tensor, output: PolicyValue, *inputs: Tensor) -> tuple[Tensor, ...]:
        window = Window._make(inputs[:fields])
        extra_inputs = inputs[fields:]
        entropy_coef = extra_inputs[0] if extra_inputs else None
        gamma = extra_inputs[1] if len(extra_inputs) > 1 else config.gamma
        # Rewards after a window's end may be anything and must not enter the recursion.
        reward = torch.where(window.valid > 0, window.reward, 0.0)
        normalized, max_norm = tuple[Tensor, ...](), extra_inputs[2:]
        if isinstance(model, NormalizedModel):
            normalized, max_norm = _normalization_outputs(model, window, reward, max_norm[0], gamma), max_norm[1:]
            if model.normalization.reward:
                reward = model.normalize_reward(reward, flat[-packed_size(model.features) :])
        target = n_step_returns(
            reward, window.terminated, window.trajectory_end, window.next_value, gamma, output.value, config.gae_lambda
        )
        terms = a3c_loss(
            model.distribution, output.parameters, output.value, window.action, target, window.valid, config.loss, entropy_coef
        )
        stats = window_stats(config.statistics, window, terms, target, output, model.distribution)
        return terms.total, stats, *max_norm, *normalized

    return outcome


def _normalization_outputs(
    model: NormalizedModel, window: Window, reward: Tensor, discounted_return: Tensor, gamma: float | Tensor
) -> tuple[Tensor, Tensor]:
    returns = None
    if model.normalization.reward:
        returns = discounted_returns(reward, window.episode_start, window.valid, discounted_return, gamma)
        discounted_return = returns[..., -1]
    return model.window_moments(network_input(window.observation), returns, window.valid).pack(), discounted_return.clone()


def window_stats(
    table: StatisticsTable, window: Window, terms: LossTerms, target: Tensor, output: PolicyValue, distribution: Distribution
) -> Tensor:
    """The statistics of a window in one vector ``[len(table)]``; the gradient's norms are zero until there is a gradient."""
    parameters, value = output.parameters.detach(), output.value.detach()
    outputs = WindowOutputs(
        window=window,
        parameters=parameters,
        value=value,
        target=target,
        error=target - value,
        entropy=distribution.entropy(parameters),
        max_probability=distribution.max_probability(parameters).nan_to_num(),  # NaN for densities
        terms=LossTerms(*(term.detach() for term in terms)),
        distribution=distribution,
    )
    steps = torch.stack([statistic.compute(outputs) for statistic in table.step_statistics if statistic.compute])
    sums = steps.flatten(1) @ window.valid.flatten()  # all sums over steps by one product
    no_norm = torch.zeros_like(sums[:1])
    numbers = torch.stack([statistic.compute(outputs) for statistic in table.window_statistics if statistic.compute])
    return torch.cat([numbers, no_norm, window.valid.sum().unsqueeze(0), sums, no_norm])


def clip_gradients(
    gradients: Tensor, stats: Tensor, *behind: Tensor, table: StatisticsTable, max_norm: float | None
) -> tuple[Tensor, ...]:
    """Gradients ``[R, P]``, scaled down to an L2 norm of at most ``max_norm``; and their statistics ``[R, len(table)]`` with
    the norms before and after that in their places. ``behind`` these two ``window_loss`` returns: where the
    norm has a schedule, each row's own ``[R]``, which counts instead of ``max_norm``; where something is normalized, the
    windows' packed moments ``[R, M]``, which are put into the gradients' last places, and the discounted returns, which follow.
    """
    own_norm, normalized = behind[: len(behind) % 2], behind[len(behind) % 2 :]
    limit = own_norm[0] if own_norm else max_norm
    norms = clip_by_norm(gradients, limit)
    clipped_norms = norms if limit is None else norms.clamp(max=limit)
    before, after = table.columns[GRADIENT_NORM.name], table.columns[CLIPPED_NORM.name]
    columns = [stats[:, :before], norms.unsqueeze(1), stats[:, before + 1 : after], clipped_norms.unsqueeze(1)]
    stats = torch.cat(columns, dim=1)
    if not normalized:
        return gradients, stats
    moments, discounted_returns = normalized
    return torch.cat([gradients[:, : -moments.shape[1]], moments], dim=1), stats, discounted_returns


def clip_by_norm(gradients: Tensor, max_norm: float | Tensor | None) -> Tensor:
    """Scale each row's gradient in ``[R, P]`` down to an L2 norm of at most ``max_norm``, which may be one a row ``[R]``, in
    place; returns norms ``[R]``: Pascanu et al. 2013 (arXiv:1211.5063), Algorithm 1."""
    norms: Tensor = torch.linalg.vector_norm(gradients, dim=1)
    if max_norm is not None:
        gradients.mul_((max_norm / (norms + 1e-6)).clamp(max=1.0).unsqueeze(1))
    return norms


def replay(model: ActorCritic, weights: dict[str, Tensor], window: Window, bptt: int | None = None) -> PolicyValue:
    """The model's output ``[..., n, *]`` over a window ``[..., n]``, from the recurrent state at its start. Gradients flow back
    through the state (cut every ``bptt`` steps, unless ``None``), which is reset where an episode begins."""
    if model.hidden_state_size == 0:
        shape = window.reward.shape
        observation = window.observation.flatten(0, len(shape) - 1)  # one large matrix product is faster than several small
        output = functional_forward(model, weights, observation, window.hidden_state.new_zeros(0))
        return PolicyValue(output.parameters.view(*shape, -1), output.value.view(shape), window.hidden_state)
    prefixed = {f"model.{name}": weight for name, weight in weights.items()}
    unrolled: PolicyValue = functional_call(
        _UnrollModule(model),
        prefixed,
        (network_input(window.observation), window.episode_start, window.hidden_state, bptt),
    )
    return unrolled


class _UnrollModule(nn.Module):
    """A model whose ``forward`` is its ``unroll``, which is the only method that ``functional_call`` calls."""

    def __init__(self, model: ActorCritic) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Any) -> PolicyValue:
        return self.model.unroll(*inputs)


def functional_forward(
    model: ActorCritic, weights: dict[str, Tensor], observation: Tensor, hidden_state: Tensor
) -> PolicyValue:
    """The model's output with these weights instead of its own."""
    output: Any = functional_call(model, weights, (network_input(observation), hidden_state))
    assert isinstance(output, PolicyValue), (
        f"{type(model).__name__}.forward must return PolicyValue, not {type(output).__name__}"
    )
    return output


def padded_forward(model: ActorCritic, weights: dict[str, Tensor], observation: Tensor, hidden_state: Tensor) -> PolicyValue:
    """The model's output for observations ``[n, *observation]``, the same to the last bit for each of them whatever n is.

    Kernels for matrices sum a row in another order where fewer rows than they take at a time are left over. So the last
    observation is repeated until n is a multiple of the rows that they take.
    """
    count = len(observation)
    missing = -count % KERNEL_ROWS
    if missing:
        observation, hidden_state = (
            torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) for rows in (observation, hidden_state)
        )
    output = functional_forward(model, weights, observation, hidden_state)
    return PolicyValue(*(rows[:count] for rows in output))
