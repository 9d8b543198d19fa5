"""A GRU along a window with a hand-written gradient: most of it is computed for all steps at once."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from a3c_exp.compile.stable_ops import sigmoid


class FusedGRU(torch.autograd.Function):
    """``GRUCell.step`` for every step of B windows, with the same values.

    Autograd makes the gradient of W_hh as one outer product a step, each as large as W_hh, and adds them up: for one
    worker's window of ten steps that costs more than the convolutions before it. Here only ``dh`` is carried from step to step
    (one product with W_hh each, and none where the gradient is cut); everything else is one operation for all steps.
    """

    generate_vmap_rule = True  # stacked workers each have their own W_hh

    @staticmethod
    def forward(
        projected_input: Tensor, keep_mask: Tensor, hidden_state: Tensor, weight: Tensor, bias: Tensor, bptt: int | None
    ) -> tuple[Tensor, Tensor]:
        """States and products after each step.

        Args:
            projected_input: ``[n, B, 3 m]`` W_ih x + b_ih.
            keep_mask: ``[n, B, 1]`` the state's factor before each step: 0 where an episode begins, else 1.
            hidden_state: ``[B, m]`` at the windows' start.
            weight, bias: W_hh ``[3 m, m]`` and b_hh ``[3 m]``; rows in the order r, z, n.
            bptt: no gradient flows back past every so many steps; ``None`` for none cut.

        Returns:
            ``[n, B, m]`` the states after each step, and ``[n, B, 3 m]`` W_hh h + b_hh, which the gradient needs again.
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
        projected, keep_mask, state, weight, states, products = ctx.saved_tensors
        size = state.shape[-1]
        before = torch.cat([state.unsqueeze(0), states[:-1]]) * keep_mask  # [n, B, m]
        hidden_rz, hidden_n = products.split([2 * size, size], dim=-1)
        input_rz, input_n = projected.split([2 * size, size], dim=-1)
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
            if ctx.bptt is not None and t % ctx.bptt == 0:
                carried = None
                continue
            d_product = d_now.repeat(1, 3) * by_products[t]
            carried = torch.addmm(d_now * z[t], d_product, weight) * keep_mask[t]
        d_after_all = torch.stack(d_after[::-1])
        d_products = d_after_all.repeat(1, 1, 3) * by_products
        d_input = torch.cat([d_products[..., : 2 * size], d_after_all * by_n], dim=-1)
        rows = d_products.flatten(0, 1)
        d_weight = rows.t() @ before.flatten(0, 1)
        return d_input, None, torch.zeros_like(state) if carried is None else carried, d_weight, rows.sum(0), None
