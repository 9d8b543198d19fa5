"""What is sent: answers as JSON, and the files that the page consists of."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from a3c_exp.runs.tolerant_io import printable


def to_json(answer: Mapping[str, Any]) -> bytes:
    """An answer as JSON, whose texts hold nothing that cannot be shown: names of folders may hold anything."""
    return json.dumps(_printable(answer), allow_nan=False, separators=(",", ":")).encode()


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return value if value and type(value[0]) is float else [_printable(item) for item in value]
    return value


@cache
def static_files() -> dict[str, bytes]:
    """The page's own files by name, read once."""
    folder = Path(__file__).parent / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix in (".html", ".css", ".js", ".svg")}
