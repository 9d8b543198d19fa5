"""An executor of taped programs that needs no C++ compiler: what is made for compiled code, run operation by operation."""

from collections.abc import Sequence

import torch
from torch import Tensor

from a3c_exp.compile.compiler import Compiler, TensorFunction
from a3c_exp.compile.op_trace import OpGraph, TensorKey


class Walker(Compiler):
    """Walks programs in place of compiling them. That compiled code agrees with a program is shown elsewhere, and checked anew
    by every run that compiles one; that the program means what it should is quicker to show so."""

    def compile(self, op_graph: OpGraph, weights: Tensor, examples: Sequence[Tensor]) -> TensorFunction | None:
        self.num_compiled += 1

        def walk(_: Tensor, *inputs: Tensor) -> Sequence[Tensor]:
            known: dict[TensorKey, Tensor] = dict(op_graph.constants)
            known.update(zip(op_graph.inputs, inputs, strict=True))
            with torch.no_grad():
                for operation in op_graph.operations:
                    args, kwargs = operation.resolve_inputs(known)
                    operation.store_output(known, operation.func(*args, **kwargs))
            return [known[output] for output in op_graph.outputs]

        return walk
