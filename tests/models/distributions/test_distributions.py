"""Policies against scipy, against numbers that can be worked by hand, and their samples against their own densities."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from a3c_exp.algorithm.random_streams import StreamPurpose, random_stream
from a3c_exp.models.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    MultiCategorical,
    Normal,
    NormalMixture,
    ProductDistribution,
    draw_noise,
)

LOGITS = st.lists(st.floats(-30.0, 30.0), min_size=1, max_size=6)
GAUSSIANS = st.lists(
    st.tuples(st.floats(-5.0, 5.0), st.floats(0.01, 10.0), st.floats(-8.0, 8.0)), min_size=1, max_size=4
)  # (mean, std, action) for each dimension


def double(*numbers: list[float]) -> Tensor:
    return torch.tensor([number for some in numbers for number in some], dtype=torch.float64)


def logits_of(probabilities: list[float]) -> Tensor:
    return double(probabilities).log()


@settings(max_examples=60, deadline=None)
@given(LOGITS)
def test_categorical_is_that_of_scipy(logits: list[float]) -> None:
    family, parameters = Categorical(len(logits)), double(logits)
    law = scipy.stats.rv_discrete(values=(range(len(logits)), np.exp(logits) / np.exp(logits).sum()))
    for action in range(len(logits)):
        got = family.log_prob(parameters, torch.tensor(action)).item()
        assert got == pytest.approx(law.logpmf(action), rel=1e-9, abs=1e-9)
    assert family.entropy(parameters).item() == pytest.approx(float(law.entropy()), rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(GAUSSIANS)
def test_normal_is_the_joint_density_of_scipy_summed_over_dimensions(rows: list[tuple[float, float, float]]) -> None:
    mean, std, action = (list(column) for column in zip(*rows, strict=True))
    family, parameters = Normal(len(rows)), double(mean, std)
    joint = scipy.stats.multivariate_normal(mean, np.diag(np.square(std)))
    log_prob = family.log_prob(parameters, double(action))
    assert log_prob.shape == family.entropy(parameters).shape == ()  # joint: one number, however many dimensions
    assert log_prob.item() == pytest.approx(float(joint.logpdf(action)), rel=1e-9, abs=1e-9)
    assert family.entropy(parameters).item() == pytest.approx(float(joint.entropy()), rel=1e-9, abs=1e-9)


def test_leading_shapes_are_kept_and_rows_do_not_mix() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 4, generator=generator)
    actions = torch.randint(0, 4, (2, 3), generator=generator)
    moments = torch.rand(2, 3, 4, generator=generator) + 0.1
    points = torch.randn(2, 3, 2, generator=generator)
    for family, parameters, action in ((Categorical(4), logits, actions), (Normal(2), moments, points)):
        together = family.log_prob(parameters, action)
        assert together.shape == family.entropy(parameters).shape == (2, 3)
        noise = torch.rand(2, 3, family.noise_size, generator=generator)
        assert family.sample(parameters, noise).shape == family.mode(parameters).shape == action.shape
        for row in np.ndindex(2, 3):
            assert together[row].item() == pytest.approx(family.log_prob(parameters[row], action[row]).item(), rel=1e-6)
            assert torch.equal(family.sample(parameters, noise)[row], family.sample(parameters[row], noise[row]))


@pytest.mark.parametrize(
    ("probabilities", "exact", "printed"),
    [
        ([0.25, 0.25, 0.25, 0.25], 0.60205999, 0.6021),
        ([0.5, 0.25, 0.15, 0.10], 0.52461631, 0.5246),
        ([0.95, 0.01, 0.01, 0.03], 0.10684894, 0.1068),
        ([0.99, 0.003, 0.004, 0.003], 0.02905019, 0.0291),
    ],
)
def test_entropies_in_base_ten_are_those_of_the_article(probabilities: list[float], exact: float, printed: float) -> None:
    entropy = Categorical(4).entropy(logits_of(probabilities)).item() / math.log(10)
    assert entropy == pytest.approx(exact, abs=5e-9)
    assert round(entropy, 4) == printed


@settings(max_examples=60, deadline=None)
@given(st.floats(-3.0, 3.0), st.floats(0.1, 5.0), st.floats(-5.0, 5.0))
def test_gaussian_gradients_are_the_textbook_formulas(mu: float, sigma: float, a: float) -> None:
    parameters = double([mu, sigma]).requires_grad_()
    (gradient,) = torch.autograd.grad(Normal(1).log_prob(parameters, double([a])), parameters)
    assert gradient[0].item() == pytest.approx((a - mu) / sigma**2, rel=1e-9, abs=1e-9)
    assert gradient[1].item() == pytest.approx(-(1 / sigma) + (a - mu) ** 2 / sigma**3, rel=1e-9, abs=1e-9)


def test_categorical_gradient_is_one_hot_minus_probabilities() -> None:
    logits = double([0.3, -1.0, 2.0]).requires_grad_()
    (gradient,) = torch.autograd.grad(Categorical(3).log_prob(logits, torch.tensor(1)), logits)
    np.testing.assert_allclose(gradient, double([0.0, 1.0, 0.0]) - logits.detach().softmax(-1), rtol=1e-9)


def test_categorical_samples_come_as_often_as_their_probabilities_say() -> None:
    probabilities = np.array([0.5, 0.25, 0.15, 0.10])
    noise = torch.from_numpy(np.random.default_rng(1).random((40_000, 1), dtype=np.float32))
    actions = Categorical(4).sample(torch.tensor(probabilities).log().float().expand(40_000, 4), noise)
    assert actions.dtype == torch.int64
    counts = np.bincount(actions.numpy(), minlength=4)
    assert scipy.stats.chisquare(counts, 40_000 * probabilities).pvalue > 0.01


def test_normal_samples_follow_their_own_mean_and_std() -> None:
    noise = torch.from_numpy(np.random.default_rng(2).standard_normal((20_000, 2), dtype=np.float32))
    actions = Normal(2).sample(torch.tensor([1.0, -3.0, 0.5, 2.0]).expand(20_000, 4), noise).numpy()
    assert scipy.stats.kstest(actions[:, 0], scipy.stats.norm(1.0, 0.5).cdf).pvalue > 0.01
    assert scipy.stats.kstest(actions[:, 1], scipy.stats.norm(-3.0, 2.0).cdf).pvalue > 0.01
    assert abs(scipy.stats.pearsonr(actions[:, 0], actions[:, 1]).statistic) < 0.03


def test_a_sample_depends_on_nothing_but_parameters_and_noise() -> None:
    parameters, before = torch.tensor([0.1, 0.4, 0.9, 0.2]), torch.get_rng_state()
    for family, noise in ((Categorical(4), torch.tensor([0.7])), (Normal(2), torch.tensor([0.7, -1.0]))):
        assert torch.equal(family.sample(parameters, noise), family.sample(parameters, noise))
    assert torch.equal(torch.get_rng_state(), before)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-80.0, 80.0, width=32), min_size=1, max_size=40))
def test_a_sample_is_an_action_even_where_noise_is_almost_one(logits: list[float]) -> None:
    largest = float(np.nextafter(np.float32(1), np.float32(0)))
    family = Categorical(len(logits))
    for noise in (0.0, 0.5, largest, 1.0):  # 1.0 is more than a generator gives; a rounded cumulative sum may be less
        assert 0 <= family.sample(torch.tensor(logits), torch.tensor([noise])).item() < len(logits)


def test_an_impossible_action_is_never_sampled() -> None:
    """With noise exactly at an edge of the cumulative distribution, the zero-width action between must be skipped."""
    logits = torch.tensor([-math.inf, 0.0, -math.inf, 0.0])  # probabilities 0, 1/2, 0, 1/2
    drawn = [Categorical(4).sample(logits, torch.tensor([noise])).item() for noise in (0.0, 0.25, 0.5, 0.75)]
    assert drawn == [1, 1, 3, 3]


def test_the_mode_is_the_most_likely_action_and_no_sample() -> None:
    assert Categorical(3).mode(torch.tensor([[0.1, 3.0, 2.9], [5.0, -1.0, 0.0]])).tolist() == [1, 0]
    assert Normal(2).mode(torch.tensor([0.5, -2.0, 9.0, 9.0])).tolist() == [0.5, -2.0]


def test_sizes_say_what_the_functions_take() -> None:
    assert sizes(Categorical(4)) == (4, 1, 0)
    assert sizes(Normal(3)) == (6, 0, 3)
    assert sizes(MultiCategorical([2, 5])) == (7, 2, 0)
    assert sizes(Bernoulli(3)) == (3, 3, 0)
    assert sizes(NormalMixture(2, 3)) == (18, 2, 2)
    assert sizes(ProductDistribution([Normal(2), Bernoulli(3), NormalMixture(1, 2)])) == (4 + 3 + 6, 3 + 1, 2 + 1)


def sizes(family: Distribution) -> tuple[int, int, int]:
    assert family.noise_size == family.uniform_noise + family.normal_noise
    return family.parameters_size, family.uniform_noise, family.normal_noise


def test_noise_is_what_runs_were_always_made_of() -> None:
    """Recorded runs depend on these very numbers: float32 from a worker's stream, rounded doubles in an evaluation."""
    for family, of in ((Categorical(4), "random"), (Normal(3), "standard_normal")):
        size = family.noise_size
        block = getattr(random_stream(3, StreamPurpose.action, 2), of)((64, 5, size), dtype=np.float32)
        assert np.array_equal(draw_noise(family, random_stream(3, StreamPurpose.action, 2), (64, 5)), block)
        single = getattr(random_stream(3, StreamPurpose.evaluation_action, 2), of)(size).astype(np.float32)
        drawn = draw_noise(family, random_stream(3, StreamPurpose.evaluation_action, 2), (), dtype=np.float64)
        assert np.array_equal(drawn, single) and drawn.dtype == np.float32


def test_uniform_noise_is_drawn_before_normal_noise_and_stands_before_it() -> None:
    family = ProductDistribution([Normal(2), Bernoulli(3)])
    drawn, generator = draw_noise(family, random_stream(0, StreamPurpose.action), (4,)), random_stream(0, StreamPurpose.action)
    assert np.array_equal(drawn[:, :3], generator.random((4, 3), dtype=np.float32))
    assert np.array_equal(drawn[:, 3:], generator.standard_normal((4, 2), dtype=np.float32))


class AlmostOne:
    """A generator whose luck is as good as it gets."""

    def random(self, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        return np.full(shape, np.nextafter(dtype(1), dtype(0)), dtype)


@pytest.mark.parametrize("drawn_as", [np.float32, np.float64])
def test_uniform_noise_is_below_one_after_rounding_too(drawn_as: type) -> None:
    assert float(draw_noise(Bernoulli(2), AlmostOne(), (3,), drawn_as).max()) == 1.0 - 2.0**-24


def test_max_entropy_is_that_of_the_most_random_member_and_none_where_there_is_no_bound() -> None:
    for family in (
        Categorical(4),
        MultiCategorical([2, 5, 1]),
        Bernoulli(3),
        ProductDistribution([Bernoulli(2), MultiCategorical([3])]),
    ):
        flat = torch.zeros(family.parameters_size)
        assert family.max_entropy == pytest.approx(family.entropy(flat).item(), rel=1e-6)
        assert family.entropy(torch.randn(50, family.parameters_size)).max() < family.max_entropy
    for family in (Normal(2), NormalMixture(1, 2), ProductDistribution([Bernoulli(2), Normal(1)])):
        assert family.max_entropy is None


def test_confidence_is_the_probability_of_the_mode() -> None:
    generator = torch.Generator().manual_seed(4)
    for family in (
        Categorical(4),
        MultiCategorical([2, 5, 1]),
        Bernoulli(3),
        ProductDistribution([Bernoulli(2), MultiCategorical([3])]),
    ):
        parameters = 2 * torch.randn(7, family.parameters_size, generator=generator)
        torch.testing.assert_close(
            family.max_probability(parameters), family.log_prob(parameters, family.mode(parameters)).exp()
        )
    for family in (Normal(2), NormalMixture(1, 2), ProductDistribution([Normal(1)])):
        confidence = family.max_probability(torch.ones(7, family.parameters_size))
        assert confidence.shape == (7,) and confidence.isnan().all()
    half = ProductDistribution([Normal(1), Bernoulli(1), NormalMixture(1, 1), MultiCategorical([2])])
    parameters = torch.tensor([0.0, 1.0, math.log(3), 0.0, 0.0, 1.0, 0.0, math.log(4)])
    assert half.max_probability(parameters).item() == pytest.approx(0.75 * 0.8)
