"""Operations on a few numbers that Inductor leaves to a library, as operations that it fuses with their neighbors."""

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import fx

from a3c_exp.compile.op_trace import Operation

EXPANSIONS = Path(__file__)
"""A part of everything that is compiled."""
_ATEN = torch.ops.aten
_MAX_INNER_DIM = 4  # up to which a product of a vector is a sum of scaled rows
_MAX_SUMMANDS = 32  # up to which a cumulative sum is one sum after another
_NORM_PARTS = 8  # of a row whose squares are summed
_SUMMED_IN = {torch.float32: torch.float64, torch.float64: torch.float64, torch.int64: torch.int64}  # by torch's own cumsum


def expand(graph: fx.Graph, operation: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> fx.Node | None:
    """What computes the same, added to the graph; ``None`` for what stays as it is."""
    shapes = [key[1] for _, key in operation.arguments if key is not None]
    if operation.func is _ATEN.bmm.default:
        return _small_matmul(graph, shapes, *args)
    if operation.func is _ATEN.cumsum.default and not kwargs:
        return _short_cumsum(graph, operation, shapes[0], *args)
    if operation.func is _ATEN.linalg_vector_norm.default and not kwargs and len(args) == 3 and tuple(args[1:]) == (2, [1]):
        return _row_norms(graph, shapes[0], args[0])
    return None


def _small_matmul(graph: fx.Graph, shapes: Sequence[Sequence[int]], left: fx.Node, right: fx.Node) -> fx.Node | None:
    """``[B, m, k] x [B, k, n]`` of small matrices as sums; ``None`` where a library multiplies faster."""
    (_, m, k), (_, _, n) = shapes
    call = graph.call_function
    if k == 1 or (m == 1 and k <= _MAX_INNER_DIM):
        columns = [call(_ATEN.slice.Tensor, (left, 2, i, i + 1)) for i in range(k)]
        rows = [call(_ATEN.slice.Tensor, (right, 1, i, i + 1)) for i in range(k)]
        terms = [call(_ATEN.mul.Tensor, pair) for pair in zip(columns, rows, strict=True)]
        return reduce(lambda total, term: call(_ATEN.add.Tensor, (total, term)), terms)
    if n == 1 and m == 1:
        products = call(_ATEN.mul.Tensor, (left, call(_ATEN.permute.default, (right, [0, 2, 1]))))
        return call(_ATEN.sum.dim_IntList, (products, [2], True))
    return None


def _short_cumsum(graph: fx.Graph, operation: Operation, shape: Sequence[int], numbers: fx.Node, dim: int) -> fx.Node | None:
    """Sum by sum, with the same bits as torch's."""
    (result,) = operation.results
    if not 0 < shape[dim] <= _MAX_SUMMANDS or result is None or result[3] not in _SUMMED_IN:
        return None
    call, dtype = graph.call_function, result[3]
    wide = _SUMMED_IN[dtype]
    terms = [
        call(_ATEN._to_copy.default, (call(_ATEN.select.int, (numbers, dim, i)),), {"dtype": wide}) for i in range(shape[dim])
    ]
    sums = accumulate(terms, lambda total, term: call(_ATEN.add.Tensor, (total, term)))
    return call(_ATEN.stack.default, ([call(_ATEN._to_copy.default, (total,), {"dtype": dtype}) for total in sums], dim))


def _row_norms(graph: fx.Graph, shape: Sequence[int], rows: fx.Node) -> fx.Node | None:
    """Of ``[R, P]``: squares are summed in several places at once, where one sum would wait for its last addition each time."""
    call, part = graph.call_function, shape[1] // _NORM_PARTS
    if part == 0:
        return None

    def squares(start: int, stop: int) -> fx.Node:
        numbers = call(_ATEN.slice.Tensor, (rows, 1, start, stop))
        return call(_ATEN.mul.Tensor, (numbers, numbers))

    parts = [squares(i * part, (i + 1) * part) for i in range(_NORM_PARTS)]
    total = call(_ATEN.sum.dim_IntList, (reduce(lambda sums, more: call(_ATEN.add.Tensor, (sums, more)), parts), [1]))
    if _NORM_PARTS * part < shape[1]:
        rest = call(_ATEN.sum.dim_IntList, (squares(_NORM_PARTS * part, shape[1]), [1]))
        total = call(_ATEN.add.Tensor, (total, rest))
    return call(_ATEN.sqrt.default, (total,))
