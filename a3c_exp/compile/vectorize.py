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

from a3c_exp.compile.compiler import Compiled, Compiler
from a3c_exp.compile.op_trace import Place, Program, Tape

PerWorker = Callable[..., tuple[Tensor, ...]]
Stacked = Callable[..., tuple[Tensor, ...]]


def stack(
    function: PerWorker,
    weights: Tensor,
    examples: tuple[Tensor, ...],
    stackable: bool = True,
    differentiate: bool = False,
    compiler: Compiler | None = None,
    after: PerWorker | None = None,
) -> Stacked:
    """``function(flat [P], *inputs) -> tensors`` of one worker, as a function of all workers' inputs ``[K, ...]``.

    Args:
        function: pure in its tensors, without random operations.
        weights: ``[K, P]``, contiguous. The result reads this very memory at every call, so it must be changed in place only.
        examples: one input of each kind, with the shapes and types of every later call.
        stackable: ``False`` calls the function worker by worker (convolutions with per-worker weights are faster so).
        differentiate: the function's first output is a scalar loss, and the result returns each worker's gradient ``[K, P]``
            of its own loss in that place.
        compiler: makes machine code of it, if it can; values then agree with the others' to rounding, not to the bit.
        after: what is done with all rows' outputs; each row's results must hang on that row's outputs alone.

    Returns:
        A function of the inputs alone that returns a tuple of new tensors ``[K, ...]``. They may be inference tensors: whoever
        changes them in place does so under ``torch.inference_mode()``.
    """
    assert weights.is_contiguous(), "stacked weights must be contiguous: views of them are kept"
    eager = _eager(function, weights, stackable, differentiate, after)
    if compiler is not None:
        compiled = _compiled(function, weights, examples, stackable, differentiate, after, compiler)
        if compiled is not None:
            return compiled
    if not stackable:
        return eager
    replay = _Replay(_program(eager, examples))
    with warnings.catch_warnings(), torch.no_grad():
        # TorchScript is frozen upstream, but its executor is the only one that needs neither Python nor a C++ compiler.
        warnings.simplefilter("ignore", DeprecationWarning)
        traced: Any = torch.jit.trace(  # type: ignore[no-untyped-call]
            replay, examples, check_trace=False
        )
    if _agree(traced, eager, weights, examples, exactly=True):
        return _without_autograd(traced.forward)  # past the hooks that a module's call looks for
    warnings.warn(f"{function.__qualname__} gives other values when taped; it runs untaped, and slower", stacklevel=2)
    return eager


def _program(eager: Compiled, examples: Sequence[Tensor]) -> Program:
    with Tape() as tape:
        outputs = eager(*examples)
    return Program(tape, examples, outputs)


def compiled_for(
    function: Compiled, weights: Tensor, examples: Sequence[Tensor], compiler: Compiler, name: str
) -> Compiled | None:
    """Machine code for a pure function of the inputs that reads ``weights [R, P]``, as a function of ``(weights, *inputs)``.

    ``None``, and the compiler knows why, if that cannot be had or gives other values.
    """
    examples = [example.clone() for example in examples]  # which the function may write into
    code = compiler.compile(_program(function, examples), weights, examples)
    if code is None:
        return None
    if not _agree(partial(code, weights), function, weights, examples, exactly=False):
        compiler.failures.append(f"{name} gives other values when compiled")
        return None
    return code


def _compiled(
    function: PerWorker,
    weights: Tensor,
    examples: tuple[Tensor, ...],
    stackable: bool,
    differentiate: bool,
    after: PerWorker | None,
    compiler: Compiler,
) -> Stacked | None:
    """Machine code for all rows at once, or for one, played for each in turn where they are not stackable."""
    rows = torch.split(weights, weights.shape[0] if stackable else 1)
    of_each = [torch.split(example, rows[0].shape[0]) for example in examples]
    first = tuple(parts[0] for parts in of_each)
    eager = _eager(function, rows[0], stackable, differentiate, after)
    code = compiled_for(eager, rows[0], first, compiler, function.__qualname__)
    if code is None:
        return None
    if len(rows) == 1:
        return _without_autograd(partial(code, weights))

    def one_by_one(*inputs: Tensor) -> tuple[Tensor, ...]:
        of_each = zip(*(torch.split(one, 1) for one in inputs), strict=True)
        outputs = [code(row, *own) for row, own in zip(rows, of_each, strict=True)]
        return tuple(torch.cat(parts) for parts in zip(*outputs, strict=True))

    return _without_autograd(one_by_one)


def _without_autograd(forward: Callable[..., Sequence[Tensor]]) -> Stacked:
    def call(*inputs: Tensor) -> tuple[Tensor, ...]:
        # The tape holds its own derivatives. Inference mode spares each operation what autograd might ask of its result later.
        with torch.inference_mode():
            return tuple(forward(*inputs))

    return call


def over_rows(function: PerWorker, stackable: bool = True) -> Stacked:
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


def gradient_over_rows(function: PerWorker, stackable: bool = True) -> Stacked:
    """The same, where the first output is a scalar loss: in its place stands each row's gradient ``[R, P]`` of its own loss."""
    stacked = over_rows(function, stackable)

    def differentiated(flat: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            leaf = flat.detach().requires_grad_()
            loss, *rest = stacked(leaf, *inputs)
            # No worker's loss depends on another's weights, so the gradient of the sum holds each worker's own.
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        return gradient, *(one.detach() for one in rest)

    return differentiated


def _eager(function: PerWorker, weights: Tensor, stackable: bool, differentiate: bool, after: PerWorker | None) -> Stacked:
    stacked = gradient_over_rows(function, stackable) if differentiate else over_rows(function, stackable)

    def call(*inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():  # but for what the gradient itself turns on again
            outputs = stacked(weights, *inputs)
            return outputs if after is None else after(*outputs)

    return call


def _agree(other: Compiled, eager: Compiled, weights: Tensor, examples: Sequence[Tensor], exactly: bool) -> bool:
    """Whether both give the same values, to the bit or to rounding, for other inputs and weights than those that were taped."""
    generator = torch.Generator().manual_seed(0)
    kept = weights.clone()
    weights.add_(0.01 * torch.randn(weights.shape, generator=generator).to(weights.device))
    others = []
    for example in examples:
        noise = torch.rand(example.shape, generator=generator).to(example.device)
        kind = example.dtype
        others.append(noise < 0.5 if kind is torch.bool else noise.to(kind) if kind.is_floating_point else _rolled(example))
    try:
        with torch.no_grad():
            # What a function writes into must come out alike, too.
            mine, theirs = ([one.clone() for one in others] for _ in range(2))
            pairs = list(zip([*other(*mine), *mine], [*eager(*theirs), *theirs], strict=True))
            if exactly:
                return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs)
            return all(_close(a, b) for a, b in pairs)
    finally:
        weights.copy_(kept)


def _close(ours: Tensor, theirs: Tensor) -> bool:
    """Equal to rounding, measured against the largest number, as sums over many pictures are; of whole numbers, which may be
    choices, nearly all."""
    if not ours.dtype.is_floating_point:
        return bool((ours != theirs).float().mean() <= 0.01)
    scale = theirs.nan_to_num().abs().max().item() if theirs.numel() else 0.0
    return torch.allclose(ours.nan_to_num(), theirs.nan_to_num(), rtol=1e-4, atol=1e-4 * max(scale, 1e-6))


def _rolled(example: Tensor) -> Tensor:
    """The whole numbers of somebody else; each column keeps its own, since they may be indices into things of other sizes."""
    return example.roll(1) if example.dim() < 3 else example.flatten(0, 1).roll(1, 0).view_as(example)


class _Replay(nn.Module):
    """Plays a program for other inputs. Its constants are buffers of this module, not literals, so that no executor may compute
    with their values in advance."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program
        self._constants: dict[Place, str] = {}
        for place, tensor in program.constants.items():
            self._constants[place] = f"constant_{len(self._constants)}"
            self.register_buffer(self._constants[place], tensor, persistent=False)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        known = {place: getattr(self, name) for place, name in self._constants.items()}
        known.update(zip(self._program.inputs, inputs, strict=True))
        for operation in self._program.operations:
            args, kwargs = operation.given(known)
            operation.learn(known, operation.func(*args, **kwargs))
        return tuple(known[output] for output in self._program.outputs)
