"""n-step returns against forward sums that are written straight from the definition."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from a3c_exp.algorithm.returns import advantage, n_step_returns, normalize

NUMBERS = st.floats(-100.0, 100.0, width=32)


def summed_forward(
    reward: NDArray[np.float64],
    terminated: NDArray[np.bool_],
    cut: NDArray[np.bool_],
    next_value: NDArray[np.float64],
    gamma: float,
) -> NDArray[np.float64]:
    """The discounted sum from every step to the end of its own chain, plus what lies beyond: no recursion, no tensors."""
    targets = np.empty(len(reward))
    for start in range(len(reward)):
        end = next((t for t in range(start, len(reward)) if terminated[t] or cut[t]), None)
        assert end is not None, "every chain must end inside the window"
        discounts = gamma ** np.arange(end - start + 2)
        beyond = 0.0 if terminated[end] else next_value[end]
        targets[start] = discounts[:-1] @ reward[start : end + 1] + discounts[-1] * beyond
    return targets


@st.composite
def windows(draw: st.DrawFn) -> tuple[list[list[float]], list[list[str]], list[list[float]], float]:
    """K windows of n steps: rewards, what happened at each step, values of what followed, and a discount."""
    k, n = draw(st.integers(1, 3)), draw(st.integers(1, 8))
    numbers = st.lists(st.lists(NUMBERS, min_size=n, max_size=n), min_size=k, max_size=k)
    happened = st.sampled_from(["goes on", "goes on", "goes on", "terminated", "truncated"])
    kinds = draw(st.lists(st.lists(happened, min_size=n, max_size=n), min_size=k, max_size=k))
    gamma = draw(st.sampled_from([0.0625, 0.5, 0.9, 0.99, 1.0]))
    return draw(numbers), kinds, draw(numbers), gamma


@settings(max_examples=150, deadline=None)
@given(windows())
def test_returns_are_the_discounted_sums_of_the_definition(
    window: tuple[list[list[float]], list[list[str]], list[list[float]], float],
) -> None:
    reward, kinds, next_value, gamma = window
    terminated = np.array([[kind == "terminated" for kind in row] for row in kinds])
    cut = np.array([[kind != "goes on" for kind in row] for row in kinds])
    cut[:, -1] = True
    got = n_step_returns(
        torch.tensor(reward, dtype=torch.float64),
        torch.from_numpy(terminated),
        torch.from_numpy(cut),
        torch.tensor(next_value, dtype=torch.float64),
        gamma,
    )
    for k in range(len(reward)):
        want = summed_forward(np.array(reward[k]), terminated[k], cut[k], np.array(next_value[k]), gamma)
        np.testing.assert_allclose(got[k].numpy(), want, rtol=1e-12, atol=1e-9)


@settings(max_examples=150, deadline=None)
@given(windows(), st.sampled_from([0.0, 0.5, 0.95, 1.0]), st.integers(0, 2**31))
def test_lambda_returns_are_the_generalized_advantages_of_the_definition(
    window: tuple[list[list[float]], list[list[str]], list[list[float]], float], gae_lambda: float, seed: int
) -> None:
    """Equation 16 of Schulman et al. 2016: the discounted sum of the chain's one-step errors, none of which crosses an end."""
    reward, kinds, next_value, gamma = window
    terminated = np.array([[kind == "terminated" for kind in row] for row in kinds])
    ends = np.array([[kind != "goes on" for kind in row] for row in kinds])
    ends[:, -1] = True
    value = np.random.default_rng(seed).normal(size=ends.shape)
    tensors = [torch.tensor(array) for array in (np.array(reward), terminated, ends, np.array(next_value))]
    got = n_step_returns(*tensors, gamma, torch.tensor(value), gae_lambda).numpy() - value
    for k, t in np.ndindex(*ends.shape):
        end = t + int(ends[k, t:].argmax())
        following = [*value[k, t + 1 : end + 1], 0.0 if terminated[k, end] else next_value[k][end]]
        errors = np.array(reward[k][t : end + 1]) + gamma * np.array(following) - value[k, t : end + 1]
        want = sum(error * (gamma * gae_lambda) ** distance for distance, error in enumerate(errors))
        assert got[k, t] == pytest.approx(want, rel=1e-9, abs=1e-7)


def test_normalized_advantages_ignore_what_stands_behind_the_last_valid_step() -> None:
    valid = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    advantages = torch.tensor([[1.0, 2.0, math.nan], [3.0, 4.0, 10.0]])
    taken = advantages[valid > 0]
    got = normalize(advantages, valid)
    torch.testing.assert_close(got[valid > 0], (taken - taken.mean()) / (taken.std() + 1e-8))
    assert normalize(torch.tensor([3.0, math.nan]), torch.tensor([1.0, 0.0])).tolist() == [3.0, 0.0], (
        "one step has no deviation"
    )


def target(
    terminated: list[bool],
    cut: list[bool],
    reward: list[float] | None = None,
    next_value: list[float] | None = None,
) -> list[float]:
    """By default rewards 1, 2, 4, ... and next values 100, 200, 400, ...; the discount is one half."""
    powers = [2.0**t for t in range(len(cut))]
    return n_step_returns(
        torch.tensor(reward or powers),
        torch.tensor(terminated),
        torch.tensor(cut),
        torch.tensor(next_value or [100.0 * power for power in powers]),
        0.5,
    ).tolist()


def test_truncation_is_not_termination() -> None:
    assert target(terminated=[False, True], cut=[False, True]) == [2.0, 2.0]
    assert target(terminated=[False, False], cut=[False, True]) == [1.0 + 0.5 * 102.0, 2.0 + 0.5 * 200.0]


def test_a_termination_ends_the_chain_whether_or_not_it_is_also_marked_as_a_cut() -> None:
    for marked in (True, False):
        assert target(terminated=[True, False], cut=[marked, True]) == [1.0, 102.0]


def test_rewards_of_the_next_episode_do_not_leak_backwards() -> None:
    """Ends at steps 0 (terminated) and 2 (truncated), and the window goes on."""
    terminated, cut = [True, False, False, False], [True, False, True, True]
    want = [1.0, 2.0 + 0.5 * (4.0 + 0.5 * 400.0), 4.0 + 0.5 * 400.0, 8.0 + 0.5 * 800.0]
    assert target(terminated, cut) == want
    assert target(terminated, cut, reward=[1.0, 2.0, 4.0, 1e6])[:3] == want[:3]


def test_only_the_value_at_a_cut_is_read() -> None:
    assert target(terminated=[False, False], cut=[False, True], next_value=[math.nan, 200.0]) == [52.0, 102.0]


def test_a_terminal_state_is_worth_nothing_even_where_the_critic_says_nan() -> None:
    for worthless in (math.nan, math.inf):
        assert target(terminated=[False, True], cut=[False, True], next_value=[0.0, worthless]) == [2.0, 2.0]


def test_what_stands_behind_the_last_valid_step_does_not_reach_it() -> None:
    terminated, cut = [False, False, False], [False, True, False]
    clean = target(terminated, cut)
    dirty = target(terminated, cut, reward=[1.0, 2.0, 1e30], next_value=[100.0, 200.0, math.nan])
    assert dirty[:2] == clean[:2] == [52.0, 102.0]


def test_targets_do_not_train_the_critic_that_bootstrapped_them() -> None:
    next_value = torch.ones(3, requires_grad=True)
    ends = torch.tensor([False, False, True])
    assert not n_step_returns(torch.ones(3), torch.zeros(3, dtype=torch.bool), ends, next_value, 0.9).requires_grad


def test_returns_of_differing_shapes_are_refused() -> None:
    flags = torch.zeros(4, dtype=torch.bool)
    with pytest.raises(AssertionError, match="shapes differ"):
        n_step_returns(torch.zeros(4), flags, flags, torch.zeros(4, 1), 0.9)


def test_advantage_is_detached() -> None:
    value = torch.tensor([1.0, 2.0], requires_grad=True)
    gap = advantage(torch.tensor([4.0, 4.0]), value)
    assert gap.tolist() == [3.0, 2.0]
    assert not gap.requires_grad


@pytest.mark.parametrize(("target_shape", "value_shape"), [((5, 1), (5,)), ((5,), (5, 1)), ((2, 5), (5,)), ((1,), (5,))])
def test_broadcasting_value_against_target_is_refused(target_shape: tuple[int, ...], value_shape: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError, match="differ in shape"):
        advantage(torch.zeros(target_shape), torch.zeros(value_shape))
