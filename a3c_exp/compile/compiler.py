"""A recorded function compiled ahead of time by torch's Inductor, and cached on disk.

The TorchScript executor pays a few microseconds for each small operation; compiled, neighboring operations become one loop. The
result, which costs tens of seconds, is cached under a hash of the function itself, the versions and the processor.
"""

import hashlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from operator import getitem
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor, fx, nn

from a3c_exp.compile.expansions import EXPANSIONS, expand
from a3c_exp.compile.op_trace import OpGraph, TensorKey
from a3c_exp.compile.precision import PRECISION, has_convolutions, in_bfloat16
from a3c_exp.compile.torch_backend import INDUCTOR_OPTIONS, MODEL_RUNTIME, build_library, load_library
from a3c_exp.system.machine import processor_lines
from a3c_exp.system.process_setup import user_folder
from a3c_exp.system.signals import interruptible, scratch_folders

TensorFunction = Callable[..., Sequence[Tensor]]
BoundFunction = Callable[[], Sequence[Tensor]]
_VIEW_OPS = (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default)
_BUILD_LOCK_TIMEOUT = 300.0  # how long a process waits for another that compiles the same, before it compiles it too


class NotCompiledYet(Exception):  # noqa: N818 - no error
    """A function is not in the folder, in which its compiler only looks."""


class CompiledFunction:
    """A compiled function ``(weights, *inputs) -> outputs``."""

    def __init__(self, run: Callable[[list[Tensor]], Sequence[Tensor]]) -> None:
        self._run = run

    def __call__(self, *inputs: Tensor) -> Sequence[Tensor]:
        return self._run(list(inputs))

    def bind(self, *inputs: Tensor) -> BoundFunction:
        """What calls it with the same memory every time, at the least cost."""
        return partial(self._run, list(inputs))


def default_folder() -> Path:
    """Where compiled functions are kept; an OSError for a user without a home folder."""
    return user_folder("XDG_CACHE_HOME", "~/.cache") / "compiled"


def build_lock(library: Path) -> FileLock:
    """What a process holds while it makes the library."""
    return FileLock(library.with_suffix(".lock"))


def bind(function: TensorFunction, *inputs: Tensor) -> BoundFunction:
    """``function`` with the same memory at every call, compiled or not."""
    return function.bind(*inputs) if isinstance(function, CompiledFunction) else partial(function, *inputs)


class Compiler:
    """Compiles graphs, remembers how that went, and keeps results in a ``folder`` (``None``: in the user's cache folder).

    Args:
        only_find: compile nothing, but raise ``NotCompiledYet`` where a function is not in the folder.
        scratch: where half-done libraries are, on the same file system, for who removes them himself; ``None``: in the folder.
        bfloat16: convolutions are compiled in mixed precision.
    """

    def __init__(
        self,
        folder: Path | None = None,
        only_find: bool = False,
        scratch: Path | None = None,
        bfloat16: bool = False,
    ) -> None:
        self.folder, self._only_find, self._scratch, self.bfloat16 = folder, only_find, scratch, bfloat16
        self.compile_seconds, self.num_compiled = 0.0, 0  # of this session; functions found in the folder take no time
        self.waited = False  # whether another process was compiling the same at the same time
        self.failures: list[str] = []  # why functions do not run compiled

    def compile(self, op_graph: OpGraph, weights: Tensor, examples: Sequence[Tensor]) -> TensorFunction | None:
        """The graph, whose constants may be views of ``weights [R, P]``, as a function ``(weights, *inputs) -> outputs``; or
        ``None`` if it could not be compiled. Every call must bring inputs of the ``examples``' shapes, strides and types."""
        try:
            library = self.library(op_graph, weights)
            if not library.exists():
                if self._only_find:
                    raise NotCompiledYet
                library.parent.mkdir(parents=True, exist_ok=True)
                with interruptible(), self._build_lock(library):
                    if not library.exists():
                        began = time.monotonic()
                        self._build(op_graph, weights, examples, library)
                        self.compile_seconds += time.monotonic() - began
            run = load_library(library)
        except NotCompiledYet:
            raise
        except Exception as error:  # of a compiler, a linker or a full disk: the run goes on uncompiled
            self.failures.append(": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]]))
            return None
        self.num_compiled += 1
        return CompiledFunction(run)

    def library(self, op_graph: OpGraph, weights: Tensor) -> Path:
        """Where the compiled graph is kept; an OSError where there is no place for it."""
        self.folder = self.folder or default_folder()
        return self.folder / f"{_cache_key(op_graph, weights, self.bfloat16 and has_convolutions(op_graph))}.so"

    def status_text(self) -> str:
        """How compiling went, in one sentence."""
        if self.failures and self.num_compiled:
            return f"{self.num_compiled} functions compiled, the others not: {self.failures[0]}"
        if self.failures:
            return f"not compiled, so this run goes on uncompiled and slower: {self.failures[0]}"
        if self.compile_seconds:
            return f"compiled in {self.compile_seconds:.0f} s; kept in {self.folder}, so the next run like this starts at once"
        if self.waited:
            return f"compiled by another process meanwhile: {self.num_compiled} functions in {self.folder}"
        return f"compiled before: {self.num_compiled} functions found in {self.folder}"

    @contextmanager
    def _build_lock(self, library: Path) -> Iterator[None]:
        """One process at a time; after a limit both compile side by side, which only costs time."""
        lock = build_lock(library)
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
        # In a folder of its own among temporary files torch would leave what it keeps between two compilations.
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(library.parent / "inductor"))
        # Built in the same folder, so that it is moved into place whole or not at all.
        with tempfile.TemporaryDirectory(dir=self._scratch or library.parent, prefix="building_") as scratch:
            scratch_folders.add(scratch)
            path = Path(scratch) / "compiled.so"
            inputs = (torch.empty_like(weights), *(example.detach().clone() for example in examples))
            build_library(_to_fx_graph(op_graph, weights, self.bfloat16), inputs, path)
            path.replace(library)


def _to_fx_graph(op_graph: OpGraph, weights: Tensor, bfloat16: bool = False) -> fx.GraphModule:
    """The graph with the weights as its first input."""
    root, graph = nn.Module(), fx.Graph()
    flat = graph.placeholder("weights")
    nodes: dict[TensorKey, Any] = {key: graph.placeholder(f"input_{i}") for i, key in enumerate(op_graph.inputs)}
    for key, tensor in op_graph.constants.items():
        if (offset := _weight_offset(tensor, weights)) is not None:
            view = (flat, list(tensor.shape), list(tensor.stride()), offset)
            nodes[key] = graph.call_function(torch.ops.aten.as_strided.default, view)
        else:
            name = f"constant_{len(nodes)}"
            root.register_buffer(name, tensor.clone())
            nodes[key] = graph.get_attr(name)
    for operation in op_graph.operations:
        args, kwargs = operation.resolve_inputs(nodes)
        # The compiler chooses strides, so what could be viewed when it was recorded may have to be copied.
        func = torch.ops.aten.reshape.default if operation.func in _VIEW_OPS else operation.func
        results = in_bfloat16(graph, operation, args, kwargs) if bfloat16 else None
        if results is None:
            node = expand(graph, operation, args, kwargs) or graph.call_function(func, args, kwargs)
            is_tensor = len(operation.func._schema.returns) == 1 and str(operation.func._schema.returns[0].type) == "Tensor"
            results = [node] if is_tensor else [graph.call_function(getitem, (node, i)) for i in range(len(operation.results))]
        operation.store_output(nodes, results)
    graph.output(tuple(nodes[key] for key in op_graph.outputs))
    return fx.GraphModule(root, graph)


def _weight_offset(tensor: Tensor, weights: Tensor) -> int | None:
    """The index in ``weights`` at which the tensor begins; ``None`` if it is not a view of them."""
    if tensor.untyped_storage().data_ptr() != weights.untyped_storage().data_ptr():
        return None
    return int(tensor.storage_offset()) - int(weights.storage_offset())


def _cache_key(op_graph: OpGraph, weights: Tensor, bfloat16: bool = False) -> str:
    """A hash of what would be compiled, the same in every process."""
    numbers: dict[TensorKey, int] = {}

    def name(key: TensorKey) -> str:
        number = numbers.setdefault(key, len(numbers))
        return f"%{number}{list(key[1])}{list(key[2])}{key[3]}"

    files = (MODEL_RUNTIME, Path(__file__), EXPANSIONS, *([PRECISION] if bfloat16 else []))
    own = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    lines = [torch.__version__, *own, _cpu_description(), repr(INDUCTOR_OPTIONS), f"weights {list(weights.shape)}"]
    lines += [f"input {name(key)}" for key in op_graph.inputs]
    for key, tensor in op_graph.constants.items():
        offset = _weight_offset(tensor, weights)
        value = offset if offset is not None else hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
        lines.append(f"constant {name(key)} = {value}")
    for operation in op_graph.operations:
        arguments = [repr(leaf) if key is None else name(key) for leaf, key in operation.arguments]
        results = [key and name(key) for key in operation.results]
        lines.append(f"{results} = {operation.func}({arguments}, {operation.treespec})")
    lines += [f"output {name(key)}" for key in op_graph.outputs]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def _cpu_description() -> str:
    """What compiled code depends on: the processor's model and its instruction sets."""
    return " ".join([platform.machine(), torch.backends.cpu.get_cpu_capability(), *processor_lines()])
