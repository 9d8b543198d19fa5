"""The flat optimizers against torch.optim, over steps that would show a wrong bias correction or a lost state."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from a3c_exp.optimizers.adam import Adam
from a3c_exp.optimizers.rmsprop import RMSprop
from a3c_exp.optimizers.sgd import SGD

P, STEPS = 40, 50

CASES = {
    "adam": (Adam(1e-2), lambda p: torch.optim.Adam(p, 1e-2)),
    "adam of the report": (
        Adam(1e-4, betas=(0.96, 0.999)),
        lambda p: torch.optim.Adam(p, 1e-4, betas=(0.96, 0.999)),
    ),
    "adam with everything": (
        Adam(3e-2, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1),
        lambda p: torch.optim.Adam(p, 3e-2, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1),
    ),
    "sgd": (SGD(0.1), lambda p: torch.optim.SGD(p, 0.1)),
    "sgd with momentum": (SGD(0.1, momentum=0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
    "rmsprop of torch": (RMSprop(1e-2, eps=1e-8, eps_inside_sqrt=False), lambda p: torch.optim.RMSprop(p, 1e-2)),
    "rmsprop of torch with momentum": (
        RMSprop(1e-3, alpha=0.9, eps=1e-3, momentum=0.8, eps_inside_sqrt=False),
        lambda p: torch.optim.RMSprop(p, 1e-3, alpha=0.9, eps=1e-3, momentum=0.8),
    ),
}


def gradients(seed: int = 1) -> list[Tensor]:
    """Of very different sizes from step to step and from weight to weight."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.logspace(-4, 1, P)
    return [scale * torch.randn(P, generator=generator) * (1 + step % 5) for step in range(STEPS)]


def start() -> Tensor:
    return torch.randn(P, generator=torch.Generator().manual_seed(2))


def assert_same(weights: Tensor, reference: Tensor) -> None:
    """To the last bits of the largest number that went into any of them."""
    np.testing.assert_allclose(weights, reference, rtol=0, atol=1e-6 + 2e-7 * reference.abs().max().item())


@pytest.mark.parametrize("name", list(CASES))
def test_every_step_is_that_of_torch(name: str) -> None:
    ours, theirs = CASES[name]
    weights, parameter = start(), nn.Parameter(start())
    state, reference = torch.zeros(ours.state_rows, P), theirs([parameter])
    for updates, gradient in enumerate(gradients()):
        kept = gradient.clone()
        ours.step(weights, gradient, state, updates, ours.lr)
        assert torch.equal(gradient, kept)  # another worker's gradient may still be read
        parameter.grad = gradient.clone()
        reference.step()
        assert_same(weights, parameter.detach())
    assert not torch.allclose(weights, start(), atol=1e-4)


@pytest.mark.parametrize("name", list(CASES))
def test_all_state_is_in_the_rows_and_the_count(name: str) -> None:
    """A checkpoint holds the weights, the rows and the number of updates: going on from them must change nothing."""
    optimizer, _ = CASES[name]
    weights, state = start(), torch.zeros(optimizer.state_rows, P)
    for updates, gradient in enumerate(gradients()):
        optimizer.step(weights, gradient, state, updates, optimizer.lr)
        if updates == 19:
            saved, saved_state = weights.clone(), state.clone()
    for updates, gradient in list(enumerate(gradients()))[20:]:
        optimizer.step(saved, gradient, saved_state, updates, optimizer.lr)
    assert torch.equal(saved, weights)
    assert torch.equal(saved_state, state)


@pytest.mark.parametrize("name", list(CASES))
def test_a_step_changes_the_given_memory_and_no_other(name: str) -> None:
    """Weights and state are rows of blocks that processes share."""
    optimizer, _ = CASES[name]
    block = torch.zeros(3 + optimizer.state_rows, P)
    block[1] = start()
    for updates, gradient in enumerate(gradients()[:3]):
        optimizer.step(block[1], gradient, block[2 : 2 + optimizer.state_rows], updates, optimizer.lr)
    assert not torch.equal(block[1], start())
    assert torch.count_nonzero(block[0]) == torch.count_nonzero(block[-1]) == 0
    assert all(torch.count_nonzero(row) for row in block[2:-1])


@pytest.mark.parametrize("name", list(CASES))
def test_the_rate_is_the_callers_and_not_the_optimizers(name: str) -> None:
    """A schedule and a rate for each worker, against torch's ``param_groups``; the base rate plays no part."""
    ours, theirs = CASES[name]
    weights, parameter = start(), nn.Parameter(start())
    state, reference = torch.zeros(ours.state_rows, P), theirs([parameter])
    for updates, gradient in enumerate(gradients()):
        rate = ours.lr * (1.5 if updates % 2 else 0.1) * (1 - updates / STEPS)
        ours.step(weights, gradient, state, updates, rate)
        reference.param_groups[0]["lr"] = rate
        parameter.grad = gradient.clone()
        reference.step()
        assert_same(weights, parameter.detach())
    before = weights.clone()
    ours.step(weights, gradients()[0], state, STEPS, 0.0)
    assert torch.equal(weights, before)


def test_adams_rows_are_the_first_and_the_second_moment_in_that_order() -> None:
    """Checkpoints of other versions are read by this order."""
    ours, theirs = CASES["adam of the report"]
    weights, parameter, state = start(), nn.Parameter(start()), torch.zeros(2, P)
    reference = theirs([parameter])
    for updates, gradient in enumerate(gradients()[:5]):
        ours.step(weights, gradient, state, updates, ours.lr)
        parameter.grad = gradient
        reference.step()
    moments = reference.state[parameter]
    np.testing.assert_allclose(state, torch.stack([moments["exp_avg"], moments["exp_avg_sq"]]), rtol=1e-5, atol=1e-12)
