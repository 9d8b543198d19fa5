"""The faults: what each does to a subject, at which moment, and which exit codes may follow."""

import json
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.faults.subject import EXACT, NAMES, RUNS, Subject, is_finished

STOPS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGUSR1: 138, signal.SIGUSR2: 140}
PATIENCE = 300.0
"""Seconds within which a command ends, on a machine that does other things too."""


@dataclass
class Injected:
    """What was done.

    Attributes:
        what: in words, without numbers, so that equal ones can be counted.
        codes: exit codes that may follow, besides 0 where the command was done by then.
        code: the one that did; ``None``: it did not end.
        must_stop: it was not done by then, so that 0 is no right code.
        main_killed: the main process could not clean up.
        may_trace: a traceback is the right answer, as to an environment's own error.
        damaged: the log, or all checkpoints, were damaged, so that results need not come back.
        unwritable: how the run ended could not be written either.
    """

    what: str
    codes: Collection[int]
    code: int | None = None
    must_stop: bool = False
    main_killed: bool = False
    may_trace: bool = False
    damaged: bool = False
    unwritable: bool = False


def _wait_for_moment(subject: Subject, chance: random.Random) -> None:
    """Until a random number of episodes is logged, and a little longer; or until the command ends."""
    target, deadline = chance.randint(1, 120), time.monotonic() + PATIENCE
    process = subject.process
    assert process is not None
    while process.poll() is None and time.monotonic() < deadline:
        logs = subject.directory.rglob("episodes.jsonl")
        if sum(log.read_bytes().count(b"\n") for log in logs) >= target:
            break
        time.sleep(0.02)
    time.sleep(chance.random() * 0.3)


def _send(subject: Subject, number: int, whole_group: bool) -> None:
    assert subject.process is not None
    with suppress(ProcessLookupError):
        (os.killpg if whole_group else os.kill)(subject.process.pid, number)


def stop_signal(subject: Subject, chance: random.Random) -> Injected:
    number, group = chance.choice(list(STOPS)), chance.random() < 0.5
    subject.start()
    _wait_for_moment(subject, chance)
    _send(subject, number, group)
    return Injected(f"{number.name} to the {'group' if group else 'main process'}", {STOPS[number]})


def stop_during_start(subject: Subject, chance: random.Random) -> Injected:
    number = chance.choice(list(STOPS))
    process = subject.start(anew=True)
    time.sleep(0.05 + 8.0 * chance.random() ** 2)
    heard, trains = _hears_signals(process.pid), bool(list(subject.directory.rglob("episodes.jsonl")))
    _send(subject, number, whole_group=True)
    codes = {STOPS[number]} if heard else {STOPS[number], -number, *([1] if number == signal.SIGINT else [])}
    what = f"{number.name} to the group during start-up"
    return Injected(what, codes, main_killed=not heard, may_trace=not heard, must_stop=heard and not trains)


def _hears_signals(pid: int) -> bool:
    """Whether Python has read the program's first line, which has SIGTERM wait or handled; and is not at its end."""
    with suppress(OSError):
        masks = [
            line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line[:6] in ("SigCgt", "SigBlk")
        ]
        return any(int(mask, 16) >> (signal.SIGTERM - 1) & 1 for mask in masks)
    return False


def stop_twice(subject: Subject, chance: random.Random) -> Injected:
    first, second = chance.choice(list(STOPS)), chance.choice(list(STOPS))
    subject.start()
    _wait_for_moment(subject, chance)
    _send(subject, first, whole_group=True)
    time.sleep(0.02 + chance.random())
    _send(subject, second, whole_group=True)
    codes = {STOPS[first], -second}  # the latter where Python itself is at its end and has given its handlers back
    return Injected("two signals to the group", codes, main_killed=True)


def kill(subject: Subject, chance: random.Random) -> Injected:
    subject.start()
    _wait_for_moment(subject, chance)
    role = chance.choice(["main process", "a child", "everything"])
    processes = subject.processes()
    struck = processes if role == "everything" else processes[:1] if role == "main process" else processes[1:]
    if role == "a child" and struck:
        struck = [chance.choice(struck)]
    for process in struck:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    killed = role != "a child"
    return Injected(f"kill -9 of {role if killed else 'a child process'}", {-9} if killed else {0, 1}, main_killed=killed)


def suspend(subject: Subject, chance: random.Random) -> Injected:
    subject.start()
    _wait_for_moment(subject, chance)
    processes = subject.processes()
    if processes:
        struck = chance.choice(processes)
        with suppress(psutil.NoSuchProcess):
            struck.suspend()
            time.sleep(chance.random() * 5)
            struck.resume()
    return Injected("SIGSTOP of a process for seconds", {0})


def environment_fails(subject: Subject, chance: random.Random) -> Injected:
    how = chance.choice(["raise", "kill", "nan"])
    (subject.folder / "break").write_text(how)
    subject.start("env._target_=tests.support.interruptions.Breaking")
    codes = {1, -9} if how == "kill" else {0, 1}  # worker processes are replaced
    return Injected(f"an environment's {how}", codes, may_trace=True, main_killed=how == "kill")


def small_files(subject: Subject, chance: random.Random) -> Injected:
    subject.start(shell=f"ulimit -f {chance.choice([4, 8, 16, 24, 32])}")
    return Injected("files cannot grow (ulimit -f)", {1, 2}, unwritable=True)


def few_descriptors(subject: Subject, chance: random.Random) -> Injected:
    subject.start(shell=f"ulimit -n {chance.randint(8, 48)}")
    return Injected("few descriptors (ulimit -n)", {1, 2}, may_trace=True)


def little_memory(subject: Subject, chance: random.Random) -> Injected:
    """A process gets no more memory than it has, and little that is left over."""
    subject.start()
    _wait_for_moment(subject, chance)
    role = "a process"
    if processes := subject.processes():
        struck = chance.choice(processes)
        role = "the main process" if struck == processes[0] else "a child process"
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            limit = struck.memory_info().vms + (chance.choice([0, 1, 4, 16]) << 20)
            resource.prlimit(struck.pid, resource.RLIMIT_AS, (limit, limit))
    codes = {1, 127, -signal.SIGABRT, -signal.SIGSEGV}  # libraries that get none end the process, glibc by 127
    return Injected(f"no more memory for {role} (RLIMIT_AS)", codes, main_killed=True)


def little_memory_at_start(subject: Subject, chance: random.Random) -> Injected:
    """Libraries that get none end the process by an abort, Python within an import by whatever it was doing."""
    subject.start(shell=f"ulimit -v {chance.randint(200, 2000) << 10}")
    codes = {1, 2, 127, -signal.SIGABRT, -signal.SIGSEGV}
    return Injected("little memory from the start (ulimit -v)", codes, main_killed=True, may_trace=True)


def full_disk(subject: Subject, chance: random.Random) -> Injected:
    """A disk of a few blocks, which has room again when the run is gone on with."""
    subject.mount(subject.directory, chance.choice([8, 16, 32, 48, 64, 96, 128]))
    subject.start()
    subject.end(PATIENCE)
    subject.mount(subject.directory, 1 << 16)
    return Injected("the disk is full", {1, 2}, unwritable=True)


def full_temporary_folder(subject: Subject, chance: random.Random) -> Injected:
    subject.mount(subject.temporary, chance.choice([4, 8, 16, 64, 256]))
    subject.start()
    subject.end(PATIENCE)
    subject.mount(subject.temporary, 1 << 16)
    return Injected("TMPDIR is full", {1, 2})


def little_shared_memory(subject: Subject, chance: random.Random) -> Injected:
    mount = f"mount -t tmpfs -o size={chance.choice([4, 8, 16, 64, 256])}k none /dev/shm"
    subject.start(shell=f'set -- unshare --mount bash -c \'{mount} && exec "$@"\' bash "$@"')
    return Injected("little shared memory (/dev/shm)", {1, 2})


def few_processes(subject: Subject, chance: random.Random) -> Injected:
    """As a user of its own, and without what lets root have more, since the limit counts one user's processes."""
    user = f"setpriv --ruid {20000 + int(subject.folder.name)} --bounding-set=-sys_resource,-sys_admin"
    subject.start(shell=f'ulimit -u {chance.randint(1, 12)}; set -- {user} "$@"')
    codes = {1, 2, 130}  # the last of OpenBLAS, which says that it got no thread and sends itself SIGINT
    return Injected("few processes (ulimit -u)", codes)


def environment_misbehaves(subject: Subject, chance: random.Random) -> Injected:
    """What a run can only be asked to end for is asked, twice where it does not hear the first."""
    how = chance.choice(["hang in step", "hang in reset", "raise in reset", "EOFError", "exit", "exit at once", "leak"])
    (subject.folder / "break").write_text(how)
    replaced = subject.name in ("hogwild", "parameter server")
    more = ["parallelism.worker_timeout=5"] if replaced else []
    process = subject.start("env._target_=tests.faults.environments.Faulty", *more, shell="ulimit -n 256")
    codes: Collection[int] = {1, 7} if how == "exit at once" else {1}
    if how.startswith("hang"):
        codes = set() if replaced else {1, 143}
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and (subject.folder / "break").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        if not replaced and subject.name != "environment processes":
            _send(subject, signal.SIGTERM, whole_group=False)
            with suppress(subprocess.TimeoutExpired):
                process.wait(40)
            _send(subject, signal.SIGTERM, whole_group=False)
    silent = how.startswith("hang") or how == "exit at once"
    return Injected(f"an environment's {how}", codes, may_trace=True, main_killed=silent, unwritable=how == "leak")


def damage_files(subject: Subject, chance: random.Random) -> Injected:
    """Everything is killed; then a file is what a power failure, or a person, leaves."""
    subject.start()
    _wait_for_moment(subject, chance)
    subject.kill_all()
    files = [
        path for path in subject.directory.rglob("*") if path.is_file() and path.name not in (".lock", ".lease", "messages.log")
    ]
    how = chance.choice(["emptied", "cut", "zeroed at its end", "removed"])
    name = "no file"
    if files:
        path = chance.choice(files)
        content = path.read_bytes()
        if how == "removed":
            path.unlink()
        else:
            keep = 0 if how == "emptied" else int(len(content) * chance.random())
            path.write_bytes(content[:keep] + (bytes(len(content) - keep) if how.startswith("zeroed") else b""))
        name = "a checkpoint" if path.suffix == ".pt" else path.name
    return Injected(f"{name} {how} after a kill", {-9}, main_killed=True, damaged=True)


def together(subject: Subject, chance: random.Random) -> Injected:
    """The same command twice at once, in a study; two resumes of one run at once, in a run that was killed."""
    first = subject.start()
    if subject.name != "study":
        _wait_for_moment(subject, chance)
        subject.kill_all()
        first.wait()
        if is_finished(subject.directory) or not list(subject.directory.rglob("step_*.pt")):
            return Injected("kill -9 of everything", {-9}, main_killed=True)
        first = subject.start("resume=here")
    time.sleep(chance.random())
    second = subject.start(*([] if subject.name == "study" else ["resume=here"]))
    codes = sorted([first.wait(PATIENCE), second.wait(PATIENCE)])
    subject.process = second if second.returncode == 0 else first
    allowed = [[0, 0]] if subject.name == "study" else [[0, 2]]
    state = json.dumps(codes)
    what = "two commands at once" if codes in allowed else f"two commands at once ended with {state}"
    return Injected(what, {0}, main_killed=subject.name != "study")


KINDS: dict[str, tuple[Callable[[Subject, random.Random], Injected], tuple[str, ...]]] = {
    "signal": (stop_signal, NAMES),
    "start-up": (stop_during_start, NAMES),
    "twice": (stop_twice, NAMES),
    "kill": (kill, NAMES),
    "suspend": (suspend, NAMES),
    "environment": (environment_fails, tuple(RUNS)),
    "file size": (small_files, tuple(RUNS)),
    "descriptors": (few_descriptors, tuple(RUNS)),
    "damage": (damage_files, tuple(RUNS)),
    "together": (together, (*EXACT, "hogwild", "study")),
    "memory": (little_memory, NAMES),
    "memory at start": (little_memory_at_start, tuple(RUNS)),
    "disk": (full_disk, NAMES),
    "temporary folder": (full_temporary_folder, NAMES),
    "shared memory": (little_shared_memory, NAMES),
    "processes": (few_processes, NAMES),
    "misbehavior": (environment_misbehaves, tuple(RUNS)),
}
"""By its name, what injects a fault of a kind, and the subjects that it is injected into."""
