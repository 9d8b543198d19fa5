"""Processor time of the CarRacing network: windows forward and backward with Adam's step, and acting; and as usually written.

python -m benchmarks.suites.conv_gru "a3c_exp, 10 steps"       one variant: milliseconds of one core per step

Each is measured in a process of its own, on one torch thread, and in processor time, which other programs affect only through
caches and memory. The arithmetic limit is the necessary floating point operations at the rate at which this core multiplies
large matrices.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.algorithm.types import LearnerConfig, Window
from a3c_exp.algorithm.window_gradient import clip_by_norm, functional_forward, window_loss
from a3c_exp.compile.compiler import Compiler
from a3c_exp.compile.vectorize import vectorize
from a3c_exp.models.conv_gru import ConvGRU
from a3c_exp.optimizers.adam import Adam
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from benchmarks.harness.interleaved import MeasurementError, Variant
from benchmarks.harness.process_tree import run_command
from benchmarks.harness.training_runs import STARTUP_TIMEOUT, TrainingRuns, last_json_result

TITLE = "conv_gru: milliseconds of one core per step, the CarRacing article's network"
UNIT = "ms"
BASELINE = "as usually written, 10 steps"
OBSERVATION_SPACE = Box(0.0, 1.0, (4, 96, 96))
COMPILE_TIMEOUT = 600.0  # seconds that compiling may take
WARM_UP_RUNS = 3

Step = Callable[[], None]


class ReferenceConvGRU(nn.Module):
    """The article's listing as a module: one image at a time, BatchNorm in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(4), nn.BatchNorm2d(32)
        self.convs = nn.ModuleList([nn.Conv2d(4, 32, 4, 2, 1), *(nn.Conv2d(32, 32, 3, 2, 1) for _ in range(3))])
        self.prelus = nn.ModuleList(nn.PReLU() for _ in range(4))
        self.gru = nn.GRUCell(1152, 256)
        self.policy, self.value = nn.Linear(256, 4), nn.Linear(256, 1)

    def features(self, images: Tensor) -> Tensor:
        data: Tensor = self.norm1(images)
        for conv, prelu in zip(self.convs, self.prelus, strict=True):
            data = prelu(conv(data))
        flat: Tensor = self.norm2(data).flatten(1)
        return flat

    def forward(self, features: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.gru(features, h)
        return self.policy(h), self.value(h), h


@dataclass(frozen=True)
class Workload:
    """A function to run, and its number of environment steps."""

    run: Step
    steps: int


def reference_window(n: int, channels_last: bool = False) -> Workload:
    """A window of n steps; ``channels_last`` also batches convolutions over it and fuses Adam: torch's own optimizations."""
    model = ReferenceConvGRU()
    if channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, fused=channels_last or None)
    images, action, target = torch.rand(n, *OBSERVATION_SPACE.shape), torch.randint(0, 4, (n,)), torch.randn(n)

    def run() -> None:
        h, outputs = torch.zeros(1, 256), []
        if channels_last:
            features = model.features(images.contiguous(memory_format=torch.channels_last)).unsqueeze(1)
        for t in range(n):
            policy, value, h = model(features[t] if channels_last else model.features(images[t : t + 1]), h)
            outputs.append((policy, value))
        logits, value = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        distribution = torch.distributions.Categorical(logits=logits)
        error = target - value.squeeze(-1)
        log_prob = distribution.log_prob(action)  # type: ignore[no-untyped-call]
        entropy = distribution.entropy()  # type: ignore[no-untyped-call]
        loss = -(log_prob * error.detach()).mean() + 0.5 * error.square().mean() - 0.01 * entropy.mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 40.0)
        optimizer.step()

    return Workload(run, n)


def a3c_window(n: int, windows: int = 1, compiler: Compiler | None = None, bptt: int | None = None) -> Workload:
    """a3c_exp's computation for windows of n steps that share weights: gradient, clipping, Adam's step, pull."""
    model = ConvGRU(OBSERVATION_SPACE, Discrete(4))
    layout = ParameterLayout.from_module(model)
    shared, state, adam = layout.flatten(model), torch.zeros(2, layout.size), Adam(1e-4)
    weights = shared.unsqueeze(0).clone()
    shape = (1, n) if windows == 1 else (1, windows, n)
    zeros, last = torch.zeros(shape), torch.zeros(shape)
    last[..., -1] = 1.0
    window = Window(
        torch.rand(*shape, *OBSERVATION_SPACE.shape), torch.randint(0, 4, shape), torch.randn(shape), zeros.bool(), last.bool(),
        torch.randn(shape), torch.ones(shape), zeros.clone(), torch.randn(*shape[:-1], 256),
    )  # fmt: skip
    spec = LearnerConfig(n_step=n, loss=LossConfig(0.5, 0.01), bptt=bptt)
    loss = window_loss(model, layout, spec)
    gradient = vectorize(loss, weights, tuple(window), model.stackable, differentiate=True, compiler=compiler)
    if compiler is not None and compiler.failures:
        raise MeasurementError(compiler.status_text())

    def run() -> None:
        gradients, _ = gradient(*window)
        with torch.inference_mode():
            clip_by_norm(gradients, 40.0)
        adam.step(shared, gradients[0], state, 1, adam.lr)
        weights.copy_(shared)

    return Workload(run, n * windows)


def a3c_acting(batch: int, compiler: Compiler | None = None) -> Workload:
    """One step of ``batch`` workers that share weights."""
    model = ConvGRU(OBSERVATION_SPACE, Discrete(4))
    layout = ParameterLayout.from_module(model)
    weights = layout.flatten(model).unsqueeze(0)
    shape = (1,) if batch == 1 else (1, batch)
    inputs = torch.rand(*shape, *OBSERVATION_SPACE.shape), torch.zeros(*shape, 256)

    def act(flat: Tensor, observed: Tensor, state: Tensor) -> tuple[Tensor, ...]:
        return tuple(functional_forward(model, layout.unflatten(flat), observed, state))

    stacked = vectorize(act, weights, inputs, model.stackable, compiler=compiler)
    if compiler is not None and compiler.failures:
        raise MeasurementError(compiler.status_text())

    def run() -> None:
        stacked(*inputs)

    return Workload(run, batch)


def flops_per_step(learning: bool) -> int:
    """Necessary floating point operations per step: each product forward and, in learning, twice backward, except for the
    gradient of the image.

    >>> flops_per_step(learning=False) / 1e6  # doctest: +ELLIPSIS
    25.5...
    """
    convs = [(48, 4 * 4 * 4), (24, 9 * 32), (12, 9 * 32), (6, 9 * 32)]
    first, *others = [side * side * 32 * inputs for side, inputs in convs]
    dense = 1152 * 768 + 256 * 768 + 256 * 5
    if not learning:
        return 2 * (first + sum(others) + dense)
    return 2 * (2 * first + 3 * sum(others) + 3 * dense)


def arithmetic_limit(learning: bool) -> float:
    """Milliseconds per step of ``flops_per_step`` at the rate of a product of two 1024x1024 matrices."""
    size = 1024
    one, other = torch.randn(2, size, size).unbind()
    fastest = min(_milliseconds(lambda: torch.mm(one, other)) for _ in range(20))
    return flops_per_step(learning) * fastest / (2 * size**3)


def measure(workload: Workload, seconds: float) -> float:
    """Milliseconds of processor time per step: the median over as many runs as fit into ``seconds``."""
    for _ in range(WARM_UP_RUNS):
        workload.run()
    times: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(times) < 5:
        times.append(_milliseconds(workload.run))
    return median(times) / workload.steps


def _milliseconds(step: Callable[[], object]) -> float:
    began = time.process_time()
    step()
    return 1e3 * (time.process_time() - began)


def _with_compiler(make: Callable[..., Workload], *arguments: int) -> Workload:
    return make(*arguments, compiler=Compiler())


WINDOWS: dict[str, Callable[[], Workload]] = {
    BASELINE: partial(reference_window, 10),
    "as usually written, 15 steps": partial(reference_window, 15),
    "batched, channels_last, fused Adam, 10 steps": partial(reference_window, 10, True),
    "a3c_exp, 10 steps": partial(a3c_window, 10),
    "a3c_exp, 15 steps": partial(a3c_window, 15),
    "a3c_exp bptt=1, 15 steps": partial(a3c_window, 15, bptt=1),
    "a3c_exp, 8 windows of 15 steps": partial(a3c_window, 15, 8),
    "a3c_exp compile=true, 10 steps": partial(_with_compiler, a3c_window, 10),
    "a3c_exp compile=true, 8 windows of 15 steps": partial(_with_compiler, a3c_window, 15, 8),
    "a3c_exp acts, 1 worker": partial(a3c_acting, 1),
    "a3c_exp acts, 8 workers": partial(a3c_acting, 8),
    "a3c_exp compile=true acts, 1 worker": partial(_with_compiler, a3c_acting, 1),
    "a3c_exp compile=true acts, 8 workers": partial(_with_compiler, a3c_acting, 8),
}
LIMITS = {"arithmetic limit of a window": True, "arithmetic limit of acting": False}


def variants(runs: TrainingRuns) -> list[Variant]:
    def variant(name: str) -> Variant:
        def run_in_subprocess() -> float:
            arguments = [sys.executable, "-m", "benchmarks.suites.conv_gru", name, "--seconds", str(runs.seconds), "--json"]
            with run_command(arguments, runs.unused_path("output")) as job:
                job.wait(timeout=2 * STARTUP_TIMEOUT + 4 * runs.seconds + COMPILE_TIMEOUT)
            return float(last_json_result(job.output, "conv_gru")["ms"])

        return Variant(name, run_in_subprocess)

    return [variant(name) for name in (*WINDOWS, *LIMITS)]


def main() -> int:
    """Entry of the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suites.conv_gru", description=__doc__)
    parser.add_argument("variant", choices=[*WINDOWS, *LIMITS])
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to measure (5)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if arguments.variant in LIMITS:
        milliseconds = arithmetic_limit(LIMITS[arguments.variant])
    else:
        milliseconds = measure(WINDOWS[arguments.variant](), arguments.seconds)
    print(json.dumps({"ms": milliseconds}) if arguments.json else f"{milliseconds:.3g} ms a step")
    return 0


if __name__ == "__main__":
    sys.exit(main())
