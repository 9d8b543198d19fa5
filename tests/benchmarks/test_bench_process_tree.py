"""A measured command is gone afterwards, whole, and is seen whole while it lives."""

import sys
import time
from pathlib import Path

import pytest

from benchmarks.harness.interleaved import MeasurementError
from benchmarks.harness.process_tree import PROC, MeasuredCommand, pss_bytes, run_command

pytestmark = pytest.mark.skipif(not (PROC / "self" / "smaps_rollup").exists(), reason="walks /proc")

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


def until_ready(job: MeasuredCommand) -> list[int]:
    deadline = time.monotonic() + 30
    while "ready" not in job.output.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return job.tree.living_pids()


def test_ctrl_c_leaves_no_helper_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.harness.process_tree.POLITE", 0.5)
    with pytest.raises(KeyboardInterrupt), run_command([sys.executable, "-c", PARENT], tmp_path / "log") as job:
        pids = until_ready(job)
        raise KeyboardInterrupt
    assert len(pids) == 3
    assert job.tree.living_pids() == []
    assert not [pid for pid in pids if (PROC / str(pid)).exists() and "Z" not in (PROC / str(pid) / "stat").read_text()]


def test_a_helper_outside_the_session_is_not_free_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.harness.process_tree.POLITE", 0.5)
    with run_command([sys.executable, "-c", PARENT], tmp_path / "log") as job:
        pids = until_ready(job)
        together = pss_bytes(pids)
        assert together > pss_bytes([job.process.pid]) > 1_000_000
        assert pss_bytes([*pids, 2**22 + 1]) == pytest.approx(together, rel=0.5)  # a process that has just gone


def test_a_failed_command_is_not_a_fast_one(tmp_path: Path) -> None:
    with (
        pytest.raises(MeasurementError, match="exit code 3: the reason"),
        run_command([sys.executable, "-c", "print('the reason'); raise SystemExit(3)"], tmp_path / "log") as job,
    ):
        job.wait(timeout=30)


def test_a_command_that_the_system_killed_is_not_a_riddle(tmp_path: Path) -> None:
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with (
        pytest.raises(MeasurementError, match="killed by SIGKILL, as happens where memory runs out"),
        run_command([sys.executable, "-c", killed], tmp_path / "log") as job,
    ):
        job.wait(timeout=30)


def test_a_hung_command_does_not_hang_the_benchmark(tmp_path: Path) -> None:
    with (
        pytest.raises(MeasurementError, match="longer than"),
        run_command([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log") as job,
    ):
        job.wait(timeout=0.5, interval=0.1)
    assert job.tree.living_pids() == []


def test_a_run_that_leaves_a_process_behind_is_not_a_good_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.harness.process_tree.LINGER", 0.3)
    orphan = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    with (
        pytest.raises(MeasurementError, match="left 1 processes behind"),
        run_command([sys.executable, "-c", orphan], tmp_path / "log") as job,
    ):
        job.wait(timeout=30, interval=0.1)
    assert job.tree.living_pids() == []
