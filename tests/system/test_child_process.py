"""No child process hangs unnoticed, dies unexplained or outlives its parent, and none is blamed for what it did not do."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from a3c_exp.system import child_process
from a3c_exp.system.child_process import (
    ChildCommand,
    ChildProcess,
    Crash,
    Heartbeat,
    HeartbeatTimer,
    ParentPipe,
    describe_exit,
    end_all,
    prepare_start,
    wait_for_any,
)
from a3c_exp.system.errors import ConfigError
from tests.support.driving import alive
from tests.support.pushing import PATIENCE


def say_hello_and(ending: str, pipe: Connection) -> None:
    parent = ParentPipe(pipe)
    for message in ("hello", Heartbeat(), "again", Crash("the traceback")):
        parent.send(message)
    if ending == "wait":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(0.1)
    if ending == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)


def start_a_child(method: str, pipe: Connection) -> None:
    method, _, slowly = method.partition(", ")
    if slowly:
        ctypes.CDLL = load_slowly  # type: ignore[assignment, misc]
    child: Any = multiprocessing.get_context(method).Process(target=time.sleep, args=(300,))
    child.start()
    pipe.send(child.pid)
    time.sleep(300)


def load_slowly(name: str | None, load: type[ctypes.CDLL] = ctypes.CDLL) -> ctypes.CDLL:
    time.sleep(1.0)
    return load(name)


def run_out_of_memory(pipe: Connection) -> None:
    raise MemoryError


def test_a_child_that_gets_no_memory_says_so_without_a_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    child = ChildProcess(run_out_of_memory, (), "fork", "child")
    child.join(PATIENCE)
    assert child.exitcode == 1
    assert capfd.readouterr().err == "Cannot allocate memory. Allow more memory (ulimit -v unlimited)\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with a parent that is killed")
@pytest.mark.parametrize("method", ["fork", "fork, slowly", "spawn"])
def test_a_child_that_is_killed_leaves_no_child_of_its_own(method: str) -> None:
    """Nor one that was forked and had not asked yet to end with it."""
    child = ChildProcess(start_a_child, (method,), "forkserver", "parent")
    (grandchild,) = read(child, 1)
    assert isinstance(grandchild, int) and alive(grandchild)
    child.close()
    deadline = time.monotonic() + PATIENCE
    while alive(grandchild):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def started(ending: str) -> ChildProcess:
    return ChildProcess(say_hello_and, (ending,), "forkserver", f"child-{ending}")


def read(child: ChildProcess, count: int) -> list[object]:
    messages: list[object] = []
    deadline = time.monotonic() + PATIENCE
    while len(messages) < count:
        assert time.monotonic() < deadline
        wait_for_any([child], 0.1)
        messages += child.messages()
    return messages


@pytest.mark.parametrize(
    ("exitcode", "text"),
    [
        (0, "ended with exit code 0"),
        (-9, "was killed by SIGKILL"),
        (-(signal.SIGRTMIN + 1), f"was killed by signal {signal.SIGRTMIN + 1}"),
    ],
)
def test_every_exit_code_has_a_text(exitcode: int, text: str) -> None:
    assert describe_exit(exitcode) == text


@pytest.mark.parametrize(("ending", "text"), [("kill", "was killed by SIGKILL"), ("exit", "ended with exit code 3")])
def test_what_a_child_sent_before_it_died_is_read_after_its_death(ending: str, text: str) -> None:
    child = started(ending)
    child.join(PATIENCE)
    assert child.cause_of_death(HeartbeatTimer(60.0)) == text
    assert list(child.messages()) == ["hello", "again"]
    assert child.last_output == "the traceback"
    child.close()


def test_a_silent_child_is_killed_and_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "_STARTUP_TIMEOUT", 0.0)
    child, timer = started("wait"), HeartbeatTimer(0.5)
    read(child, 2)
    cause, deadline = None, time.monotonic() + PATIENCE
    while cause is None and time.monotonic() < deadline:
        timer.check()
        cause = child.cause_of_death(timer)
        time.sleep(0.05)
    assert cause == "gave no sign of life for 0.5 s and was killed"
    assert not alive(child.pid)
    child.close()


def test_a_child_is_not_blamed_for_the_time_for_which_its_parent_was_suspended() -> None:
    child, timer = started("wait"), HeartbeatTimer(1.0)
    read(child, 2)
    time.sleep(1.2)  # nothing is checked, as after Ctrl-Z
    timer.check()
    assert child.cause_of_death(timer) is None
    child.close()


def test_a_child_that_still_imports_is_not_taken_for_hung() -> None:
    child, timer = started("wait"), HeartbeatTimer(0.01)
    assert timer.exceeded(child) is None, "it has a minute to its first heartbeat"
    read(child, 2)
    time.sleep(0.02)
    assert timer.exceeded(child) == 0.01
    child.close()


def test_children_that_do_not_end_when_asked_are_killed() -> None:
    children = [started("wait"), started("exit")]
    for child in children:
        child.send_signal(signal.SIGTERM)
    end_all(children, 0.2)
    assert not any(alive(child.pid) for child in children)
    for child in children:
        child.close()


def test_a_command_ends_with_the_pipe_that_is_its_standard_input() -> None:
    command = ChildCommand([sys.executable, "-c", "import os; os.read(0, 1)"], stdout=subprocess.DEVNULL)
    assert command.exitcode is None
    command.pipe.close()
    command.join(PATIENCE)
    assert command.exitcode == 0
    command.close()


def test_what_cannot_be_sent_to_a_child_leaves_no_pipe_open() -> None:
    before = list(Path("/proc/self/fd").iterdir())
    with pytest.raises((AttributeError, TypeError), match="pickle"):
        ChildProcess(lambda pipe: None, (), "forkserver", "unpicklable")
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)


def test_children_are_never_forked_from_a_process_with_threads() -> None:
    with pytest.raises(ConfigError, match=r"start_method=fork, but .* Try start_method=forkserver"):
        prepare_start("fork", [])


STOPPED_WHILE_STARTING = """
import os, signal, threading, time
from multiprocessing import forkserver
from a3c_exp.system.child_process import ChildProcess, start_fork_server
from a3c_exp.system.signals import StopRequested, StopSignals

with StopSignals():
    start_fork_server(())
    server = forkserver._forkserver._forkserver_pid
    os.kill(server, signal.SIGSTOP)  # so that it is asked for a child, and dies before it has answered
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Timer(0.3, os.kill, (server, signal.SIGKILL)).start()
    try:
        ChildProcess(print, (), "forkserver", "child")
    except StopRequested as stopped:
        print(stopped.code)
"""


def test_a_stop_signal_that_ends_the_fork_server_too_is_no_lack_of_processes() -> None:
    ended = subprocess.run([sys.executable, "-c", STOPPED_WHILE_STARTING], capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("143\n", "")
