"""What stands in compiled code for operations of libraries gives what they give."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor, fx

from a3c_exp.compile import torch_backend
from a3c_exp.compile.compiler import Compiler, _to_fx_graph
from a3c_exp.compile.vectorize import _record_op_graph, compile_checked


def expanded(function: Callable[[Tensor], Tensor], example: Tensor) -> fx.GraphModule:
    """The graph that is compiled, as a function of the weights, of which it takes none, and the input."""
    return _to_fx_graph(_record_op_graph(lambda x: (function(x),), [example]), torch.zeros(1, 1))


@given(
    rows=st.integers(1, 5),
    length=st.integers(1, 40),
    dim=st.sampled_from([0, 1, -1]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.int64, torch.bool]),
    seed=st.integers(0, 1000),
)
def test_a_cumulative_sum_has_the_bits_of_torchs(rows: int, length: int, dim: int, dtype: torch.dtype, seed: int) -> None:
    traced, other = (3.0 * torch.randn(2, rows, length, generator=torch.Generator().manual_seed(seed))).to(dtype)
    (result,) = expanded(lambda x: x.cumsum(dim), traced)(None, other)
    assert result.dtype == other.cumsum(dim).dtype
    assert torch.equal(result, other.cumsum(dim))


def test_only_short_cumulative_sums_are_expanded() -> None:
    for length, stays in ((32, False), (33, True)):
        graph = expanded(lambda x: x.cumsum(1), torch.ones(2, length)).graph
        assert any(node.target is torch.ops.aten.cumsum.default for node in graph.nodes) == stays


@given(rows=st.integers(1, 3), length=st.integers(1, 100), scale=st.sampled_from([0.0, 1e-12, 1.0, 1e12]))
def test_norms_of_rows_are_those_of_double_precision(rows: int, length: int, scale: float) -> None:
    traced, other = scale * torch.randn(2, rows, length, generator=torch.Generator().manual_seed(length))
    (result,) = expanded(lambda x: torch.linalg.vector_norm(x, dim=1), traced)(None, other)
    torch.testing.assert_close(result, torch.linalg.vector_norm(other.double(), dim=1).float(), rtol=3e-7, atol=1e-37)


def products(flat: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    """Products of matrices in every layout in which networks have them, forward and backward."""
    weight, bias = flat.view(-1)[:35].view(7, 5), flat.view(-1)[35:42]
    wide, tall = x[:5], x[5:].transpose(0, 1)
    return (
        torch.addmm(bias, x, weight.t()),
        torch.addmm(bias, x[:1], weight.t()),
        torch.addmm(bias[:1], x, weight[:1].t()),
        torch.addmm(bias[:5], tall.t() @ wide[:, :1].t().expand(5, 5), wide),
        torch.addmm(x, x, wide, beta=0.5, alpha=2.0),
        torch.mm(weight, x.t()),
        torch.mm(x.t(), x),
        torch.mm(tall, x[5:]),
        torch.mm(x, weight[2:3].t()),
        torch.mm(x[:, 1:2], weight[:, 3:4].t()),
        torch.mm(weight.t()[1:4], bias.unsqueeze(1)),
        torch.mm(x.double(), weight.t().double()).float(),
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler on this machine")
def test_products_of_matrices_are_those_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(torch_backend.INDUCTOR_OPTIONS, "aot_inductor.precompile_headers", False)
    generator = torch.Generator().manual_seed(0)
    weights, traced = torch.randn(1, 42, generator=generator), torch.randn(11, 5, generator=generator)
    compiler = Compiler(tmp_path)
    compiled = compile_checked(partial(products, weights), weights, [traced], compiler, "products")
    assert compiled is not None and compiler.failures == []
    for _ in range(3):
        other = torch.randn(11, 5, generator=generator)
        for ours, theirs in zip(compiled(weights, other), products(weights, other), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-5)
        weights.mul_(-0.7)
