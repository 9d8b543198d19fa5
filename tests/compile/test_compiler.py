"""Compiled code against what was compiled; what happens where it cannot be had."""

import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from a3c_exp.compile import compiler, torch_backend
from a3c_exp.compile.compiler import Compiler, _to_fx_graph
from a3c_exp.compile.vectorize import _record_op_graph, vectorize
from tests.support.command import run

K = 3
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler on this machine")


def bent_line(flat: Tensor, x: Tensor, choice: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A loss, a quantity and a choice; products, a reduction, an indexed reading and a constant among them."""
    slopes, offsets = torch.split(flat, [6, 4])
    y = torch.tanh(x @ slopes.view(2, 3)) * torch.tensor([0.5, 1.0, 2.0])
    loss = (y.gather(-1, choice.unsqueeze(-1)) ** 2).sum() + (offsets**2).sum() * y.mean()
    return loss, y.sum(dim=0), y.argmax(dim=-1)


def inputs(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(K, 5, 2, generator=generator), torch.randint(3, (K, 5), generator=generator)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("stackable", [True, False], ids=["stacked", "one by one"])
def test_compiled_code_says_what_was_compiled_and_is_found_again(
    stackable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A header that is compiled once pays with many functions; here there are two.
    monkeypatch.setitem(torch_backend.INDUCTOR_OPTIONS, "aot_inductor.precompile_headers", False)
    monkeypatch.setitem(torch_backend.INDUCTOR_OPTIONS, "aot_inductor.compile_wrapper_opt_level", "O0")
    weights = torch.randn(K, 10, generator=torch.Generator().manual_seed(1))
    plain = vectorize(bent_line, weights, inputs(0), stackable=False, differentiate=True)
    first, again = Compiler(tmp_path), Compiler(tmp_path)
    for own in (first, again):
        compiled = vectorize(bent_line, weights, inputs(0), stackable, differentiate=True, compiler=own)
        assert (own.num_compiled, own.failures) == (1, [])
        for seed in range(1, 4):
            for ours, theirs in zip(compiled(*inputs(seed)), plain(*inputs(seed)), strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
            weights.mul_(-0.7)  # a pull: in place
    assert first.compile_seconds > 0
    assert again.compile_seconds == 0
    left = {path.suffix for path in tmp_path.iterdir() if path.name != "inductor"}  # which torch keeps for the next time
    assert left <= {".so", ".lock"}, "something half-done is left"


@needs_compiler
def test_another_program_constant_or_runtime_is_not_mistaken_for_one_that_was_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is all that tells programs apart. No compiler is asked: an unknown name would need one."""
    weights = torch.ones(1, 2)

    def scaled(by: float) -> None:
        vectorize(lambda flat, x: (flat * x * torch.tensor(by),), weights, (torch.ones(1, 2),), compiler=namer)

    class Namer(Compiler):
        def __init__(self) -> None:
            super().__init__(tmp_path)
            self.names: list[str] = []

        def _build(self, op_graph: object, weights: Tensor, examples: object, library: Path) -> None:
            self.names.append(library.name)
            raise RuntimeError("only the name was wanted")

    namer = Namer()
    for by in (2.0, 2.0, 3.0):
        scaled(by)
    vectorize(lambda flat, x: (flat * x + torch.tensor(2.0),), weights, (torch.ones(1, 2),), compiler=namer)
    vectorize(lambda flat, x: (flat * x * torch.tensor(2.0),), weights, (torch.ones(1, 1),), compiler=namer)
    for part in ("MODEL_RUNTIME", "EXPANSIONS"):
        file = tmp_path / part
        file.write_text("// another version of this package")
        monkeypatch.setattr(compiler, part, file)
        scaled(2.0)
    once, twice, *others = namer.names
    assert once == twice
    assert len({once, *others}) == 6


def test_what_could_be_viewed_when_it_was_recorded_may_be_copied() -> None:
    """Small products are written as sums, whose results lie in memory as what went in does: time first, here."""
    weights = torch.randn(K, 3)

    def outer(flat: Tensor, x: Tensor) -> tuple[Tensor]:
        seen = torch.tanh(x).transpose(0, 1)
        return (torch.bmm(seen, flat.view(K, 1, 3)).view(K * 5, 3).cumsum(0),)

    traced, other = torch.randn(2, 5, K, 1)
    graph = _to_fx_graph(_record_op_graph(partial(outer, weights), [traced]), weights)
    torch.testing.assert_close(graph(weights, other), outer(weights, other))


@pytest.mark.parametrize("lacks", ["a compiler", "a home"])
def test_a_run_that_cannot_be_compiled_says_why_in_a_line_and_goes_on(
    lacks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lacks == "a compiler":
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CXX", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    else:
        monkeypatch.setenv("HOME", "~")  # as for a user without HOME whom the system does not know: Python finds none
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.delenv("XDG_DATA_HOME")
    done = run("env=cartpole", "compile=true", "max_updates=3", "logger=none", "evaluation.episodes=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (messages,) = (tmp_path / "outputs").glob("*/*/messages.log")
    said = [line for line in messages.read_text().splitlines() if "not compiled" in line]
    assert len(said) == 1
    assert {"a compiler": "no C++ compiler", "a home": "no home folder; set XDG_CACHE_HOME"}[lacks] in said[0]
    assert "~" not in {path.name for path in tmp_path.iterdir()}


def test_a_spoilt_library_is_not_run(tmp_path: Path) -> None:
    weights = torch.ones(1, 2)

    def doubled(flat: Tensor, x: Tensor) -> tuple[Tensor]:
        return (flat * x * 2,)

    class Spoiler(Compiler):
        def _build(self, op_graph: object, weights: Tensor, examples: object, library: Path) -> None:
            library.write_bytes(b"no library")

    compiler = Spoiler(tmp_path)
    stacked = vectorize(doubled, weights, (torch.ones(1, 2),), compiler=compiler)
    assert stacked(torch.ones(1, 2))[0].tolist() == [[2.0, 2.0]]
    assert compiler.num_compiled == 0
    assert len(compiler.failures) == 1
