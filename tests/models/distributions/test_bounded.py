"""Policies that keep to bounds against torch.distributions and scipy, their entropies by integration and by Monte Carlo."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, distributions

from a3c_exp.models.distributions import Beta, Distribution, SquashedNormal, draw_noise

LOW, HIGH = [-2.0, 0.0, -1.0], [2.0, 1.0, 5.0]
SAMPLES = 20_000


def squashed(mean: Tensor, std: Tensor, dimension: int) -> distributions.Distribution:
    low, high = LOW[dimension], HIGH[dimension]
    stretch = distributions.AffineTransform((low + high) / 2, (high - low) / 2)
    return distributions.TransformedDistribution(distributions.Normal(mean, std), [distributions.TanhTransform(), stretch])


def test_a_squashed_gaussian_has_the_density_of_torchs_transformed_one() -> None:
    generator = np.random.default_rng(0)
    mean, std, u = (torch.from_numpy(generator.uniform(*ends, (300, 3))) for ends in ((-4, 4), (0.05, 2), (-3, 3)))
    action = torch.tensor(LOW) + (torch.tensor(HIGH) - torch.tensor(LOW)) * (torch.tanh(u) + 1) / 2
    exact = sum(squashed(mean[:, i], std[:, i], i).log_prob(action[:, i]) for i in range(3))
    got = SquashedNormal(LOW, HIGH).log_prob(torch.cat([mean, std], -1), action)
    assert got.shape == (300,)
    torch.testing.assert_close(got, exact, rtol=1e-6, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.floats(-4.0, 4.0), st.floats(0.05, 5.0))
def test_a_squashed_gaussians_entropy_is_that_of_numerical_integration(mean: float, std: float) -> None:
    def surprise(z: float) -> float:
        u = mean + std * z
        log_derivative = 2 * (math.log(2) - abs(u) - math.log1p(math.exp(-2 * abs(u)))) + math.log(2.0)
        log_density = -0.5 * z * z - 0.5 * math.log(2 * math.pi) - math.log(std) - log_derivative
        return -math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) * log_density

    kink = [-mean / std] if abs(mean / std) < 9 else None
    truth = scipy.integrate.quad(surprise, -9, 9, points=kink, limit=200)[0]
    got = SquashedNormal([-2.0], [2.0]).entropy(torch.tensor([mean, std], dtype=torch.float64)).item()
    assert got == pytest.approx(truth, abs=2e-5 if std <= 2 else 2e-3)


def test_a_squashed_gaussians_number_is_found_again_in_single_precision() -> None:
    """Where an action is its bound but for rounding the density stays finite, and its slope points the right way."""
    family, std = SquashedNormal([-2.0], [2.0]), torch.ones(1)
    for u, tolerance in ((0.5, 1e-5), (4.0, 1e-3), (6.0, 0.1), (30.0, math.inf), (-30.0, math.inf)):
        mean = torch.tensor([u - math.copysign(1.0, u)], requires_grad=True)
        action = family.sample(torch.cat([torch.tensor([u]), std]), torch.zeros(1))
        log_prob = family.log_prob(torch.cat([mean, std]), action)
        log_derivative = 2 * (math.log(2) - abs(u) - math.log1p(math.exp(-2 * abs(u)))) + math.log(2)
        exact = -0.5 - 0.5 * math.log(2 * math.pi) - log_derivative
        assert log_prob.isfinite()
        assert log_prob.item() == pytest.approx(exact, abs=tolerance)
        (slope,) = torch.autograd.grad(log_prob, mean)
        assert slope.isfinite()
        if abs(u) < 8:
            assert slope.item() == pytest.approx(math.copysign(1.0, u), abs=tolerance)


def test_beta_is_that_of_scipy_and_torch() -> None:
    generator = np.random.default_rng(1)
    alpha, beta = (torch.from_numpy(1 + generator.gamma(0.5, 20.0, (300, 3))).requires_grad_() for _ in range(2))
    share = torch.from_numpy(generator.uniform(0.01, 0.99, (300, 3)))
    size = torch.tensor(HIGH, dtype=torch.float64) - torch.tensor(LOW, dtype=torch.float64)
    action = torch.tensor(LOW, dtype=torch.float64) + size * share
    family, parameters = Beta(LOW, HIGH), torch.cat([alpha, beta], -1).detach().requires_grad_()
    law = scipy.stats.beta(alpha.detach().numpy(), beta.detach().numpy(), np.array(LOW), size.numpy())
    log_prob, entropy = family.log_prob(parameters, action), family.entropy(parameters)
    np.testing.assert_allclose(log_prob.detach(), law.logpdf(action.numpy()).sum(-1), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(entropy.detach(), law.entropy().sum(-1), rtol=1e-6, atol=1e-6)
    torchs = distributions.Beta(alpha, beta)
    for ours, theirs in ((log_prob, torchs.log_prob(share)), (entropy, torchs.entropy())):
        got = torch.autograd.grad(ours.sum(), parameters)[0]
        torch.testing.assert_close(got, torch.cat(torch.autograd.grad(theirs.sum(), [alpha, beta]), -1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("alpha", "beta"), [(1, 1), (1, 2), (1.5, 1), (2, 2), (1, 50), (50, 1), (3, 7), (1, 1000), (300, 2), (20, 20), (1e4, 1e4)]
)
def test_a_beta_sample_is_the_quantile_of_its_noise(alpha: float, beta: float) -> None:
    noise = torch.cat([torch.linspace(0.001, 0.999, 500), torch.tensor([0.0, 2.0**-24, 1.0 - 2.0**-24])]).unsqueeze(-1)
    parameters = torch.tensor([float(alpha), float(beta)]).expand(len(noise), 2)
    drawn = Beta([0.0], [1.0]).sample(parameters, noise)
    assert drawn.isfinite().all() and (drawn >= 0).all() and (drawn <= 1).all()
    probability = scipy.stats.beta(alpha, beta).cdf(drawn.double().numpy())
    np.testing.assert_allclose(probability, noise.numpy(), rtol=0, atol=1e-4)
    assert (drawn[1:-3] >= drawn[:-4]).all()  # a larger number is never a smaller action


@pytest.mark.parametrize(
    ("family", "parameters", "law"),
    [
        (
            SquashedNormal(LOW, HIGH),
            [0.3, -1.0, 2.0, 0.2, 1.0, 1.8],
            lambda mean, std, share: scipy.stats.norm(mean, std).cdf(np.arctanh(2.0 * share - 1)),
        ),
        (Beta(LOW, HIGH), [1.0, 3.0, 20.0, 1.2, 1.5, 9.0], lambda alpha, beta, share: scipy.stats.beta(alpha, beta).cdf(share)),
    ],
    ids=["squashed", "beta"],
)
def test_samples_keep_to_the_bounds_and_follow_their_own_density(
    family: Distribution, parameters: list[float], law: Callable[..., np.ndarray]
) -> None:
    rows = torch.tensor(parameters).expand(SAMPLES, -1)
    actions = family.sample(rows, torch.from_numpy(draw_noise(family, np.random.default_rng(3), (SAMPLES,))))
    assert (actions >= torch.tensor(LOW)).all() and (actions <= torch.tensor(HIGH)).all()
    surprise = -family.log_prob(rows, actions)
    assert abs(surprise.mean() - family.entropy(rows[0])).item() < 4 * surprise.std().item() / math.sqrt(SAMPLES)
    for i, column in enumerate(actions.numpy().T):
        assert (
            scipy.stats.kstest((column - LOW[i]) / (HIGH[i] - LOW[i]), partial(law, parameters[i], parameters[3 + i])).pvalue
            > 0.01
        )
    assert abs(np.corrcoef(actions.numpy().T) - np.eye(3)).max() < 0.03


def test_the_entropy_teaches_what_a_sample_of_minus_log_p_cannot() -> None:
    """With actions given, the gradient of the mean of -log p is zero whatever sigma is; the entropy's is not."""
    family, parameters = SquashedNormal([-1.0], [1.0]), torch.tensor([0.0, 0.2], requires_grad=True)
    rows = parameters.expand(SAMPLES, 2)
    with torch.no_grad():
        actions = family.sample(rows, torch.from_numpy(draw_noise(family, np.random.default_rng(1), (SAMPLES,))))
    (sampled,) = torch.autograd.grad(-family.log_prob(rows, actions).mean(), parameters)
    (exact,) = torch.autograd.grad(family.entropy(parameters), parameters)
    assert abs(sampled[1].item()) < 0.2
    assert exact[1].item() > 3.0


def test_modes() -> None:
    half = SquashedNormal(LOW, HIGH).mode(torch.tensor([0.0, 100.0, -100.0, 1.0, 1.0, 1.0]))
    assert half.tolist() == [0.0, 1.0, -1.0]
    family = Beta(LOW, HIGH)
    assert family.mode(torch.tensor([1.0, 2.0, 4.0, 1.0, 4.0, 1.0])).tolist() == pytest.approx([0.0, 0.25, 5.0])
    grid = torch.linspace(0.001, 0.999, 999).unsqueeze(-1)
    single = Beta([0.0], [1.0])
    highest = grid[single.log_prob(torch.tensor([3.5, 6.0]).expand(999, 2), grid).argmax()]
    assert single.mode(torch.tensor([3.5, 6.0])).item() == pytest.approx(highest.item(), abs=1e-3)


@pytest.mark.parametrize("make", [SquashedNormal, Beta])
def test_the_bits_of_a_row_do_not_depend_on_the_rows_beside_it(make: type[SquashedNormal] | type[Beta]) -> None:
    """Workers are stacked in any number: a seed alone must give what it gives among others."""
    family, generator = make(LOW, HIGH), torch.Generator().manual_seed(5)
    parameters = 1.0 + 3 * torch.rand(37, 6, generator=generator)
    noise = torch.rand(37, 3, generator=generator)

    def everything(parameters: Tensor, noise: Tensor) -> list[Tensor]:
        leaf = parameters.clone().requires_grad_()
        action = family.sample(parameters, noise)
        results = [action, family.mode(parameters), family.log_prob(leaf, action), family.entropy(leaf)]
        gradients = torch.autograd.grad(results[2].sum() + results[3].sum(), leaf)
        return [*(result.detach() for result in results), *gradients]

    together = everything(parameters, noise)
    for first, last in ((0, 1), (1, 8), (5, 36)):
        for part, whole in zip(everything(parameters[first:last], noise[first:last]), together, strict=True):
            assert torch.equal(part, whole[first:last])
