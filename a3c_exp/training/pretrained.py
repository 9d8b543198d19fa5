"""Exported weights: a small folder with a configuration, the weights of one run, and how they were made.

config.yaml        the run's whole configuration
weights.pt         the weights, perhaps in half precision (statistics of normalization never), with a checksum
provenance.json    which run, command, commit, versions, machine and date, and how good they are

and, to be shared, README.md (a model card) and perhaps replay.mp4.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from a3c_exp.config.trust import remember
from a3c_exp.runs.status import require_format
from a3c_exp.system.atomic_write import write_json
from a3c_exp.system.errors import ConfigError, RunDirectoryError, first_line
from a3c_exp.training.checkpoint import read, write
from a3c_exp.training.resume import read_config
from a3c_exp.training.saved_weights import SavedWeights

_INSTALLED_WEIGHTS = Path(__file__).parents[1] / "pretrained"
_SHIPPED = _INSTALLED_WEIGHTS if _INSTALLED_WEIGHTS.is_dir() else Path(__file__).parents[2] / "pretrained"
"""The weights that come with the code: inside the package once installed, next to it in a checkout."""
CONFIG_FILE, WEIGHTS_FILE, PROVENANCE_FILE = "config.yaml", "weights.pt", "provenance.json"


@dataclass(frozen=True)
class Pretrained:
    """What such a folder holds: a configuration with ``device=cpu``, and float32 whatever precision the file has."""

    config: DictConfig
    saved: SavedWeights
    provenance: Mapping[str, Any]


def is_pretrained(folder: Path) -> bool:
    """Whether this is such a folder, and no run directory."""
    return (folder / WEIGHTS_FILE).is_file() and (folder / CONFIG_FILE).is_file()


def locate(run: Path) -> Path:
    """The directory that a command names: itself, or for ``pretrained/NAME``, where there is none below the current directory,
    the weights of that name which come with the code. A RunDirectoryError if there are none."""
    if run.exists() or run.parent != Path("pretrained"):
        return run
    if is_pretrained(shipped := _SHIPPED / run.name):
        return shipped
    names = ", ".join(f"pretrained/{folder.name}" for folder in sorted(_SHIPPED.glob("*/")) if is_pretrained(folder))
    raise RunDirectoryError(f"{run}: there is no such folder here, and no such weights come with a3c_exp. There are {names}")


def load(folder: Path, trusted: Sequence[str] = ()) -> Pretrained:
    """Read a folder that ``save`` made; errors and ``trusted`` modules as for ``read_config``."""
    try:
        provenance = json.loads((folder / PROVENANCE_FILE).read_text())
        require_format(folder, provenance)
    except (OSError, ValueError) as error:
        raise RunDirectoryError(
            f"{folder / PROVENANCE_FILE} cannot be read: {first_line(error)}. Export the run again, or name another folder"
        ) from None
    path = folder / WEIGHTS_FILE
    content = read(path)
    config = read_config(folder / CONFIG_FILE, trusted)
    weights = torch.cat([content["weights"].float(), content.get("statistics", torch.zeros(0))])
    saved = SavedWeights(path, weights, content["env_steps"], content["updates"])
    return Pretrained(config, saved, provenance)


class StoredWeights(NamedTuple):
    """What a file keeps of a model's weights ``[P]``."""

    weights: Tensor  # in half or single precision
    statistics: Tensor  # the last of them, if the model normalizes by running statistics; in single precision

    def as_used(self) -> Tensor:
        """``[P]`` in single precision, as ``load`` gives them."""
        return torch.cat([self.weights.float(), self.statistics])


def to_stored_precision(weights: Tensor, half: bool, statistics_size: int = 0) -> StoredWeights:
    """The weights ``[P]``, of which the last ``statistics_size`` are running statistics, in the precision of the file; a
    ConfigError if they are out of the range of half precision."""
    count = len(weights) - statistics_size
    learned, statistics = (
        weights[:count].float().clone(),
        weights[count:].float().clone(),
    )  # a view would be saved with the rest
    stored = StoredWeights(learned.half() if half else learned, statistics)
    if half and not stored.weights.isfinite().all():
        largest = float(learned.abs().max())
        raise ConfigError(f"half precision ends at 65504, and the largest weight is {largest:g}. Leave out --half")
    return stored


def save(
    folder: Path,
    config: DictConfig,
    stored: StoredWeights,
    env_step: int,
    update: int,
    provenance: Mapping[str, Any],
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Make a folder with weights from ``to_stored_precision`` and further ``files`` by name, all of it or nothing; a
    ConfigError if it exists."""
    reject_existing(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        unfinished.mkdir()
        stored_config = config.copy()
        stored_config.device = "cpu"  # the machine that loads it may have no other
        OmegaConf.save(stored_config, unfinished / CONFIG_FILE)
        remember(unfinished / CONFIG_FILE, stored_config)
        statistics = {"statistics": stored.statistics} if len(stored.statistics) else {}
        write(unfinished / WEIGHTS_FILE, {"weights": stored.weights, **statistics, "env_steps": env_step, "updates": update})
        write_json(unfinished / PROVENANCE_FILE, provenance)
        for name, content in files.items():
            (unfinished / name).write_bytes(content)
        unfinished.rename(folder)
    except FileExistsError:
        reject_existing(folder)
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(unfinished)


def reject_existing(folder: Path) -> None:
    """Raise a ConfigError if the folder exists: nothing is ever overwritten."""
    if folder.exists():
        raise ConfigError(f"{folder} exists, and nothing is overwritten. Try another name, or remove it first")
