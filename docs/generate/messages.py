"""The lines in which the program says what went wrong, read from its source."""

import ast
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[2] / "a3c_exp"
_EXPLAINING = ("error_messages.py", "schema.py")
"""Files whose functions return or yield lines that others raise."""
_VERBS = (
    "Add Ask Call Change Choose Export Free Give Go Install Leave List Make Mend Move Name Quote Register Rename Return Save "
    "Set Shorten Start Stop Take Then Try Type Use Wait Write"
)
_ADVICE = re.compile(
    rf"(?<=[.;?,:}}] )(?:{'|'.join(_VERBS.split())}|Did you mean|Here|It takes|There are)\b"
    rf"|(?<=[.;?,:] )(?:{'|'.join(_VERBS.lower().split())})\b"
    r"|\S+ --help|must be: |\{(?:hint|suggestion|explain_key\(.*|_MEND|mend|CONDITION_HINT|RUN_DIRECTORY_HINT|allowed|advice)\}"
)
"""Where a message begins to say what to do."""


@dataclass(frozen=True)
class Message:
    """A message as it stands in the source.

    Attributes:
        error: the class that it is raised with.
        place: the file and line, below the package.
        said: what was got and what is allowed, with ``{...}`` where a value stands.
        advice: what to do; empty if it does not say.
    """

    error: str
    place: str
    said: str
    advice: str


def messages(errors: Collection[str]) -> Iterator[Message]:
    """Every message of these classes, in the order of the files; one that only passes another one on is left out."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            error, spoken = _spoken(node, path.name)
            if error not in errors or spoken is None:
                continue
            text = _text(spoken)
            if " " not in re.sub(r"\{[^{}]*\}", "", text).strip(" :."):
                continue
            found = _ADVICE.search(text)
            begin = found.start() if found else len(text)
            place = f"{path.relative_to(PACKAGE)}:{spoken.lineno}"
            yield Message(error, place, text[:begin].rstrip(" .;,"), text[begin:])


def _spoken(node: ast.AST, file: str) -> tuple[str, ast.expr | None]:
    """The class of an error and the expression of its message, if the node makes one."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        return node.func.id, node.args[0]
    if isinstance(node, ast.Return | ast.Yield) and isinstance(node.value, ast.JoinedStr) and file in _EXPLAINING:
        return "ConfigError", node.value
    return "", None


def _text(node: Any) -> str:
    match node:
        case ast.Constant():
            return str(node.value)
        case ast.JoinedStr():
            return "".join(map(_text, node.values))
        case ast.FormattedValue():
            return f"{{{ast.unparse(node.value)}}}"
        case ast.BinOp():
            return _text(node.left) + _text(node.right)
        case ast.IfExp():
            return _text(node.body)
    return f"{{{ast.unparse(node)}}}"
