"""What Slurm says and does, by its own commands."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from a3c_exp.system.errors import SlurmError

_TIMEOUT = 60.0  # seconds; a controller that is busy takes its time
_MAX_IDS = 500  # of one command


@dataclass(frozen=True)
class QueuedTask:
    """A task of a job array that waits or runs, as ``squeue`` shows it."""

    name: str  # of the array
    array_id: str
    index: int
    state: str  # PENDING, RUNNING, COMPLETING ...
    reason: str  # why it waits
    nodes: str  # where it runs

    @property
    def job_id(self) -> str:
        """As Slurm's commands take it: ``12_3``."""
        return f"{self.array_id}_{self.index}"

    @property
    def waits(self) -> bool:
        """Whether no process of it runs."""
        return self.state in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")


def call_slurm(*command: str) -> str:
    """What a command of Slurm prints. Raises SlurmError with what it says, in one line, if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise SlurmError(f"there is no command {command[0]} here. Type this where Slurm is installed") from None
    except subprocess.TimeoutExpired:
        raise SlurmError(
            f"{command[0]} has not answered for {_TIMEOUT:g} s. Ask again later: Slurm goes on by itself"
        ) from None
    if done.returncode:
        said = "; ".join(line.strip() for line in done.stderr.splitlines() if line.strip())
        raise SlurmError(f"{command[0]} failed: {said or f'exit code {done.returncode}'}")
    return done.stdout


def queued_tasks(names: Sequence[str]) -> list[QueuedTask]:
    """Every task of the arrays with these names that waits or runs, by one call. Raises SlurmError if there is no answer."""
    if not names:
        return []
    text = call_slurm("squeue", "--noheader", "--array", f"--name={','.join(names)}", "--format=%j|%F|%K|%T|%N|%r")
    tasks = []
    for line in text.splitlines():
        name, array_id, index, state, nodes, reason = line.split("|", 5)
        if index.isdecimal():
            tasks.append(QueuedTask(name, array_id, int(index), state, reason, nodes))
    return tasks


def cancel_waiting(tasks: Sequence[QueuedTask]) -> None:
    """Take tasks that have not begun out of the queue."""
    _for_all(["scancel", "--quiet", "--state=PENDING"], tasks)


def signal_running(tasks: Sequence[QueuedTask], signal_name: str) -> None:
    """Send a signal, such as ``INT``, to the batch scripts of tasks that run, and to nothing else."""
    _for_all(["scancel", "--quiet", "--batch", f"--signal={signal_name}"], tasks)


def why_it_ended(job_id: str) -> str:
    """What Slurm remembers of a task that has left the queue, such as ``OUT_OF_MEMORY (exit code 0:125)``."""
    try:
        text = call_slurm("scontrol", "--oneliner", "show", "job", job_id)
    except SlurmError:
        return "something that Slurm has forgotten"
    fields = dict(word.partition("=")[::2] for word in text.split())
    return f"{fields.get('JobState', '')} (exit code {fields.get('ExitCode', '?')})"


def _for_all(command: Sequence[str], tasks: Sequence[QueuedTask]) -> None:
    ids = [task.job_id for task in tasks]
    for start in range(0, len(ids), _MAX_IDS):
        call_slurm(*command, *ids[start : start + _MAX_IDS])
