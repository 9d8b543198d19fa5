"""One per-worker function over K workers' stacked weights, at little more than the price of one worker.

``torch.func.vmap`` stacks a function over weights ``[K, P]``, but for a small network its dispatch in Python costs several
times the arithmetic. So the stacked function's operations are recorded once. Views of the weights, which never move, become
constants; the rest is run by the TorchScript executor. Values are those of plain vmap, bit for bit.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap

from a3c_exp.compile.compiler import Compiler, TensorFunction
from a3c_exp.compile.op_trace import OpGraph, TensorKey
from a3c_exp.compile.precision import has_convolutions
from a3c_exp.compile.torch_backend import OpRecorder, trace

PerWorkerFunction = Callable[..., tuple[Tensor, ...]]
VectorizedFunction = Callable[..., tuple[Tensor, ...]]
Comparison = Callable[[Tensor, Tensor], bool]


def vectorize(
    function: PerWorkerFunction,
    weights: Tensor,
    examples: tuple[Tensor, ...],
    stackable: bool = True,
    differentiate: bool = False,
    compiler: Compiler | None = None,
    output_transform: PerWorkerFunction | None = None,
) -> VectorizedFunction:
    """``function(flat [P], *inputs) -> tensors`` of one worker, as a function of all workers' inputs ``[K, ...]``.

    Args:
        function: pure in its tensors, without random operations.
        weights: ``[K, P]``, contiguous. The result reads this very memory at every call, so it must be changed in place only.
        examples: one input of each kind, with the shapes and types of every later call.
        stackable: ``False`` goes row by row, as is faster for convolutions: each gives what it gives alone, but for rounding.
        differentiate: the first output is a scalar loss; in its place stands each worker's gradient ``[K, P]`` of its own loss.
        compiler: compiles it, if it can; values then agree with the uncompiled ones to rounding, not to the bit.
        output_transform: applied to all rows' outputs; each row's results must depend on that row's outputs alone.

    Returns a function of the inputs alone, whose results ``[K, ...]`` are new and may be inference tensors.
    """
    assert weights.is_contiguous(), "stacked weights must be contiguous: views of them are kept"
    stacked = vmap_rows(function, stackable, differentiate)

    def over(rows: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():  # the gradient itself turns autograd on
            outputs = stacked(rows, *inputs)
            return outputs if output_transform is None else output_transform(*outputs)

    eager = partial(over, weights)
    if compiler is not None:
        compiled = _compile_rows(over, weights, examples, stackable, compiler, function.__qualname__)
        if compiled is not None:
            return compiled
    return replayed(eager, weights, examples, function.__qualname__) if stackable else eager


def replayed(
    eager: VectorizedFunction, weights: Tensor, examples: tuple[Tensor, ...], name: str, compiler: Compiler | None = None
) -> VectorizedFunction:
    """A pure function of its inputs, which reads ``weights [R, P]``, without Python between its operations: compiled where
    there is a ``compiler`` that can, or by the TorchScript executor, or at least without what leads to them; as it is, with a
    warning, if it then gives other values."""
    if compiler is not None and (compiled := compile_checked(eager, weights, examples, compiler, name)) is not None:
        return _without_autograd(partial(compiled, weights))
    graph = _record_op_graph(eager, examples)
    taken_apart = any(operation.func in WHOLE_OPERATIONS for operation in graph.operations)
    for replay in [ReplayModule(graph), *([ReplayModule(graph, WHOLE_OPERATIONS)] if taken_apart else [])]:
        traced = _traced(replay, examples)
        if outputs_match(traced, eager, weights, examples, same_bits):
            return _without_autograd(traced)
    warnings.warn(f"{name} gives other values when traced; it runs untraced, and slower", stacklevel=2)
    return eager


def _traced(replay: "ReplayModule", examples: Sequence[Tensor]) -> TensorFunction:
    try:
        return trace(replay, examples)
    except RuntimeError:  # it has no gradients of convolutions, for one, beside which Python's part is small
        return replay.forward


def _record_op_graph(eager: TensorFunction, examples: Sequence[Tensor]) -> OpGraph:
    with OpRecorder() as recorder:
        outputs = eager(*examples)
    return OpGraph(recorder, examples, outputs)


def compile_checked(
    function: TensorFunction, weights: Tensor, examples: Sequence[Tensor], compiler: Compiler, name: str
) -> TensorFunction | None:
    """A pure function of the inputs that reads ``weights [R, P]``, compiled as a function of ``(weights, *inputs)``; ``None``,
    with the reason in ``compiler.failures``, if it cannot be compiled or then gives other values."""
    examples = [example.clone() for example in examples]  # which the function may write into
    op_graph = _record_op_graph(function, examples)
    compiled = compiler.compile(op_graph, weights, examples)
    if compiled is None:
        return None
    equal = equal_to_bfloat16 if compiler.bfloat16 and has_convolutions(op_graph) else equal_to_rounding
    if not outputs_match(partial(compiled, weights), function, weights, examples, equal):
        compiler.failures.append(f"{name} gives other values when compiled")
        return None
    return compiled


def _compile_rows(
    function: PerWorkerFunction, weights: Tensor, examples: tuple[Tensor, ...], stackable: bool, compiler: Compiler, name: str
) -> VectorizedFunction | None:
    """Compiled for all rows at once, or for one and called row by row where they are not stackable."""
    rows = torch.split(weights, weights.shape[0] if stackable else 1)
    first = tuple(torch.split(example, rows[0].shape[0])[0] for example in examples)
    compiled = compile_checked(partial(function, rows[0]), rows[0], first, compiler, name)
    if compiled is None:
        return None
    if len(rows) == 1:
        return lambda *inputs: tuple(compiled(weights, *inputs))  # which knows no autograd

    def row_by_row(*inputs: Tensor) -> tuple[Tensor, ...]:
        inputs_by_row = zip(*(torch.split(tensor, 1) for tensor in inputs), strict=True)
        outputs = [compiled(row, *row_inputs) for row, row_inputs in zip(rows, inputs_by_row, strict=True)]
        return tuple(torch.cat(parts) for parts in zip(*outputs, strict=True))

    return _without_autograd(row_by_row)


def _without_autograd(forward: Callable[..., Sequence[Tensor]]) -> VectorizedFunction:
    def call(*inputs: Tensor) -> tuple[Tensor, ...]:
        # Derivatives are among the recorded operations. Inference mode spares each operation autograd's bookkeeping.
        with torch.inference_mode():
            return tuple(forward(*inputs))

    return call


def vmap_rows(function: PerWorkerFunction, stackable: bool = True, differentiate: bool = False) -> VectorizedFunction:
    """``function(flat [P], *inputs)`` as one of ``(weights [R, P], *inputs [R, ...])``, uncompiled. With ``differentiate`` the
    first output is a scalar loss, and in its place stands each row's gradient ``[R, P]`` of its own loss."""

    def over(flat: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        if flat.shape[0] == 1:  # one set of weights needs no batched products, which cost more
            outputs = function(flat.squeeze(0), *(tensor.squeeze(0) for tensor in inputs))
            return tuple(output.unsqueeze(0) for output in outputs)
        if stackable:
            return vmap(function)(flat, *inputs)
        # Taken apart at once, and not by an index each: the gradient of an index is an array of all rows, zeros but for one.
        outputs_by_row = [function(row, *(tensor[k] for tensor in inputs)) for k, row in enumerate(flat.unbind())]
        return tuple(torch.stack(outputs) for outputs in zip(*outputs_by_row, strict=True))

    def differentiated(flat: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            leaf = flat.detach().requires_grad_()
            loss, *rest = over(leaf, *inputs)
            # No worker's loss depends on another's weights, so the gradient of the sum holds each worker's own.
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        return gradient, *(output.detach() for output in rest)

    return differentiated if differentiate else over


def outputs_match(
    candidate: TensorFunction, reference: TensorFunction, weights: Tensor, examples: Sequence[Tensor], equal: Comparison
) -> bool:
    """Whether both give ``equal`` values for other inputs and weights than the recorded ones."""
    generator = torch.Generator().manual_seed(0)
    original = weights.clone()
    weights.add_(0.01 * torch.randn(weights.shape, generator=generator).to(weights.device))
    others = []
    for example in examples:
        noise, dtype = torch.rand(example.shape, generator=generator).to(example.device), example.dtype
        # Integers are those of other rows; columns stay apart, since they may be indices into things of different sizes.
        rolled = example.roll(1) if example.dim() < 3 else example.flatten(0, 1).roll(1, 0).view_as(example)
        any_number = (256 * noise if dtype is torch.uint8 else noise).to(dtype)  # uint8: bytes of pictures
        is_free = dtype.is_floating_point or dtype is torch.uint8
        other = noise < 0.5 if dtype is torch.bool else any_number if is_free else rolled
        others.append(torch.empty_like(example).copy_(other))  # of the same strides
    try:
        with torch.no_grad():
            # Inputs that the function writes into must come out alike, too.
            ours, theirs = ([tensor.clone() for tensor in others] for _ in range(2))
            pairs = list(zip([*candidate(*ours), *ours], [*reference(*theirs), *theirs], strict=True))
            return all(equal(a, b) for a, b in pairs)
    finally:
        weights.copy_(original)


def same_bits(ours: Tensor, theirs: Tensor) -> bool:
    return torch.equal(ours.nan_to_num(), theirs.nan_to_num())


def equal_to_rounding(ours: Tensor, theirs: Tensor) -> bool:
    """Equal to rounding relative to the largest number; of integers, which may be sampled choices, nearly all are equal.

    Gradients of trained convolutions round to 3e-4 of the largest number at inputs of noise; wrong code is wrong by far more.
    """
    if not ours.dtype.is_floating_point:
        return bool((ours != theirs).float().mean() <= 0.01)
    scale = theirs.nan_to_num().abs().max().item() if theirs.numel() else 0.0
    return torch.allclose(ours.nan_to_num(), theirs.nan_to_num(), rtol=1e-3, atol=1e-3 * max(scale, 1e-6))


def equal_to_bfloat16(ours: Tensor, theirs: Tensor) -> bool:
    """Equal but for convolutions in bfloat16: to a tenth of all numbers' norm. By four of them with norms before and behind, at
    inputs of noise, gradients differ by several percent."""
    if not ours.dtype.is_floating_point:
        return equal_to_rounding(ours, theirs)
    ours, theirs = ours.nan_to_num(), theirs.nan_to_num()
    return bool((ours - theirs).norm() <= 0.1 * theirs.norm() + 1e-6)


def _whole_addmm(bias: Tensor, left: Tensor, right: Tensor) -> Tensor:
    start = bias.expand(left.shape[0], right.shape[1]).clone(memory_format=torch.contiguous_format)
    return start.addmm_(left, right)


WHOLE_OPERATIONS: dict[Any, Callable[..., Any]] = {torch.ops.aten.addmm.default: _whole_addmm}
"""What gives the same bits for operations that the TorchScript executor takes apart: of ``addmm`` it makes a product and a sum,
which are other numbers where the product begins with the bias."""


class ReplayModule(nn.Module):
    """Runs recorded operations for other inputs, some by what stands for them in ``instead``. Constants are buffers, so that no
    executor folds their values."""

    def __init__(self, op_graph: OpGraph, instead: Mapping[Any, Callable[..., Any]] | None = None) -> None:
        super().__init__()
        self._op_graph, self._instead = op_graph, instead or {}
        self._constants: dict[TensorKey, str] = {}
        for key, tensor in op_graph.constants.items():
            self._constants[key] = f"constant_{len(self._constants)}"
            self.register_buffer(self._constants[key], tensor, persistent=False)
        self._last_uses = op_graph.last_uses()

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        values = {key: getattr(self, name) for key, name in self._constants.items()}
        values.update(zip(self._op_graph.inputs, inputs, strict=True))
        for operation, unneeded in zip(self._op_graph.operations, self._last_uses, strict=True):
            args, kwargs = operation.resolve_inputs(values)
            func = self._instead.get(operation.func, operation.func) if not kwargs else operation.func
            operation.store_output(values, func(*args, **kwargs))
            for key in unneeded:  # its memory serves again, while it is in the caches
                del values[key]
        return tuple(values[output] for output in self._op_graph.outputs)


class WorkerGrouping:
    """K workers and R rows of weights, each of which serves K/R = G workers that follow each other. ``grouped`` keeps a group
    of one as a dimension of its own; ``None``: only if groups are larger."""

    def __init__(self, workers: int, rows: int, grouped: bool | None = None) -> None:
        self._rows, self._group_size = rows, workers // rows
        assert self._rows * self._group_size == workers, f"{workers} workers cannot share {rows} sets of weights evenly"
        self._grouped = self._group_size > 1 if grouped is None else grouped

    def by_row(self, tensor: Tensor) -> Tensor:
        """``[K, ...]`` as ``[R, G, ...]``, or unchanged if each worker has its own row; a view."""
        return tensor.reshape(self._rows, self._group_size, *tensor.shape[1:]) if self._grouped else tensor

    def by_worker(self, tensor: Tensor) -> Tensor:
        return tensor.flatten(0, 1) if self._grouped else tensor
