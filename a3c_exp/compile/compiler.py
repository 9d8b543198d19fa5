"""A taped program as machine code: torch's Inductor ahead of time, kept on disk from run to run.

A tape that the TorchScript executor walks pays a few microseconds for each small operation. Compiled, neighbouring operations
become one loop and the walk is C++. The first time costs tens of seconds and needs a C++ compiler; what comes of it is kept
under a name made of the program itself, the versions and the processor, so that it is found again and never mistaken.
"""

import hashlib
import os
import platform
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from operator import getitem
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor, fx, nn

from a3c_exp.compile.op_trace import Operation, OpGraph, TensorKey

TensorFunction = Callable[..., Sequence[Tensor]]
BoundFunction = Callable[[], Sequence[Tensor]]
_MAX_UNROLLED_INNER_DIM = 4
"""Inner dimensions up to which a product of a vector is a sum of scaled rows."""
_INDUCTOR_OPTIONS = {
    "cpp.threads": 1,  # a worker keeps to one core
    "memory_planning": True,  # one block for all that lies between, not a malloc for each: a tenth of a small function's time
}
_VIEW_OPS = (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default)
_BUILD_LOCK_TIMEOUT = 300.0
"""How long a process waits for another that makes the same machine code, before it makes its own."""


class CompiledFunction:
    """A compiled function ``(weights, *inputs) -> outputs``."""

    def __init__(self, run: Callable[[list[Tensor]], Sequence[Tensor]]) -> None:
        self._run = run

    def __call__(self, *inputs: Tensor) -> Sequence[Tensor]:
        return self._run(list(inputs))

    def bind(self, *inputs: Tensor) -> BoundFunction:
        """What calls it with the same memory every time, at the least cost."""
        return partial(self._run, list(inputs))


def bind(function: TensorFunction, *inputs: Tensor) -> BoundFunction:
    """``function`` with the same memory at every call, compiled or not."""
    return function.bind(*inputs) if isinstance(function, CompiledFunction) else partial(function, *inputs)


class Compiler:
    """Compiles programs, remembers how that went, and keeps the results in a folder.

    Args:
        folder: where compiled programs are kept; ``None`` takes ``a3c_exp/compiled`` in the person's cache folder.

    Attributes:
        compile_seconds: spent compiling so far; 0 where everything was found in the folder.
        num_compiled: how many run compiled.
        failures: why others do not, a line each.
        waited: whether another process was compiling the same at the same time.
    """

    def __init__(self, folder: Path | None = None) -> None:
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        self.folder = folder or Path(home).expanduser() / "a3c_exp" / "compiled"
        self.compile_seconds = 0.0
        self.num_compiled = 0
        self.failures: list[str] = []
        self.waited = False

    def compile(self, op_graph: OpGraph, weights: Tensor, examples: Sequence[Tensor]) -> TensorFunction | None:
        """The program as a function ``(weights, *inputs) -> outputs``; ``None`` if that cannot be had.

        Args:
            op_graph: whose constants may be views of ``weights``.
            weights: ``[R, P]``, contiguous.
            examples: one input of each kind; every later call must bring the same shapes, strides and types.
        """
        try:
            library = self.folder / f"{_cache_key(op_graph, weights)}.so"
            if not library.exists():
                self.folder.mkdir(parents=True, exist_ok=True)
                with self._build_lock(library):
                    if not library.exists():
                        began = time.monotonic()
                        self._build(op_graph, weights, examples, library)
                        self.compile_seconds += time.monotonic() - began
            run = torch._C._aoti.AOTIModelContainerRunnerCpu(str(library), 1).run
        except Exception as error:  # whatever a compiler, a linker or a full disk has to say: the run goes on without
            self.failures.append(_first_line(error))
            return None
        self.num_compiled += 1
        return CompiledFunction(run)

    def status_text(self) -> str:
        """What a person should know of it, in a sentence."""
        if self.failures and self.num_compiled:
            return f"machine code: {self.num_compiled} functions compiled, the others not: {self.failures[0]}"
        if self.failures:
            return f"not compiled, so this run goes on uncompiled and slower: {self.failures[0]}"
        if self.compile_seconds:
            return f"compiled in {self.compile_seconds:.0f} s; kept in {self.folder}, so the next run like this starts at once"
        if self.waited:
            return f"compiled by another process meanwhile: {self.num_compiled} functions in {self.folder}"
        return f"compiled before: {self.num_compiled} functions found in {self.folder}"

    @contextmanager
    def _build_lock(self, library: Path) -> Iterator[None]:
        """One process at a time, for a while; then both compile side by side, which costs time and nothing else."""
        lock = FileLock(library.with_suffix(".lock"))
        with suppress(Timeout):
            lock.acquire(blocking=False)
        if not lock.is_locked:
            self.waited = True
            with suppress(Timeout):
                lock.acquire(timeout=_BUILD_LOCK_TIMEOUT)
        try:
            yield
        finally:
            lock.release()

    def _build(self, op_graph: OpGraph, weights: Tensor, examples: Sequence[Tensor], library: Path) -> None:
        compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
        if compiler is None:
            raise RuntimeError("there is no C++ compiler (g++ or clang++) on this machine; install one, or say compile=false")
        import torch._inductor  # two seconds, and only those who compile pay them

        # Beside its last place, so that it gets there whole or not at all, whoever else compiles the same.
        with (
            tempfile.TemporaryDirectory(dir=self.folder, prefix="building_") as scratch,
            warnings.catch_warnings(action="ignore"),
            torch.no_grad(),
        ):
            path = Path(scratch) / "compiled.so"
            options = {
                **_INDUCTOR_OPTIONS,
                "aot_inductor.output_path": str(path),
                "compile_threads": 1,  # no pool of processes that outlives a Ctrl-C
            }
            inputs = (torch.empty_like(weights), *(example.detach().clone() for example in examples))
            torch._inductor.aot_compile(_to_fx_graph(op_graph, weights), inputs, options=options)
            path.replace(library)


def _to_fx_graph(op_graph: OpGraph, weights: Tensor) -> fx.GraphModule:
    """The program with the weights as its first input."""
    root, graph = nn.Module(), fx.Graph()
    flat = graph.placeholder("weights")
    known: dict[TensorKey, Any] = {place: graph.placeholder(f"input_{i}") for i, place in enumerate(op_graph.inputs)}
    for place, tensor in op_graph.constants.items():
        offset = _weight_offset(tensor, weights)
        if offset is not None:
            view = (flat, list(tensor.shape), list(tensor.stride()), offset)
            known[place] = graph.call_function(torch.ops.aten.as_strided.default, view)
        else:
            name = f"constant_{len(known)}"
            root.register_buffer(name, tensor.clone())
            known[place] = graph.get_attr(name)
    for operation in op_graph.operations:
        args, kwargs = operation.resolve_inputs(known)
        # Strides are the compiler's own, so what could be viewed when it was taped may have to be copied.
        func = torch.ops.aten.reshape.default if operation.func in _VIEW_OPS else operation.func
        node = _expand_small_matmul(graph, operation, args) or graph.call_function(func, args, kwargs)
        if len(operation.func._schema.returns) == 1 and str(operation.func._schema.returns[0].type) == "Tensor":
            operation.store_output(known, node)
        else:
            operation.store_output(known, [graph.call_function(getitem, (node, i)) for i in range(len(operation.results))])
    graph.output(tuple(known[place] for place in op_graph.outputs))
    return fx.GraphModule(root, graph)


def _expand_small_matmul(graph: fx.Graph, operation: Operation, args: Any) -> fx.Node | None:
    """A batched product of small matrices, ``[B, m, k] x [B, k, n]``, as sums that melt into their neighbours' loops; ``None``
    for what a library multiplies faster than that."""
    if operation.func is not torch.ops.aten.bmm.default:
        return None
    (_, m, k), (_, _, n) = (place[1] for _, place in operation.arguments if place is not None)
    aten, call = torch.ops.aten, graph.call_function
    left, right = args
    if k == 1 or (m == 1 and k <= _MAX_UNROLLED_INNER_DIM):
        terms = [
            call(aten.mul.Tensor, (call(aten.slice.Tensor, (left, 2, i, i + 1)), call(aten.slice.Tensor, (right, 1, i, i + 1))))
            for i in range(k)
        ]
        total = terms[0]
        for term in terms[1:]:
            total = call(aten.add.Tensor, (total, term))
        return total
    if n == 1 and m == 1:
        products = call(aten.mul.Tensor, (left, call(aten.permute.default, (right, [0, 2, 1]))))
        return call(aten.sum.dim_IntList, (products, [2], True))
    return None


def _weight_offset(tensor: Tensor, weights: Tensor) -> int | None:
    """At which of the weights' numbers the tensor begins; ``None`` if it lies elsewhere."""
    if tensor.untyped_storage().data_ptr() != weights.untyped_storage().data_ptr():
        return None
    return int(tensor.storage_offset()) - int(weights.storage_offset())


def _cache_key(op_graph: OpGraph, weights: Tensor) -> str:
    """A name for what would be compiled, the same in every process."""
    numbers: dict[TensorKey, int] = {}

    def name(place: TensorKey) -> str:
        number = numbers.setdefault(place, len(numbers))
        return f"%{number}{list(place[1])}{list(place[2])}{place[3]}"

    said = [torch.__version__, _cpu_description(), repr(_INDUCTOR_OPTIONS), f"weights {list(weights.shape)}"]
    said += [f"input {name(place)}" for place in op_graph.inputs]
    for place, tensor in op_graph.constants.items():
        offset = _weight_offset(tensor, weights)
        value = offset if offset is not None else hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
        said.append(f"constant {name(place)} = {value}")
    for operation in op_graph.operations:
        arguments = [repr(leaf) if place is None else name(place) for leaf, place in operation.arguments]
        results = [place and name(place) for place in operation.results]
        said.append(f"{results} = {operation.func}({arguments}, {operation.treespec})")
    said += [f"output {name(place)}" for place in op_graph.outputs]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32]


def _cpu_description() -> str:
    """What machine code depends on: the kind of processor with everything it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        kind = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    except OSError:
        kind = [platform.processor()]
    return " ".join([platform.machine(), torch.backends.cpu.get_cpu_capability(), *kind])


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
