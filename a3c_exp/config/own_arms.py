"""Arms and controls that stand inside an ablation's own file, beside those that are files in conf/arm and conf/control.

``ablation.arms`` and ``ablation.controls`` are mappings from names to overrides. Each becomes an option of the group of that
name before Hydra composes anything, so that they are chosen and swept over like any other: ``+arm=small,large``."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from a3c_exp.config.error_messages import CONFIG_DIR, GROUPS, explained
from a3c_exp.system.errors import ConfigError

_PROVIDER = "ablation file"  # which marks options of the store that came from such a mapping
_KINDS = {"control": "controls", "arm": "arms"}  # in the order of a sweep; keys of one file by the group that they add to


def expand_own_arms(overrides: Sequence[str], multirun: bool, config_dirs: Sequence[str] = ()) -> list[str]:
    """Overrides with every arm and control of the ablation's own file, where that has some and none is typed.

    Registers them with Hydra on the way, so this comes before a configuration is composed. What is already expanded stays.

    Args:
        overrides: what is typed; of interest is ``+ablation=NAME``, and ``arm=`` or ``control=`` with or without a plus.
        multirun: whether a sweep is asked for.
        config_dirs: further config folders, which are looked into first.

    Raises:
        ConfigError: the mappings are none, or hide an option of ``conf``; or they are a sweep, and the command is for one run.
    """
    _forget_options()
    name = next((text.partition("=")[2] for text in overrides if text.startswith("+ablation=")), "").strip("'\"")
    folders = [*map(Path, config_dirs), CONFIG_DIR]
    path = next((path for folder in folders if name and (path := folder / "ablation" / f"{name}.yaml").is_file()), None)
    if path is None:
        return list(overrides)
    section = _read_section(path, overrides)
    expanded, chosen = list(overrides), dict[str, list[str]]()
    for group, kind in _KINDS.items():
        options = _read_options(path, kind, section.get(kind))
        for option, content in options.items():
            _register(f"{path}: ablation.{kind}.{option}", group, option, content, folders)
        if options and any(text.lstrip("+").startswith(f"{group}=") for text in expanded):
            expanded = [f"+{text}" if text.startswith(f"{group}=") else text for text in expanded]
        elif options:
            chosen[group] = list(options)
    if several := [group for group, options in chosen.items() if len(options) > 1 and not multirun]:
        each = " ".join(f"{group}={chosen[group][0]}" for group in several)
        raise ConfigError(
            f"+ablation={name} is a sweep over {' and '.join(several)}. Add -m at the end of the command, or choose: {each}"
        )
    return _arms_first([*expanded, *(f"+{group}={','.join(options)}" for group, options in chosen.items())])


def _arms_first(overrides: Sequence[str]) -> list[str]:
    """With arms before controls: of two that set the same key, the later one wins, and a control rules over all arms."""
    arms = [text for text in overrides if text.startswith("+arm=")]
    controls = [text for text in overrides if text.startswith("+control=")]
    return [*(text for text in overrides if text not in arms and text not in controls), *arms, *controls]


def _read_section(path: Path, overrides: Sequence[str]) -> Mapping[str, Any]:
    """What the file says below ``ablation``."""
    with explained(overrides):
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
    section = content.get("ablation") if isinstance(content, dict) else None
    return section if isinstance(section, dict) else {}


def _read_options(path: Path, kind: str, options: object) -> dict[str, dict[str, Any]]:
    if options is None:
        return {}
    example = "small: {reward_scale: 10}" if kind == "arms" else "longer: {max_env_steps: 100000}"
    if not isinstance(options, dict) or not options:
        raise ConfigError(f"{path}: ablation.{kind} is {options}, but it is a mapping of names to overrides. Try {example}")
    for name, content in options.items():
        if not re.fullmatch(r"\w[\w-]*", str(name)):
            raise ConfigError(f"{path}: ablation.{kind} has the name {name!r}. Use letters, digits, _ and -. Try {example}")
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: ablation.{kind}.{name} is {content}, but it is a mapping of overrides. Try {example}")
    return {str(name): content for name, content in options.items()}


def _register(where: str, group: str, option: str, content: Mapping[str, Any], folders: Sequence[Path]) -> None:
    for file in (folder / group / f"{option}.yaml" for folder in folders):
        if file.is_file():
            raise ConfigError(f"{where} has the name of {file}, which would be read instead. Rename it: my_{option}")
    node = OmegaConf.create({"ablation": {group: option}})
    for key, value in content.items():
        if key not in GROUPS or not isinstance(value, str):
            OmegaConf.update(node, str(key), value, merge=True)
    choices = [{f"override /{key}": value} for key, value in content.items() if key in GROUPS and isinstance(value, str)]
    container: Any = OmegaConf.to_container(node)
    whole = {"defaults": ["_self_", *choices], **container}
    ConfigStore.instance().store(name=option, node=whole, group=group, package="_global_", provider=_PROVIDER)


def _forget_options() -> None:
    """Take away what another file registered in this process."""
    for group in _KINDS:
        options: Any = ConfigStore.instance().repo.get(group, {})
        for name in [name for name, node in options.items() if getattr(node, "provider", None) == _PROVIDER]:
            del options[name]
