"""Mixtures of Gaussians against scipy, against brute force on a grid, and their entropy between its bounds."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from a3c_exp.models.distributions import Normal, NormalMixture, draw_noise

COMPONENT = st.tuples(st.floats(-3.0, 3.0), st.floats(-5.0, 5.0), st.floats(0.05, 4.0))  # (logit, mean, std)
DIMENSION = st.lists(COMPONENT, min_size=3, max_size=3)


def parameters_of(rows: list[list[tuple[float, float, float]]]) -> Tensor:
    """The layout that the docstring promises: all logits, all means, all standard deviations, dimension by dimension."""
    return torch.tensor([part[i] for i in range(3) for row in rows for part in row], dtype=torch.float64)


def density(row: list[tuple[float, float, float]], at: np.ndarray) -> np.ndarray:
    weights = scipy.special.softmax([logit for logit, _, _ in row])
    return sum(w * scipy.stats.norm(mean, std).pdf(at) for w, (_, mean, std) in zip(weights, row, strict=True))


def grid(row: list[tuple[float, float, float]], points: int = 40_001) -> np.ndarray:
    reach = 9 * max(std for _, _, std in row)
    return np.linspace(min(m for _, m, _ in row) - reach, max(m for _, m, _ in row) + reach, points)


@settings(max_examples=50, deadline=None)
@given(st.lists(DIMENSION, min_size=1, max_size=3), st.floats(-6.0, 6.0))
def test_log_probability_is_the_sum_of_each_dimensions_mixture(rows: list, at: float) -> None:
    action = np.array([at + 0.5 * i for i in range(len(rows))])
    exact = sum(math.log(density(row, a) + 1e-300) for row, a in zip(rows, action, strict=True))
    got = NormalMixture(len(rows), 3).log_prob(parameters_of(rows), torch.from_numpy(action))
    assert got.shape == ()
    if exact > -600:  # below that scipy's density is rounded to nothing
        assert got.item() == pytest.approx(exact, rel=1e-6, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(DIMENSION)
def test_the_mode_is_as_high_as_the_highest_point_of_a_fine_grid(row: list) -> None:
    mode = NormalMixture(1, 3).mode(parameters_of([row])).numpy()
    highest = density(row, grid(row)).max()
    assert density(row, mode)[0] >= 0.98 * highest


def test_the_mode_of_two_equal_neighbors_lies_between_them() -> None:
    row = [(0.0, -0.5, 1.0), (0.0, 0.5, 1.0)]
    assert NormalMixture(1, 2).mode(parameters_of([row])).item() == pytest.approx(0.0, abs=0.05)


@settings(max_examples=40, deadline=None)
@given(DIMENSION)
def test_the_entropy_lies_between_its_bounds_and_never_above_the_truth(row: list) -> None:
    at = grid(row)
    p = density(row, at)
    truth = -np.trapezoid(np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0.0), at)
    weights = scipy.special.softmax([logit for logit, _, _ in row])
    conditional = sum(w * float(scipy.stats.norm(0, std).entropy()) for w, (_, _, std) in zip(weights, row, strict=True))
    estimate = NormalMixture(1, 3).entropy(parameters_of([row])).item()
    assert conditional - 1e-9 <= estimate <= truth + 1e-4


@settings(max_examples=40, deadline=None)
@given(st.lists(COMPONENT, min_size=1, max_size=3), st.integers(1, 3))
def test_equal_components_are_one_gaussian_exactly(rows: list, components: int) -> None:
    mixture = NormalMixture(len(rows), components)
    parameters = parameters_of([[row] * components for row in rows])
    plain = torch.tensor([[row[i] for row in rows] for i in (1, 2)], dtype=torch.float64).flatten()
    action, normal = torch.full((len(rows),), 0.7, dtype=torch.float64), Normal(len(rows))
    assert mixture.entropy(parameters).item() == pytest.approx(normal.entropy(plain).item(), rel=1e-9, abs=1e-9)
    assert mixture.log_prob(parameters, action).item() == pytest.approx(normal.log_prob(plain, action).item(), rel=1e-9)
    torch.testing.assert_close(mixture.mode(parameters), normal.mode(plain))


def test_the_entropy_of_components_far_apart_is_exact() -> None:
    row = [(0.0, -100.0, 0.5), (math.log(3), 100.0, 2.0)]
    conditional = 0.25 * scipy.stats.norm(0, 0.5).entropy() + 0.75 * scipy.stats.norm(0, 2.0).entropy()
    choice = scipy.stats.entropy([0.25, 0.75])
    assert NormalMixture(1, 2).entropy(parameters_of([row])).item() == pytest.approx(float(conditional + choice), rel=1e-9)


def test_entropy_against_monte_carlo() -> None:
    """From the family's own samples and densities, three dimensions at once."""
    rows = [
        [(0.0, -1.0, 0.5), (0.5, 1.0, 0.8), (-1.0, 4.0, 0.3)],
        [(0.0, 0.0, 1.0), (0.0, 0.1, 1.2), (0.0, 0.2, 0.9)],
        [(2.0, 0.0, 1.0), (0.0, 9.0, 0.1), (0.0, -9.0, 0.1)],
    ]
    family, parameters = NormalMixture(3, 3), parameters_of(rows).float()
    noise = torch.from_numpy(draw_noise(family, np.random.default_rng(6), (100_000,)))
    surprise = -family.log_prob(parameters, family.sample(parameters.expand(100_000, -1), noise))
    sampled, error = surprise.mean().item(), surprise.std().item() / math.sqrt(100_000)
    estimate = family.entropy(parameters).item()
    assert sampled - 0.2 < estimate < sampled + 4 * error


def test_samples_follow_the_mixture() -> None:
    rows = [[(0.0, -1.0, 0.5), (1.0, 2.0, 0.2)], [(0.0, 3.0, 1.0), (0.0, 3.0, 0.1)]]
    family = NormalMixture(2, 2)
    noise = torch.from_numpy(draw_noise(family, np.random.default_rng(8), (20_000,)))
    actions = family.sample(parameters_of(rows).float().expand(20_000, -1), noise).numpy()
    for column, row in zip(actions.T, rows, strict=True):
        weights = scipy.special.softmax([logit for logit, _, _ in row])

        def cdf(x: np.ndarray, row: list = row, weights: np.ndarray = weights) -> np.ndarray:
            return sum(w * scipy.stats.norm(mean, std).cdf(x) for w, (_, mean, std) in zip(weights, row, strict=True))

        assert scipy.stats.kstest(column, cdf).pvalue > 0.01
    assert abs(scipy.stats.pearsonr(actions[:, 0], actions[:, 1]).statistic) < 0.03
