"""All processes of a measured command are seen while they run, and none is left afterwards."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.harness.interleaved import MeasurementError
from benchmarks.harness.process_tree import MeasuredCommand, pss_bytes, run_command

pytestmark = pytest.mark.skipif(not psutil.LINUX, reason="needs PSS")

# A helper in a session of its own, as trackers start them, and a child that ignores SIGTERM.
PARENT = """
import subprocess, sys, time
wait = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
for new_session in (True, False):
    child = subprocess.Popen([sys.executable, "-c", wait], start_new_session=new_session, stdout=subprocess.PIPE)
    child.stdout.readline()
print("ready", flush=True)
time.sleep(60)
"""


def wait_until_ready(command: MeasuredCommand) -> list[psutil.Process]:
    deadline = time.monotonic() + 30
    while "ready" not in command.output.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return command.tree.living()


def test_ctrl_c_leaves_no_helper_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.harness.process_tree.TERMINATE_TIMEOUT", 0.5)
    with pytest.raises(KeyboardInterrupt), run_command([sys.executable, "-c", PARENT], tmp_path / "log") as command:
        processes = wait_until_ready(command)
        raise KeyboardInterrupt
    assert len(processes) == 3
    assert command.tree.living() == []
    assert not [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_a_helper_outside_the_session_is_not_free_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.harness.process_tree.TERMINATE_TIMEOUT", 0.5)
    with run_command([sys.executable, "-c", PARENT], tmp_path / "log") as command:
        processes = wait_until_ready(command)
        total = pss_bytes(processes)
        (main,) = (process for process in processes if process.pid == command.process.pid)
        assert total > pss_bytes([main]) > 1_000_000
    assert pss_bytes(processes) == 0, "processes that have ended"


def test_a_failed_command_is_not_a_fast_one(tmp_path: Path) -> None:
    with (
        pytest.raises(MeasurementError, match="exit code 3: the reason"),
        run_command([sys.executable, "-c", "print('the reason'); raise SystemExit(3)"], tmp_path / "log") as command,
    ):
        command.wait(timeout=30)


def test_a_command_that_the_system_killed_is_reported_with_its_signal(tmp_path: Path) -> None:
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with (
        pytest.raises(MeasurementError, match="killed by SIGKILL, as happens where memory runs out"),
        run_command([sys.executable, "-c", killed], tmp_path / "log") as command,
    ):
        command.wait(timeout=30)


def test_a_hung_command_does_not_hang_the_benchmark(tmp_path: Path) -> None:
    with (
        pytest.raises(MeasurementError, match="longer than"),
        run_command([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log") as command,
    ):
        command.wait(timeout=0.5, interval=0.1)
    assert command.tree.living() == []


def test_a_run_that_leaves_a_process_behind_is_not_a_good_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.harness.process_tree.HELPER_TIMEOUT", 0.3)
    parent = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    with (
        pytest.raises(MeasurementError, match="left 1 processes behind"),
        run_command([sys.executable, "-c", parent], tmp_path / "log") as command,
    ):
        command.wait(timeout=30, interval=0.1)
    assert command.tree.living() == []
