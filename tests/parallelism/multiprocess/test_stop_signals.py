"""Ctrl-C and SIGTERM end a run in order; a second one ends it at once; afterwards everything is as it was."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from a3c_exp.system.signals import StopSignals

ROOT = Path(__file__).parents[3]

PROGRAM = """
import sys, time
from a3c_exp.system.signals import StopSignals
with StopSignals() as stop:
    print("ready", flush=True)
    while not stop.requested():
        time.sleep(0.01)
    print("noted", stop.name, stop.exit_code, flush=True)
    if "stuck" in sys.argv:
        time.sleep(600)
sys.exit(stop.exit_code)
"""


@contextmanager
def program(*arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """The program once it is ready; it does not outlive a test that fails."""
    started = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with started:
        try:
            assert started.stdout is not None
            assert started.stdout.readline() == "ready\n"
            yield started
        finally:
            started.kill()


@pytest.mark.parametrize(("number", "name", "code"), [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143)])
def test_a_first_signal_is_a_question_not_an_exception(number: signal.Signals, name: str, code: int) -> None:
    with program() as running:
        running.send_signal(number)
        said, _ = running.communicate(timeout=30)
    assert said == f"noted {name} {code}\n"
    assert running.returncode == code


def test_a_second_signal_is_not_ignored() -> None:
    with program("stuck") as running:
        assert running.stdout is not None
        running.send_signal(signal.SIGTERM)
        assert running.stdout.readline() == "noted SIGTERM 143\n"
        running.send_signal(signal.SIGINT)
        running.wait(timeout=30)
    assert running.returncode == 143, "the first signal says why it ended"


def test_handlers_are_not_left_behind() -> None:
    heard: list[int] = []

    def listen(number: int, frame: object) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGTERM, listen)
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyError), StopSignals() as stop:
            assert not stop.requested()
            os.kill(os.getpid(), signal.SIGTERM)
            assert (stop.received, stop.exit_code, stop.name) == (signal.SIGTERM, 143, "SIGTERM")
            assert heard == [], "while entered, nobody else hears it"
            raise KeyError
        assert signal.getsignal(signal.SIGTERM) is listen
        assert signal.getsignal(signal.SIGINT) is interrupt
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
