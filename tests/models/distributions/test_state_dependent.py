"""Exploration that depends on the state: density against torch's, samples by Monte Carlo, and how long noise is kept."""

import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from torch import Tensor, distributions

from a3c_exp.algorithm.random_streams import sde_noise, window_noise
from a3c_exp.models.distributions import ProductDistribution, StateDependentNoise
from a3c_exp.models.heads import HeadConfig, StateDependentNoiseHead, make_head
from a3c_exp.models.separate_mlp import SeparateMLP

ACTIONS = Box(-1.0, 1.0, (2,))
F, D, SAMPLES = 5, 2, 40_000


def head(**settings: object) -> StateDependentNoiseHead:
    made = make_head(F, ACTIONS, HeadConfig(use_sde=True, **settings))
    assert isinstance(made, StateDependentNoiseHead)
    with torch.no_grad():
        made.log_std.copy_(torch.linspace(-1.0, 0.5, made.log_std.numel()))
    return made


def sigma(made: StateDependentNoiseHead) -> Tensor:
    """``[features, dimensions]`` as stable-baselines3 has it."""
    return made.log_std.exp().view(-1, F).T.expand(F, D)


@pytest.mark.parametrize("full_std", [True, False])
def test_density_and_entropy_are_those_of_the_gaussian_over_all_exploration_matrices(full_std: bool) -> None:
    """Raffin et al.'s equation, as stable-baselines3 computes it with torch's Normal."""
    made, features = head(full_std=full_std), torch.randn(7, F)
    parameters = made(features)
    law = distributions.Normal(made.distribution.mode(parameters), torch.sqrt(features**2 @ sigma(made) ** 2 + 1e-6))
    action = torch.randn(7, D)
    torch.testing.assert_close(made.distribution.log_prob(parameters, action), law.log_prob(action).sum(-1))
    torch.testing.assert_close(made.distribution.entropy(parameters), law.entropy().sum(-1))
    assert made.log_std.numel() == (F * D if full_std else F)


def test_samples_over_many_matrices_follow_the_density_and_over_one_the_features() -> None:
    made, features = head(), torch.randn(F)
    parameters = made(features).detach()
    family = made.distribution
    assert isinstance(family, StateDependentNoise)
    noise = torch.from_numpy(np.random.default_rng(1).standard_normal((SAMPLES, family.noise_size), dtype=np.float32))
    actions = family.sample(parameters.expand(SAMPLES, -1), noise)
    mean, std = family.mean_and_std(parameters).split(D)
    np.testing.assert_allclose(actions.mean(0), mean, atol=5 * float(std.max()) / math.sqrt(SAMPLES))
    np.testing.assert_allclose(actions.std(0), std, rtol=0.03)
    assert abs(np.corrcoef(actions.numpy().T)[0, 1]) < 0.03
    surprise = -family.log_prob(parameters.expand(SAMPLES, -1), actions)
    assert abs(surprise.mean() - family.entropy(parameters)).item() < 4 * surprise.std().item() / math.sqrt(SAMPLES)
    # With one matrix the noise is linear in the features: equal states get equal noise, and the negated state the negated one.
    several = torch.stack([features, features, -features, 2 * features])
    parameters = made(several).detach()
    deviation = family.sample(parameters, noise[0].expand(4, -1)) - family.mode(parameters)
    torch.testing.assert_close(deviation, torch.tensor([[1.0], [1.0], [-1.0], [2.0]]) * deviation[0])
    matrix = sigma(made) * noise[0].view(D, F).T
    torch.testing.assert_close(deviation, (several @ matrix).detach())


@pytest.mark.parametrize("learn_features", [False, True])
def test_features_learn_from_the_standard_deviation_only_if_asked(learn_features: bool) -> None:
    made, features = head(learn_features=learn_features), torch.randn(3, F, requires_grad=True)
    to_features, to_sigma = torch.autograd.grad(made.distribution.entropy(made(features)).sum(), [features, made.log_std])
    assert bool((to_features != 0).all()) is learn_features
    assert (to_sigma > 0).all()


@pytest.mark.parametrize("settings", [{"weight_std": 0.1}, {"weight_std": None}, {"weight_std": None, "orthogonal": True}])
def test_sigma_begins_where_it_is_told_to_however_weights_are_drawn(settings: dict) -> None:
    config = HeadConfig(use_sde=True, log_std_init=-2.0)
    model = SeparateMLP(Box(-1.0, 1.0, (3,)), ACTIONS, (F,), (4,), head=config, **settings)
    assert isinstance(model.policy, StateDependentNoiseHead)
    assert model.policy.log_std.shape == (F * D,)
    assert (model.policy.log_std == -2.0).all()


def changes(noise: np.ndarray) -> list[int]:
    """The steps at which noise is not that of the step before."""
    return [0, *(1 + (noise[1:] != noise[:-1]).any(axis=1).nonzero()[0]).tolist()]


@pytest.mark.parametrize(
    ("freq", "expected"),
    [
        (-1, [0, 4, 8, 12, 16, 20]),
        (1, list(range(24))),
        (3, [0, 3, 4, 7, 8, 11, 12, 15, 16, 19, 20, 23]),  # and at each window's start, as in stable-baselines3
        (4, [0, 4, 8, 12, 16, 20]),
        (9, [0, 8, 16]),  # longer than a window: in whole windows
        (1000, [0]),
    ],
)
def test_noise_is_kept_for_so_many_steps(freq: int, expected: list[int]) -> None:
    family = StateDependentNoise(D, F, freq)
    noise = np.concatenate([sde_noise(family, 4, 3, 1, window) for window in range(6)])
    assert noise.shape == (24, F * D) and noise.dtype == np.float32
    assert changes(noise) == expected


def test_a_workers_noise_depends_on_its_own_stream_alone_and_comes_last() -> None:
    family = ProductDistribution([StateDependentNoise(D, F), *(make_head(F, Dict(a=Discrete(3)), HeadConfig()).distribution,)])
    alone = [sde_noise(family, 4, seed, worker, window) for seed in (0, 1) for worker in (0, 1) for window in (0, 1, 64)]
    assert len({noise.tobytes() for noise in alone}) == len(alone)
    whole = window_noise(family, 4, 1, 1, 64)
    assert whole.shape == (4, family.noise_size) == (4, 1 + F * D)
    assert np.array_equal(whole[:, 1:], alone[-1])
    assert len(changes(whole[:, :1])) == 4  # what is no exploration matrix is drawn for each step


def test_the_bits_of_a_row_do_not_depend_on_the_rows_beside_it() -> None:
    family, generator = StateDependentNoise(3, 37), torch.Generator().manual_seed(5)
    parameters = torch.randn(23, family.parameters_size, generator=generator)
    noise = torch.randn(23, family.noise_size, generator=generator)

    def everything(parameters: Tensor, noise: Tensor) -> list[Tensor]:
        leaf = parameters.clone().requires_grad_()
        action = family.sample(parameters, noise)
        results = [action, family.log_prob(leaf, action), family.entropy(leaf)]
        return [*(result.detach() for result in results), *torch.autograd.grad(results[1].sum() + results[2].sum(), leaf)]

    together = everything(parameters, noise)
    for first, last in ((0, 1), (1, 8), (5, 22)):
        for part, whole in zip(everything(parameters[first:last], noise[first:last]), together, strict=True):
            assert torch.equal(part, whole[first:last])
