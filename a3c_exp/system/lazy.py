"""Public names of a folder that are imported at their first use, so that importing one module does not import its siblings."""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy_exports(package: str, **names: str) -> tuple[Callable[[str], Any], list[str]]:
    """``__getattr__`` and ``__all__`` of a package (PEP 562); type checkers read the imports next to it.

    Args:
        package: its ``__name__``.
        names: each public name with the module inside the package that defines it.

    In an ``__init__.py``::

        if TYPE_CHECKING:
            from a3c_exp.config.compose import compose_jobs as compose_jobs
        else:
            __getattr__, __all__ = lazy_exports(__name__, compose_jobs="compose")
    """

    def getattr_(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{names[name]}"), name)

    return getattr_, sorted(names)
