"""From a command line to checked configurations, before Hydra makes a directory or starts a job."""

import itertools
import re
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from a3c_exp.config import schema
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.suggestions import closest_match

_INSTALLED_CONFIG_DIR = Path(__file__).parents[1] / "conf"
CONFIG_DIR = _INSTALLED_CONFIG_DIR if _INSTALLED_CONFIG_DIR.is_dir() else Path(__file__).parents[2] / "conf"
"""The config groups: inside the package once installed, beside it in a checkout."""


@dataclass(frozen=True)
class ComposedJob:
    """One run that a command line asks for.

    Attributes:
        overrides: without sweeps.
        config: composed and checked.
        env: the chosen option of the env group.
        hydra: Hydra's own settings, for whoever sweeps.
    """

    overrides: tuple[str, ...]
    config: DictConfig
    env: str
    hydra: DictConfig

    @property
    def title(self) -> str:
        """What the directory is named after: the comparison that this run belongs to, or its environment."""
        name = self.config.ablation.name
        return f"{name}_ablation" if name else self.env


def compose_jobs(overrides: Sequence[str], multirun: bool, config_dirs: Sequence[str] = ()) -> list[ComposedJob]:
    """Every run that these overrides mean, each composed and its values checked.

    Args:
        overrides: as typed, sweeps included.
        multirun: whether ``-m`` was given.
        config_dirs: further config folders (``--config-dir``).

    Raises:
        ConfigError: any of them cannot be run; nothing has been started or made.
    """
    parsed = parse_overrides(overrides)
    sweeps = [override for override in parsed if override.is_sweep_override()]
    if sweeps and not multirun:
        raise ConfigError(f"{sweeps[0].input_line} names several values, which is a sweep. Add -m at the end of the command")
    found = []
    with _hydra_initialized():
        plain = tuple(override.input_line or "" for override in parsed if not override.is_sweep_override())
        whole = _compose_without_sweeps(plain, config_dirs)
        parsed = [*_sweep_from_config(whole, parsed, multirun), *parsed]
        for choice in itertools.product(*(_sweep_values(override) for override in parsed)):
            found.append(
                _checked_job(
                    choice,
                    whole if whole is not None and choice == plain else _compose_with_hydra(choice, config_dirs),
                    config_dirs,
                )
            )
    _reject_duplicates(found)
    return found


def hydra_config(overrides: Sequence[str], config_dirs: Sequence[str] = ()) -> DictConfig | None:
    """What these overrides without sweeps choose for Hydra itself, sweeper and launcher among it; ``None`` if they do not
    compose, and ``compose_jobs`` knows why."""
    with _hydra_initialized():
        try:
            hydra: DictConfig = _compose_with_hydra(tuple(overrides), config_dirs).hydra
        except ConfigError:
            return None
    return hydra


def _compose_without_sweeps(overrides: tuple[str, ...], config_dirs: Sequence[str]) -> DictConfig | None:
    """The configuration without what was typed to be swept, as far as it may bring a sweep with it; else ``None``."""
    if not config_dirs and not any(text.startswith(("+", "hydra.")) for text in overrides):
        return None  # nothing else can, and composing takes its time
    try:
        return _compose_with_hydra(overrides, config_dirs)
    except ConfigError:
        return None  # each run's own composition says what is wrong, or that its sweep mends it


def _sweep_from_config(composed: DictConfig | None, parsed_overrides: Sequence[Override], multirun: bool) -> list[Override]:
    """What the configuration itself asks to be swept (``hydra.sweeper.params``, as an ablation does) and nobody typed.

    Raises:
        ConfigError: there is something to sweep, and the command is for one run.
    """
    sweeper = composed.hydra.sweeper if composed is not None else {}
    if not str(sweeper.get("_target_")).endswith("BasicSweeper"):
        return []  # another sweeper knows itself what it does with its parameters
    keys = {override.get_key_element() for override in parsed_overrides}
    params = {str(key): str(value) for key, value in (sweeper.get("params") or {}).items() if key not in keys}
    found: list[Override] = parse_overrides([f"{key}={value}" for key, value in params.items()])
    if found and not multirun:
        ablations = [override.input_line for override in parsed_overrides if override.key_or_group == "ablation"]
        each = " ".join(_sweep_values(override)[0] for override in found)
        raise ConfigError(
            f"{ablations[0] if ablations else 'this configuration'} is a sweep over {' and '.join(params)}. "
            f"Add -m at the end of the command, or choose: {each}"
        )
    return found


def _compose_with_hydra(overrides: tuple[str, ...], config_dirs: Sequence[str]) -> DictConfig:
    """The configuration with Hydra's own part in it."""
    searched = _searchpath_overrides(config_dirs)
    try:
        return compose("config", overrides=[*overrides, *searched], return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain_error(error, overrides, searched)) from None


def _checked_job(overrides: tuple[str, ...], with_hydra: DictConfig, config_dirs: Sequence[str]) -> ComposedJob:
    env = str(with_hydra.hydra.runtime.choices.env)
    OmegaConf.set_struct(with_hydra, False)
    hydra = with_hydra.pop("hydra")
    OmegaConf.set_struct(with_hydra, True)
    try:
        schema.check(with_hydra)
    except OmegaConfBaseException as error:
        raise ConfigError(explain_error(error, overrides, _searchpath_overrides(config_dirs))) from None
    return ComposedJob(overrides, with_hydra, env, hydra)


def _searchpath_overrides(config_dirs: Sequence[str]) -> list[str]:
    """The override by which Hydra looks into further config folders, whatever characters their names hold."""
    for folder in config_dirs:
        if not Path(folder).is_dir():
            raise ConfigError(f"--config-dir {folder}: there is no such folder. It holds env/, model/, ... as conf/ does")
    quoted = ["'file://" + str(Path(folder).absolute()).replace("'", "\\'") + "'" for folder in config_dirs]
    return [f"hydra.searchpath=[{','.join(quoted)}]"] if quoted else []


def _sweep_values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [override.input_line or ""]
    key = override.get_key_element()
    if not override.is_discrete_sweep():
        raise ConfigError(f"{override.input_line} is an interval, which a plain sweep cannot try out. List values: {key}=a,b,c")
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def _reject_duplicates(jobs: Iterable[ComposedJob]) -> None:
    seen: set[tuple[str, ...]] = set()
    for job in jobs:
        same = tuple(sorted(job.overrides))
        if same in seen:
            raise ConfigError(f"this sweep asks for the same run twice: {' '.join(job.overrides)}. Give each value once")
        seen.add(same)


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Overrides as Hydra reads them.

    Raises:
        ConfigError: one of them is none.
    """
    for text in overrides:
        if "=" not in text and not text.startswith("~"):
            raise ConfigError(f"{text!r} is no override; an override is key=value. Try python -m a3c_exp --help")
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise ConfigError(explain_error(error, overrides)) from None


@contextmanager
def _hydra_initialized() -> Any:
    whole = GlobalHydra.instance()
    running = whole.hydra  # where a sweep composes while it runs
    whole.clear()
    try:
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3", job_name="a3c_exp"):
            yield
    finally:
        whole.hydra = running


def explain_error(error: Exception, overrides: Sequence[str], searchpath_overrides: Sequence[str] = ()) -> str:
    """What a person should do about one of Hydra's or OmegaConf's errors, in a line or two.

    Args:
        overrides: as typed.
        searchpath_overrides: the override that adds further config folders, so that their keys can be named too.
    """
    text = str(error)
    if match := re.search(r"Could not override '([^']+)'", text):
        inside = re.search(r"not in '\w+'\n\s*full_key: (\S+)", str(error.__cause__))  # key={wrong: 1}
        return _unknown_key(inside.group(1) if inside else match.group(1), overrides, searchpath_overrides)
    if match := re.search(r"Could not find '([^']+)/([^'/]+)'", text):
        group, option = match.groups()
        options = re.findall(r"^\t(\w[\w-]*)$", text, re.MULTILINE)
        guess = closest_match(option, options)
        plus = "+" if any(text.startswith(f"+{group}=") for text in overrides) else ""
        hint = f"Did you mean {plus}{group}={guess}? " if guess else ""
        return f"{plus}{group}={option}: there is no such option. {hint}There are {', '.join(options)}"
    if match := re.search(r"Could not (?:load|find) '?([^'\n]+?)'?\.?\n", text):
        return _unknown_key(match.group(1), overrides, searchpath_overrides)
    cause = error.__cause__ if error.__cause__ is not None else error
    if match := re.search(r"full_key: (\S+)", str(cause)):
        return _wrong_type(match.group(1), str(cause).splitlines()[0], overrides)
    first = text.splitlines()[0] if text else type(error).__name__
    if type(error).__name__ == "OverrideParseException":
        return f"an override cannot be read: {first}. Quote what the shell or Hydra might take apart: 'key=[a,b]'"
    return f"{first}" + (f": {str(cause).splitlines()[0]}" if cause is not error and str(cause) else "")


def _unknown_key(key: str, overrides: Sequence[str], searchpath_overrides: Sequence[str]) -> str:
    if example := _ablation_example(key, overrides):
        return f"{key} chooses within an ablation. Try {example}"
    if key in _config_groups():
        options = sorted(path.stem for path in (CONFIG_DIR / key).glob("*.yaml"))
        typed = next((value for name, _, value in (text.partition("=") for text in overrides) if name == key), "")
        option = closest_match(typed, options) or options[0]
        return f"{key} is laid over a preset, so it takes a plus: +{key}={option}. There are {', '.join(options)}"
    groups = [text for text in overrides if "." not in text.partition("=")[0] and text.partition("=")[0] in _config_groups()]
    try:
        known = schema.keys(compose("config", overrides=[*groups, *searchpath_overrides]))
    except (HydraException, OmegaConfBaseException):
        known = list(schema.Config.__dataclass_fields__)
    parent = key.rpartition(".")[0]
    siblings = [name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == parent]
    guess = closest_match(key, known)
    if guess is None and (close := closest_match(key.rpartition(".")[2], siblings)):
        guess = f"{parent}.{close}" if parent else close
    hint = f"Did you mean {guess}?" if guess else "python -m a3c_exp --help lists them all"
    return f"there is no key {key}. {hint}"


def _ablation_example(key: str, overrides: Sequence[str]) -> str | None:
    """An ablation in which ``key`` is a choice, with the option that was typed if it is one of its own."""
    typed = next((text.partition("=")[2] for text in overrides if text.startswith(f"{key}=")), "")
    texts = {path.stem: path.read_text() for path in sorted((CONFIG_DIR / "ablation").glob("*.yaml"))}
    options = {
        name: match[1] for name, text in texts.items() if (match := re.search(rf"^ +- /{key}: (\w+)", text, re.MULTILINE))
    }
    for name in sorted(options, key=lambda name: typed not in texts[name]):
        return f"+ablation={name} {key}={typed if typed and typed in texts[name] else options[name]}"
    return None


def _child_keys(key: str) -> list[str]:
    known = schema.keys(compose("config"))
    return [name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == key]


def _config_groups() -> list[str]:
    return [folder.name for folder in CONFIG_DIR.iterdir() if folder.is_dir()]


def _wrong_type(key: str, reason: str, overrides: Sequence[str]) -> str:
    typed = [text.partition("=")[2] for text in overrides if text.lstrip("+").partition("=")[0] == key]
    got = typed[-1] if typed else None
    subject = f"{key} is {got}" if got is not None else key
    if "Integer" in reason:
        allowed = "a whole number"
        try:
            if got is not None and float(got).is_integer():
                allowed += f". Try {key}={int(float(got))}"
        except ValueError:
            pass
    elif "Float" in reason:
        allowed = "a number"
    elif "Boolean" in reason or "bool" in reason:
        allowed = "true or false"
    elif match := re.search(r"expected one of \[([^\]]+)\]", reason):
        allowed = f"one of {match.group(1)}"
    elif "is not a subclass of" in reason:
        return f"{subject}, but it holds keys of its own: {', '.join(_child_keys(key))}. Try {key}.<name>=..."
    elif "not Optional" in reason or "NoneType" in reason or "None" in reason:
        allowed = "never null"
    else:
        return f"{subject}: {reason}"
    return f"{subject}, but it is {allowed}"
