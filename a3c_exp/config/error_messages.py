"""Errors of Hydra and OmegaConf, said again in one line: what was got, what is allowed, what to type."""

import importlib
import inspect
import re
import shlex
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from a3c_exp.config import schema
from a3c_exp.config.other_names import explain_key, is_atari, registered_id
from a3c_exp.config.type_checks import describe_type, matches_type
from a3c_exp.system.errors import ConfigError, closest_match, first_line
from a3c_exp.system.extras import is_installed, missing_extra

_INSTALLED_CONFIG_DIR = Path(__file__).parents[1] / "conf"
CONFIG_DIR = _INSTALLED_CONFIG_DIR if _INSTALLED_CONFIG_DIR.is_dir() else Path(__file__).parents[2] / "conf"
"""The config groups: inside the package once installed, next to it in a checkout."""
GROUPS = ("env", "model", "optimizer", "parallelism", "logger")
"""The groups of which a run has exactly one option."""
_SUBMITIT = "hydra_plugins.hydra_submitit_launcher"


@contextmanager
def explained(overrides: Sequence[str]) -> Iterator[None]:
    """Where files and overrides are read: what Hydra, OmegaConf and YAML raise becomes a ConfigError that says what to type."""
    try:
        yield
    except ConfigError:
        raise
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise ConfigError(explain_error(error, overrides)) from None


def explain_error(error: Exception, overrides: Sequence[str]) -> str:
    """What to do about one of Hydra's, OmegaConf's or YAML's errors, in a line or two."""
    text = str(error)
    if isinstance(error, MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
        mend = "Indent with blanks" if "'\\t'" in str(error.problem) else "Mend that line"
        return f"{mark.name}, line {mark.line + 1}: {error.problem}. {mend}"
    if isinstance(error, UnicodeDecodeError):
        return f"{_undecodable_file() or 'a file'} is no text in UTF-8: {error.reason} at byte {error.start}. Save it as UTF-8"
    if "Config group override must be" in text:
        return f"{' '.join(overrides)}: a group such as +experiment takes an option. Leave it out where it has none"
    if (match := re.match(r"In '([^']+/[^']+)': ", text)) and _file_of(match[1]).is_file():
        return f"{_file_of(match[1])}: {_file_problem(match[1], text, overrides)}"
    if match := re.match(r"In '(arm|control)/([^']+)': ", text):  # no file, so it stands inside an ablation's
        config = f"{match[1]}/{match[2]}"
        return f"ablation.{match[1]}s.{match[2]}: {_file_problem(config, text, overrides)}"
    if match := re.search(r"Could not override '([^']+)'", text):
        inside = re.search(r"not in '\w+'\n\s*full_key: (\S+)", str(error.__cause__))  # key={wrong: 1}
        return _unknown_key(inside.group(1) if inside else match.group(1), overrides)
    if match := re.search(r"Could not find '([^']+)/([^'/]+)'", text):
        return _unknown_option(match[1], match[2], re.findall(r"^\t(\w[\w-]*)$", text, re.MULTILINE), overrides)
    if match := re.search(r"Could not (?:load|find) '?([^'\n]+?)'?\.?\n", text):
        return _unknown_key(match.group(1), overrides)
    cause = error.__cause__ or error
    if match := re.search(r"full_key: (\S+)", str(cause)):
        return _wrong_type(match.group(1), str(cause).splitlines()[0], overrides)
    first = first_line(error)
    if isinstance(error, OverrideParseException):
        key, _, value = str(error.override).partition("=")
        quoted = shlex.quote(f'{key}="{value}"')
        return f"{error.override} cannot be read. Try quotes, for most characters: {quoted}; a list is '{key}=[a,b]'"
    return f"{first}: {first_line(cause)}" if cause is not error and str(cause) else first


def explain_missing_group(group: str) -> str:
    """What to type where one of ``GROUPS`` has no option, or several."""
    options = _options(group)
    return f"a run has one {group}, which is one of {', '.join(options)}. Try {group}={options[-1]}"


def _options(group: str) -> list[str]:
    """Those of the program's own, such as ``cartpole_tuned`` and ``zoo/cartpole``."""
    folder = CONFIG_DIR / group
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def _file_of(config: str) -> Path:
    """The file of a configuration such as ``experiment/own``."""
    for source in GlobalHydra.instance().config_loader().get_sources():
        if source.scheme() == "file" and (path := Path(source.path) / f"{config}.yaml").is_file():
            return path
    return Path(f"{config}.yaml")


def _undecodable_file() -> Path | None:
    for source in GlobalHydra.instance().config_loader().get_sources():
        for path in Path(source.path).glob("*/**/*.yaml") if source.scheme() == "file" else ():
            try:
                path.read_text(encoding="utf-8")
            except ValueError:
                return path
    return None


def _file_problem(config: str, text: str, overrides: Sequence[str]) -> str:
    """What is wrong in a file that can be read as YAML."""
    if match := re.search(r"Could not override '(?:[^']+/)?([^'/@]+)(?:@[^']*)?'", text):
        return f"override {match[1]}: ... finds no group of that name beside the file. Try override /{match[1]}: ..."
    if match := re.search(r"Could not find '([^']+)/([^'/]+)'", text):
        return _unknown_option(match[1], match[2], re.findall(r"^\t(\w[\w-]*)$", text, re.MULTILINE), overrides)
    found = re.search(r"full_key: (\S.*)", text)
    if "Cannot merge" in text or found is None:
        return "it holds no lines of the form key: value"
    path = _file_of(config)
    key, content = found[1], path.read_text() if path.is_file() else ""
    header = re.search(r"^#\s*@package\s+(\S+)", content, re.MULTILINE)
    if key == (header[1] if header else config.partition("/")[0]):
        first = content.strip().partition("\n")[0][:60]
        return f"its first line must be: # @package _global_ ({f'it is: {first}' if first else 'it is empty'})"
    if " " in key:
        return f"{key!r} has no colon. Try {key.replace(' ', ': ', 1)}"
    reason = text.splitlines()[1] if "\n" in text else text
    return _unknown_key(key, overrides) if " not in " in reason else _wrong_type(key, reason, ())


def _unknown_option(group: str, option: str, options: Sequence[str], overrides: Sequence[str]) -> str:
    if f"{group}={option}".startswith("hydra/launcher=submitit_") and not is_installed(_SUBMITIT):
        return str(missing_extra(f"{group}={option}", _SUBMITIT))
    typed = [text.lstrip("+").partition("=") for text in overrides]
    group, option = next(((key, value) for key, _, value in typed if f"{key}/{value}" == f"{group}/{option}"), (group, option))
    options = sorted({*options, *_options(group)})
    plus = "+" if any(text.startswith(f"+{group}=") for text in overrides) else ""
    guess = closest_match(option, options)
    hint = f"Did you mean {plus}{group}={guess}? " if guess else ""
    if group == "env" and (id := registered_id(option)):
        hint = f"Try env={'atari' if is_atari(id) else 'gymnasium'} env.id={id}. "
    listed = f"There are {', '.join(options)}"
    return f"{plus}{group}={option}: there is no such option. {hint}{listed}"


def _unknown_key(key: str, overrides: Sequence[str]) -> str:
    if example := _ablation_example(key, overrides):
        return f"{key} chooses within an ablation. Try {example}"
    if key in _config_groups():
        options = _options(key)
        typed = next((value for name, _, value in (text.partition("=") for text in overrides) if name == key), "")
        option = closest_match(typed, options) or options[0]
        return f"{key} is laid over a preset, so it takes a plus: +{key}={option}. There are {', '.join(options)}"
    names = [*_config_groups(), "hydra/sweeper", "hydra/launcher"]
    groups = [text for text in overrides if text.partition("=")[0] in names]
    try:
        config = compose("config", overrides=groups, return_hydra_config=key.startswith("hydra."))
        keys = schema.keys(config)
    except (HydraException, OmegaConfBaseException):
        config, keys = OmegaConf.create(), list(schema.Config.__dataclass_fields__)
    if _may_be_added(key, config):
        return f"{key} is not in the chosen option, whose class takes it. Try +{key}=..."
    if others := _options_with(key, config):
        group, _, option = others[0].partition("=")
        if f"+logger@logger.{option}={option}" in overrides:  # of a list
            return f"{key}: of several loggers each has its own keys. Try logger.{option}.{key.partition('.')[2]}=..."
        not_chosen = "which was not chosen" if len(others) == 1 else "none of which was chosen"
        elsewhere = f"{key} is a key of {', '.join(others)}, {not_chosen}"
        if group == "env" and any(text.startswith("env=") for text in overrides):  # another environment is another task
            keys = [str(name) for name in config.env if name != "_target_"]
            return f"{elsewhere}. Try one of the chosen one's: {', '.join(keys)}"
        return f"{elsewhere}. Try {others[0]} {key}=..."
    return f"there is no key {key}. {explain_key(key, keys) or 'python -m a3c_exp --help lists them all'}"


def _may_be_added(key: str, config: DictConfig) -> bool:
    """Whether the class of a group's chosen option has an argument that its file does not name."""
    group, _, name = key.partition(".")
    target = OmegaConf.select(config, f"{group}._target_")
    if not isinstance(target, str):
        return False
    module, _, cls = target.rpartition(".")
    try:
        return name in inspect.signature(getattr(importlib.import_module(module), cls)).parameters
    except Exception:  # whatever importing a user's module raises, which is not what is to be said here
        return False


def _options_with(key: str, config: DictConfig) -> list[str]:
    """The options of a group that have this key, as they are typed; first those most like what ``config`` has of the group."""
    group, _, name = key.partition(".")
    if group not in _config_groups():
        return []
    contents: dict[str, Any] = {path.stem: OmegaConf.load(path) for path in sorted((CONFIG_DIR / group).glob("*.yaml")) if name}
    chosen = set(config.get(group) or ())
    keys = {option: set(content.get(group, content)) for option, content in contents.items()}
    found = sorted((option for option in keys if name in keys[option]), key=lambda option: len(keys[option] ^ chosen))
    return [f"{group}={option}" for option in found]


def _ablation_example(key: str, overrides: Sequence[str]) -> str | None:
    """An ablation in which ``key`` is a choice, with the option that was typed if it is one of its own."""
    typed = next((text.partition("=")[2] for text in overrides if text.startswith(f"{key}=")), "")
    texts = {path.stem: path.read_text() for path in sorted((CONFIG_DIR / "ablation").glob("*.yaml"))}
    found = {name: re.search(rf"^ +- /{re.escape(key)}: (\w+)", text, re.MULTILINE) for name, text in texts.items()}
    options = {name: match[1] for name, match in found.items() if match}
    name = min(options, key=lambda name: typed not in texts[name], default=None)
    return name and f"+ablation={name} {key}={typed if typed and typed in texts[name] else options[name]}"


def _config_groups() -> list[str]:
    return [folder.name for folder in CONFIG_DIR.iterdir() if folder.is_dir()]


def _wrong_type(key: str, reason: str, overrides: Sequence[str]) -> str:
    typed = [text.partition("=")[2] for text in overrides if text.lstrip("+").partition("=")[0] == key]
    said = re.search(r"Value '(.*?)'", reason)
    got = typed[-1] if typed else said[1] if said else None
    subject = f"{key} is {got}" if got is not None else key
    hint = schema.field_type(key)
    if is_dataclass(hint):
        return f"{subject}, but it holds keys of its own: {', '.join(hint.__dataclass_fields__)}. Try {key}.<name>=..."
    if hint is None:
        kinds = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}  # of Hydra's own keys
        kind = next((words for name, words in kinds.items() if f"converted to {name}" in reason), None)
        return f"{subject}, but it is {kind}. Try --cfg hydra to see its default" if kind else f"{subject}: {reason}"
    mend = ""
    if got in ("None", "none") and matches_type(None, hint):
        mend = f". Try {key}=null"
    elif got is not None and typing.get_origin(hint) is list:
        mend = f". Try '{key}=[{got}]'"
    with suppress(TypeError, ValueError, OverflowError):
        if matches_type(whole := int(float(str(got))), hint):
            mend = f". Try {key}={whole}"
    return f"{subject}, but it is {describe_type(hint)}{mend}"
