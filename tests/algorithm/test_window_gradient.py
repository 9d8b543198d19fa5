"""Stacked gradients against plain modules, plain loops and torch's own autograd."""

import itertools
import math
import warnings
from collections.abc import Callable
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, Normal

from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.algorithm.types import LearnerConfig, Window
from a3c_exp.algorithm.window_gradient import clip_gradients, functional_forward, replay, window_loss
from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.compile.vectorize import vectorize
from a3c_exp.config.enums import Reduction, ValueLoss
from a3c_exp.models.base import ActorCritic
from a3c_exp.models.recurrent_mlp import RecurrentMLP
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from tests.support.small_gru import SmallGRU

STAT = StatisticsTable().columns

K, N, GAMMA = 4, 6, 0.9
TAKEN = [6, 4, 1, 5]  # steps that each worker took


def mlp(space: Box | Discrete) -> SeparateMLP:
    return SeparateMLP(Box(-1.0, 1.0, (2,)), space, actor_hidden=(5, 4), critic_hidden=(3,), weight_std=None, seed=1)


MODELS: dict[str, Callable[[], ActorCritic]] = {
    "normal": lambda: mlp(Box(-2.0, 2.0, (2,))),
    "categorical": lambda: mlp(Discrete(3)),
    "recurrent": SmallGRU,
    "recurrent loop": lambda: SmallGRU(stackable=False),
}


def own_weights(layout: ParameterLayout, model: ActorCritic) -> Tensor:
    """``[K, P]``, another set for each worker."""
    return layout.flatten(model) + 0.3 * torch.randn(K, layout.size, generator=torch.Generator().manual_seed(2))


def window(model: ActorCritic) -> Window:
    """Worker 0 goes through a termination and a truncation, worker 1 starts an episode, worker 3 ends with one."""
    generator = torch.Generator().manual_seed(3)
    flags = torch.zeros(4, K, N)
    valid, first, terminated, cut = flags
    for k, taken in enumerate(TAKEN):
        valid[k, :taken] = 1
        cut[k, taken - 1] = 1
    terminated[0, 1] = cut[0, 1] = first[0, 2] = 1
    cut[0, 3] = first[0, 4] = 1
    first[1, 0] = 1
    terminated[3, 4] = 1
    discrete = model.distribution.max_entropy is not None
    return Window(
        observation=torch.randn(K, N, 2, generator=generator),
        action=torch.randint(0, 3, (K, N), generator=generator) if discrete else 2 * torch.randn(K, N, 2, generator=generator),
        reward=torch.randn(K, N, generator=generator),
        terminated=terminated.bool(),
        trajectory_end=cut.bool(),
        next_value=torch.randn(K, N, generator=generator),
        valid=valid,
        episode_start=first,
        hidden_state=torch.randn(K, model.hidden_state_size, generator=generator),
    )


def target_of_step(window: Window, k: int, t: int) -> float:
    """Forward along the worker's own chain, straight from the definition."""
    total, discount = 0.0, 1.0
    for s in range(t, TAKEN[k]):
        total += discount * float(window.reward[k, s])
        discount *= GAMMA
        if window.terminated[k, s]:
            return total
        if window.trajectory_end[k, s]:
            return total + discount * float(window.next_value[k, s])
    raise AssertionError("a chain must end inside its window")


def looped_gradient(
    model: ActorCritic, weights: Tensor, window: Window, k: int, spec: LossConfig, bptt: int | None = None
) -> tuple[Tensor, Tensor]:
    """One worker's gradient and loss from a module of its own, step by step."""
    own = deepcopy(model)
    nn.utils.vector_to_parameters(weights[k].clone(), own.parameters())
    state = window.hidden_state[k].clone()
    policy, squared, entropy = (torch.zeros(()) for _ in range(3))
    for t in range(TAKEN[k]):
        if window.episode_start[k, t]:
            state = torch.zeros_like(state)
        if bptt is not None and t % bptt == 0:
            state = state.detach()
        parameters, value, state = own(window.observation[k, t], state)
        law = Independent(Normal(*parameters.chunk(2)), 1) if parameters.numel() == 4 else Categorical(logits=parameters)
        error = target_of_step(window, k, t) - value
        policy = policy - law.log_prob(window.action[k, t]) * error.detach()
        huber = 0.5 * error**2 if abs(error.item()) < 1 else error.abs() - 0.5
        squared = squared + (error**2 if spec.value_loss is ValueLoss.mse else huber)
        entropy = entropy + law.entropy()
    terms = []
    for term in ("policy", "value", "entropy"):
        total = {"policy": policy, "value": squared, "entropy": entropy}[term]
        terms.append(total / TAKEN[k] if getattr(spec, f"{term}_reduction") is Reduction.mean else total)
    loss = terms[0] + spec.value_coef * terms[1] - coefs(spec)[k] * terms[2]
    gradients = torch.autograd.grad(loss, list(own.parameters()), materialize_grads=True)
    return torch.cat([gradient.reshape(-1) for gradient in gradients]), loss.detach()


def coefs(spec: LossConfig) -> Tensor:
    """``[K]`` each worker's own entropy coefficient, so that a mix-up shows."""
    return spec.entropy_coef * torch.tensor([1.0, 3.0, 0.0, 2.0])


MEANS = LossConfig(value_coef=0.7, entropy_coef=0.1)
SUMS = LossConfig(0.5, 0.01, ValueLoss.huber, Reduction.sum, Reduction.sum, Reduction.sum)


@pytest.mark.parametrize("spec", [MEANS, SUMS], ids=["means", "sums"])
@pytest.mark.parametrize("name", list(MODELS))
def test_stacked_gradients_are_those_of_plain_modules_in_plain_loops(name: str, spec: LossConfig) -> None:
    model = MODELS[name]()
    layout = ParameterLayout.from_module(model)
    weights, given = own_weights(layout, model), window(model)
    loss = window_loss(model, layout, LearnerConfig(gamma=GAMMA, n_step=N, loss=spec))
    stacked = vectorize(loss, weights, (*given, coefs(spec)), model.stackable, differentiate=True)
    for _ in range(2):
        gradients, figures = stacked(*given, coefs(spec))
        assert gradients.shape == (K, layout.size)
        for k in range(K):
            gradient, total = looped_gradient(model, weights, given, k, spec)
            np.testing.assert_allclose(gradients[k], gradient, rtol=1e-3, atol=1e-5)
            assert figures[k, STAT["loss"]].item() == pytest.approx(total.item(), rel=1e-4, abs=1e-5)
        weights.add_(0.05)  # a pull of other weights, into the same memory


def test_gradients_flow_back_through_the_window() -> None:
    """The loop is exact only with backpropagation through time: without it, it must differ, or the test above is blind."""
    model = SmallGRU()
    layout = ParameterLayout.from_module(model)
    weights, given = own_weights(layout, model), window(model)
    loss = window_loss(model, layout, LearnerConfig(gamma=GAMMA, n_step=N, loss=MEANS))
    gradients, _ = vectorize(loss, weights, (*given, coefs(MEANS)), differentiate=True)(*given, coefs(MEANS))
    truncated, _ = looped_gradient(model, weights, given, 1, MEANS, bptt=1)
    assert (gradients[1] - truncated).abs().max() > 1e-2


RECURRENT: dict[str, Callable[[], ActorCritic]] = {
    "default loop": SmallGRU,
    "gru": lambda: RecurrentMLP(Box(-1.0, 1.0, (2,)), Discrete(3), hidden=(5,), hidden_size=4, seed=1),
    "lstm": lambda: RecurrentMLP(Box(-1.0, 1.0, (2,)), Discrete(3), hidden=(), cell="lstm", hidden_size=3, seed=1),
}


@pytest.mark.parametrize("bptt", [1, 2, 4])
@pytest.mark.parametrize("name", list(RECURRENT))
def test_truncated_back_propagation_is_a_loop_that_detaches(name: str, bptt: int) -> None:
    """Counted from the window's start, no matter which workers begin an episode meanwhile; all workers stacked and traced."""
    model = RECURRENT[name]()
    layout = ParameterLayout.from_module(model)
    weights, given = own_weights(layout, model), window(model)
    loss = window_loss(model, layout, LearnerConfig(gamma=GAMMA, n_step=N, loss=MEANS, bptt=bptt))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        stacked = vectorize(loss, weights, (*given, coefs(MEANS)), differentiate=True)
    for _ in range(2):
        gradients, _ = stacked(*given, coefs(MEANS))
        for k in range(K):
            cut, _ = looped_gradient(model, weights, given, k, MEANS, bptt)
            np.testing.assert_allclose(gradients[k], cut, rtol=1e-3, atol=1e-5)
        whole, _ = looped_gradient(model, weights, given, 3, MEANS)
        assert (gradients[3] - whole).abs().max() > 1e-4, "or nothing was cut"
        weights.add_(0.05)


@pytest.mark.parametrize("name", list(RECURRENT))
def test_windows_that_share_weights_are_replayed_like_single_ones(name: str) -> None:
    model = RECURRENT[name]()
    layout = ParameterLayout.from_module(model)
    weights, given = layout.unflatten(own_weights(layout, model)[0]), window(model)
    together = replay(model, weights, given)
    for k in range(K):
        alone = replay(model, weights, Window(*(field[k] for field in given)))
        for one, same in zip(together, alone, strict=True):
            torch.testing.assert_close(one[k], same, rtol=1e-4, atol=1e-5)


def test_nothing_before_an_episode_reaches_what_comes_after_it_began() -> None:
    """Worker 0's steps 2 and 3 are an episode of their own: other observations and states before it change nothing there."""
    model = SmallGRU()
    layout = ParameterLayout.from_module(model)
    given = window(model)
    only = torch.zeros(K, N)
    only[0, 2:4] = 1
    given = given._replace(valid=only)
    other = given._replace(observation=given.observation.clone(), hidden_state=given.hidden_state + 1.0)
    other.observation[0, :2] += 1.0
    loss = window_loss(model, layout, LearnerConfig(gamma=GAMMA, n_step=N, loss=MEANS))
    stacked = vectorize(loss, own_weights(layout, model), (*given, coefs(MEANS)), differentiate=True)
    for one, same in zip(stacked(*given, coefs(MEANS)), stacked(*other, coefs(MEANS)), strict=True):
        assert torch.equal(one[0], same[0])


@pytest.mark.parametrize("name", ["normal", "categorical", "recurrent"])
def test_what_stands_behind_a_windows_end_trains_nobody(name: str) -> None:
    model = MODELS[name]()
    layout = ParameterLayout.from_module(model)
    clean = window(model)
    loss = window_loss(model, layout, LearnerConfig(gamma=GAMMA, n_step=N, loss=MEANS))
    stacked = vectorize(loss, own_weights(layout, model), (*clean, coefs(MEANS)), differentiate=True)
    for field, rubbish in itertools.product(("reward", "next_value"), (math.nan, math.inf, 1e30)):
        dirty = clean._replace(**{field: torch.where(clean.valid > 0, getattr(clean, field), rubbish)})
        for one, same in zip(stacked(*dirty, coefs(MEANS)), stacked(*clean, coefs(MEANS)), strict=True):
            assert torch.equal(one, same)
            assert torch.isfinite(one).all()


def test_figures_speak_of_valid_steps_only() -> None:
    model = MODELS["categorical"]()
    layout = ParameterLayout.from_module(model)
    weights, given = own_weights(layout, model), window(model)
    _, figures = vectorize(
        window_loss(model, layout, LearnerConfig(gamma=GAMMA, n_step=N, loss=MEANS)), weights, (*given, coefs(MEANS))
    )(*given, coefs(MEANS))
    for k in range(K):
        target = np.array([target_of_step(given, k, t) for t in range(TAKEN[k])])
        output = functional_forward(
            model, layout.unflatten(weights[k]), given.observation[k, : TAKEN[k]], given.hidden_state[k]
        )
        value = output.value.detach().numpy()
        error = target - value
        want = {
            STAT["steps"]: TAKEN[k],
            STAT["target_sum"]: target.sum(),
            STAT["target_square_sum"]: (target**2).sum(),
            STAT["error_sum"]: error.sum(),
            STAT["error_square_sum"]: (error**2).sum(),
            STAT["value_sum"]: value.sum(),
            STAT["value_square_sum"]: (value**2).sum(),
            STAT["value_loss"]: (error**2).mean(),
            STAT["entropy_term"]: Categorical(logits=output.parameters).entropy().mean().item(),
            STAT["entropy_sum"]: Categorical(logits=output.parameters).entropy().sum().item(),
            STAT["max_probability_sum"]: output.parameters.softmax(-1).amax(-1).sum().item(),
        }
        for stat, number in want.items():
            assert figures[k, stat].item() == pytest.approx(number, rel=1e-4, abs=1e-5), stat.name
        parts = (
            figures[k, STAT["policy_loss"]]
            + 0.7 * figures[k, STAT["value_loss"]]
            - coefs(MEANS)[k] * figures[k, STAT["entropy_term"]]
        )
        assert figures[k, STAT["loss"]].item() == pytest.approx(parts.item(), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("stackable", [True, False])
def test_each_worker_is_clipped_to_its_own_norm_where_it_has_one(stackable: bool) -> None:
    model = MODELS["categorical"]()
    layout, config = ParameterLayout.from_module(model), LearnerConfig(gamma=GAMMA, n_step=N, loss=MEANS)
    weights, given = own_weights(layout, model), window(model)
    extra = coefs(MEANS), torch.full((K,), GAMMA)
    loss, clip = window_loss(model, layout, config), partial(clip_gradients, table=config.statistics, max_norm=None)
    whole, _ = vectorize(loss, weights, (*given, *extra), stackable, differentiate=True)(*given, *extra)
    norms = whole.norm(dim=1)
    for shares in ([0.5, 2.0, 0.1, 0.0], [3.0, 0.2, 0.7, 1.5]):  # read anew at each call
        given_norms = norms * torch.tensor(shares)
        inputs = *given, *extra, given_norms
        clipped, stats = vectorize(loss, weights, inputs, stackable, differentiate=True, output_transform=clip)(*inputs)
        np.testing.assert_allclose(clipped, whole * torch.tensor(shares).clamp(max=1.0).unsqueeze(1), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(stats[:, STAT["grad_norm"]], norms, rtol=1e-5)
        np.testing.assert_allclose(stats[:, STAT["grad_norm_clipped"]], torch.minimum(norms, given_norms), rtol=1e-5)


def test_a_model_that_returns_a_bare_tuple_is_refused_by_name() -> None:
    class Sloppy(SmallGRU):
        def forward(self, observation: Tensor, hidden_state: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
            output = super().forward(observation, hidden_state)
            return output.parameters, output.value

    with pytest.raises(AssertionError, match=r"Sloppy\.forward must return PolicyValue, not tuple"):
        functional_forward(Sloppy(), dict(Sloppy().named_parameters()), torch.zeros(2), torch.zeros(4))
