"""torch's private and deprecated interfaces, all that this package uses of them, behind one small interface.

To check at the next torch (this was written for 2.13); tests/compile and tests/optimizers fail where one has changed:

- ``torch.jit.trace`` is deprecated. If it goes, ``vectorize`` can return its eager function: same values, several times slower.
- ``torch._inductor.aot_compile`` takes a graph of ATen operations and writes a library; its successor is
  ``aoti_compile_and_package``, which writes an archive.
- ``torch._inductor.codegen.common.device_codegens`` says which class writes the C++ around compiled loops. Ours includes
  ``model_runtime.h`` in place of torch's own runtime and checks. Where that does not compile, torch's is taken, at its cost.
- ``torch._C._aoti.AOTIModelContainerRunnerCpu`` loads such a library; ``run`` takes and returns a list of tensors.
- ``torch._fused_adam_`` is the kernel of ``torch.optim.Adam(fused=True)``; a new argument would have no default.
- ``TorchDispatchMode`` must still see each operation below vmap and autograd, and must not import ``torch._dynamo``.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["INDUCTOR_OPTIONS", "MODEL_RUNTIME", "OpRecorder", "build_library", "fused_adam", "load_library", "pytree", "trace"]

# One core a worker; one block of memory for all intermediate results, which saves a tenth of a small function's time.
INDUCTOR_OPTIONS = {"cpp.threads": 1, "memory_planning": True}
MODEL_RUNTIME = Path(__file__).with_name("model_runtime.h")
"""A part of everything that is compiled."""


class OpRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records every operation on plain tensors while entered: in order, with the very tensors that went in and came out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # True would import torch._dynamo, sympy and more: two seconds and 100 MB in every worker

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, result))
        return result


def trace(module: nn.Module, examples: Sequence[Tensor]) -> Callable[..., Sequence[Tensor]]:
    """The module as the TorchScript executor runs it: the only executor that needs neither Python nor a C++ compiler."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced: Any = torch.jit.trace(module, tuple(examples), check_trace=False)  # type: ignore[no-untyped-call]
    forward: Callable[..., Sequence[Tensor]] = traced.forward  # without the hooks that calling a module looks for
    return forward


def build_library(graph: fx.GraphModule, examples: Sequence[Tensor], path: Path) -> None:
    """Compile a graph ahead of time into the shared library ``path``; takes seconds to minutes."""
    import torch._inductor.exc  # two seconds, and only those who compile pay them

    # One thread: no pool of processes that outlives a Ctrl-C.
    options = {**INDUCTOR_OPTIONS, "aot_inductor.output_path": str(path), "compile_threads": 1}
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        # The processor's word is taken for its instruction sets, which torch tries with six programs, for ten seconds.
        with suppress(torch._inductor.exc.CppCompileError), _own_runtime():
            torch._inductor.aot_compile(graph, tuple(examples), options={**options, "cpp.vec_isa_ok": True})
            return
        torch._inductor.aot_compile(graph, tuple(examples), options=options)  # this compiler may not know them all


@contextmanager
def _own_runtime() -> Iterator[None]:
    """What is compiled inside gets ``model_runtime.h`` around it."""
    from torch._inductor import codecache
    from torch._inductor.codegen import common
    from torch._inductor.codegen.cpp_wrapper_cpu import CppWrapperCpu

    class OwnRuntimeWrapper(CppWrapperCpu):
        @staticmethod
        def create(*args: Any, **kwargs: Any) -> Any:
            return OwnRuntimeWrapper()  # type: ignore[no-untyped-call]

        @staticmethod
        def get_device_include_path_aot(device: str) -> str:
            return f'#include "{MODEL_RUNTIME}"'

        def _write_aoti_interface_header(self) -> None:
            pass  # it is in the other

        def generate_input_output_runtime_checks(self) -> None:
            """Inputs are as their examples were: ``vectorize`` sees to that."""
            self.prefix.splice_aot("""
                constexpr bool _check_aoti_runtime_check_inputs_env() { return false; }
                static inline void __check_inputs_outputs(AtenTensorHandle*, AtenTensorHandle*) {}
            """)

    common.init_backend_registration()
    codegen, header = common.device_codegens["cpu"], codecache._get_cpp_wrapper_header
    before = codegen.cpp_wrapper_codegen
    codegen.cpp_wrapper_codegen = OwnRuntimeWrapper
    codecache._get_cpp_wrapper_header = lambda *args, **kwargs: str(MODEL_RUNTIME)  # which is precompiled
    try:
        yield
    finally:
        codegen.cpp_wrapper_codegen, codecache._get_cpp_wrapper_header = before, header


def load_library(path: Path) -> Callable[[list[Tensor]], Sequence[Tensor]]:
    """The function that ``build_library`` compiled."""
    run: Callable[[list[Tensor]], Sequence[Tensor]] = torch._C._aoti.AOTIModelContainerRunnerCpu(str(path), 1).run
    return run


def fused_adam(weights: Tensor, gradient: Tensor, first: Tensor, second: Tensor, step: int, **settings: float) -> None:
    """The kernel behind ``torch.optim.Adam(fused=True)``, in place: one pass over memory."""
    count = torch.tensor(float(step), device=weights.device)
    arguments: Any = {**settings, "amsgrad": False, "maximize": False}
    torch._fused_adam_([weights], [gradient], [first], [second], [], [count], **arguments)
