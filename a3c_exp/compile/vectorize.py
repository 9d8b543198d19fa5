"""Run one per-worker function over K workers' stacked weights, at the price of little more than one.

A model is written for one worker. ``torch.func.vmap`` stacks it over weights ``[K, P]``, but costs several times the
arithmetic of a small network in Python and dispatch. So the stacked function is run once while every tensor operation below
vmap is taped; what is only a view of the weights becomes a constant, because the weights never move (a pull copies into
them); and the rest is handed to the TorchScript executor, which walks it without Python. Values are those of plain vmap, bit
for bit. A function whose control flow depends on data cannot be taped: vmap refuses it too.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap

from a3c_exp.compile.compiler import Compiler, TensorFunction
from a3c_exp.compile.op_trace import OpGraph, OpRecorder, TensorKey

PerWorkerFunction = Callable[..., tuple[Tensor, ...]]
VectorizedFunction = Callable[..., tuple[Tensor, ...]]


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
        stackable: ``False`` calls the function worker by worker (convolutions with per-worker weights are faster so).
        differentiate: the function's first output is a scalar loss, and the result returns each worker's gradient ``[K, P]``
            of its own loss in that place.
        compiler: makes machine code of it, if it can; values then agree with the others' to rounding, not to the bit.
        output_transform: what is done with all rows' outputs; each row's results must hang on that row's outputs alone.

    Returns:
        A function of the inputs alone that returns a tuple of new tensors ``[K, ...]``. They may be inference tensors: whoever
        changes them in place does so under ``torch.inference_mode()``.
    """
    assert weights.is_contiguous(), "stacked weights must be contiguous: views of them are kept"
    eager = _make_eager(function, weights, stackable, differentiate, output_transform)
    if compiler is not None:
        compiled = _compile_vectorized(function, weights, examples, stackable, differentiate, output_transform, compiler)
        if compiled is not None:
            return compiled
    if not stackable:
        return eager
    replay = ReplayModule(_record_op_graph(eager, examples))
    with warnings.catch_warnings(), torch.no_grad():
        # TorchScript is frozen upstream, but its executor is the only one that needs neither Python nor a C++ compiler.
        warnings.simplefilter("ignore", DeprecationWarning)
        traced: Any = torch.jit.trace(  # type: ignore[no-untyped-call]
            replay, examples, check_trace=False
        )
    if outputs_match(traced, eager, weights, examples, exact=True):
        return _without_autograd(traced.forward)  # past the hooks that a module's call looks for
    warnings.warn(f"{function.__qualname__} gives other values when taped; it runs untaped, and slower", stacklevel=2)
    return eager


def _record_op_graph(eager: TensorFunction, examples: Sequence[Tensor]) -> OpGraph:
    with OpRecorder() as tape:
        outputs = eager(*examples)
    return OpGraph(tape, examples, outputs)


def compile_checked(
    function: TensorFunction, weights: Tensor, examples: Sequence[Tensor], compiler: Compiler, name: str
) -> TensorFunction | None:
    """Machine code for a pure function of the inputs that reads ``weights [R, P]``, as a function of ``(weights, *inputs)``.

    ``None``, and the compiler knows why, if that cannot be had or gives other values.
    """
    examples = [example.clone() for example in examples]  # which the function may write into
    code = compiler.compile(_record_op_graph(function, examples), weights, examples)
    if code is None:
        return None
    if not outputs_match(partial(code, weights), function, weights, examples, exact=False):
        compiler.failures.append(f"{name} gives other values when compiled")
        return None
    return code


def _compile_vectorized(
    function: PerWorkerFunction,
    weights: Tensor,
    examples: tuple[Tensor, ...],
    stackable: bool,
    differentiate: bool,
    output_transform: PerWorkerFunction | None,
    compiler: Compiler,
) -> VectorizedFunction | None:
    """Machine code for all rows at once, or for one, played for each in turn where they are not stackable."""
    rows = torch.split(weights, weights.shape[0] if stackable else 1)
    of_each = [torch.split(example, rows[0].shape[0]) for example in examples]
    first = tuple(parts[0] for parts in of_each)
    eager = _make_eager(function, rows[0], stackable, differentiate, output_transform)
    code = compile_checked(eager, rows[0], first, compiler, function.__qualname__)
    if code is None:
        return None
    if len(rows) == 1:
        return _without_autograd(partial(code, weights))

    def one_by_one(*inputs: Tensor) -> tuple[Tensor, ...]:
        of_each = zip(*(torch.split(one, 1) for one in inputs), strict=True)
        outputs = [code(row, *own) for row, own in zip(rows, of_each, strict=True)]
        return tuple(torch.cat(parts) for parts in zip(*outputs, strict=True))

    return _without_autograd(one_by_one)


def _without_autograd(forward: Callable[..., Sequence[Tensor]]) -> VectorizedFunction:
    def call(*inputs: Tensor) -> tuple[Tensor, ...]:
        # The tape holds its own derivatives. Inference mode spares each operation what autograd might ask of its result later.
        with torch.inference_mode():
            return tuple(forward(*inputs))

    return call


def vmap_rows(function: PerWorkerFunction, stackable: bool = True) -> VectorizedFunction:
    """``function(flat [P], *inputs)`` as one of ``(weights [R, P], *inputs [R, ...])``, without a tape."""

    def over(flat: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        if flat.shape[0] == 1:  # one set of weights needs no batched products, which cost more
            outputs = function(flat.squeeze(0), *(one.squeeze(0) for one in inputs))
            return tuple(output.unsqueeze(0) for output in outputs)
        if stackable:
            return vmap(function)(flat, *inputs)
        each = [function(flat[k], *(one[k] for one in inputs)) for k in range(flat.shape[0])]
        return tuple(torch.stack(outputs) for outputs in zip(*each, strict=True))

    return over


def vmap_rows_with_gradient(function: PerWorkerFunction, stackable: bool = True) -> VectorizedFunction:
    """The same, where the first output is a scalar loss: in its place stands each row's gradient ``[R, P]`` of its own loss."""
    stacked = vmap_rows(function, stackable)

    def differentiated(flat: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            leaf = flat.detach().requires_grad_()
            loss, *rest = stacked(leaf, *inputs)
            # No worker's loss depends on another's weights, so the gradient of the sum holds each worker's own.
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        return gradient, *(one.detach() for one in rest)

    return differentiated


def _make_eager(
    function: PerWorkerFunction,
    weights: Tensor,
    stackable: bool,
    differentiate: bool,
    output_transform: PerWorkerFunction | None,
) -> VectorizedFunction:
    stacked = vmap_rows_with_gradient(function, stackable) if differentiate else vmap_rows(function, stackable)

    def call(*inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():  # but for what the gradient itself turns on again
            outputs = stacked(weights, *inputs)
            return outputs if output_transform is None else output_transform(*outputs)

    return call


def outputs_match(
    candidate: TensorFunction, reference: TensorFunction, weights: Tensor, examples: Sequence[Tensor], exact: bool
) -> bool:
    """Whether both give the same values, to the bit or to rounding, for other inputs and weights than those that were taped."""
    generator = torch.Generator().manual_seed(0)
    kept = weights.clone()
    weights.add_(0.01 * torch.randn(weights.shape, generator=generator).to(weights.device))
    others = []
    for example in examples:
        noise = torch.rand(example.shape, generator=generator).to(example.device)
        kind = example.dtype
        others.append(
            noise < 0.5 if kind is torch.bool else noise.to(kind) if kind.is_floating_point else _roll_integers(example)
        )
    try:
        with torch.no_grad():
            # What a function writes into must come out alike, too.
            mine, theirs = ([one.clone() for one in others] for _ in range(2))
            pairs = list(zip([*candidate(*mine), *mine], [*reference(*theirs), *theirs], strict=True))
            if exact:
                return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs)
            return all(_allclose(a, b) for a, b in pairs)
    finally:
        weights.copy_(kept)


def _allclose(ours: Tensor, theirs: Tensor) -> bool:
    """Equal to rounding, measured against the largest number, as sums over many pictures are; of whole numbers, which may be
    choices, nearly all."""
    if not ours.dtype.is_floating_point:
        return bool((ours != theirs).float().mean() <= 0.01)
    scale = theirs.nan_to_num().abs().max().item() if theirs.numel() else 0.0
    return torch.allclose(ours.nan_to_num(), theirs.nan_to_num(), rtol=1e-4, atol=1e-4 * max(scale, 1e-6))


def _roll_integers(example: Tensor) -> Tensor:
    """The whole numbers of somebody else; each column keeps its own, since they may be indices into things of other sizes."""
    return example.roll(1) if example.dim() < 3 else example.flatten(0, 1).roll(1, 0).view_as(example)


class ReplayModule(nn.Module):
    """Plays a program for other inputs. Its constants are buffers of this module, not literals, so that no executor may compute
    with their values in advance."""

    def __init__(self, op_graph: OpGraph) -> None:
        super().__init__()
        self._op_graph = op_graph
        self._constants: dict[TensorKey, str] = {}
        for place, tensor in op_graph.constants.items():
            self._constants[place] = f"constant_{len(self._constants)}"
            self.register_buffer(self._constants[place], tensor, persistent=False)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        known = {place: getattr(self, name) for place, name in self._constants.items()}
        known.update(zip(self._op_graph.inputs, inputs, strict=True))
        for operation in self._op_graph.operations:
            args, kwargs = operation.resolve_inputs(known)
            operation.store_output(known, operation.func(*args, **kwargs))
        return tuple(known[output] for output in self._op_graph.outputs)
