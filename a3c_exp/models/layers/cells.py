"""Recurrent cells in plain linear algebra: vmap cannot stack torch's own ``gru_cell`` and ``lstm_cell`` over workers."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from a3c_exp.compile.stable_ops import sigmoid
from a3c_exp.models.base import detach_hidden_state
from a3c_exp.models.layers.fused_gru import FusedGRU


class Cell(nn.Module):
    """One step of a recurrent layer, with the parameters of torch's cells under their names and in their order.

    Attributes:
        hidden_state_size: size of the state; all zeros at an episode's beginning.
        hidden_size: how many of them, the first ones, are the output.
    """

    gates: int
    hidden_state_size: int

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
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
        """``W_ih x + b_ih [..., gates * hidden_size]``: the part that does not depend on the state, computed for all steps of a
        window at once."""
        return functional.linear(features, self.weight_ih, self.bias_ih)

    def step(self, projected_input: Tensor, hidden_state: Tensor) -> Tensor:
        """The state ``[..., state_size]`` after the one before, from ``projected_input [..., gates * hidden_size]``."""
        raise NotImplementedError

    def unroll(self, projected_input: Tensor, episode_start: Tensor, hidden_state: Tensor, bptt: int | None) -> Tensor:
        """``step`` along windows: the states ``[..., n, state_size]`` after each of their steps.

        Args:
            projected_input: ``[..., n, gates * hidden_size]``.
            episode_start: ``[..., n]`` 1 where a step begins an episode, and the state before it is reset.
            hidden_state: ``[..., state_size]`` at the windows' start.
            bptt: the state is detached before every so many steps; ``None`` for never.
        """
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

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.hidden_state_size = hidden_size

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
        states, _ = FusedGRU.apply(  # type: ignore[no-untyped-call]
            by_time, keep_mask, hidden_state.reshape(-1, self.hidden_size), self.weight_hh, self.bias_hh, bptt
        )
        unrolled: Tensor = states.transpose(0, 1).reshape(*shape, self.hidden_size)
        return unrolled


class LSTMCell(Cell):
    """The equations of ``torch.nn.LSTMCell`` (Hochreiter & Schmidhuber 1997, with forget gates): state h, then c.

    ``i, f, o = sigmoid(W x + b + W' h + b')``, ``g = tanh(...)`` likewise, ``c' = f c + i g``, ``h' = o tanh(c')``; rows of the
    weights in the order i, f, g, o.
    """

    gates = 4

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.hidden_state_size = 2 * hidden_size

    def step(self, projected_input: Tensor, hidden_state: Tensor) -> Tensor:
        h, c = hidden_state.chunk(2, dim=-1)
        i, f, g, o = (projected_input + functional.linear(h, self.weight_hh, self.bias_hh)).chunk(4, dim=-1)
        c = sigmoid(f) * c + sigmoid(i) * torch.tanh(g)
        return torch.cat([sigmoid(o) * torch.tanh(c), c], dim=-1)
