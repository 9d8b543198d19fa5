"""The house stands as the design draws it: imports point down, and what must start quickly carries no torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import a3c_exp

PACKAGE = Path(a3c_exp.__file__).parent

# From the ground up. A folder of the package imports from the layers below its own; within a layer folders do not know each
# other. A ``__main__.py`` stands on top of everything, whatever its folder, and so does the package's own ``__init__.py``. A
# new folder is given its place here.
LAYERS = [
    {"system"},
    {"compile", "config", "stats", "spaces"},
    {"models", "optimizers", "envs", "runs"},
    {"algorithm"},
    {"loggers"},
    {"parallelism", "evaluate"},
    {"visualize"},
    {"training"},
    {"sweep", "report", "export", "play"},
    {"api", "dashboard"},
    {"__main__"},
]
FLOOR = {part: number for number, layer in enumerate(LAYERS) for part in layer}

# Asking for help, a mistake, and reading a finished run must not wait for torch.
WITHOUT_TORCH = ["config", "dashboard", "loggers", "report", "runs", "stats", "system", "training.resume"]


def part_of(file: Path) -> str:
    on_top = file.stem == "__main__" or file == PACKAGE / "__init__.py"
    return "__main__" if on_top else file.relative_to(PACKAGE).with_suffix("").parts[0]


def modules(part: str) -> list[str]:
    """The names of all modules of a part."""
    place = PACKAGE / part.replace(".", "/")
    files = [file for file in (place.with_suffix(".py"), *place.rglob("*.py")) if file.exists() and file.stem != "__main__"]
    names = [".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in files]
    return [name.removesuffix(".__init__") for name in names if name != "a3c_exp.system.torch_settings"]


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Every module a file imports, wherever in it, with the line: inside functions and for type checkers too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: a relative import; say it in full"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@cache
def own_imports() -> list[tuple[Path, int, str, list[str]]]:
    """``(file, line, importing part, imported names)`` of every import within the package."""
    imported = []
    for file in sorted(PACKAGE.rglob("*.py")):
        for line, name in imports(file):
            first, *rest = name.split(".")
            if first == PACKAGE.name and rest and rest[0] != "__version__":
                imported.append((file, line, part_of(file), rest))
    return imported


def test_every_part_has_its_place() -> None:
    parts = {part_of(file) for file in PACKAGE.rglob("*.py")}
    assert parts <= set(FLOOR), f"no place in LAYERS for {sorted(parts - set(FLOOR))}"
    assert FLOOR.keys() == {part for layer in LAYERS for part in layer}
    assert sum(map(len, LAYERS)) == len(FLOOR), "a part stands in two layers"


def test_imports_point_down_only() -> None:
    wrong = [
        f"{file.relative_to(PACKAGE)}:{line}: {importer} (layer {FLOOR[importer]}) imports {name[0]} (layer {FLOOR[name[0]]})"
        for file, line, importer, name in own_imports()
        if importer != name[0] and FLOOR[name[0]] >= FLOOR[importer]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_check_sees_imports_at_all() -> None:
    """An empty list of violations is worth nothing if the parser finds no imports."""
    seen = {(importer, name[0]) for _, _, importer, name in own_imports()}
    assert {("training", "parallelism"), ("algorithm", "models"), ("models", "spaces"), ("parallelism", "algorithm")} <= seen


@pytest.mark.parametrize("part", ["envs", "models", "optimizers"])
def test_siblings_never_meet(part: str) -> None:
    """The kinds of things that people add of their own: each knows the ground, and none of the others."""
    known = {name[0] for _, _, importer, name in own_imports() if importer == part}
    assert known <= {part, *LAYERS[0], *LAYERS[1]}


PROBE = """
import importlib, sys, traceback

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            frames = [f for f in traceback.extract_stack() if "importlib" not in f.filename and f.filename != "<string>"]
            print("torch is imported by way of", *(f"{f.filename}:{f.lineno}" for f in frames), sep="\\n  ")

sys.meta_path.insert(0, Watch())
for name in sys.argv[1:]:
    importlib.import_module(name)
    if "torch" in sys.modules:
        sys.exit(f"{name} loads torch")
"""


def test_what_must_be_quick_does_not_load_torch() -> None:
    names = [name for part in WITHOUT_TORCH for name in modules(part)]
    assert {"a3c_exp.report.builder", "a3c_exp.config.compose", "a3c_exp.config.schema", "a3c_exp.loggers.base"} <= set(names)
    command = [sys.executable, "-c", PROBE, *names]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE.parent, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stdout
