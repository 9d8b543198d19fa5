"""Ctrl-C and SIGTERM end a run in order; a second one ends it at once; afterwards everything is as it was."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from a3c_exp.system.signals import StopSignals
from tests.support.command import QUICK, ROOT, record, session_members, start, start_anew
from tests.support.driving import alive
from tests.support.forked_commands import ForkedCommand

PROGRAM = """
import sys, time
from a3c_exp.system.signals import StopSignals, scratch_folders
scratch_folders.update(sys.argv[2:])
if "stuck" in sys.argv:
    import multiprocessing
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    child.start()
with StopSignals() as stop:
    print("ready", flush=True)
    while not stop.requested():
        time.sleep(0.01)
    print("noted", stop.name, stop.exit_code, flush=True)
    if "stuck" in sys.argv:
        print(child.pid, flush=True)
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


@pytest.mark.parametrize(("number", "name", "code"), [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGUSR2, "SIGUSR2", 140)])
def test_a_first_signal_is_a_question_not_an_exception(number: signal.Signals, name: str, code: int) -> None:
    with program() as running:
        running.send_signal(number)
        said, _ = running.communicate(timeout=30)
    assert said == f"noted {name} {code}\n"
    assert running.returncode == code


def test_a_second_signal_is_not_ignored(tmp_path: Path) -> None:
    """Nor does it leave behind children in a step that does not end, or what is half-done, such as a compiled library."""
    scratch = tmp_path / "building_it"
    scratch.mkdir()
    with program("stuck", str(scratch)) as running:
        assert running.stdout is not None
        running.send_signal(signal.SIGTERM)
        assert running.stdout.readline() == "noted SIGTERM 143\n"
        child = int(running.stdout.readline())
        assert alive(child)
        running.send_signal(signal.SIGINT)
        running.wait(timeout=30)
    assert running.returncode == 143, "the first signal says why it ended"
    assert not scratch.exists()
    deadline = time.monotonic() + 30
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(child)


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


def test_a_batch_system_that_asks_twice_does_not_cost_the_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm's SIGTERM reaches all processes of a job, the script among them, which passes it on."""
    monkeypatch.setattr(StopSignals, "patient", True)
    with StopSignals() as stop:
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert stop.name == "SIGUSR1"


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files; its name is short, for sockets lie there."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def wait_for(path: Path, process: "subprocess.Popen[str] | ForkedCommand", count: int = 1) -> None:
    """Until a file is there, or ``count`` of them in a folder."""
    deadline = time.monotonic() + 90
    while not path.exists() or (path.is_dir() and len(list(path.iterdir())) < count):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("held_import", "number", "code"),
    [
        ("a3c_exp.system.lazy", signal.SIGINT, 130),
        ("hydra", signal.SIGHUP, 129),
        ("torch", signal.SIGINT, 130),
        ("torch", signal.SIGTERM, 143),
    ],
)
def test_a_signal_to_the_group_during_start_up_ends_it_without_a_word_or_a_trace(
    held_import: str, number: signal.Signals, code: int, temporary: Path, tmp_path: Path
) -> None:
    """An exception within an import may be swallowed there, or become another one; the fork server imports for itself."""
    gate, here = tmp_path / "gate", tmp_path / "here"
    for folder in (gate, here):
        folder.mkdir()
    path = os.pathsep.join([str(ROOT / "tests" / "support" / "startup"), str(ROOT)])
    variables = {"PYTHONPATH": path, "HOLD_IMPORT": held_import, "HOLD": str(gate), "TMPDIR": str(temporary)}
    process = start_anew(*QUICK, "max_env_steps=500", "parallelism=hogwild", cwd=here, **variables)
    try:
        wait_for(gate, process, count=2 if held_import == "torch" else 1)  # the main process and the fork server
        os.killpg(process.pid, number)
    finally:
        gate.rename(tmp_path / "open")
        _, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (code, "")
    deadline = time.monotonic() + 30
    while session_members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert session_members(process.pid) == [] and list(temporary.iterdir()) == list(here.iterdir()) == []


@pytest.mark.parametrize("parallelism", ["deterministic", "hogwild"])
def test_compiling_is_not_waited_for(parallelism: str, temporary: Path, tmp_path: Path) -> None:
    cache, started = tmp_path / "cache", tmp_path / "started"
    variables = {"XDG_CACHE_HOME": str(cache), "TMPDIR": str(temporary), "STARTED": str(started)}
    process = start(
        *QUICK, f"parallelism={parallelism}", "compile=true", "env.backend=tensor", "hydra.run.dir=here", cwd=tmp_path,
        CXX=str(ROOT / "tests" / "support" / "slow_compiler.sh"), **variables,
    )  # fmt: skip
    wait_for(started, process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 143 and "Traceback" not in err, err
    assert record(tmp_path / "here")["status"] == "interrupted"
    assert (tmp_path / "here" / "checkpoints" / "step_0.pt").is_file(), "there is something to go on from"
    assert list(temporary.iterdir()) == [] and list(cache.rglob("building_*")) == []
