"""Errors of Hydra and OmegaConf, said again in one line: what was got, what is allowed, what to type."""

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from a3c_exp.config import schema
from a3c_exp.config.other_names import explain_key
from a3c_exp.system.errors import closest_match, first_line

_INSTALLED_CONFIG_DIR = Path(__file__).parents[1] / "conf"
CONFIG_DIR = _INSTALLED_CONFIG_DIR if _INSTALLED_CONFIG_DIR.is_dir() else Path(__file__).parents[2] / "conf"
"""The config groups: inside the package once installed, next to it in a checkout."""


def explain_error(error: Exception, overrides: Sequence[str]) -> str:
    """What to do about one of Hydra's or OmegaConf's errors, in a line or two."""
    text = str(error)
    if match := re.search(r"Could not override '([^']+)'", text):
        inside = re.search(r"not in '\w+'\n\s*full_key: (\S+)", str(error.__cause__))  # key={wrong: 1}
        return _unknown_key(inside.group(1) if inside else match.group(1), overrides)
    if match := re.search(r"Could not find '([^']+)/([^'/]+)'", text):
        group, option = match.groups()
        options = re.findall(r"^\t(\w[\w-]*)$", text, re.MULTILINE)
        guess = closest_match(option, options)
        plus = "+" if any(text.startswith(f"+{group}=") for text in overrides) else ""
        hint = f"Did you mean {plus}{group}={guess}? " if guess else ""
        return f"{plus}{group}={option}: there is no such option. {hint}There are {', '.join(options)}"
    if match := re.search(r"Could not (?:load|find) '?([^'\n]+?)'?\.?\n", text):
        return _unknown_key(match.group(1), overrides)
    cause = error.__cause__ or error
    if match := re.search(r"full_key: (\S+)", str(cause)):
        return _wrong_type(match.group(1), str(cause).splitlines()[0], overrides)
    first = first_line(error)
    if type(error).__name__ == "OverrideParseException":
        return f"an override cannot be read: {first}. Quote what the shell or Hydra might take apart: 'key=[a,b]'"
    return f"{first}: {first_line(cause)}" if cause is not error and str(cause) else first


def _unknown_key(key: str, overrides: Sequence[str]) -> str:
    if example := _ablation_example(key, overrides):
        return f"{key} chooses within an ablation. Try {example}"
    if key in _config_groups():
        options = sorted(path.stem for path in (CONFIG_DIR / key).glob("*.yaml"))
        typed = next((value for name, _, value in (text.partition("=") for text in overrides) if name == key), "")
        option = closest_match(typed, options) or options[0]
        return f"{key} is laid over a preset, so it takes a plus: +{key}={option}. There are {', '.join(options)}"
    names = [*_config_groups(), "hydra/sweeper", "hydra/launcher"]
    groups = [text for text in overrides if text.partition("=")[0] in names]
    try:
        config = compose("config", overrides=groups, return_hydra_config=key.startswith("hydra."))
        keys = schema.keys(config)
    except (HydraException, OmegaConfBaseException):
        keys = list(schema.Config.__dataclass_fields__)
    if others := _options_with(key):
        return f"{key} is a key of {' and '.join(others)}, which was not chosen. Try {others[0]} {key}=..."
    return f"there is no key {key}. {explain_key(key, keys) or 'python -m a3c_exp --help lists them all'}"


def _options_with(key: str) -> list[str]:
    """The options of a group that have this key, as they are typed."""
    group, _, name = key.partition(".")
    contents: dict[str, Any] = {path.stem: OmegaConf.load(path) for path in sorted((CONFIG_DIR / group).glob("*.yaml")) if name}
    return [f"{group}={option}" for option, content in contents.items() if name in content.get(group, content)]


def _ablation_example(key: str, overrides: Sequence[str]) -> str | None:
    """An ablation in which ``key`` is a choice, with the option that was typed if it is one of its own."""
    typed = next((text.partition("=")[2] for text in overrides if text.startswith(f"{key}=")), "")
    texts = {path.stem: path.read_text() for path in sorted((CONFIG_DIR / "ablation").glob("*.yaml"))}
    options = {
        name: match[1] for name, text in texts.items() if (match := re.search(rf"^ +- /{key}: (\w+)", text, re.MULTILINE))
    }
    name = min(options, key=lambda name: typed not in texts[name], default=None)
    return name and f"+ablation={name} {key}={typed if typed and typed in texts[name] else options[name]}"


def _config_groups() -> list[str]:
    return [folder.name for folder in CONFIG_DIR.iterdir() if folder.is_dir()]


def _wrong_type(key: str, reason: str, overrides: Sequence[str]) -> str:
    typed = [text.partition("=")[2] for text in overrides if text.lstrip("+").partition("=")[0] == key]
    got = typed[-1] if typed else None
    subject = f"{key} is {got}" if got is not None else key
    if "Integer" in reason:
        allowed = "a whole number"
        with suppress(ValueError):
            if got is not None and float(got).is_integer():
                allowed += f". Try {key}={int(float(got))}"
    elif "Float" in reason:
        allowed = "a number"
    elif "Boolean" in reason or "bool" in reason:
        allowed = "true or false"
    elif match := re.search(r"expected one of \[([^\]]+)\]", reason):
        allowed = f"one of {match.group(1)}"
    elif "is not a subclass of" in reason:
        below = [name.rpartition(".")[2] for name in schema.keys(compose("config")) if name.rpartition(".")[0] == key]
        return f"{subject}, but it holds keys of its own: {', '.join(below)}. Try {key}.<name>=..."
    elif "not Optional" in reason or "None" in reason:
        allowed = "never null"
    else:
        return f"{subject}: {reason}"
    return f"{subject}, but it is {allowed}"
