"""Compiled convolutions in bfloat16: what their gradients are worth, which code they are, and where they are refused."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from a3c_exp.compile.compiler import Compiler, _to_fx_graph
from a3c_exp.compile.precision import multiplies_bfloat16
from a3c_exp.compile.vectorize import _record_op_graph, equal_to_bfloat16, vectorize
from a3c_exp.config.compose import compose_jobs
from a3c_exp.parallelism import worker_group
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from a3c_exp.system.errors import ConfigError
from a3c_exp.training import build
from tests.parallelism.test_policy_models import task
from tests.support.driving import initial
from tests.support.single_process import Driven

SIZES = [4 * 3 * 3 * 3, 5 * 4 * 3 * 3]
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler on this machine")


def two_convolutions(flat: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
    first, second = torch.split(flat, SIZES)
    maps = torch.tanh(functional.conv2d(pictures, first.view(4, 3, 3, 3), stride=2, padding=1))
    maps = functional.conv2d(maps, second.view(5, 4, 3, 3), padding=1)
    return (maps**2).mean(), maps.sum((1, 2, 3))


def pictures(seed: int) -> Tensor:
    return torch.randn(1, 6, 3, 20, 20, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def weights() -> Tensor:
    return 0.3 * torch.randn(1, sum(SIZES), generator=torch.Generator().manual_seed(1))


@pytest.mark.slow
@needs_compiler
def test_gradients_are_those_of_float32_but_for_eight_bits(weights: Tensor, tmp_path: Path) -> None:
    exact = vectorize(two_convolutions, weights, (pictures(0),), stackable=False, differentiate=True)
    own = Compiler(tmp_path, bfloat16=True)
    halved = vectorize(two_convolutions, weights, (pictures(0),), stackable=False, differentiate=True, compiler=own)
    assert (own.num_compiled, own.failures) == (1, [])
    for seed in range(1, 4):
        for ours, theirs in zip(halved(pictures(seed)), exact(pictures(seed)), strict=True):
            assert ours.dtype is torch.float32
            distance = float((ours - theirs).norm() / theirs.norm())
            assert 1e-5 < distance < 1e-2, "rounded to bfloat16, and no worse"


def test_what_is_rounded_are_the_inputs_of_a_convolution_and_nothing_else(weights: Tensor) -> None:
    function = partial(two_convolutions, weights[0])
    graph = _to_fx_graph(_record_op_graph(function, [pictures(0)[0]]), weights, bfloat16=True)
    loss, sums = graph(weights, pictures(2)[0])

    def rounded(images: Tensor, kernel: Tensor, **shape: int) -> Tensor:
        return functional.conv2d(images.bfloat16(), kernel.bfloat16(), **shape).float()

    first, second = torch.split(weights[0], SIZES)
    maps = torch.tanh(rounded(pictures(2)[0], first.view(4, 3, 3, 3), stride=2, padding=1))
    maps = rounded(maps, second.view(5, 4, 3, 3), padding=1)
    torch.testing.assert_close((loss, sums), ((maps**2).mean(), maps.sum((1, 2, 3))), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("error", "accepted"), [(0.0, True), (0.05, True), (0.2, False)])
def test_a_gradient_may_round_but_not_be_wrong(error: float, accepted: bool) -> None:
    gradient, wrong = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))
    assert equal_to_bfloat16(gradient + error * wrong, gradient) is accepted
    choices = torch.arange(10)
    assert equal_to_bfloat16(choices, choices) and not equal_to_bfloat16(choices, choices.roll(1))


def test_code_with_convolutions_is_another_and_code_without_is_the_same(weights: Tensor, tmp_path: Path) -> None:
    def line(flat: Tensor, pictures: Tensor) -> tuple[Tensor]:
        return (flat.mean() * pictures,)

    for function, alike in ((two_convolutions, False), (line, True)):
        graph = _record_op_graph(partial(function, weights[0]), [pictures(0)[0]])
        names = {Compiler(tmp_path, bfloat16=bfloat16).library(graph, weights).name for bfloat16 in (False, True)}
        assert (len(names) == 1) is alike


class GraphRunner(Compiler):
    """Runs the graphs that would be compiled, bfloat16 and all, and knows their ``sizes``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sizes: list[int] = []

    def compile(self, op_graph: Any, weights: Tensor, examples: Any) -> Any:
        self.sizes.append(len(op_graph.operations))
        return _to_fx_graph(op_graph, weights, self.bfloat16)


@pytest.mark.parametrize("name", ["conv_gru, sde", "nature_cnn, beta", "multi_input, sde"])
@pytest.mark.parametrize("strategy", [Deterministic, Synchronous])
def test_a_training_is_that_of_float32_but_for_rounding(name: str, strategy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_group, "Compiler", GraphRunner)
    setup = replace(task(name), compile=True)
    exact, halved, again = (
        Driven(strategy(), replace(setup, bfloat16=bfloat16)).finish().stop().kind.weights() for bfloat16 in (False, True, True)
    )
    assert torch.equal(halved, again), "the same seed gives the same bits"
    begun = initial(setup).weights
    assert not torch.equal(exact, halved)
    # Not nearer to it: the gradient of a bias before a norm is rounding alone.
    assert functional.cosine_similarity(exact - begun, halved - begun, dim=0) > 0.95


@pytest.mark.slow
def test_the_car_takes_the_functions_that_it_takes_in_float32() -> None:
    """None of its functions fails its check, and workers that share weights still share their layers: what they kept of acting
    was convolved in bfloat16, and what they are compared with was not."""
    overrides = ["env=car_racing", "compile=true", "workers=2", "parallelism.processes=1"]
    sizes = []
    for precision in ("float32", "bfloat16"):
        (job,) = compose_jobs([*overrides, f"precision={precision}"], multirun=False)
        run = build.build_run(job.config)
        compile_task = run.parallelism.compile_task(run.setup)
        assert compile_task is not None
        runner = GraphRunner(bfloat16=run.setup.bfloat16)
        compile_task.run(runner)
        assert runner.failures == []
        sizes.append(runner.sizes)
    assert sizes[0] == sizes[1] and len(sizes[0]) >= 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["env=car_racing", "compile=false"], "and no compile=false"),
        (["env=pendulum"], "this model has none of"),
        (["env=car_racing", "precision=half"], "precision"),
    ],
)
def test_where_it_means_nothing_it_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build.build_run(compose_jobs(["precision=bfloat16", *overrides], multirun=False)[0].config)


@pytest.mark.parametrize("has_them", [True, False])
def test_a_processor_without_such_instructions_is_told_of(has_them: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not refused: what was trained elsewhere is evaluated and exported here."""
    monkeypatch.setattr(build, "multiplies_bfloat16", lambda: has_them)
    notices = build.build_run(compose_jobs(["env=car_racing", "precision=bfloat16"], multirun=False)[0].config).notices
    assert any("slower than precision=float32" in notice for notice in notices) is not has_them


def test_whether_a_processor_has_them_is_what_its_flags_say() -> None:
    path = Path("/proc/cpuinfo")
    if not path.exists() or "flags" not in path.read_text():
        pytest.skip("no flags of an x86 processor to be read here")
    flags = path.read_text()
    assert multiplies_bfloat16() == ("avx512_bf16" in flags or "amx_tile" in flags)
