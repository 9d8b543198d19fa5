"""What a function of tensors does, written down operation by operation while it runs once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

Place = tuple[int, torch.Size, tuple[int, ...], torch.dtype]
"""A tensor is known by the memory it lies in, not by identity: autograd hands saved tensors back under new identities. A tape
keeps all of them alive, so no memory serves twice."""


def place_of(tensor: Tensor) -> Place:
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


class Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
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


class Operation(NamedTuple):
    """One taped operation; tensors stand under their places, since an executor that traces sees other shapes than numbers.

    ``results`` has ``None`` for what is no tensor: a gradient that nobody asked for, say.
    """

    func: Any
    arguments: list[tuple[Any, Place | None]]
    structure: Any
    results: list[Place | None]

    @classmethod
    def of(cls, func: Any, arguments: Any, result: Any) -> "Operation":
        leaves, structure = pytree.tree_flatten(arguments)
        placed: list[tuple[Any, Place | None]] = [
            (None, place_of(leaf)) if isinstance(leaf, Tensor) else (leaf, None) for leaf in leaves
        ]
        leaves = pytree.tree_leaves(result)
        return cls(func, placed, structure, [place_of(leaf) if isinstance(leaf, Tensor) else None for leaf in leaves])

    def given(self, known: dict[Place, Any]) -> tuple[Any, Any]:
        """Its arguments and keyword arguments, where ``known`` says what stands for each place."""
        args, kwargs = pytree.tree_unflatten(
            [leaf if place is None else known[place] for leaf, place in self.arguments], self.structure
        )
        return args, kwargs

    def learn(self, known: dict[Place, Any], result: Any) -> None:
        """Enter its result into what is known."""
        for place, leaf in zip(self.results, pytree.tree_leaves(result), strict=True):
            if place is not None:
                known[place] = leaf


class Program:
    """A tape as a function of its inputs: what does not depend on them is a constant.

    A view of memory that never moves is a constant too, though the numbers in that memory may change between two calls.

    Attributes:
        inputs, outputs: their places.
        constants: the tensors themselves, which the program reads anew at every call.
        operations: in order.
    """

    def __init__(self, tape: Tape, examples: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self._tape = tape  # keeps every place alive
        self.inputs = [place_of(example) for example in examples]
        self.outputs = [place_of(output) for output in outputs]
        self.constants: dict[Place, Tensor] = {}
        self.operations: list[Operation] = []
        changing = set(self.inputs)
        for func, args, kwargs, result in tape.operations:
            if func is torch.ops.aten.detach.default:
                continue  # the same place once more: without autograd there is nothing to detach from
            sources = tensors_in((args, kwargs))
            if sources and not (_is_view(func) and all(place_of(source) not in changing for source in sources)):
                for source in sources:
                    self._keep_unless(changing, source)
                changing.update(place_of(leaf) for leaf in tensors_in(result))
                self.operations.append(Operation.of(func, (args, kwargs), result))
        for output in outputs:
            self._keep_unless(changing, output)

    def _keep_unless(self, changing: "set[Place]", tensor: Tensor) -> None:
        place = place_of(tensor)
        if place not in changing:
            self.constants.setdefault(place, tensor.detach())


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors among the leaves of nested containers, in order."""
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def _is_view(func: Any) -> bool:
    aliases = [returned.alias_info for returned in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)
