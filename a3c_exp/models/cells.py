"""Recurrent cells in plain linear algebra: vmap cannot stack torch's own ``gru_cell`` and ``lstm_cell`` over workers."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from a3c_exp.compile.shared_layers import SharedLayers
from a3c_exp.compile.stable_ops import sigmoid
from a3c_exp.models.base import detach_hidden_state


class Cell(nn.Module):
    """One step of a recurrent layer, with the parameters of torch's cells under their names and in their order.

    The state, ``states`` vectors, is all zeros at an episode's beginning; its first ``hidden_size`` numbers are the output.
    """

    gates: int
    states = 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size, self.hidden_state_size = hidden_size, self.states * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(self.gates * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(self.gates * hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(self.gates * hidden_size))
        self.bias_hh = nn.Parameter(torch.empty(self.gates * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As torch's cells: uniform within 1 / sqrt(hidden_size), biases too."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, features: Tensor, hidden_state: Tensor) -> Tensor:
        """The state ``[..., state_size]`` after ``features [..., inputs]``, from the one before."""
        return self.step(self.input_projection(features), hidden_state)

    def input_projection(self, features: Tensor) -> Tensor:
        """``W_ih x + b_ih [..., gates * hidden_size]``: needs no state, so it is computed for all steps of a window at once."""
        return functional.linear(features, self.weight_ih, self.bias_ih)

    def step(self, projected_input: Tensor, hidden_state: Tensor) -> Tensor:
        """The state ``[..., state_size]`` after the one before, from ``projected_input [..., gates * hidden_size]``."""
        raise NotImplementedError

    def unroll(self, projected_input: Tensor, episode_start: Tensor, hidden_state: Tensor, bptt: int | None) -> Tensor:
        """``step`` along windows, ``projected_input [..., n, gates * hidden_size]``, to the states ``[..., n, state_size]``."""
        time, states = episode_start.dim() - 1, []
        keep_mask = (1.0 - episode_start).unsqueeze(-1).unbind(time)
        for t, step_input in enumerate(projected_input.unbind(time)):
            hidden_state = self.step(step_input, detach_hidden_state(hidden_state, t, bptt) * keep_mask[t])
            states.append(hidden_state)
        return torch.stack(states, dim=time)


class GRUCell(Cell):
    """The equations of ``torch.nn.GRUCell`` (Cho et al. 2014, arXiv:1406.1078): state h.

    ``r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)``, z likewise, ``n = tanh(W_in x + b_in + r (W_hn h + b_hn))``,
    ``h' = (1 - z) n + z h``; rows of the weights in the order r, z, n.
    """

    gates = 3

    def step(self, projected_input: Tensor, hidden_state: Tensor) -> Tensor:
        sizes = [2 * self.hidden_size, self.hidden_size]
        input_rz, input_n = torch.split(projected_input, sizes, dim=-1)
        hidden_rz, hidden_n = torch.split(functional.linear(hidden_state, self.weight_hh, self.bias_hh), sizes, dim=-1)
        r, z = sigmoid(input_rz + hidden_rz).chunk(2, dim=-1)
        n = torch.tanh(input_n + r * hidden_n)
        return n + z * (hidden_state - n)

    def unroll(self, projected_input: Tensor, episode_start: Tensor, hidden_state: Tensor, bptt: int | None) -> Tensor:
        shape = episode_start.shape
        by_time = projected_input.view(-1, shape[-1], projected_input.shape[-1]).transpose(0, 1)
        keep_mask = (1.0 - episode_start).view(-1, shape[-1], 1).transpose(0, 1)
        shared, own = SharedLayers.current, (self.weight_hh, self.bias_hh)
        function, weights = (FusedGRU, own) if shared is None else (SharedGRU, [shared.rows_of(weight) for weight in own])
        states, _ = function.apply(  # type: ignore[no-untyped-call]
            by_time, keep_mask, hidden_state.reshape(-1, self.hidden_size), *weights, bptt
        )
        unrolled: Tensor = states.transpose(0, 1).reshape(*shape, self.hidden_size)
        return unrolled


class LSTMCell(Cell):
    """The equations of ``torch.nn.LSTMCell`` (Hochreiter & Schmidhuber 1997, with forget gates): state h, then c.

    ``i, f, o = sigmoid(W x + b + W' h + b')``, ``g = tanh(...)`` likewise, ``c' = f c + i g``, ``h' = o tanh(c')``; rows of the
    weights in the order i, f, g, o.
    """

    gates, states = 4, 2

    def step(self, projected_input: Tensor, hidden_state: Tensor) -> Tensor:
        h, c = hidden_state.chunk(2, dim=-1)
        i, f, g, o = (projected_input + functional.linear(h, self.weight_hh, self.bias_hh)).chunk(4, dim=-1)
        c = sigmoid(f) * c + sigmoid(i) * torch.tanh(g)
        return torch.cat([sigmoid(o) * torch.tanh(c), c], dim=-1)


class FusedGRU(torch.autograd.Function):
    """``GRUCell.step`` for every step of B windows, with the same values.

    Autograd makes the gradient of W_hh as one outer product a step, each as large as W_hh: for one worker's window of ten steps
    that costs more than the convolutions before it. Here only ``dh`` is carried from step to step; the rest is done at once.
    """

    generate_vmap_rule = True  # stacked workers each have their own W_hh

    @staticmethod
    def forward(
        projected_input: Tensor, keep_mask: Tensor, hidden_state: Tensor, weight: Tensor, bias: Tensor, bptt: int | None
    ) -> tuple[Tensor, Tensor]:
        """The states ``[n, B, m]`` after each step, and W_hh h + b_hh ``[n, B, 3 m]``, which the gradient needs again.

        Args:
            projected_input: ``[n, B, 3 m]`` W_ih x + b_ih.
            keep_mask: ``[n, B, 1]`` the state's factor before each step: 0 where an episode begins, else 1.
            hidden_state: ``[B, m]`` at the windows' start.
            weight, bias: W_hh ``[3 m, m]`` and b_hh ``[3 m]``; rows in the order r, z, n.
            bptt: no gradient flows back past every so many steps; ``None`` for none cut.
        """
        size = hidden_state.shape[-1]
        states, products = [], []
        for step_input, step_mask in zip(projected_input.unbind(0), keep_mask.unbind(0), strict=True):
            hidden_state = hidden_state * step_mask
            product = torch.addmm(bias, hidden_state, weight.t())
            r, z = sigmoid(step_input[:, : 2 * size] + product[:, : 2 * size]).chunk(2, dim=-1)
            n = torch.tanh(step_input[:, 2 * size :] + r * product[:, 2 * size :])
            hidden_state = n + z * (hidden_state - n)
            states.append(hidden_state)
            products.append(product)
        return torch.stack(states), torch.stack(products)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        projected, keep_mask, state, weight, _, ctx.bptt = inputs
        states, products = output
        ctx.mark_non_differentiable(products)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(projected, keep_mask, state, weight, states, products)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        d_input, d_state, d_products, before = _gru_gradients(ctx.saved_tensors, ctx.bptt, d_states)
        rows = d_products.flatten(0, 1)
        return d_input, None, d_state, rows.t() @ before.flatten(0, 1), rows.sum(0), None


class SharedGRU(torch.autograd.Function):
    """``FusedGRU`` for B windows, with R equal rows of weights, ``[R, 3 m, m]`` and ``[R, 3 m]``, of which each has its own
    gradient: of B/R windows that follow each other."""

    @staticmethod
    def forward(
        ctx: Any, projected_input: Tensor, keep_mask: Tensor, hidden_state: Tensor, weights: Tensor, biases: Tensor, bptt: Any
    ) -> tuple[Tensor, Tensor]:
        inputs = projected_input, keep_mask, hidden_state, weights[0], biases[0], bptt
        output = FusedGRU.forward(*inputs)
        FusedGRU.setup_context(ctx, inputs, output)
        ctx.rows = len(weights)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        d_input, d_state, d_products, before = _gru_gradients(ctx.saved_tensors, ctx.bptt, d_states)
        rows = ctx.rows
        d_own, own = (part.transpose(0, 1).reshape(rows, -1, part.shape[-1]) for part in (d_products, before))
        return d_input, None, d_state, torch.bmm(d_own.transpose(1, 2), own), d_own.sum(1), None


def _gru_gradients(saved: Sequence[Tensor], bptt: int | None, d_states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of ``projected_input`` and of the windows' first states, and of the products with W_hh ``[n, B, 3 m]``; and the states
    ``[n, B, m]`` that these were made with."""
    projected, keep_mask, state, weight, states, products = saved
    size = state.shape[-1]
    before = torch.cat([state.unsqueeze(0), states[:-1]]) * keep_mask  # [n, B, m]
    hidden_rz, hidden_n = torch.split(products, [2 * size, size], dim=-1)
    input_rz, input_n = torch.split(projected, [2 * size, size], dim=-1)
    r, z = sigmoid(input_rz + hidden_rz).chunk(2, dim=-1)
    n = torch.tanh(input_n + r * hidden_n)
    # Derivatives of the new state by what goes into n and into the gates, and by the products with W_hh.
    by_n = (1 - z) * (1 - n * n)
    by_z = (before - n) * z * (1 - z)
    by_r = by_n * hidden_n * r * (1 - r)
    by_products = torch.cat([by_r, by_z, by_n * r], dim=-1)  # [n, B, 3 m]

    steps = range(len(projected))
    carried: Tensor | None = None
    d_after: list[Tensor] = []
    for t in reversed(steps):
        d_now = d_states[t] if carried is None else d_states[t] + carried
        d_after.append(d_now)
        if bptt is not None and t % bptt == 0:
            carried = None
            continue
        d_product = d_now.repeat(1, 3) * by_products[t]
        carried = torch.addmm(d_now * z[t], d_product, weight) * keep_mask[t]
    d_after_all = torch.stack(d_after[::-1])
    d_products = d_after_all.repeat(1, 1, 3) * by_products
    d_input = torch.cat([d_products[..., : 2 * size], d_after_all * by_n], dim=-1)
    return d_input, torch.zeros_like(state) if carried is None else carried, d_products, before
