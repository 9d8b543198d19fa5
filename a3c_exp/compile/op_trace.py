"""What a function of tensors does, recorded operation by operation while it runs once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from a3c_exp.compile.torch_backend import OpRecorder, pytree

TensorKey = tuple[int, torch.Size, tuple[int, ...], torch.dtype]
"""A tensor is identified by the memory it lies in: autograd hands saved tensors back as other objects. A recorder keeps all of
them alive, so no memory serves twice."""


def tensor_key(tensor: Tensor) -> TensorKey:
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


class Operation(NamedTuple):
    """One recorded operation. Tensors are replaced by their keys, since an executor that traces sees symbols, not numbers;
    ``results`` has ``None`` for what is not a tensor, such as a gradient that was not asked for."""

    func: Any
    arguments: Sequence[tuple[Any, TensorKey | None]]
    treespec: Any
    results: list[TensorKey | None]

    def resolve_inputs(self, values: dict[TensorKey, Any]) -> tuple[Any, Any]:
        """Its arguments and keyword arguments, with ``values`` in place of the keys."""
        leaves = [leaf if key is None else values[key] for leaf, key in self.arguments]
        args, kwargs = pytree.tree_unflatten(leaves, self.treespec)
        return args, kwargs

    def store_output(self, values: dict[TensorKey, Any], result: Any) -> None:
        """Add its result to ``values``."""
        for key, leaf in zip(self.results, pytree.tree_leaves(result), strict=True):
            if key is not None:
                values[key] = leaf


class OpGraph:
    """Recorded operations as a function of their ``inputs``: what does not depend on those is a constant, and so is a view of
    memory that never moves, though the numbers in it may change between two calls."""

    def __init__(self, recorder: OpRecorder, examples: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self.inputs = [tensor_key(example) for example in examples]
        self.outputs = [tensor_key(output) for output in outputs]
        self.constants: dict[TensorKey, Tensor] = {}
        self.operations: list[Operation] = []
        changing = set(self.inputs)
        for func, args, kwargs, result in recorder.operations:
            if func is torch.ops.aten.detach.default:
                continue  # the same memory once more: without autograd there is nothing to detach from
            sources = tensors_in((args, kwargs))
            if sources and not (_is_view(func) and all(tensor_key(source) not in changing for source in sources)):
                for source in sources:
                    self._add_constant_unless(changing, source)
                changing.update(tensor_key(leaf) for leaf in tensors_in(result))
                leaves, treespec = pytree.tree_flatten((args, kwargs))
                keyed = [(None, tensor_key(leaf)) if isinstance(leaf, Tensor) else (leaf, None) for leaf in leaves]
                results = [tensor_key(leaf) if isinstance(leaf, Tensor) else None for leaf in pytree.tree_leaves(result)]
                self.operations.append(Operation(func, keyed, treespec, results))
        for output in outputs:
            self._add_constant_unless(changing, output)

    def last_uses(self) -> list[list[TensorKey]]:
        """For each operation, what is needed by none after it and is no output: in place of a tensor's own, a view's is one."""
        needed, unneeded = set(self.outputs), list[list[TensorKey]]()
        for operation in reversed(self.operations):
            keys = {key for _, key in operation.arguments if key is not None}
            keys.update(key for key in operation.results if key is not None)
            unneeded.append([key for key in keys if key not in needed])
            needed.update(keys)
        return unneeded[::-1]

    def _add_constant_unless(self, changing: "set[TensorKey]", tensor: Tensor) -> None:
        key = tensor_key(tensor)
        if key not in changing:
            self.constants.setdefault(key, tensor.detach())


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors among the leaves of nested containers, in order."""
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def _is_view(func: Any) -> bool:
    return any(one.alias_info is not None and not one.alias_info.is_write for one in func._schema.returns)
