"""Run one per-worker function over K workers' stacked weights, at the price of little more than one.

A model is written for one worker. ``torch.func.vmap`` stacks it over weights ``[K, P]``, but costs several times the
arithmetic of a small network in Python and dispatch. So the stacked function is run once while every tensor operation below
vmap is taped; what is only a view of the weights becomes a constant, because the weights never move (a pull copies into
them); and the rest is handed to the TorchScript executor, which walks it without Python. Values are those of plain vmap, bit
for bit. A function whose control flow depends on data cannot be taped: vmap refuses it too.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

PerWorker = Callable[..., tuple[Tensor, ...]]
Stacked = Callable[..., tuple[Tensor, ...]]


def stack(
    function: PerWorker,
    weights: Tensor,
    examples: tuple[Tensor, ...],
    stackable: bool = True,
    differentiate: bool = False,
) -> Stacked:
    """``function(flat [P], *inputs) -> tensors`` of one worker, as a function of all workers' inputs ``[K, ...]``.

    Args:
        function: pure in its tensors, without random operations.
        weights: ``[K, P]``, contiguous. The result reads this very memory at every call, so it must be changed in place only.
        examples: one input of each kind, with the shapes and types of every later call.
        stackable: ``False`` calls the function worker by worker (convolutions with per-worker weights are faster so).
        differentiate: the function's first output is a scalar loss, and the result returns each worker's gradient ``[K, P]``
            of its own loss in that place.

    Returns:
        A function of the inputs alone that returns a tuple of new tensors ``[K, ...]``. They may be inference tensors: whoever
        changes them in place does so under ``torch.inference_mode()``.
    """
    assert weights.is_contiguous(), "stacked weights must be contiguous: views of them are kept"
    eager = _eager(function, weights, stackable, differentiate)
    if not stackable:
        return eager
    with _Tape() as tape:
        outputs = eager(*examples)
    replay = _Replay(tape, examples, outputs)
    with warnings.catch_warnings(), torch.no_grad():
        # TorchScript is frozen upstream, but its executor is the only one that needs neither Python nor a C++ compiler.
        warnings.simplefilter("ignore", DeprecationWarning)
        traced: Any = torch.jit.trace(  # type: ignore[no-untyped-call]
            replay, examples, check_trace=False
        )
    if _agree(traced, eager, weights, examples):
        return _without_autograd(traced.forward)  # past the hooks that a module's call looks for
    warnings.warn(f"{function.__qualname__} gives other values when taped; it runs untaped, and slower", stacklevel=2)
    return eager


def _without_autograd(forward: Stacked) -> Stacked:
    def call(*inputs: Tensor) -> tuple[Tensor, ...]:
        # The tape holds its own derivatives. Inference mode spares each operation what autograd might ask of its result later.
        with torch.inference_mode():
            return forward(*inputs)

    return call


def _eager(function: PerWorker, weights: Tensor, stackable: bool, differentiate: bool) -> Stacked:
    def over_workers(flat: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        if flat.shape[0] == 1:  # one set of weights needs no batched products, which cost more
            outputs = function(flat.squeeze(0), *(one.squeeze(0) for one in inputs))
            return tuple(output.unsqueeze(0) for output in outputs)
        if stackable:
            return vmap(function)(flat, *inputs)
        each = [function(flat[k], *(one[k] for one in inputs)) for k in range(flat.shape[0])]
        return tuple(torch.stack(outputs) for outputs in zip(*each, strict=True))

    def call(*inputs: Tensor) -> tuple[Tensor, ...]:
        if not differentiate:
            with torch.no_grad():
                return over_workers(weights, *inputs)
        with torch.enable_grad():
            leaf = weights.detach().requires_grad_()
            loss, *rest = over_workers(leaf, *inputs)
            # No worker's loss depends on another's weights, so the gradient of the sum holds each worker's own.
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        return gradient, *(one.detach() for one in rest)

    return call


def _agree(traced: Stacked, eager: Stacked, weights: Tensor, examples: tuple[Tensor, ...]) -> bool:
    """Whether both give the same values for other inputs and other weights than those that were taped."""
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
            pairs = zip(traced(*others), eager(*others), strict=True)
            return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs)
    finally:
        weights.copy_(kept)


def _rolled(example: Tensor) -> Tensor:
    """The whole numbers of somebody else; each column keeps its own, since they may be indices into things of other sizes."""
    return example.roll(1) if example.dim() < 3 else example.flatten(0, 1).roll(1, 0).view_as(example)


class _Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records every operation on plain tensors, in order, with the very tensors that went in and came out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # True would import torch._dynamo, sympy and more: two seconds and 100 MB in every worker

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, result))
        return result


Place = tuple[int, torch.Size, tuple[int, ...], torch.dtype]


def _place(tensor: Tensor) -> Place:
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


class _Operation(NamedTuple):
    """One taped operation; tensors stand under their places, since an executor that traces sees other shapes than numbers."""

    func: Any
    arguments: list[tuple[Any, Place | None]]
    structure: Any
    results: list[Place]

    @classmethod
    def of(cls, func: Any, arguments: Any, result: Any) -> "_Operation":
        leaves, structure = pytree.tree_flatten(arguments)
        placed: list[tuple[Any, Place | None]] = [
            (None, _place(leaf)) if isinstance(leaf, Tensor) else (leaf, None) for leaf in leaves
        ]
        return cls(func, placed, structure, [_place(leaf) for leaf in _tensors(result)])


class _Replay(nn.Module):
    """Plays a tape again for other inputs.

    A tensor is known by the memory it lies in, not by identity: autograd hands saved tensors back under new identities. The
    tape keeps all of them alive, so no memory serves twice. Constants are buffers of this module, not literals, so that no
    executor may compute with their values in advance.
    """

    def __init__(self, tape: _Tape, examples: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        super().__init__()
        self._tape = tape
        self._inputs = [_place(example) for example in examples]
        self._outputs = [_place(output) for output in outputs]
        self._constants: dict[Place, str] = {}
        self._operations: list[_Operation] = []
        changing = set(self._inputs)
        for func, args, kwargs, result in tape.operations:
            if func is torch.ops.aten.detach.default:
                continue  # the same place once more: without autograd there is nothing to detach from
            sources = _tensors((args, kwargs))
            if sources and not (_is_view(func) and all(_place(source) not in changing for source in sources)):
                for source in sources:
                    self._keep_unless(changing, source)
                changing.update(_place(leaf) for leaf in _tensors(result))
                self._operations.append(_Operation.of(func, (args, kwargs), result))
        for output in outputs:
            self._keep_unless(changing, output)

    def _keep_unless(self, changing: "set[Place]", tensor: Tensor) -> None:
        place = _place(tensor)
        if place not in changing and place not in self._constants:
            name = f"constant_{len(self._constants)}"
            self.register_buffer(name, tensor.detach(), persistent=False)
            self._constants[place] = name

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        known = {place: getattr(self, name) for place, name in self._constants.items()}
        known.update(zip(self._inputs, inputs, strict=True))

        for operation in self._operations:
            args, kwargs = pytree.tree_unflatten(
                [leaf if place is None else known[place] for leaf, place in operation.arguments], operation.structure
            )
            known.update(zip(operation.results, _tensors(operation.func(*args, **kwargs)), strict=True))
        return tuple(known[output] for output in self._outputs)


def _is_view(func: Any) -> bool:
    aliases = [returned.alias_info for returned in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)
