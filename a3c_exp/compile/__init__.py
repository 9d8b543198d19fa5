"""From a function of tensors to native code; knows neither models nor workers."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.compile.compiler import Compiler as Compiler
    from a3c_exp.compile.numpy_executor import NumpyExecutor as NumpyExecutor
    from a3c_exp.compile.op_trace import OpGraph as OpGraph
    from a3c_exp.compile.op_trace import OpRecorder as OpRecorder
    from a3c_exp.compile.vectorize import compile_checked as compile_checked
    from a3c_exp.compile.vectorize import vectorize as vectorize
else:
    __getattr__, __all__ = lazy_exports(
        __name__,
        Compiler="compiler",
        NumpyExecutor="numpy_executor",
        OpGraph="op_trace",
        OpRecorder="op_trace",
        compile_checked="vectorize",
        vectorize="vectorize",
    )
