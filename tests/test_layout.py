"""The floor plan stays readable: small files, small functions, small folders, and a sentence on every door."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import a3c_exp

PACKAGE = Path(a3c_exp.__file__).parent
ROOT = Path(__file__).parents[1]
ALL_FILES = sorted(file for folder in (PACKAGE, ROOT / "tests", ROOT / "benchmarks") for file in folder.rglob("*.py"))
FILES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted({file.parent for file in FILES})
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_FOLDER_FILES = 300, 60, 15


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_file_is_too_long_to_read() -> None:
    lengths = {file: len(file.read_text().splitlines()) for file in ALL_FILES}
    long = [f"{file}: {lines}" for file, lines in lengths.items() if lines > MAX_FILE_LINES]
    assert not long, f"files of more than {MAX_FILE_LINES} lines: {long}"


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{file.relative_to(PACKAGE)}:{node.lineno} {node.name}: {lines}"
        for file in FILES
        for node in functions(file)
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert not long, f"functions of more than {MAX_FUNCTION_LINES} lines: {long}"


def test_no_folder_holds_more_than_can_be_looked_over() -> None:
    crowded = {str(folder): count for folder in FOLDERS if (count := len(list(folder.glob("*.py")))) > MAX_FOLDER_FILES}
    assert not crowded, f"folders of more than {MAX_FOLDER_FILES} files: {crowded}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(PACKAGE.parent)))
def test_every_folder_says_in_a_sentence_what_it_is_and_exports_its_names(folder: Path) -> None:
    name = ".".join(folder.relative_to(PACKAGE.parent).parts)
    package = importlib.import_module(name)
    assert package.__doc__ and package.__doc__.split("\n")[0].endswith("."), f"{name} has no sentence of its own"
    if folder == PACKAGE or not [file for file in folder.glob("*.py") if file.stem not in ("__init__", "__main__")]:
        return
    assert package.__all__, f"{name} exports nothing"
    missing = [public for public in package.__all__ if not hasattr(package, public)]
    assert not missing, f"{name} exports {missing}, which it does not have"
