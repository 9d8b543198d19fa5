"""Which code a saved configuration may name: that of this package, the user's own, and what the user trusts.

A configuration names code: ``_target_``, ``env.wrappers``, ``metrics.extra``, the module of ``env.id=module:id``. What is read
back from a directory may be a stranger's, and importing it would execute it. So the SHA-256 of each file that names code of
others is kept in the user's data folder when it is saved. Any other file, such as one that was downloaded or edited, may name
nothing but this package and gymnasium's wrappers, unless the user says otherwise.
"""

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from a3c_exp.system.errors import ConfigError, RunDirectoryError, first_line
from a3c_exp.system.process_setup import user_folder

_BUILT_IN = re.compile(r"a3c_exp\..+|gymnasium\.wrappers\.(?!RecordVideo$)\w+")  # RecordVideo writes to any folder it is given
_RESOLVER = re.compile(r"\$\{[^}]*:")
_OLD_GYM = re.compile(r"GymV\d+Environment-")
"""Ids by which gymnasium imports an environment of the old gym, whose name is an argument."""


def require_trusted(path: Path, config: DictConfig, trusted: Sequence[str] = ()) -> DictConfig:
    """The configuration that the file ``path`` holds, if it names no code but trusted code; nothing is imported to find out. A
    file that is not the user's own has fixed values in place of resolvers (``${oc.env:NAME}``). ``trusted`` are modules, with
    all that is in them; commas separate several in one text.

    Raises ConfigError if it names other code, with what to type; RunDirectoryError if an interpolation cannot be resolved.
    """
    if is_own(path):
        return config
    resolved = config.copy()
    try:
        OmegaConf.resolve(resolved)
    except OmegaConfBaseException as error:
        raise RunDirectoryError(
            f"{path} cannot be read: {first_line(error)}. Mend it, or take it from where it was saved"
        ) from None
    modules = [module.strip("[] ") for text in trusted for module in text.split(",")]
    content = OmegaConf.to_container(resolved)
    if foreign := {key: name for key, name in _named_code(content) if not _is_trusted(name, modules)}:
        named = ", ".join(f"{key}={name}" for key, name in foreign.items())
        needed = ",".join(dict.fromkeys(name.partition(".")[0].partition(":")[0] for name in foreign.values()))
        raise ConfigError(
            f"{path} names code that would be executed, and is not as you saved it: {named}. If you trust who made it, add "
            f"--trust {needed} (with resume=: trust={needed})"
        )
    # What follows from the time or a variable must not change after this check.
    return resolved if _RESOLVER.search(str(OmegaConf.to_container(config))) else config


def modules_of_others(config: DictConfig) -> list[str]:
    """The modules besides this package and gymnasium's wrappers that a configuration names: who loads it has to have them, and
    to trust them."""
    named = [name for _, name in _named_code(OmegaConf.to_container(config, resolve=True)) if not _is_trusted(name, ())]
    return list(dict.fromkeys(name.partition(".")[0].partition(":")[0] for name in named))


def remember(path: Path, config: DictConfig) -> None:
    """Record that the user saved this configuration in ``path``, if it names code that is not built in."""
    content = OmegaConf.to_container(config, resolve=True)
    if not all(_is_trusted(name, ()) for _, name in _named_code(content)):
        remember_file(path)


def remember_file(path: Path) -> None:
    """Record that the user wrote what stands in ``path``. Raises OSError if no more files may be opened."""
    if is_own(path):
        return
    try:
        own = _list_of_own()
        own.parent.mkdir(parents=True, exist_ok=True)
        with open(own, "ab", buffering=0, opener=partial(os.open, mode=0o600)) as file:
            file.write(f"{_digest(path)}\n".encode())  # one call, so that runs beside each other do not mix lines
    except OSError as error:  # without a home it stays a stranger's, which is said when it is read
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise


def is_own(path: Path) -> bool:
    """Whether the user saved this very content."""
    try:
        return _digest(path) in _list_of_own().read_text().split()
    except (OSError, UnicodeDecodeError):
        return False


def _list_of_own() -> Path:
    return user_folder("XDG_DATA_HOME", "~/.local/share") / "own_configurations"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_trusted(name: str, modules: Iterable[str]) -> bool:
    dotted = name.replace(":", ".")
    return bool(_BUILT_IN.fullmatch(name)) or any(dotted == module or dotted.startswith(f"{module}.") for module in modules)


def _named_code(content: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """``(key, name)`` of all that would be imported."""
    if isinstance(content, dict):
        for key, value in content.items():
            below = f"{path}.{key}" if path else str(key)
            if key == "_target_" or (below == "env.id" and (":" in str(value) or _OLD_GYM.match(str(value)))):
                yield below, str(value)
            else:
                yield from _named_code(value, below)
    elif isinstance(content, list):
        for place, value in enumerate(content):
            below = f"{path}[{place}]"
            if isinstance(value, str) and path in ("env.wrappers", "metrics.extra"):
                yield below, value
            else:
                yield from _named_code(value, below)
    elif isinstance(content, str) and "${" in content:
        yield path, content  # what an interpolation gave is an interpolation again
