"""Several processes that compile the same functions, each some of them."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from filelock import Timeout
from torch import Tensor

from a3c_exp.compile.compiler import Compiler, TensorFunction, build_lock
from a3c_exp.compile.op_trace import OpGraph
from a3c_exp.compile.vectorize import ReplayModule


class SharingCompiler(Compiler):
    """Leaves to another process what that is compiling, and goes on to the next function; ``wait`` waits for all. Until then
    the function that was recorded stands in for the compiled one."""

    def __init__(self, folder: Path | None = None, scratch: Path | None = None, bfloat16: bool = False) -> None:
        super().__init__(folder, scratch=scratch, bfloat16=bfloat16)
        self._left: list[tuple[OpGraph, Tensor, Sequence[Tensor]]] = []

    def compile(self, op_graph: OpGraph, weights: Tensor, examples: Sequence[Tensor]) -> TensorFunction | None:
        if not self._is_built_elsewhere(op_graph, weights):
            return super().compile(op_graph, weights, examples)
        self._left.append((op_graph, weights, [example.clone() for example in examples]))
        replay = ReplayModule(op_graph)

        def run(weights: Tensor, *inputs: Tensor) -> Sequence[Tensor]:
            with torch.no_grad():
                outputs: Sequence[Tensor] = replay(*inputs)
                return outputs

        return run

    def _is_built_elsewhere(self, op_graph: OpGraph, weights: Tensor) -> bool:
        with suppress(OSError):
            library = self.library(op_graph, weights)
            if library.exists():
                return False
            library.parent.mkdir(parents=True, exist_ok=True)
            lock = build_lock(library)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                return True
            lock.release()
        return False

    def wait(self) -> None:
        """Wait for what others compile; what they did not is compiled here."""
        for left in self._left:
            super().compile(*left)
        self._left.clear()
