"""Hydra's composition, in which each choice of options is composed once, and each file read once.

Composing takes a tenth of a second, nearly all of it for the options; the runs of a sweep choose the same ones again and again,
and a command that starts a run composes it three times. Other choices share most files, and half of that time is their reading.
"""

import copy
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.types import RunMode
from omegaconf import DictConfig

T = TypeVar("T")
_PLAIN = re.compile(r"hydra/|hydra\.(mode$|run\.|sweep\.|sweeper\.|launcher\.|job\.env_set\.|job\.config\.)")
_composed: dict[object, tuple[object, DictConfig]] = {}
"""What choices of built-in options compose to, each with the state of the files that it was composed from."""
_remembered: dict[object, tuple[object, Any]] = {}
"""What a source of configurations said, each with the state of the file that it was said of."""


def _once(key: object, state: object, ask: Callable[[], T]) -> T:
    """What the source says if it is asked, or a copy of what it said when the state was the same."""
    before, said = _remembered.get(key, (None, None))
    if said is None or before != state:
        said = ask()
        _remembered[key] = state, said
    own: T = copy.deepcopy(said)
    return own


class _Folder(FileConfigSource):
    """A folder, whose files are read anew once they have changed."""

    def load_config(self, config_path: str) -> ConfigResult:
        try:
            about = Path(self.path, self._normalize_file_name(config_path)).stat()
        except OSError:
            return super().load_config(config_path)  # it says what is wrong
        state = about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns
        return _once((self.path, self.provider, config_path), state, lambda: super(_Folder, self).load_config(config_path))


class _Package(ImportlibResourcesConfigSource):
    """The files of an installed package, which stay as they are while a process lives."""

    def load_config(self, config_path: str) -> ConfigResult:
        key = self.path, self.provider, "load", config_path
        return _once(key, None, lambda: super(_Package, self).load_config(config_path))

    def is_config(self, config_path: str) -> bool:
        return _once((self.path, "is_config", config_path), None, lambda: super(_Package, self).is_config(config_path))

    def is_group(self, config_path: str) -> bool:
        return _once((self.path, "is_group", config_path), None, lambda: super(_Package, self).is_group(config_path))


def _remembering(source: ConfigSource) -> ConfigSource:
    """The same source, of the kind that asks once."""
    kind = {"file": _Folder, "pkg": _Package}.get(source.scheme())
    return source if kind is None else kind(source.provider, f"{source.scheme()}://{source.path}")


class CachingConfigLoader(ConfigLoaderImpl):
    """Composes as Hydra does; a choice of options that was composed in this process is copied, and values are set in the copy.
    What comes from a person's own folders is composed anew."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository.sources[:] = map(_remembering, self.repository.sources)

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
