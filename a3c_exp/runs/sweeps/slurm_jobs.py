"""``slurm/jobs.json`` of a sweep's directory: which job arrays its runs were submitted as."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from a3c_exp.runs.sweeps.slurm_queue import QueuedTask, queued_tasks
from a3c_exp.runs.tolerant_io import read_json_object
from a3c_exp.system.atomic_write import write_json
from a3c_exp.system.errors import RunDirectoryError

SLURM_FOLDER = "slurm"
"""In a sweep's directory: batch scripts, output of the jobs, and the list of them."""


@dataclass(frozen=True)
class SubmittedArray:
    """One job array: task ``index`` is the run with the number ``first + index``."""

    name: str  # by which squeue finds it; no other array of the user has it
    array_id: str | None  # ``None``: it was not submitted, or the command was killed before it could note that
    first: int
    numbers: tuple[int, ...]  # of the runs in it


@dataclass(frozen=True)
class SlurmJobs:
    """All arrays of a sweep, the newest last."""

    directory: Path  # the sweep's
    arrays: tuple[SubmittedArray, ...] = ()

    @classmethod
    def read(cls, directory: Path) -> "SlurmJobs":
        """Those of a sweep; empty for one that Slurm was never given. Raises RunDirectoryError if the file is damaged."""
        path = directory / SLURM_FOLDER / "jobs.json"
        if not path.exists():
            return cls(directory)
        content: Any = read_json_object(path, []) or {}
        try:
            arrays = tuple(
                SubmittedArray(str(one["name"]), one["array_id"], int(one["first"]), tuple(map(int, one["numbers"])))
                for one in content["arrays"]
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            raise RunDirectoryError(f"{path} is damaged. Move it away once squeue shows none of this sweep's jobs") from None
        return cls(directory, arrays)

    def with_array(self, array: SubmittedArray) -> "SlurmJobs":
        """With a further array, or with what is new of one that has the same name; it is written before this returns."""
        others = tuple(one for one in self.arrays if one.name != array.name)
        jobs = replace(self, arrays=(*others, array))
        write_json(self.directory / SLURM_FOLDER / "jobs.json", {"arrays": [asdict(one) for one in jobs.arrays]})
        return jobs

    def job_ids(self) -> dict[int, str]:
        """The newest job of each run, by the run's number: ``12_3``."""
        return {
            number: f"{array.array_id}_{number - array.first}"
            for array in self.arrays
            if array.array_id is not None
            for number in array.numbers
        }

    def queued(self) -> dict[int, QueuedTask]:
        """The tasks that wait or run, by the numbers of their runs; one call of squeue. Raises SlurmError."""
        firsts = {array.name: array.first for array in self.arrays}
        return {firsts[task.name] + task.index: task for task in queued_tasks(list(firsts)) if task.name in firsts}


def array_name(directory: Path, used: Sequence[str]) -> str:
    """A name for the next array of a sweep, in which a person recognizes the sweep."""
    import hashlib
    import re

    mark = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:8]
    readable = re.sub(r"[^A-Za-z0-9_.=-]", "_", directory.resolve().name)[:60]
    number = 1
    while (name := f"{readable}-{mark}.{number}") in used:
        number += 1
    return name
