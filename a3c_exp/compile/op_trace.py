"""What a function of tensors does, written down operation by operation while it runs once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

TensorKey = tuple[int, torch.Size, tuple[int, ...], torch.dtype]
"""A tensor is known by the memory it lies in, not by identity: autograd hands saved tensors back under new identities. A tape
keeps all of them alive, so no memory serves twice."""


def tensor_key(tensor: Tensor) -> TensorKey:
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


class OpRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
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
    arguments: list[tuple[Any, TensorKey | None]]
    treespec: Any
    results: list[TensorKey | None]

    @classmethod
    def from_call(cls, func: Any, arguments: Any, result: Any) -> "Operation":
        leaves, structure = pytree.tree_flatten(arguments)
        placed: list[tuple[Any, TensorKey | None]] = [
            (None, tensor_key(leaf)) if isinstance(leaf, Tensor) else (leaf, None) for leaf in leaves
        ]
        leaves = pytree.tree_leaves(result)
        return cls(func, placed, structure, [tensor_key(leaf) if isinstance(leaf, Tensor) else None for leaf in leaves])

    def resolve_inputs(self, values: dict[TensorKey, Any]) -> tuple[Any, Any]:
        """Its arguments and keyword arguments, where ``values`` says what stands for each place."""
        args, kwargs = pytree.tree_unflatten(
            [leaf if place is None else values[place] for leaf, place in self.arguments], self.treespec
        )
        return args, kwargs

    def store_output(self, values: dict[TensorKey, Any], result: Any) -> None:
        """Enter its result into what is known."""
        for place, leaf in zip(self.results, pytree.tree_leaves(result), strict=True):
            if place is not None:
                values[place] = leaf


class OpGraph:
    """A tape as a function of its inputs: what does not depend on them is a constant.

    A view of memory that never moves is a constant too, though the numbers in that memory may change between two calls.

    Attributes:
        inputs, outputs: their places.
        constants: the tensors themselves, which the program reads anew at every call.
        operations: in order.
    """

    def __init__(self, recorder: OpRecorder, examples: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self._recorder = recorder  # keeps every place alive
        self.inputs = [tensor_key(example) for example in examples]
        self.outputs = [tensor_key(output) for output in outputs]
        self.constants: dict[TensorKey, Tensor] = {}
        self.operations: list[Operation] = []
        changing = set(self.inputs)
        for func, args, kwargs, result in recorder.operations:
            if func is torch.ops.aten.detach.default:
                continue  # the same place once more: without autograd there is nothing to detach from
            sources = tensors_in((args, kwargs))
            if sources and not (_is_view(func) and all(tensor_key(source) not in changing for source in sources)):
                for source in sources:
                    self._add_constant_unless(changing, source)
                changing.update(tensor_key(leaf) for leaf in tensors_in(result))
                self.operations.append(Operation.from_call(func, (args, kwargs), result))
        for output in outputs:
            self._add_constant_unless(changing, output)

    def _add_constant_unless(self, changing: "set[TensorKey]", tensor: Tensor) -> None:
        place = tensor_key(tensor)
        if place not in changing:
            self.constants.setdefault(place, tensor.detach())


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors among the leaves of nested containers, in order."""
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def _is_view(func: Any) -> bool:
    aliases = [returned.alias_info for returned in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)
