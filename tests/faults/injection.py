"""The faults: what each does to a subject, at which moment, and which exit codes may follow."""

import json
import os
import random
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

import psutil

from tests.faults.subject import EXACT, NAMES, RUNS, Subject

STOPS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGUSR1: 138}
PATIENCE = 300.0
"""Seconds within which a command ends, on a machine that does other things too."""


@dataclass
class Injected:
    """What was done.

    Attributes:
        what: in words, without numbers, so that equal ones can be counted.
        codes: exit codes that may follow, besides 0 where the command was done by then.
        code: the one that did; ``None``: it did not end.
        main_killed: the main process could not clean up.
        may_trace: a traceback is the right answer, as to an environment's own error.
        damaged: the log, or all checkpoints, were damaged, so that results need not come back.
        unwritable: how the run ended could not be written either.
    """

    what: str
    codes: Collection[int]
    code: int | None = None
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
    subject.start()
    time.sleep(0.05 + 8.0 * chance.random() ** 2)
    _send(subject, number, whole_group=True)
    codes = {STOPS[number], -number, 1}  # the others while Python itself starts, before it has read the first line
    return Injected(f"{number.name} to the group during start-up", codes, main_killed=True)


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
    subject.start("env._target_=tests.training.test_exact_resume.Breaking")
    codes = {1, -9} if how == "kill" else {0, 1}  # worker processes are replaced
    return Injected(f"an environment's {how}", codes, may_trace=True, main_killed=how == "kill")


def small_files(subject: Subject, chance: random.Random) -> Injected:
    subject.start(shell=f"ulimit -f {chance.choice([4, 8, 16, 24, 32])}")
    return Injected("files cannot grow (ulimit -f)", {1, 2}, unwritable=True)


def few_descriptors(subject: Subject, chance: random.Random) -> Injected:
    subject.start(shell=f"ulimit -n {chance.randint(8, 48)}")
    return Injected("few descriptors (ulimit -n)", {1, 2}, may_trace=True)


def damage_files(subject: Subject, chance: random.Random) -> Injected:
    """Everything is killed; then a file is what a power failure, or a person, leaves."""
    subject.start()
    _wait_for_moment(subject, chance)
    subject.kill_all()
    files = [path for path in subject.directory.rglob("*") if path.is_file() and path.name not in (".lock", "messages.log")]
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
        if subject.name == "sweep" or not list(subject.directory.rglob("step_*.pt")):
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
}
"""By its name, what injects a fault of a kind, and the subjects that it is injected into."""
