"""The configuration of a run that is gone on with: what it was, and what the command line changes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from a3c_exp.config import schema
from a3c_exp.config.compose import parse_overrides
from a3c_exp.config.error_messages import explained
from a3c_exp.config.flatten import flatten
from a3c_exp.config.other_names import explain_key
from a3c_exp.config.trust import require_trusted
from a3c_exp.runs.config_values import as_text
from a3c_exp.runs.record import load, no_run_directory
from a3c_exp.system.errors import ConfigError, RunDirectoryError, first_line

_KEPT = ("seed", "num_seeds", "workers", "name", "env.id", "env.frame_skip")
"""Keys that say which run it is; other values than these make it another one."""
_ABSENT = object()


def saved_config(directory: Path, trusted: Sequence[str] = ()) -> DictConfig:
    """The configuration that a run was started with, typed; errors and ``trusted`` modules as for ``read_config``."""
    path = directory / ".hydra" / "config.yaml"
    if not path.is_file():
        raise no_run_directory(directory, ".hydra/config.yaml")
    load(directory)  # refuses a run of an older format
    return read_config(path, trusted)


def read_config(path: Path, trusted: Sequence[str] = ()) -> DictConfig:
    """A whole configuration, typed. All that it names may be imported: a ConfigError if it names code of others than the
    ``trusted`` modules, and is not as the user saved it; a RunDirectoryError if it is missing or cannot be read."""
    try:
        loaded = OmegaConf.merge(OmegaConf.structured(schema.Config), OmegaConf.load(path))
    except Exception as error:  # YAML and OmegaConf raise many kinds
        raise RunDirectoryError(f"{path} cannot be read: {first_line(error)}. Mend the file, or start a new run") from None
    assert isinstance(loaded, DictConfig)
    loaded = require_trusted(path, loaded, trusted)
    OmegaConf.set_struct(loaded, True)
    return loaded


def resumed_config(directory: Path, overrides: Sequence[str]) -> DictConfig:
    """A run's configuration with plain ``key=value`` overrides applied, such as a larger ``max_episodes``; a ConfigError for
    one that no run can change in the middle. ``trust=module`` is none of its keys: it names modules as ``trusted`` does."""
    trusted = [text.partition("=")[2] for text in overrides if text.startswith("trust=")]
    overrides = [text for text in overrides if not text.startswith("trust=")]
    config = saved_config(directory, trusted)
    with explained(overrides):
        for override in parse_overrides(overrides):
            if override.is_sweep_override() or override.is_add() or override.is_delete():
                raise ConfigError(f"{override.input_line}: a resumed run takes plain overrides only. Write key=value")
            key = override.key_or_group
            present = OmegaConf.select(config, key, default=_ABSENT)
            if isinstance(present, DictConfig):
                raise ConfigError(
                    f"{override.input_line}: a resumed run keeps its {key}. Change single values: {key}.<name>=..."
                )
            if present is _ABSENT:
                advice = explain_key(key, schema.keys(config)) or "Leave it out, or start a new run"
                raise ConfigError(f"the run that is resumed has no key {key}. {advice}")
            OmegaConf.update(config, key, override.value())
            if is_kept(key) and OmegaConf.select(config, key) != present:
                advice = "Leave it out, or start a new run"
                raise ConfigError(f"{override.input_line}: a resumed run keeps its {key}, which is {present}. {advice}")
        schema.resolve_resolvers(config)
    schema.check(config)
    return config


def is_kept(key: str) -> bool:
    """Whether a key says which run it is, so that no run changes it in the middle."""
    return key in _KEPT or key.endswith("_target_")


def changed_values(directory: Path, config: DictConfig) -> dict[str, list[Any]]:
    """``{key: [before, after]}`` of the values in which a configuration differs from the one that a run directory holds."""
    saved = OmegaConf.load(directory / ".hydra" / "config.yaml")
    containers: list[Any] = [OmegaConf.to_container(one, enum_to_str=True) for one in (saved, config)]
    before, after = map(flatten, containers)
    pairs = {key: [before.get(key), after.get(key)] for key in {**before, **after}}
    return {key: pair for key, pair in pairs.items() if as_text(pair[0]) != as_text(pair[1])}
