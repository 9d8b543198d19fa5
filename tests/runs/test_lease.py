"""One process trains in a directory, on any machine: who lives keeps it, who is dead loses it, who lost it writes no more."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from a3c_exp.loggers.jsonl import _LineWriter
from a3c_exp.runs.lease import LEASE, LEASE_SECONDS, Holder, Lease, locked
from a3c_exp.runs.record import RunRecord
from a3c_exp.runs.status import run_status
from a3c_exp.system.errors import LeaseLost, RunDirectoryError
from a3c_exp.training.checkpoint import Checkpoints

ELSEWHERE = replace(Holder.this_process(), host="node7", machine="node7 another boot", pid=4242)


def held_elsewhere(directory: Path, seconds_ago: float) -> None:
    (directory / LEASE).write_text(replace(ELSEWHERE, token=str(seconds_ago)).to_text())
    os.utime(directory / LEASE, (time.time() - seconds_ago,) * 2)


def test_a_run_that_lives_on_another_machine_is_left_alone(tmp_path: Path) -> None:
    held_elsewhere(tmp_path, 20.0)
    with pytest.raises(RunDirectoryError, match=r"still running as process 4242 on node7 \(20 s ago"), locked([tmp_path]):
        pass
    assert Holder.read(tmp_path) == replace(ELSEWHERE, token="20.0")
    assert [path.name for path in tmp_path.iterdir() if path.name != ".lock"] == [LEASE]


def test_a_dead_one_is_taken_over_by_the_clock_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)  # that of the machine is wrong
    (tmp_path / LEASE).write_text(ELSEWHERE.to_text())
    os.utime(tmp_path / LEASE, ns=(((tmp_path / LEASE).stat().st_mtime_ns - int((LEASE_SECONDS + 5) * 1e9)),) * 2)
    with locked([tmp_path]):
        holder = Holder.read(tmp_path)
        assert holder is not None and holder.pid == os.getpid()
    assert not (tmp_path / LEASE).exists(), "it is given back"


@pytest.mark.parametrize("content", ["", "4242\n", "half of what w"])
def test_a_damaged_lease_keeps_nobody_out(content: str, tmp_path: Path) -> None:
    (tmp_path / LEASE).write_text(content)
    with locked([tmp_path]):
        assert Holder.read(tmp_path) is not None


def test_of_a_process_of_this_machine_it_is_known_at_once_that_it_is_dead(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    (tmp_path / LEASE).write_text(replace(Holder.this_process(), pid=child, started=None).to_text())
    with locked([tmp_path]):
        pass
    (tmp_path / LEASE).write_text(replace(Holder.this_process(), pid=os.getppid(), started=None).to_text())
    with pytest.raises(RunDirectoryError, match=f"still running as process {os.getppid()};"), locked([tmp_path]):
        pass


def test_who_lost_its_lease_writes_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked([tmp_path]):
        record = RunRecord.create(tmp_path, name="run")
        lines, checkpoints = _LineWriter(tmp_path / "episodes.jsonl"), Checkpoints(tmp_path / "checkpoints", keep_last=1)
        held_elsewhere(tmp_path, 0.0)
        lines.append(b"{}\n")  # it was seen to be one's own just now, and can be nobody else's yet
        later = time.time() + LEASE_SECONDS
        monkeypatch.setattr("time.time", lambda: later)  # this process has stood still
        before = (tmp_path / "run.json").read_bytes()
        for write in (
            lambda: record.close("finished", None),
            lambda: lines.append(b"{}\n"),
            lambda: checkpoints._write(tmp_path / "checkpoints" / "step_1.pt", {}),
        ):
            with pytest.raises(LeaseLost, match=r"process 4242 on node7 has gone on with .* It stops"):
                write()
        assert (tmp_path / "run.json").read_bytes() == before and not (tmp_path / "checkpoints").exists()
    assert Holder.read(tmp_path) == replace(ELSEWHERE, token="0.0"), "it is the other's"


def test_a_lease_that_was_removed_by_hand_is_written_again(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    (tmp_path / LEASE).unlink()
    lease.confirm(within=0.0)
    assert (tmp_path / LEASE).exists()
    held_elsewhere(tmp_path, 0.0)
    for within in (0.0, 60.0):  # the thread finds it first, and the next write too
        with pytest.raises(LeaseLost):
            lease.confirm(within)


def test_a_list_says_of_a_run_elsewhere_that_it_was_killed_once_it_is_silent(tmp_path: Path) -> None:
    content = {"status": "running", "host": "node7", "pid": 4242, "format": 2}
    (tmp_path / "run.json").write_text("{}")
    for seconds_ago, status in ((30.0, "running"), (20 * LEASE_SECONDS, "killed")):
        held_elsewhere(tmp_path, seconds_ago)
        assert run_status(tmp_path, content, []) == status
