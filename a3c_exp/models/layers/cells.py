"""Recurrent cells in plain linear algebra: vmap cannot stack torch's own ``gru_cell`` and ``lstm_cell`` over workers."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from a3c_exp.compile.stable_ops import sigmoid
from a3c_exp.models.base import cut_gradient
from a3c_exp.models.layers.fused_gru import GRUSteps


class Cell(nn.Module):
    """One step of a recurrent layer, with the parameters of torch's cells under their names and in their order.

    Attributes:
        state_size: numbers of state it carries from step to step; all zeros at an episode's beginning.
        memory: how many of them, the first ones, it shows to the layers above.
    """

    gates: int
    state_size: int

    def __init__(self, inputs: int, memory: int) -> None:
        super().__init__()
        self.memory = memory
        self.weight_ih = nn.Parameter(torch.empty(self.gates * memory, inputs))
        self.weight_hh = nn.Parameter(torch.empty(self.gates * memory, memory))
        self.bias_ih = nn.Parameter(torch.empty(self.gates * memory))
        self.bias_hh = nn.Parameter(torch.empty(self.gates * memory))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As torch's cells: uniform within 1 / sqrt(memory), biases too."""
        bound = 1 / math.sqrt(self.memory)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, features: Tensor, state: Tensor) -> Tensor:
        """The state ``[..., state_size]`` after ``features [..., inputs]``, from the one before."""
        return self.step(self.seen(features), state)

    def seen(self, features: Tensor) -> Tensor:
        """``W_ih x + b_ih [..., gates * memory]``: the part that no state enters, so that a window's steps can share it."""
        return functional.linear(features, self.weight_ih, self.bias_ih)

    def step(self, seen: Tensor, state: Tensor) -> Tensor:
        """The state ``[..., state_size]`` after what was ``seen [..., gates * memory]``, from the one before."""
        raise NotImplementedError

    def unroll(self, seen: Tensor, first: Tensor, state: Tensor, bptt: int | None) -> Tensor:
        """``step`` along windows: the states ``[..., n, state_size]`` after each of their steps.

        Args:
            seen: ``[..., n, gates * memory]``.
            first: ``[..., n]`` 1 where a step begins an episode, and the state before it is wiped.
            state: ``[..., state_size]`` at the windows' start.
            bptt: the state is detached before every so many steps; ``None`` for never.
        """
        time, states = first.dim() - 1, []
        kept = (1.0 - first).unsqueeze(-1).unbind(time)
        for t, seen_now in enumerate(seen.unbind(time)):
            state = self.step(seen_now, cut_gradient(state, t, bptt) * kept[t])
            states.append(state)
        return torch.stack(states, dim=time)


class GRUCell(Cell):
    """The equations of ``torch.nn.GRUCell`` (Cho et al. 2014, arXiv:1406.1078): state h.

    ``r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)``, z likewise, ``n = tanh(W_in x + b_in + r (W_hn h + b_hn))``,
    ``h' = (1 - z) n + z h``; rows of the weights in the order r, z, n.
    """

    gates = 3

    def __init__(self, inputs: int, memory: int) -> None:
        super().__init__(inputs, memory)
        self.state_size = memory

    def step(self, seen: Tensor, state: Tensor) -> Tensor:
        sizes = [2 * self.memory, self.memory]
        seen_rz, seen_n = torch.split(seen, sizes, dim=-1)
        kept_rz, kept_n = torch.split(functional.linear(state, self.weight_hh, self.bias_hh), sizes, dim=-1)
        r, z = sigmoid(seen_rz + kept_rz).chunk(2, dim=-1)
        n = torch.tanh(seen_n + r * kept_n)
        return n + z * (state - n)

    def unroll(self, seen: Tensor, first: Tensor, state: Tensor, bptt: int | None) -> Tensor:
        shape = first.shape
        by_time = seen.view(-1, shape[-1], seen.shape[-1]).transpose(0, 1)
        kept = (1.0 - first).view(-1, shape[-1], 1).transpose(0, 1)
        states, _ = GRUSteps.apply(  # type: ignore[no-untyped-call]
            by_time, kept, state.reshape(-1, self.memory), self.weight_hh, self.bias_hh, bptt
        )
        unrolled: Tensor = states.transpose(0, 1).reshape(*shape, self.memory)
        return unrolled


class LSTMCell(Cell):
    """The equations of ``torch.nn.LSTMCell`` (Hochreiter & Schmidhuber 1997, with forget gates): state h, then c.

    ``i, f, o = sigmoid(W x + b + W' h + b')``, ``g = tanh(...)`` likewise, ``c' = f c + i g``, ``h' = o tanh(c')``; rows of the
    weights in the order i, f, g, o.
    """

    gates = 4

    def __init__(self, inputs: int, memory: int) -> None:
        super().__init__(inputs, memory)
        self.state_size = 2 * memory

    def step(self, seen: Tensor, state: Tensor) -> Tensor:
        h, c = state.chunk(2, dim=-1)
        i, f, g, o = (seen + functional.linear(h, self.weight_hh, self.bias_hh)).chunk(4, dim=-1)
        c = sigmoid(f) * c + sigmoid(i) * torch.tanh(g)
        return torch.cat([sigmoid(o) * torch.tanh(c), c], dim=-1)
