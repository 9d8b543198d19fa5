"""A run whose standard streams were closed by who started it trains as any other."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import environment, record, start

QUICK = ("env=cartpole", "logger=none", "max_updates=5", "evaluation.episodes=1")


@pytest.mark.parametrize(
    ("closed", "parallelism"), [([2], "hogwild"), ([1], "hogwild"), ([0, 1, 2], "synchronous")]
)  # each stream by itself where processes inherit what took its number; without processes, all of them are missing at once
def test_a_run_with_closed_streams_finishes(closed: list[int], parallelism: str, tmp_path: Path) -> None:
    process = start(*QUICK, f"parallelism={parallelism}", "hydra.run.dir=run", cwd=tmp_path, closed=closed)
    assert process.wait(timeout=120) == 0
    assert record(tmp_path / "run")["status"] == "finished"


def test_a_run_that_python_starts_with_closed_streams_finishes(tmp_path: Path) -> None:
    command = f"{sys.executable} -m a3c_exp {' '.join(QUICK)} parallelism=hogwild hydra.run.dir=run <&- >&- 2>&-"
    ended = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment(), timeout=120)
    assert ended.returncode == 0
    assert record(tmp_path / "run")["status"] == "finished"


def test_a_sweep_whose_output_has_no_room_ends_with_0(tmp_path: Path) -> None:
    quick = f"{' '.join(QUICK)} parallelism=synchronous"
    command = f"{sys.executable} -m a3c_exp {quick} hydra.sweep.dir=sweep seed=1,2 -m > /dev/full 2> /dev/full"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment(), timeout=200).returncode == 0
    assert [record(run.parent)["status"] for run in tmp_path.glob("sweep/*/run.json")] == ["finished"] * 2


def test_a_folder_that_is_gone_is_said_in_one_line(tmp_path: Path) -> None:
    shell = ["sh", "-c", f"mkdir gone && cd gone && rmdir ../gone; {sys.executable} -m a3c_exp env=cartpole"]
    ended = subprocess.run(shell, cwd=tmp_path, env=environment(), timeout=120, capture_output=True, text=True)
    assert ended.returncode == 1 and ended.stderr.count("\n") == 1
    assert "Is the folder that this was started in still there?" in ended.stderr


def test_a_mistake_with_closed_streams_still_gives_its_exit_code(tmp_path: Path) -> None:
    assert start("gama=0.9", cwd=tmp_path, closed=[0, 1, 2]).wait(timeout=120) == 2
    assert list(tmp_path.iterdir()) == []
