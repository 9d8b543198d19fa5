"""An executor of taped programs that needs no C++ compiler: what is made for compiled code, run operation by operation."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from a3c_exp.compile.compiler import Compiler, TensorFunction, _weight_offset
from a3c_exp.compile.op_trace import Operation, OpGraph, TensorKey
from a3c_exp.compile.torch_backend import pytree


class _Name(str):
    """Shows itself in a list of arguments as it stands in Python's source."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Walker(Compiler):
    """Walks programs in place of compiling them, written down as a function of Python, a line for each operation. That compiled
    code agrees with a program is shown elsewhere, and checked anew by every run that compiles one; that the program means what
    it should is quicker to show so."""

    def compile(self, op_graph: OpGraph, weights: Tensor, examples: Sequence[Tensor]) -> TensorFunction | None:
        self.num_compiled += 1
        names: dict[TensorKey, _Name] = {}
        known: dict[str, Any] = {"no_grad": torch.no_grad, "leaves": pytree.tree_leaves}

        def name(key: TensorKey) -> _Name:
            return names.setdefault(key, _Name(f"t{len(names)}"))

        def bind(value: Any) -> _Name:
            bound = _Name(f"known{len(known)}")
            known[bound] = value
            return bound

        def line(operation: Operation) -> str:
            leaves = [bind(leaf) if key is None else name(key) for leaf, key in operation.arguments]
            args, kwargs = pytree.tree_unflatten(leaves, operation.treespec)
            words = [*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]
            call = f"{bind(operation.func)}({', '.join(words)})"
            results = [_Name("_") if key is None else name(key) for key in operation.results]
            is_tensor = [str(returned.type) for returned in operation.func._schema.returns] == ["Tensor"]
            return f"{results[0]} = {call}" if is_tensor else f"[{', '.join(results)}] = leaves({call})"

        inputs = [name(key) for key in op_graph.inputs]

        def constant(key: TensorKey, tensor: Tensor) -> str:
            offset = _weight_offset(tensor, weights)
            if offset is None or len(weights) > 1:
                return f"{name(key)} = {bind(tensor)}"
            view = f"{tuple(tensor.shape)}, {tensor.stride()}, {offset} + _.storage_offset()"
            return f"{name(key)} = _.as_strided({view})"  # one row's code is called for others, too

        lines = [constant(key, tensor) for key, tensor in op_graph.constants.items()]
        lines += [line(operation) for operation in op_graph.operations]
        head = f"def walk({', '.join(['_', *inputs])}):"
        lines += [f"return [{', '.join(name(key) for key in op_graph.outputs)}]"]
        exec("\n  ".join([head, "with no_grad():", *(f" {text}" for text in lines)]), known)
        walk: TensorFunction = known["walk"]
        return walk
