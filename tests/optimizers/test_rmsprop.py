"""The A3C paper's RMSprop against its formula written out number by number, and shared by processes."""

import itertools
import math
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from a3c_exp.optimizers.rmsprop import RMSprop
from a3c_exp.parallelism.hogwild.shared_parameters import SharedWeights
from tests.support.pushing import block_for, ended, ledger_for, push_alone, push_together


def written_out(optimizer: RMSprop, gradients: Sequence[Sequence[float]], rates: Sequence[float]) -> list[float]:
    """The weights after these steps from 0, from the paper's equations (momentum as torch has it), in double precision."""
    weights = []
    for column in zip(*gradients, strict=True):
        weight, velocity, g = 0.0, 0.0, optimizer.initial_square
        for d, rate in zip(column, rates, strict=True):
            g = optimizer.alpha * g + (1 - optimizer.alpha) * d * d
            root = math.sqrt(g + optimizer.eps) if optimizer.eps_inside_sqrt else math.sqrt(g) + optimizer.eps
            velocity = optimizer.momentum * velocity + d / root
            weight -= rate * velocity
        weights.append(weight)
    return weights


def stepped(optimizer: RMSprop, gradients: Sequence[Sequence[float]], rates: Sequence[float]) -> Tensor:
    weights = torch.zeros(len(gradients[0]))
    state = torch.zeros(optimizer.state_rows, len(weights))
    for updates, (gradient, rate) in enumerate(zip(gradients, rates, strict=True)):
        optimizer.step(weights, torch.tensor(gradient), state, updates, rate)
    return weights


sized = st.floats(-3, 3, width=32).map(lambda power: 10.0**power)
steps = st.lists(
    st.tuples(st.tuples(*[st.tuples(st.sampled_from([-1.0, 0.0, 1.0]), sized).map(math.prod)] * 3), st.floats(0, 0.1)),
    min_size=1,
    max_size=12,
)
optimizers = st.builds(
    RMSprop,
    lr=st.just(1.0),
    alpha=st.sampled_from([0.0, 0.3, 0.9, 0.99, 0.999]),
    eps=st.sampled_from([1e-6, 1e-3, 0.1, 1.0]),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    eps_inside_sqrt=st.booleans(),
    initial_square=st.sampled_from([0.0, 1.0, 5.0]),
)


@settings(max_examples=150, deadline=None)
@given(optimizer=optimizers, steps=steps)
def test_every_step_is_the_papers_formula(optimizer: RMSprop, steps: list[tuple[tuple[float, ...], float]]) -> None:
    gradients, rates = zip(*steps, strict=True)
    got, want = stepped(optimizer, gradients, rates), written_out(optimizer, gradients, rates)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_eps_stands_inside_the_root_unless_asked_otherwise() -> None:
    """The first step of the paper's settings on a gradient of 1: 1 / sqrt(.01 + .1), where torch has 1 / (.1 + .1)."""
    assert stepped(RMSprop(1.0), [[1.0]], [1.0]).item() == pytest.approx(-1 / math.sqrt(0.11), rel=1e-6)
    assert stepped(RMSprop(1.0, eps_inside_sqrt=False), [[1.0]], [1.0]).item() == pytest.approx(-5.0, rel=1e-6)


def test_an_initial_square_fades_and_then_makes_no_difference() -> None:
    """It is carried by the count of updates alone: the rows start as zeros and are the same with it and without."""
    from_zero, from_one = RMSprop(1e-2, alpha=0.9, eps=1e-3), RMSprop(1e-2, alpha=0.9, eps=1e-3, initial_square=1.0)
    gradient, moves = torch.full((3,), 0.1), []
    states = torch.zeros(2, 1, 3)
    for updates in range(300):
        one, other = torch.zeros(3), torch.zeros(3)
        from_zero.step(one, gradient, states[0], updates, 1e-2)
        from_one.step(other, gradient, states[1], updates, 1e-2)
        moves.append((other / one).mean().item())
    assert torch.equal(states[0], states[1])
    assert moves[0] == pytest.approx(math.sqrt((0.001 + 0.001) / (0.9 + 0.001 + 0.001)), rel=1e-4)
    assert all(later >= earlier - 1e-6 for earlier, later in itertools.pairwise(moves))
    assert moves[-1] == pytest.approx(1.0, abs=1e-6)


def test_what_it_keeps_between_steps_is_no_state() -> None:
    """One optimizer that steps vectors in turn, or is sent to another process, does what one of its own each would."""
    shared = RMSprop(0.1, momentum=0.5)
    big, small, alone = torch.ones(50), torch.ones(7), torch.ones(7)
    big_state, small_state, alone_state = torch.zeros(2, 50), torch.zeros(2, 7), torch.zeros(2, 7)
    for updates in range(4):
        shared.step(big, torch.linspace(-1, 1, 50), big_state, updates, 0.1)
        shared = pickle.loads(pickle.dumps(shared))
        shared.step(small, torch.arange(7.0), small_state, updates, 0.1)
        RMSprop(0.1, momentum=0.5).step(alone, torch.arange(7.0), alone_state, updates, 0.1)
    assert torch.equal(small, alone)
    assert torch.equal(small_state, alone_state)
    heavy = RMSprop(0.1)
    heavy.step(torch.ones(10**5), torch.ones(10**5), torch.zeros(1, 10**5), 0, 0.1)
    assert len(pickle.dumps(heavy)) < 10**4


P = 1703


def of_one_process(weights: Tensor, gradient: Tensor, times: int) -> tuple[Tensor, Tensor]:
    weights, state = weights.clone(), torch.zeros(2, P)
    optimizer = RMSprop(1e-2, momentum=0.5)
    for updates in range(times):
        optimizer.step(weights, gradient, state, updates, 1e-2)
    return weights, state


def test_two_processes_do_not_keep_a_mean_square_each(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    weights, gradient = torch.randn(P, generator=generator), torch.randn(P, generator=generator)
    rmsprop = RMSprop(1e-2, momentum=0.5)
    block, ledger = block_for(weights, torch.zeros(2, P), tmp_path, locked=True), ledger_for(2)
    # The same gradient every time, so that who comes first makes no difference.
    assert push_together(block, ledger, rmsprop, [gradient, gradient], times=40) == [0, 0]
    got, state = SharedWeights(block, ledger, None, rmsprop).read()
    want, want_state = of_one_process(weights, gradient, 80)
    assert torch.equal(got, want)
    assert torch.equal(state, want_state)
    assert (of_one_process(weights, gradient, 40)[0] - want).abs().max() > 0.05, "two private ones could not be told from one"


def test_lock_free_processes_never_see_a_square_below_zero(tmp_path: Path) -> None:
    """A root of it would be NaN for ever. In turn, nothing at all is lost."""
    gradient, zeros = torch.linspace(-1e3, 1e3, P), torch.zeros(P)
    rmsprop = RMSprop(1e-2, momentum=0.5)
    racing, ledger = block_for(zeros, torch.zeros(2, P), tmp_path, locked=False), ledger_for(2)
    assert push_together(racing, ledger, rmsprop, [gradient, -gradient], times=500) == [0, 0]
    weights, state = SharedWeights(racing, ledger, None, rmsprop).read()
    assert torch.isfinite(weights).all()
    assert (state[0] >= 0).all()

    in_turn, ledger = block_for(zeros, torch.zeros(2, P), tmp_path, locked=False), ledger_for(2)
    for slot in range(2):
        assert ended(push_alone(in_turn, ledger, slot, rmsprop, gradient, times=5)) == 0
    assert torch.equal(SharedWeights(in_turn, ledger, None, rmsprop).read()[0], of_one_process(zeros, gradient, 10)[0])
