"""Parts of different kinds side by side: each is on its own, and nothing gets mixed up on the way."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple
from torch import Tensor, distributions
from torch.func import vmap

from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.algorithm.types import LearnerConfig, Window
from a3c_exp.algorithm.window_gradient import functional_forward, window_loss
from a3c_exp.compile.vectorize import vectorize
from a3c_exp.models.distributions import (
    Bernoulli,
    Beta,
    Distribution,
    MultiCategorical,
    Normal,
    NormalMixture,
    ProductDistribution,
    SquashedNormal,
    StateDependentNoise,
    draw_noise,
)
from a3c_exp.models.heads import HeadConfig
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.optimizers.flat_parameters import ParameterLayout

FAMILIES: list[Distribution] = [
    MultiCategorical([2, 2]),
    MultiCategorical([2, 5, 1]),
    Bernoulli(3),
    NormalMixture(2, 3),
    SquashedNormal([-2.0, 0.0], [2.0, 1.0]),
    Beta([-2.0, 0.0], [2.0, 1.0]),
    ProductDistribution([Normal(2), MultiCategorical([3, 4]), NormalMixture(1, 2), Bernoulli(2)]),
    ProductDistribution([MultiCategorical([3]), Bernoulli(2)]),
    StateDependentNoise(2, 5),
    ProductDistribution([StateDependentNoise(2, 3), MultiCategorical([3]), Normal(1), StateDependentNoise(1, 3)]),
]
MIXED = FAMILIES[6]
K, N = 3, 4


def drawn(family: Distribution, *shape: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Parameters that may also be standard deviations, or a Beta's, and noise."""
    parameters = torch.rand(*shape, family.parameters_size, generator=torch.Generator().manual_seed(seed))
    parameters = parameters + (1.0 if isinstance(family, Beta) else 0.1)
    generator = np.random.default_rng(seed)
    shared = generator.standard_normal((*shape, family.sde_noise), np.float32)
    return parameters, torch.from_numpy(np.concatenate([draw_noise(family, generator, shape), shared], -1))


def names(family: Distribution) -> str:
    return type(family).__name__


def test_a_joint_is_the_sum_of_its_parts_and_each_part_is_torchs() -> None:
    parameters, noise = drawn(MIXED, 6)
    mean, std, three, four, mixture, switches = torch.split(parameters, [2, 2, 3, 4, 6, 2], dim=-1)
    logits, means, stds = mixture.chunk(3, dim=-1)
    parts = [
        distributions.Independent(distributions.Normal(mean, std), 1),
        distributions.Categorical(logits=three),
        distributions.Categorical(logits=four),
        distributions.MixtureSameFamily(distributions.Categorical(logits=logits), distributions.Normal(means, stds)),
        distributions.Independent(distributions.Bernoulli(logits=switches), 1),
    ]
    action = MIXED.sample(parameters, noise)
    assert action.dtype == torch.float32 and action.shape == (6, 7)
    pieces = action[:, :2], action[:, 2], action[:, 3], action[:, 4], action[:, 5:]
    exact = sum(part.log_prob(piece) for part, piece in zip(parts, pieces, strict=True))
    torch.testing.assert_close(MIXED.log_prob(parameters, action), exact)
    estimated = NormalMixture(1, 2).entropy(mixture)
    known = sum(part.entropy() for place, part in enumerate(parts) if place != 3)
    torch.testing.assert_close(MIXED.entropy(parameters), known + estimated)


def test_each_part_of_a_joint_draws_from_its_own_noise() -> None:
    parameters, noise = drawn(MIXED, 6)
    uniform, normal = noise[:, : MIXED.uniform_noise], noise[:, MIXED.uniform_noise :]
    own = [normal[:, :2], uniform[:, :2], torch.cat([uniform[:, 2:3], normal[:, 2:]], -1), uniform[:, 3:]]
    split = torch.split(parameters, [4, 7, 6, 2], dim=-1)
    alone = [component.sample(its, luck) for component, its, luck in zip(MIXED.components, split, own, strict=True)]
    assert torch.equal(MIXED.sample(parameters, noise), torch.cat([action.float() for action in alone], -1))
    modes = [component.mode(its).float() for component, its in zip(MIXED.components, split, strict=True)]
    assert torch.equal(MIXED.mode(parameters), torch.cat(modes, -1))


@pytest.mark.parametrize("family", FAMILIES, ids=names)
def test_leading_shapes_are_kept_rows_do_not_mix_and_vmap_agrees(family: Distribution) -> None:
    parameters, noise = drawn(family, 2, 3)
    action = family.sample(parameters, noise)
    assert action.dtype == (torch.float32 if family.max_entropy is None else torch.int64)
    assert action.shape == family.mode(parameters).shape == (2, 3, family.action_size)
    figures = (family.log_prob(parameters, action), family.entropy(parameters), family.max_probability(parameters))
    assert all(figure.shape == (2, 3) for figure in figures)

    def every(parameters: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        action = family.sample(parameters, noise)
        figures = family.log_prob(parameters, action), family.entropy(parameters), family.max_probability(parameters)
        return action, family.mode(parameters), *figures

    before = torch.get_rng_state()
    for row in np.ndindex(2, 3):
        for one, together in zip(every(parameters[row], noise[row]), (action, family.mode(parameters), *figures), strict=True):
            torch.testing.assert_close(one, together[row], equal_nan=True)
    for one, together in zip(vmap(every)(parameters, noise), every(parameters, noise), strict=True):
        torch.testing.assert_close(one, together, equal_nan=True)
    assert torch.equal(torch.get_rng_state(), before)  # all luck comes from the noise that was given


SPACES: dict[str, tuple[Space, str | HeadConfig]] = {
    "choices of one size": (MultiDiscrete([3, 3]), "auto"),
    "choices of several sizes": (MultiDiscrete([[2, 5], [1, 3]]), "auto"),
    "switches": (MultiBinary(3), "auto"),
    "mixture": (Box(np.array([-1.0, 0.0]), np.array([3.0, np.inf]), dtype=np.float64), "mixture"),
    "squashed": (Box(np.array([-1.0, 0.0]), np.array([3.0, 0.25]), dtype=np.float64), "squashed_gaussian"),
    "beta": (Box(-2.0, 2.0, (2,)), "beta"),
    "state-dependent noise": (Box(-2.0, 2.0, (2,)), HeadConfig(use_sde=True, full_std=False)),
    "mixed with state-dependent noise": (
        Dict(a=Tuple([Discrete(3), Box(-1.0, 1.0, (2,))]), b=MultiBinary(2)),
        HeadConfig(use_sde=True, learn_features=True),
    ),
    "mixed": (Dict(a=Tuple([Discrete(3), Box(-1.0, 1.0, (2,))]), b=MultiBinary(2)), "auto"),
    "mixed with a mixture": (Dict(a=Tuple([Discrete(3), Box(-1.0, 1.0, (2,))]), b=MultiDiscrete([2, 4])), "mixture"),
    "mixed with a beta": (Dict(a=Tuple([Discrete(3), Box(-1.0, 1.0, (2,))]), b=MultiBinary(2)), "beta"),
    "nothing but discrete": (Tuple([Discrete(5), Discrete(2), MultiBinary(2)]), "auto"),
}


@pytest.mark.filterwarnings("error:.*gives other values when traced")
@pytest.mark.parametrize("name", list(SPACES))
def test_acting_and_learning_are_traced_and_are_worker_by_worker(name: str) -> None:
    """With the real loss, so that log-probability, entropy and their gradients all go through the tape."""
    space, kind = SPACES[name]
    head = kind if isinstance(kind, HeadConfig) else HeadConfig(kind=kind)
    model = SeparateMLP(Box(-1.0, 1.0, (2,)), space, (5,), (3,), head=head, weight_std=0.5)
    family, layout = model.distribution, ParameterLayout.from_module(model)
    generator = torch.Generator().manual_seed(2)
    weights = layout.flatten(model) + 0.3 * torch.randn(K, layout.size, generator=generator)

    def act(flat: Tensor, observation: Tensor, noise: Tensor) -> tuple[Tensor]:
        output = functional_forward(model, layout.unflatten(flat), observation, observation[..., :0])
        return (family.sample(output.parameters, noise),)

    loss = window_loss(model, layout, LearnerConfig(gamma=0.9, n_step=N, loss=LossConfig(entropy_coef=0.1)))
    acting = learning = None
    for call_number in range(4):  # the executor optimizes after a few calls; what it then gives must be the same
        observation = torch.randn(K, N, 2, generator=generator)
        _, noise = drawn(family, K, N, seed=call_number)
        acting = acting or vectorize(act, weights, (observation, noise))
        with torch.no_grad():
            action = acting(observation, noise)[0].clone()  # a window holds no inference tensors
        alone = torch.stack([act(weights[k], observation[k], noise[k])[0] for k in range(K)])
        torch.testing.assert_close(action, alone, rtol=1e-4, atol=1e-5)
        window = Window(
            observation, action, torch.randn(K, N, generator=generator), torch.zeros(K, N, dtype=torch.bool),
            torch.tensor([False] * (N - 1) + [True]).expand(K, N).clone(), torch.randn(K, N, generator=generator),
            torch.ones(K, N), torch.zeros(K, N), torch.zeros(K, 0),
        )  # fmt: skip
        learning = learning or vectorize(loss, weights, tuple(window), differentiate=True)
        with torch.no_grad():
            gradients, figures = learning(*window)
        assert gradients.isfinite().all() and gradients.abs().sum() > 0
        for k in range(K):
            flat = weights[k].clone().requires_grad_()
            total, one = loss(flat, *(field[k] for field in window))
            torch.testing.assert_close(gradients[k], torch.autograd.grad(total, flat)[0], rtol=1e-3, atol=1e-5)
            torch.testing.assert_close(figures[k], one.detach(), rtol=1e-4, atol=1e-5)
        weights.add_(0.1 * torch.randn(weights.shape, generator=generator))  # a pull: in place
