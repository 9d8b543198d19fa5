"""An executor of taped programs that needs no C++ compiler: what is made for machine code, run operation by operation."""

from collections.abc import Sequence

import torch
from torch import Tensor

from a3c_exp.compile.compiler import Compiled, Compiler
from a3c_exp.compile.op_trace import Place, Program


class Walker(Compiler):
    """Walks programs in place of compiling them. That machine code agrees with a program is shown elsewhere, and checked anew
    by every run that compiles one; that the program means what it should is quicker to show so."""

    def compile(self, program: Program, weights: Tensor, examples: Sequence[Tensor]) -> Compiled | None:
        self.programs += 1

        def walk(_: Tensor, *inputs: Tensor) -> Sequence[Tensor]:
            known: dict[Place, Tensor] = dict(program.constants)
            known.update(zip(program.inputs, inputs, strict=True))
            with torch.no_grad():
                for operation in program.operations:
                    args, kwargs = operation.given(known)
                    operation.learn(known, operation.func(*args, **kwargs))
            return [known[output] for output in program.outputs]

        return walk
