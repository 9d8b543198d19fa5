"""Several choices and several switches at once, against every combination counted out."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings, strategies as st

from a3c_exp.models.distributions import Bernoulli, Distribution, MultiCategorical, ProductDistribution, draw_noise

LOGIT = st.floats(-20.0, 20.0)
CHOICES = st.lists(st.lists(LOGIT, min_size=1, max_size=4), min_size=1, max_size=3)


def joined(lists: list[list[float]]) -> list[float]:
    return list(itertools.chain.from_iterable(lists))


def law_of(families: list[list[float]]) -> dict[tuple[int, ...], float]:
    """The probability of every combination of independent choices, straight from the softmax."""
    tables = [[math.exp(x) / sum(map(math.exp, logits)) for x in logits] for logits in families]
    actions = itertools.product(*(range(len(table)) for table in tables))
    return {action: math.prod(table[a] for table, a in zip(tables, action, strict=True)) for action in actions}


def check(family: Distribution, parameters: torch.Tensor, law: dict[tuple[int, ...], float]) -> None:
    actions = torch.tensor(list(law))
    got = family.log_prob(parameters.expand(len(law), -1), actions).exp()
    np.testing.assert_allclose(got, list(law.values()), rtol=1e-9, atol=1e-300)
    entropy = -sum(p * math.log(p) for p in law.values() if p > 0)
    assert family.entropy(parameters).item() == pytest.approx(entropy, rel=1e-9, abs=1e-9)
    most = max(law.values())
    assert family.max_probability(parameters).item() == pytest.approx(most, rel=1e-9)
    assert law[tuple(family.mode(parameters).tolist())] == pytest.approx(most, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(CHOICES)
def test_choices_of_any_sizes_are_their_combinations(choices: list[list[float]]) -> None:
    family = MultiCategorical([len(logits) for logits in choices])
    check(family, torch.tensor(joined(choices), dtype=torch.float64), law_of(choices))


@settings(max_examples=60, deadline=None)
@given(st.lists(LOGIT, min_size=1, max_size=4))
def test_switches_are_their_combinations(logits: list[float]) -> None:
    parameters = torch.tensor(logits, dtype=torch.float64)
    check(Bernoulli(len(logits)), parameters, law_of([[0.0, logit] for logit in logits]))


@settings(max_examples=60, deadline=None)
@given(CHOICES, st.lists(LOGIT, min_size=1, max_size=2))
def test_choices_and_switches_together_are_their_combinations(choices: list[list[float]], switches: list[float]) -> None:
    family = ProductDistribution([MultiCategorical([len(logits) for logits in choices]), Bernoulli(len(switches))])
    check(
        family,
        torch.tensor([*joined(choices), *switches], dtype=torch.float64),
        law_of([*choices, *([0.0, x] for x in switches)]),
    )


@pytest.mark.parametrize("far", [1e4, 1e30])
def test_sure_choices_and_switches_have_finite_figures_and_gradients(far: float) -> None:
    """A policy that became certain must not turn into NaN, least of all by the padding of the smaller choices."""
    for family, logits, action in (
        (MultiCategorical([2, 3]), [far, 0.0, 0.0, -far, far], [0, 2]),
        (Bernoulli(2), [far, -far], [1, 0]),
    ):
        parameters = torch.tensor(logits, requires_grad=True)
        figures = family.log_prob(parameters, torch.tensor(action)), family.entropy(parameters)
        assert [figure.item() for figure in figures] == [0.0, 0.0]
        (figures[0] + figures[1]).backward()
        assert parameters.grad.isfinite().all()


def test_samples_come_as_often_as_every_combinations_probability_says() -> None:
    count, logits = 60_000, [[0.5, -0.3], [1.0, 0.0, -1.0], [0.3]]
    switches = [0.4, -1.2]
    law = law_of([*logits, *([0.0, x] for x in switches)])
    family = ProductDistribution([MultiCategorical([2, 3, 1]), Bernoulli(2)])
    noise = torch.from_numpy(draw_noise(family, np.random.default_rng(5), (count,)))
    actions = family.sample(torch.tensor([*joined(logits), *switches]).expand(count, -1), noise)
    assert actions.dtype == torch.int64 and actions.shape == (count, 5)
    codes, counts = np.unique(actions.numpy() @ [10_000, 1000, 100, 10, 1], return_counts=True)
    seen = dict(zip(codes.tolist(), counts.tolist(), strict=True))
    keys = [int(np.dot(action, [10_000, 1000, 100, 10, 1])) for action in law]
    assert set(seen) <= set(keys)
    expected = count * np.array(list(law.values()))
    assert scipy.stats.chisquare([seen.get(key, 0) for key in keys], expected).pvalue > 0.01


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.floats(-80.0, 80.0, width=32), min_size=1, max_size=30), min_size=1, max_size=3))
def test_a_padded_action_is_never_taken_even_where_noise_is_almost_one(choices: list[list[float]]) -> None:
    sizes = [len(logits) for logits in choices]
    family, largest = MultiCategorical(sizes), float(np.nextafter(np.float32(1), np.float32(0)))
    for noise in (0.0, 0.5, largest):
        action = family.sample(torch.tensor(joined(choices)), torch.full((len(sizes),), noise)).tolist()
        assert all(0 <= a < size for a, size in zip(action, sizes, strict=True))


def test_an_impossible_choice_is_never_sampled() -> None:
    """With noise exactly at an edge of the cumulative distribution, the zero-width action between must be skipped."""
    logits = torch.tensor([-math.inf, 0.0, -math.inf, 0.0, 0.0])
    family = MultiCategorical([4, 1])
    drawn = [family.sample(logits, torch.tensor([x, x])).tolist() for x in (0.0, 0.25, 0.5, 0.75)]
    assert drawn == [[1, 0], [1, 0], [3, 0], [3, 0]]
    assert Bernoulli(2).sample(torch.tensor([math.inf, -math.inf]), torch.tensor([0.9999, 0.0])).tolist() == [1, 0]
