"""Convolutions of compiled code in bfloat16: half the bytes, and a fraction of the time where the processor multiplies them."""

import platform
from collections.abc import Mapping, Sequence
from operator import getitem
from pathlib import Path
from typing import Any

import torch
from torch import fx

from a3c_exp.compile.op_trace import Operation, OpGraph

PRECISION = Path(__file__)
"""A part of what is compiled with it."""
_ATEN = torch.ops.aten
_CONVOLUTIONS = (_ATEN.convolution.default, _ATEN.convolution_backward.default)


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for products of bfloat16, without which they are slower than those of float32."""
    if platform.machine() in ("x86_64", "AMD64"):  # where the last line counts any avx512, with or without them
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_onednn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def has_convolutions(op_graph: OpGraph) -> bool:
    """A graph without any is the same code in either precision."""
    return any(operation.func in _CONVOLUTIONS for operation in op_graph.operations)


def in_bfloat16(
    graph: fx.Graph, operation: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Sequence[fx.Node] | None:
    """The results, as float32, of a convolution or its gradients of bfloat16 copies of its inputs; ``None`` for all else.

    Products are summed in float32 (oneDNN), and results rounded once.
    """
    if operation.func not in _CONVOLUTIONS:
        return None
    call = graph.call_function

    def copy(node: fx.Node, dtype: torch.dtype) -> fx.Node:
        return call(_ATEN._to_copy.default, (node,), {"dtype": dtype})

    halves = tuple(copy(value, torch.bfloat16) if isinstance(value, fx.Node) else value for value in args)
    node = call(operation.func, halves, dict(kwargs))
    if operation.func is _CONVOLUTIONS[0]:
        return [copy(node, torch.float32)]
    parts = [call(getitem, (node, i)) for i in range(len(operation.results))]
    return [copy(part, torch.float32) if key is not None else part for part, key in zip(parts, operation.results, strict=True)]
