"""Public names of a folder that are imported at their first use, so that importing one module does not import its siblings."""

import ast
import sys
from functools import cache
from importlib import import_module
from importlib.abc import InspectLoader
from typing import Any, cast


def lazy_exports(package: str) -> bool:
    """Export what a package's ``__init__.py`` imports, without importing it: ``__getattr__`` (PEP 562) and ``__all__``. The
    imports stand below a condition that is never met, as this returns True: type checkers, editors and this read them there."""
    module: Any = sys.modules[package]

    @cache
    def exports() -> dict[str, str]:
        """The module that defines each name."""
        code = ast.parse(cast(InspectLoader, module.__loader__).get_source(package) or "")
        imports = [node for node in ast.walk(code) if isinstance(node, ast.ImportFrom)]
        return {alias.name: node.module or "" for node in imports for alias in node.names if alias.asname}

    def getattr_(name: str) -> Any:
        if name == "__all__":
            return sorted(exports())
        if name not in exports():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(exports()[name]), name)

    module.__getattr__ = getattr_
    return True
