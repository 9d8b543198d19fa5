"""Hydra's composition, in which each choice of options is composed once.

Composing takes a tenth of a second, nearly all of it for the options; the runs of a sweep choose the same ones again and again,
and a command that starts a run composes it three times.
"""

import copy
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig

_PLAIN = re.compile(r"hydra/|hydra\.(mode$|run\.|sweep\.|sweeper\.|launcher\.|job\.env_set\.|job\.config\.)")
_composed: dict[object, tuple[object, DictConfig]] = {}
"""What choices of built-in options compose to, each with the state of the files that it was composed from."""


class CachingConfigLoader(ConfigLoaderImpl):
    """Composes as Hydra does; a choice of options that was composed in this process is copied, and values are set in the copy.
    What comes from a person's own folders is composed anew."""

    def _load_configuration_impl(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        parsed = OverridesParser.create().parse_overrides(overrides)
        sources = [(source.scheme(), source.path) for source in self.get_sources()]
        folders = [Path(path) for scheme, path in sources if scheme == "file"]
        if run_mode is not RunMode.RUN or len(folders) != 1 or any(map(_needs_all, parsed)):
            return super()._load_configuration_impl(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        chosen = [override.input_line or "" for override in parsed if self._chooses_option(override)]
        key, state = (config_name, *map(tuple, sources), *chosen), (*_files(folders[0]), *_stored(ConfigStore.instance().repo))
        before, composed = _composed.get(key, (None, None))
        if composed is None or before != state:
            composed = super()._load_configuration_impl(config_name, chosen, run_mode, from_shell, validate_sweep_overrides)
            if len(composed.hydra.runtime.config_sources) == len(sources):  # else a file names further folders
                _composed[key] = state, composed
        composed = copy.deepcopy(composed)
        self._apply_overrides_to_config([override for override in parsed if not self._chooses_option(override)], composed)
        _record_overrides(parsed, composed)
        return composed

    def _chooses_option(self, override: Override) -> bool:
        return self.repository.group_exists(override.key_or_group) and not isinstance(override.value(), dict)


def _needs_all(override: Override) -> bool:
    """Whether it means more to Hydra than a value that is set when all options are composed."""
    return override.is_sweep_override() or (override.is_hydra_override() and not _PLAIN.match(override.key_or_group))


def _record_overrides(parsed: Sequence[Override], config: DictConfig) -> None:
    """What Hydra itself puts into a configuration of the command that it is composed for."""
    task = [override for override in parsed if not override.is_hydra_override()]
    config.hydra.overrides.hydra = [override.input_line for override in parsed if override.is_hydra_override()]
    config.hydra.overrides.task = [override.input_line for override in task]
    config.hydra.runtime.cwd = str(Path.cwd())
    names = config.hydra.job.config.override_dirname
    config.hydra.job.override_dirname = get_overrides_dirname(task, names.exclude_keys, names.item_sep, names.kv_sep)


def _files(folder: Path | str) -> Iterator[tuple[str, int, int]]:
    """Every file below the folder, with its size and the time at which it was changed."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                yield from _files(entry.path)
            else:
                about = entry.stat()
                yield entry.path, about.st_size, about.st_mtime_ns


def _stored(repository: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Every configuration that was registered in Python, with its identity."""
    for name, node in repository.items():
        if isinstance(node, dict):
            yield from _stored(node)
        else:
            yield name, id(node)
