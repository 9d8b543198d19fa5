"""Processes that compile the same functions divide them."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from a3c_exp.compile.compiler import Compiler, build_lock
from a3c_exp.compile.op_trace import OpGraph
from a3c_exp.compile.sharing import SharingCompiler
from a3c_exp.compile.vectorize import vectorize


def test_what_another_process_compiles_is_left_to_it_and_then_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Path] = []

    def build(self: Compiler, op_graph: OpGraph, weights: Tensor, examples: Sequence[Tensor], library: Path) -> None:
        built.append(library)
        library.write_bytes(b"no library")

    monkeypatch.setattr(Compiler, "_build", build)
    weights = torch.ones(2, 2)

    def scaled(by: float, compiler: Compiler) -> Tensor:
        (result,) = vectorize(lambda flat, x: (flat * x * by,), weights, (torch.ones(2, 2),), compiler=compiler)(
            torch.ones(2, 2)
        )
        return result

    scaled(2.0, Compiler(tmp_path))
    (library,) = built
    library.unlink()
    built.clear()
    compiler = SharingCompiler(tmp_path)
    with build_lock(library):
        assert scaled(2.0, compiler).tolist() == [[2.0, 2.0]] * 2, "what was recorded stands in"
        assert built == [] and compiler.failures == []
        scaled(3.0, compiler)
        assert len(built) == 1, "what nobody compiles is compiled"
    compiler.wait()
    assert built[1:] == [library], "nobody has compiled it after all"
    assert len(compiler.failures) == 2, "what is no library is no success"
