"""The batch script of a job array: each task starts or resumes one run of the sweep, and puts itself back into the queue."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from a3c_exp.config.existing_runs import RUNS_ELSEWHERE
from a3c_exp.runs.sweeps.slurm_jobs import SLURM_FOLDER, SubmittedArray
from a3c_exp.sweep.slurm.config import SlurmLauncherConfig

_SCRIPT = """\
#!/bin/bash
{directives}

# Slurm asks to stop before the time limit (USR1), when it preempts or requeues a job or somebody cancels it (TERM); the command
# that has submitted this does by INT. The run then saves a checkpoint and ends, and this decides whether the job goes on later.
job=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID  # SLURM_JOB_ID of one of the tasks means the whole array
stopped= run=
stop() {{
    [ -n "$stopped" ] && return
    stopped=$1
    [ -z "$run" ] || kill -s "$1" "$run" 2>/dev/null
}}
for name in INT USR1 USR2 TERM HUP; do trap "stop $name" "$name"; done

requeue() {{
    echo "$(date '+%F %T') $1: job $job goes back into the queue"
    scontrol requeue "$job"
}}

{setup}
number=$(({first} + SLURM_ARRAY_TASK_ID))
code=143
if [ -z "$stopped" ]; then
    {command} job="$number" &
    run=$!
    [ -z "$stopped" ] || kill -s "$stopped" "$run"
    while kill -0 "$run" 2>/dev/null; do wait "$run"; done
    wait "$run"
    code=$?
fi
[ "$code" -eq 0 ] && exit 0
[ "$code" -eq {runs_elsewhere} ] && requeue "the run is still alive elsewhere"
case $stopped in
    USR1 | USR2 | HUP) requeue "stopped by SIG$stopped" ;;
    TERM)
        # A job that is canceled or requeued is completing by now, and Slurm knows what to do with it.
        case $(squeue --noheader --jobs="$job" --format='%T %r') in
            RUNNING* | *TimeLimit) requeue "stopped by SIGTERM" ;;
        esac ;;
esac
exit "$code"
"""


def batch_script(
    directory: Path, array: SubmittedArray, cpus: int, options: SlurmLauncherConfig, overrides: Sequence[str]
) -> str:
    """The text of the script for one array of the sweep in ``directory``; ``overrides`` go with ``resume=`` and ``job=``."""
    folder = str((directory / SLURM_FOLDER).absolute()).replace("%", "%%")
    output = f"{folder}/job-%a.log" if array.first == 0 else f"{folder}/job-{array.first}+%a.log"
    throttle = f"%{options.max_parallel}" if options.max_parallel else ""
    given = {
        "job-name": array.name,
        "array": ranges([number - array.first for number in array.numbers]) + throttle,
        "nodes": 1,
        "ntasks": 1,
        "cpus-per-task": cpus,
        "chdir": str(Path.cwd()),
        "output": output,
        "open-mode": "append",
        "signal": f"B:USR1@{options.signal_delay}",
        "partition": options.partition,
        "account": options.account,
        "qos": options.qos,
        "mem": options.memory,
        "time": options.time,
    }
    lines = [_directive(f"--{name}={value}") for name, value in given.items() if value is not None]
    command = [sys.executable, "-m", "a3c_exp", f"resume={directory}", *overrides]
    return _SCRIPT.format(
        directives="\n".join([*lines, _directive("--requeue"), *map(_directive, options.options)]),
        setup="\n".join(options.setup),
        first=array.first,
        command=shlex.join(command),
        runs_elsewhere=RUNS_ELSEWHERE,
    )


def output_file(directory: Path, array: SubmittedArray, number: int) -> Path:
    """Where the output of a run goes, and what Slurm says of its job."""
    first = f"{array.first}+" if array.first else ""
    return directory / SLURM_FOLDER / f"job-{first}{number - array.first}.log"


def ranges(numbers: Sequence[int]) -> str:
    """Numbers in ascending order as Slurm takes them.

    >>> ranges([0, 1, 2, 5, 7, 8])
    '0-2,5,7-8'
    """
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)


def _directive(option: str) -> str:
    return f"#SBATCH {shlex.quote(option)}"
