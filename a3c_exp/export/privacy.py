"""What others get of a run: without its owner's accounts, folders and machine, and without code that acting does not need."""

import re
import shlex
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, flag_override

_PATH = re.compile(r"(?P<scheme>\b(?!file:)\w[\w+.-]*://)(?:[^\s/@]*@)?|(?<![\w.~/*-])(?:file://)?~?/[^\s'\",;:=\]})]*")
"""The beginning of an address, with a name and a password perhaps; or an absolute path, a part of a text."""
_DROPPED = re.compile(r"[+~]*(?:logger\.|hydra\.(?:run|sweep)\.(?:dir|subdir)=|hydra\.job\.chdir=)")
_LOGGER = re.compile(r"[+~]*logger=(?![\w,\[\]]*$)")
_TO_ACT_WITHOUT: dict[str, Any] = {
    "logger": {"_target_": "a3c_exp.loggers.base.NullLogger"},
    "callbacks": [],
    "metrics.extra": [],
    "ablation.arms": {},
    "ablation.controls": {},
    "ablation.report": {},
    "name": None,
    "tags": [],
}
"""Keys that a policy does not need to act, with what takes the place of their values."""


def without_private_values(config: DictConfig) -> tuple[DictConfig, list[str]]:
    """A run's configuration for others: nothing is logged to an account, and absolute paths are only their last part. Also
    returns the keys with such paths, for which the person who loads it must bring their own file."""
    shared = config.copy()
    with flag_override(shared, ["struct", "readonly"], False):
        for key, value in _TO_ACT_WITHOUT.items():
            OmegaConf.update(shared, key, value, merge=False)
        changed = _shorten(shared, "")
    return shared, changed


def without_private_paths(text: str) -> str:
    """A text without the folders of absolute paths and without passwords in addresses.

    >>> without_private_paths("resume=/home/me/outputs/run http://me:secret@host/a '~/conf'")
    "resume=run http://host/a 'conf'"
    """

    def shorten(match: re.Match[str]) -> str:
        return match["scheme"] or match[0].rstrip("/").rpartition("/")[2]

    return _PATH.sub(shorten, text)


def without_private_arguments(command: str) -> str:
    """A command as others may see it: without a logger's keys and the folder that the run was written to.

    >>> without_private_arguments("python -m a3c_exp logger=wandb logger.entity=me '--config-dir=/home/me/my conf'")
    "python -m a3c_exp logger=wandb '--config-dir=my conf'"
    """
    try:
        words = shlex.split(command)
    except ValueError:  # not written by this package
        return without_private_paths(command)
    return shlex.join(_shared_word(word) for word in words if not _DROPPED.match(word) and not _LOGGER.match(word))


def has_private_arguments(command: str) -> bool:
    """Whether ``without_private_arguments`` leaves something out of a command."""
    try:
        return without_private_arguments(command) != shlex.join(shlex.split(command))
    except ValueError:
        return without_private_paths(command) != command


def _shared_word(word: str) -> str:
    key, equals, value = word.rpartition("=")
    if value.startswith(("/", "~/")):
        return key + equals + value.rstrip("/").rpartition("/")[2]
    return without_private_paths(word)


def _shorten(node: DictConfig | ListConfig, path: str) -> list[str]:
    changed = []
    for key in range(len(node)) if isinstance(node, ListConfig) else list(node):
        below = f"{path}[{key}]" if isinstance(node, ListConfig) else f"{path}.{key}".lstrip(".")
        child: Any = node._get_node(key)
        if isinstance(child, DictConfig | ListConfig) and not child._is_interpolation():
            if not child._is_none() and not child._is_missing():
                changed += _shorten(child, below)
        elif isinstance(value := child._value(), str) and (shared := _shared_word(value)) != value:
            node[key] = shared
            changed.append(below)
    return changed
