"""Checkpoints: written atomically, verified when read, and loaded without running code from the file."""

import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.runs.lease.locking import confirm_lease
from a3c_exp.runs.log_records import EvaluationRecord
from a3c_exp.runs.status import FORMAT, require_format
from a3c_exp.system.atomic_write import atomic_write
from a3c_exp.system.errors import RunDirectoryError, explain_os_error, first_line

_STEP_FILE_NAME = re.compile(r"step_(\d+)\.pt")
_ARRAYS = ("rounds", "episodes_begun")
"""What numpy holds of a ``TrainingState``, and a checkpoint as tensors."""


@dataclass(frozen=True)
class Checkpoints:
    """The ``checkpoints/`` folder of one run: ``step_<env steps>.pt`` (the last few) and ``best.pt``."""

    directory: Path  # made when first written to
    keep_last: int = 1  # ``step_*.pt`` files; no others are ever removed

    def save(self, state: TrainingState, extra: Mapping[str, float | int | None]) -> Path:
        """Write a checkpoint from which training can go on; ``extra`` are numbers of the tracker. If it cannot be written,
        which is a RunDirectoryError, earlier ones are as they were."""
        path = self.directory / f"step_{state.env_steps}.pt"
        arrays = {name: torch.from_numpy(getattr(state, name).copy()) for name in _ARRAYS}
        self._write(path, {**vars(state), **arrays, "extra": dict(extra)})
        for old in self._steps()[: -self.keep_last]:
            old.unlink()
        return path

    def save_best(self, weights: Tensor, evaluation: EvaluationRecord) -> Path:
        """Replace ``best.pt`` by the weights ``[P]`` of the best evaluation so far, and that evaluation."""
        steps = {"env_steps": evaluation.env_step, "updates": evaluation.update}
        return self._write(self.directory / "best.pt", {"weights": weights, **steps, "evaluation": evaluation.to_dict()})

    def best(self) -> EvaluationRecord | None:
        """The evaluation that ``best.pt`` was saved for, or ``None`` without one; a RunDirectoryError if it is damaged."""
        path = self.directory / "best.pt"
        return evaluation_of(path, read(path)) if path.is_file() else None

    def has_any(self) -> bool:
        """Whether there is any ``step_*.pt``."""
        return bool(self._steps())

    def latest(self, on_damaged: Callable[[str], object] = lambda _: None) -> Path:
        """The newest ``step_*.pt`` that is whole; a RunDirectoryError if there is none. Damaged ones are passed over:
        ``on_damaged`` is called with which, why, and what was taken instead, once one is found."""
        problems: list[str] = []
        for path in reversed(self._steps()):
            try:
                read(path)
            except RunDirectoryError as error:
                problems.append(str(error))
            else:
                for problem in problems:
                    on_damaged(f"{problem}. Taken instead: {path.name}")
                return path
        detail = f" ({'; '.join(problems)})" if problems else ""
        raise RunDirectoryError(
            f"{self.directory} holds no checkpoint to go on from{detail}. Start the run anew, in another directory"
        )

    def _write(self, path: Path, content: Mapping[str, Any]) -> Path:
        confirm_lease(self.directory.parent)
        try:
            write(path, content)
            return path
        except OSError as error:
            raise RunDirectoryError(
                f"cannot write to {explain_os_error(error, path)}. Earlier checkpoints are intact. Then go on from the "
                f"last one: resume={self.directory.parent}"
            ) from error

    def _steps(self) -> list[Path]:
        paths = [path for path in self.directory.glob("step_*.pt") if _STEP_FILE_NAME.fullmatch(path.name)]
        return sorted(paths, key=lambda path: int(path.stem.removeprefix("step_")))


def load(path: Path) -> tuple[TrainingState, dict[str, float | int | None]]:
    """Read a ``step_*.pt`` back; a RunDirectoryError if it is missing, damaged, or not a checkpoint to go on from."""
    content = read(path)
    if "optimizer_state" not in content:
        raise RunDirectoryError(f"{path} holds only weights, from which training cannot go on; take a step_*.pt")
    arrays = {name: content[name].numpy().astype(np.int64) for name in _ARRAYS}
    return TrainingState(**{field.name: content[field.name] for field in fields(TrainingState)} | arrays), content["extra"]


def read(path: Path) -> dict[str, Any]:
    """The content of any checkpoint, its checksum verified; a RunDirectoryError if it is missing, damaged, or of an older
    format."""
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RunDirectoryError(f"there is no checkpoint {path}") from None
    except OSError as error:
        raise RunDirectoryError(f"the checkpoint {path} cannot be read: {error.strerror or first_line(error)}") from None
    except Exception:  # torch raises a dozen kinds for a file that is not whole, with advice on its own functions
        raise RunDirectoryError(f"the checkpoint {path} is damaged: {_damage(path)}") from None
    checksum = content.pop("sha256", None) if isinstance(content, dict) else None
    if checksum is None:
        raise RunDirectoryError(f"the checkpoint {path} is damaged: it is no checkpoint of this package")
    if checksum != digest(content):
        raise RunDirectoryError(f"the checkpoint {path} is damaged: its checksum does not match its content")
    require_format(path, content)
    return content


def evaluation_of(path: Path, content: Mapping[str, Any]) -> EvaluationRecord | None:
    """The evaluation that a checkpoint's ``content`` brings; ``None`` for one to go on from. It may be damaged."""
    try:
        return EvaluationRecord(**content["evaluation"]) if "evaluation" in content else None
    except TypeError:
        raise RunDirectoryError(f"the checkpoint {path} is damaged: its evaluation has other fields") from None


def _damage(path: Path) -> str:
    """What is wrong with a file that torch cannot load."""
    if path.stat().st_size == 0:
        return "it is empty"
    # What torch writes is a zip archive, whose list of parts comes last.
    return "parts of it were changed" if zipfile.is_zipfile(path) else "it was cut short, or is no checkpoint"


def digest(content: Any) -> str:
    """SHA-256 over tensors and plain values, in a fixed order: equal content, equal digest, whatever the file looks like."""
    hasher = hashlib.sha256()

    def feed(value: Any) -> None:
        if isinstance(value, Tensor):
            hasher.update(f"{value.dtype}{tuple(value.shape)}".encode())
            hasher.update(value.detach().contiguous().numpy().tobytes())
        elif isinstance(value, Mapping):
            for key in sorted(value):
                hasher.update(key.encode())
                feed(value[key])
        elif isinstance(value, list | tuple):
            hasher.update(f"[{len(value)}".encode())
            for item in value:
                feed(item)
        else:
            hasher.update(repr(value).encode())

    feed(content)
    return hasher.hexdigest()


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write what ``read`` reads, with its format and a checksum, all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"format": FORMAT, **content}
    buffer = io.BytesIO()  # torch answers what a full disk raises with an error of its own, which does not name it
    torch.save({**content, "sha256": digest(content)}, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())
