"""From a command line to checked configurations, before Hydra makes a directory or starts a job."""

import itertools
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import TaskFunction
from omegaconf import DictConfig, OmegaConf

from a3c_exp.config import schema
from a3c_exp.config.config_loader import CachingConfigLoader
from a3c_exp.config.error_messages import CONFIG_DIR as CONFIG_DIR, GROUPS, explain_missing_group, explained
from a3c_exp.config.own_arms import expand_own_arms as expand_own_arms
from a3c_exp.system.errors import ConfigError


@dataclass(frozen=True)
class ComposedJob:
    """One run that a command line asks for: its overrides, without sweeps, and what they compose to."""

    overrides: tuple[str, ...]
    config: DictConfig
    env: str  # the chosen option of the env group
    hydra: DictConfig  # Hydra's own settings, for sweepers and launchers

    @property
    def title(self) -> str:
        """What the directory is named after: the ablation that the run belongs to, or its environment."""
        name = self.config.ablation.name
        return f"{name}_ablation" if name else self.env


def compose_jobs(overrides: Sequence[str], multirun: bool, config_dirs: Sequence[str] = ()) -> list[ComposedJob]:
    """Every run that these overrides mean, sweeps included, each composed and its values checked; ``config_dirs`` are further
    config folders (``--config-dir``). A ConfigError, before anything is started or made, if one of the runs is impossible."""
    jobs: list[ComposedJob] = []
    overrides = expand_own_arms(expand_logger_lists(overrides), multirun, config_dirs)
    with hydra_initialized(config_dirs):
        parsed = parse_overrides(overrides)
        sweeps = [override for override in parsed if override.is_sweep_override()]
        if sweeps and not multirun:
            raise ConfigError(f"{sweeps[0].input_line} has several values, which is a sweep. Add -m at the end of the command")
        plain = tuple(override.input_line or "" for override in parsed if not override.is_sweep_override())
        whole = None
        if config_dirs or any(text.startswith(("+", "hydra.")) for text in plain):  # else no file can ask for a sweep itself
            with suppress(ConfigError):  # each run's own composition says what is wrong, or that its sweep mends it
                whole = _compose_with_hydra(plain)
        if multirun:  # in Hydra's order, which numbers the jobs: what is typed takes the place of what a file says
            by_key = {override.get_key_element(): override for override in (*_sweep_from_config(whole), *parsed)}
            parsed = list(by_key.values())
        else:
            _reject_sweep_from_config(whole, parsed)
        for choice in itertools.product(*(_sweep_values(override) for override in parsed)):
            composed = whole if whole is not None and choice == plain else _compose_with_hydra(choice)
            composed.hydra.job.num = len(jobs)
            jobs.append(_checked_job(choice, composed))
    counted = Counter(tuple(sorted(job.overrides)) for job in jobs)
    if twice := [" ".join(job.overrides) for job in jobs if counted[tuple(sorted(job.overrides))] > 1]:
        raise ConfigError(f"this sweep asks for the same run twice: {twice[0]}. Give each value once")
    return jobs


def hydra_config(overrides: Sequence[str], config_dirs: Sequence[str] = ()) -> DictConfig | None:
    """What these overrides without sweeps choose for Hydra itself; ``None`` if they do not compose."""
    with hydra_initialized(config_dirs), suppress(ConfigError):
        hydra: DictConfig = _compose_with_hydra(tuple(overrides)).hydra
        return hydra
    return None


def run_jobs(task_function: TaskFunction, overrides: Sequence[str], multirun: bool, config_dirs: Sequence[str]) -> None:
    """What ``hydra.main`` does for a run or a sweep, but that it composes once more, only to see which of the two is meant."""
    typed = [text for text in overrides if text.startswith("hydra.mode=")][-1:]
    multirun = multirun or typed == ["hydra.mode=MULTIRUN"]
    mode = [f"hydra.mode={'MULTIRUN' if multirun else 'RUN'}"]
    with hydra_initialized(config_dirs):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        (hydra.multirun if multirun else hydra.run)("config", task_function, [*overrides, *(mode if mode != typed else [])])


def _sweep_from_config(composed: DictConfig | None) -> list[Override]:
    """The sweeps in ``hydra.sweeper.params``, as of an ablation."""
    sweeper = composed.hydra.sweeper if composed is not None else {}
    if not str(sweeper.get("_target_")).endswith("BasicSweeper"):
        return []  # another sweeper knows itself what it does with its parameters
    found: list[Override] = parse_overrides([f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()])
    return found


def _reject_sweep_from_config(composed: DictConfig | None, parsed_overrides: Sequence[Override]) -> None:
    """Raise a ConfigError where a file asks for a sweep, of which nothing is typed, and the command is for one run."""
    keys = {override.get_key_element() for override in parsed_overrides}
    if found := [override for override in _sweep_from_config(composed) if override.get_key_element() not in keys]:
        ablations = [override.input_line for override in parsed_overrides if override.key_or_group == "ablation"]
        each = " ".join(_sweep_values(override)[0] for override in found)
        names = " and ".join(override.get_key_element() for override in found)
        what = ablations[0] if ablations else "this configuration"
        raise ConfigError(f"{what} is a sweep over {names}. Add -m at the end of the command, or choose: {each}")


def _compose_with_hydra(overrides: tuple[str, ...]) -> DictConfig:
    """The configuration with Hydra's own part in it."""
    with explained(overrides):
        composed = compose("config", overrides=[*overrides], return_hydra_config=True)
    for group in GROUPS:
        if OmegaConf.is_missing(composed, group):
            raise ConfigError(explain_missing_group(group))
    _reject_hidden_files(composed)
    return composed


def _reject_hidden_files(composed: DictConfig) -> None:
    """Refuse a file of the user's own that has the name of a built-in one, since Hydra silently reads the first of the two."""
    for source in composed.hydra.runtime.config_sources:
        folder = Path(source.path)
        if source.schema != "file" or folder == CONFIG_DIR:
            continue
        for built_in in CONFIG_DIR.rglob("*.yaml"):
            name = built_in.relative_to(CONFIG_DIR)
            own = folder / name
            if own.is_file() and own.read_bytes() != built_in.read_bytes():
                raise ConfigError(
                    f"{own} is not read, since {built_in} has the same name. Rename it: "
                    f"{name.parent}=my_{name.stem} then takes {own.with_name(f'my_{name.name}')}"
                )


def _checked_job(overrides: tuple[str, ...], with_hydra: DictConfig) -> ComposedJob:
    env = str(with_hydra.hydra.runtime.choices.env)
    hydra_settings: Any = HydraConfig.instance()
    hydra_settings.cfg = OmegaConf.masked_copy(with_hydra, "hydra")  # what ${hydra:...} reads
    OmegaConf.set_struct(with_hydra, False)
    hydra = with_hydra.pop("hydra")
    OmegaConf.set_struct(with_hydra, True)
    with explained(overrides):
        schema.resolve_resolvers(with_hydra)
        schema.check(with_hydra)
    _reject_settings_of_the_default(overrides, with_hydra, env)
    return ComposedJob(overrides, with_hydra, env, hydra)


def _reject_settings_of_the_default(overrides: tuple[str, ...], config: DictConfig, env: str) -> None:
    """Refuse an environment for which nobody chose settings: those of the default preset are made for its own."""
    typed = {text.partition("=")[0].lstrip("+") for text in overrides}
    if "env.id" not in typed or typed & {"env", "experiment", "ablation", "study"}:
        return
    if config.env.id != (own := compose("config").env.id):
        raise ConfigError(
            f"env.id={config.env.id} alone would be trained by the settings of env={env}, the default, which are made for "
            f"{own}. Try env=gymnasium env.id={config.env.id}, or type env={env} as well"
        )


def _sweep_values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [override.input_line or ""]
    key = override.get_key_element()
    if not override.is_discrete_sweep():
        raise ConfigError(f"{override.input_line} is an interval, which a plain sweep cannot try out. List values: {key}=a,b,c")
    if override.is_hydra_override():
        raise ConfigError(f"{override.input_line}: a sweep is over keys of the run, and {key} is Hydra's. Choose one value")
    values = [f"{key}={value}" for value in override.sweep_string_iterator()]
    if not values:
        folder = re.search(r"=glob\((\w+)/(.+)\)$", override.input_line or "")
        group, options = (f"{key}/{folder[1]}", folder[2]) if folder else (key, "*")
        raise ConfigError(
            f"{override.input_line} gives no value. Try '{group}=glob({options})' for every option of a group, or {key}=a,b"
        )
    return values


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Overrides as Hydra reads them; a ConfigError if one of them is none."""
    for text in overrides:
        if "=" not in text and not text.startswith("~"):
            raise ConfigError(f"{text!r} is no override; an override is key=value. Try python -m a3c_exp --help")
    with explained(overrides):
        loader = GlobalHydra.instance().config_loader() if GlobalHydra.instance().is_initialized() else None  # for glob()
        parsed = OverridesParser.create(loader).parse_overrides(list(overrides))
    for override in parsed:
        key, _, typed = (override.input_line or "").partition("=")
        if not override.key_or_group:
            raise ConfigError(f"{override.input_line!r} names no key; an override is key=value. Try python -m a3c_exp --help")
        value, sweeps = override.value(), override.is_sweep_override()
        if key.lstrip("~") in GROUPS and not sweeps and (override.is_delete() or not isinstance(value, str)):
            raise ConfigError(f"{override.input_line}: {explain_missing_group(override.key_or_group)}")
        if isinstance(value, int | float) and str(value) != typed and schema.field_type(key) == str | None:
            quoted = shlex.quote(f'{key}="{typed}"')
            raise ConfigError(f"{key} is text, and {typed} would become {value}. Try {quoted}")
    return parsed


def expand_logger_lists(overrides: Sequence[str]) -> list[str]:
    """Overrides with ``logger=[a,b]`` in Hydra's own words: each option under its own name below ``logger``.

    >>> expand_logger_lists(["logger=[wandb,tensorboard]", "workers=4"])
    ['logger=list', '+logger@logger.wandb=wandb', '+logger@logger.tensorboard=tensorboard', 'workers=4']
    """
    expanded: list[str] = []
    for text in overrides:
        key, _, value = text.partition("=")
        names = [name.strip(" '\"") for name in value[1:-1].split(",")] if value.startswith("[") and value.endswith("]") else []
        if key == "logger" and names and all(names):
            expanded += ["logger=list", *(f"+logger@logger.{name}={name}" for name in dict.fromkeys(names))]
        else:
            expanded.append(text)
    return expanded


@contextmanager
def hydra_initialized(config_dirs: Sequence[str]) -> Iterator[None]:
    """Hydra as its own command line sets it up, ``--config-dir`` included."""
    instance = GlobalHydra.instance()
    running, running_config = instance.hydra, HydraConfig.instance().cfg  # a sweep composes while it runs
    instance.clear()
    try:
        version.setbase("1.3")
        search_path = create_config_search_path(str(CONFIG_DIR))
        for folder in config_dirs:
            if not Path(folder).is_dir():
                raise ConfigError(f"--config-dir {folder}: there is no such folder. Name one with env/, model/ ... as in conf/")
            search_path.prepend("command-line", f"file://{Path(folder).absolute()}", SearchPathQuery(provider="schema"))
        instance.initialize(Hydra("a3c_exp", CachingConfigLoader(search_path)))
        yield
    finally:
        instance.hydra, HydraConfig.instance().cfg = running, running_config
