"""Cells written out against torch's own, from the first draw of their weights to the gradient through time."""

import warnings

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn
from torch.func import functional_call, vmap

from a3c_exp.models.cells import Cell, GRUCell, LSTMCell

PAIRS: list[tuple[type[Cell], type[nn.Module]]] = [(GRUCell, nn.GRUCell), (LSTMCell, nn.LSTMCell)]


def torchs(cell: nn.Module, features: Tensor, state: Tensor) -> Tensor:
    """One step ``[B, ...]`` of torch's cell, with h and c side by side as one state."""
    if isinstance(cell, nn.LSTMCell):
        return torch.cat(cell(features, tuple(state.chunk(2, dim=-1))), dim=-1)
    return cell(features, state)


def pair(kind: tuple[type[Cell], type[nn.Module]], inputs: int, memory: int, seed: int = 1) -> tuple[Cell, nn.Module]:
    ours, theirs = kind
    torch.manual_seed(seed)
    own = ours(inputs, memory)
    torch.manual_seed(seed)
    return own, theirs(inputs, memory)


@pytest.mark.parametrize("kind", PAIRS, ids=["gru", "lstm"])
def test_the_seed_draws_the_weights_of_torchs_cell(kind: tuple[type[Cell], type[nn.Module]]) -> None:
    own, reference = pair(kind, 3, 5)
    theirs = dict(reference.named_parameters())
    assert [name for name, _ in own.named_parameters()] == list(theirs)  # checkpoints are read by order
    for name, parameter in own.named_parameters():
        assert torch.equal(parameter, theirs[name]), name
    assert own.hidden_state_size == (10 if kind[0] is LSTMCell else 5)
    own.load_state_dict(reference.state_dict())


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(PAIRS),
    inputs=st.integers(1, 6),
    memory=st.integers(1, 7),
    batch=st.integers(1, 3),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    seed=st.integers(0, 99),
)
def test_steps_and_gradients_are_those_of_torchs_cell(
    kind: tuple[type[Cell], type[nn.Module]], inputs: int, memory: int, batch: int, scale: float, seed: int
) -> None:
    """Over four steps, with saturated gates too."""
    own, reference = pair(kind, inputs, memory, seed)
    generator = torch.Generator().manual_seed(seed)
    observed = scale * torch.randn(4, batch, inputs, generator=generator)
    first = torch.randn(batch, own.hidden_state_size, generator=generator)
    mark = torch.randn(4, batch, own.hidden_state_size, generator=generator)
    states, gradients = [], []
    for cell, step in ((own, own), (reference, lambda x, state: torchs(reference, x, state))):
        state, total = first.clone().requires_grad_(), torch.zeros(())
        begun = state
        for t in range(4):
            state = step(observed[t], state)
            total = total + (mark[t] * state).sum()
        states.append(state)
        gradients.append(torch.autograd.grad(total, [begun, *cell.parameters()]))
    torch.testing.assert_close(states[0], states[1], rtol=1e-5, atol=1e-6)
    for one, same in zip(*gradients, strict=True):
        torch.testing.assert_close(one, same, rtol=1e-3, atol=1e-5 * max(1.0, scale))


@pytest.mark.parametrize("kind", PAIRS, ids=["gru", "lstm"])
def test_any_leading_shape_is_many_single_steps(kind: tuple[type[Cell], type[nn.Module]]) -> None:
    cell, _ = pair(kind, 3, 4)
    features, state = torch.randn(2, 5, 3), torch.randn(2, 5, cell.hidden_state_size)
    together = cell(features, state)
    assert together.shape == state.shape
    for i in range(2):
        for j in range(5):
            torch.testing.assert_close(cell(features[i, j], state[i, j]), together[i, j], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", PAIRS, ids=["gru", "lstm"])
def test_vmap_stacks_a_cell_without_falling_back_to_a_loop(kind: tuple[type[Cell], type[nn.Module]]) -> None:
    """Torch's own cells do fall back, with a warning, or the reason for writing them out is gone."""
    own, reference = pair(kind, 3, 4)
    weights = {name: torch.randn(5, *parameter.shape) for name, parameter in own.named_parameters()}
    features, state = torch.randn(5, 3), torch.randn(5, own.hidden_state_size)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stacked = vmap(lambda w, x, s: functional_call(own, w, (x, s)))(weights, features, state)
    for k in range(5):
        reference.load_state_dict({name: weight[k] for name, weight in weights.items()})
        want = torchs(reference, features[k : k + 1], state[k : k + 1])[0]
        torch.testing.assert_close(stacked[k], want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bptt", [None, 1, 2, 3, 9])
@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
@pytest.mark.parametrize("kind", PAIRS, ids=["gru", "lstm"])
def test_steps_in_a_row_are_single_steps_and_so_are_their_gradients(
    kind: tuple[type[Cell], type[nn.Module]], leading: tuple[int, ...], bptt: int | None
) -> None:
    """A GRU's gradient along a window is written out by hand; here autograd takes it step by step, in double precision."""
    cell = pair(kind, 3, 4)[0].double()
    generator = torch.Generator().manual_seed(7)
    n = 5

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    seen, begun, mark = (
        drawn(*leading, n, cell.gates * 4),
        drawn(*leading, cell.hidden_state_size),
        drawn(*leading, n, cell.hidden_state_size),
    )
    first = torch.zeros(*leading, n, dtype=torch.float64)
    first[..., 2] = (torch.arange(first[..., 2].numel()) % 2 == 0).double().view(leading)  # every other window's
    results = []
    for by_hand in (True, False):
        given = seen.clone().requires_grad_(), begun.clone().requires_grad_()
        if by_hand:
            states = cell.unroll(given[0], first, given[1], bptt)
        else:
            state, steps = given[1], []
            for t in range(n):
                if bptt is not None and t % bptt == 0:
                    state = state.detach()
                state = cell.step(given[0][..., t, :], torch.where(first[..., t : t + 1] > 0, 0.0, state))
                steps.append(state)
            states = torch.stack(steps, dim=len(leading))
        wanted = [given[0], given[1], cell.weight_hh, cell.bias_hh]
        results.append([states, *torch.autograd.grad((mark * states).sum(), wanted, materialize_grads=True)])
    for one, same in zip(*results, strict=True):
        torch.testing.assert_close(one, same, rtol=1e-9, atol=1e-10)
    assert (torch.count_nonzero(results[0][2]) == 0) == (bptt is not None), "whether the window's start is reached"
