"""From a function of tensors to native code; knows neither models nor workers."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.compile.compiler import Compiler as Compiler
    from a3c_exp.compile.numpy_executor import NumpyExecutor as NumpyExecutor
    from a3c_exp.compile.vectorize import compile_checked as compile_checked, vectorize as vectorize
