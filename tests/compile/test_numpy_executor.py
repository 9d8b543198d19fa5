"""numpy runs what torch was recorded doing."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from a3c_exp.compile.numpy_executor import NumpyExecutor

FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "arithmetic": lambda x, y: (2.0 * x + y / 3.0 - 1.0) * (4.0 - x) / (y * y + 1),
    "mixed precision": lambda x, y: x + 0.001 * y.to(torch.float32) ** 2 + 3 * y.to(torch.float32),
    "powers": lambda x, y: x**2 + y**3 + x.square() + (y.abs() + 1) ** 0.5,
    "waves": lambda x, y: x.sin() * y.cos() + torch.tan(x) + torch.tanh(y) + torch.exp(-x.abs()) + torch.log(y.abs() + 1),
    "bounds": lambda x, y: x.clamp(-0.5, 0.5) + y.clamp(min=0.1) + y.clamp(max=0.3) + torch.minimum(x, y) * torch.maximum(x, y),
    "remainder": lambda x, y: torch.remainder(x * 9, 2.5) + torch.remainder(-7.0 * y, 0.3) + torch.floor(x * 4),
    "choices": lambda x, y: torch.where((x > y) & ~(x >= 0.9) | (y < -0.5) | (x != x), x, -y) + (x <= y).to(torch.float64),
    "scalars chosen": lambda x, y: torch.where(x == y, 1.0, 0.0) + torch.where(x.gt(0), x, 2.5),
    "views": lambda x, y: torch.stack([x[:, 0], y.unbind(-1)[1]], dim=-1) + x.flip(-1) + x.T.contiguous().T,
    "joined": lambda x, y: torch.cat([x[:, :1], y], dim=-1)[:, 1:] + x.sum(-1, keepdim=True) + torch.cat([x, y])[:5],
    "whole numbers": lambda x, y: x * (y * 10).to(torch.int64) + (y * 10).to(torch.int64) / 4,
    "written in place": lambda x, y: (x * 2).add_(y).mul_(x),
    "written into zeros": lambda x, y: torch.zeros_like(x).add_(y) + torch.ones_like(x).mul_(x),
    "no translation": lambda x, y: torch.atan2(x, y) + torch.special.ndtri(x.sigmoid()) + x.erf(),
    "a constant": lambda x, y: x * torch.tensor([1.5, -2.0], dtype=torch.float64) + torch.arange(2.0),
    "constants of its shape": lambda x, y: x * 0 + torch.ones_like(x) + torch.zeros_like(y) + torch.full_like(x, 7.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_is_played_is_what_was_written(name: str, dtype: torch.dtype) -> None:
    function = FUNCTIONS[name]
    generator = torch.Generator().manual_seed(0)
    player = NumpyExecutor(lambda x, y: (function(x, y),), [torch.zeros(5, 2, dtype=dtype) for _ in range(2)])
    for _ in range(3):  # what an earlier play has left behind must not matter
        x, y = (torch.randn(5, 2, dtype=dtype, generator=generator) for _ in range(2))
        y[0] = x[0]
        player.inputs[0][:], player.inputs[1][:] = x.numpy(), y.numpy()
        player.run()
        expected = function(x, y)
        assert player.outputs[0].dtype == expected.numpy().dtype
        rounding = 1e-13 if dtype is torch.float64 else 1e-5
        np.testing.assert_allclose(player.outputs[0], expected.numpy(), rtol=rounding, atol=rounding)
        assert np.array_equal(player.inputs[0], x.numpy()), "inputs are the caller's"
    assert ("atan2" in str(player.untranslated)) == (name == "no translation")


def test_not_a_number_stays_not_a_number() -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        return x.clamp(-1.0, 1.0), torch.maximum(x, torch.zeros_like(x)), x < 0, torch.where(x > 0, x, 2 * x)

    player = NumpyExecutor(function, [torch.zeros(3)])
    player.inputs[0][:] = [np.nan, np.inf, -np.inf]
    player.run()
    for ours, theirs in zip(player.outputs, function(torch.tensor([np.nan, np.inf, -np.inf])), strict=True):
        np.testing.assert_array_equal(ours, theirs.numpy())


def test_nothing_is_played_before_it_is_told_and_memory_never_moves() -> None:
    player = NumpyExecutor(lambda x: (x + 1, x[:1]), [torch.zeros(2)])
    one, view = player.outputs
    player.inputs[0][:] = 5.0
    assert one.tolist() == [1.0, 1.0] and view.tolist() == [5.0], "a view needs no playing"
    player.run()
    assert one.tolist() == [6.0, 6.0] and player.outputs[0] is one
