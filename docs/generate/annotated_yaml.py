"""YAML files with what their comments say of each key."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml


@dataclass(frozen=True)
class YamlKey:
    """A key of a YAML file.

    Attributes:
        key: dotted.
        value: as it is written; ``None`` for a node that has keys of its own.
        description: what its comment says; empty without one.
        line: where it stands.
    """

    key: str
    value: str | None
    description: str
    line: int


def read_keys(path: Path, section: str = "") -> list[YamlKey]:
    """Every key of a file in order, with the comment behind it, or else the one right above it.

    Args:
        path: the file.
        section: only the keys of this node, named as they are within it.
    """
    text = path.read_text()
    lines = text.splitlines()

    def walk(node: yaml.MappingNode, prefix: str) -> Iterator[YamlKey]:
        for name, value in node.value:
            key, line = prefix + name.value, name.start_mark.line
            if name.value == "defaults" and not prefix:
                continue
            if isinstance(value, yaml.MappingNode) and value.value:
                yield YamlKey(key, None, _comment(lines, line), line)
                yield from walk(value, f"{key}.")
            else:
                yield YamlKey(key, _source_text(value, text), _comment(lines, line), line)

    found = walk(yaml.compose(text, yaml.SafeLoader), "")
    prefix = f"{section}." if section else ""
    return [replace(item, key=item.key.removeprefix(prefix)) for item in found if item.key.startswith(prefix)]


def _source_text(node: yaml.Node, text: str) -> str:
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if node.flow_style:
        return text[node.start_mark.index : node.end_mark.index]
    return str(yaml.safe_dump(yaml.safe_load(yaml.serialize(node)), default_flow_style=True, width=1000)).strip()


def _comment(lines: Sequence[str], line: int) -> str:
    behind = re.search(r"(?<=\s)#\s?(.*)$", lines[line])
    if behind:
        found, column = [behind.group(1)], behind.start()
        for after in lines[line + 1 :]:
            if after[:column].strip() or not after[column:].startswith("#"):
                break
            found.append(after[column + 1 :].strip())
        return " ".join(found)
    indent, above = re.match(r"\s*", lines[line]), []
    assert indent is not None
    while line and re.match(rf"{indent.group()}#", lines[line - 1]):
        line -= 1
        above.append(lines[line].strip(" #"))
    return " ".join(reversed(above))


def file_description(path: Path) -> str:
    """What the comments at the head of a file say of it, but for the command that runs it."""
    head = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        if "@package" not in line and not line.startswith("# python -m"):
            head.append(line.strip("# "))
    return " ".join(head)


def default_choices(path: Path) -> dict[str, str]:
    """The options that a file's defaults choose."""
    found = {}
    for item in yaml.safe_load(path.read_text()).get("defaults", []):
        if isinstance(item, dict):
            for key, value in item.items():
                name = key.removeprefix("override ").lstrip("/")
                if not name.startswith("hydra/") or name == "hydra/sweeper":
                    found[name] = value
    return found


def base_options(path: Path) -> list[str]:
    """The files of its own group that a file adds to."""
    return [item for item in yaml.safe_load(path.read_text()).get("defaults", []) if isinstance(item, str) and item != "_self_"]
