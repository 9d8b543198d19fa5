"""A run whose standard streams were closed by who started it trains as any other."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import environment, record


@pytest.mark.parametrize(
    ("closed", "parallelism"),
    [("2>&-", "hogwild"), (">&-", "hogwild"), ("<&- >&- 2>&-", "hogwild"), ("<&- >&- 2>&-", "synchronous")],
)  # each stream by itself where processes inherit what took its number; without processes, all of them are missing at once
def test_a_run_with_closed_streams_finishes(closed: str, parallelism: str, tmp_path: Path) -> None:
    command = f"{sys.executable} -m a3c_exp env=cartpole logger=none parallelism={parallelism} hydra.run.dir=run"
    shell = ["sh", "-c", f"{command} max_updates=5 evaluation.episodes=1 {closed}"]
    ended = subprocess.run(shell, cwd=tmp_path, env=environment(), timeout=120)
    assert ended.returncode == 0
    assert record(tmp_path / "run")["status"] == "finished"


def test_a_sweep_whose_output_has_no_room_ends_with_0(tmp_path: Path) -> None:
    quick = "logger=none max_updates=5 evaluation.episodes=1 parallelism=synchronous"
    command = f"{sys.executable} -m a3c_exp env=cartpole {quick} hydra.sweep.dir=sweep seed=1,2 -m > /dev/full 2> /dev/full"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment(), timeout=200).returncode == 0
    assert [record(run.parent)["status"] for run in tmp_path.glob("sweep/*/run.json")] == ["finished"] * 2


def test_a_folder_that_is_gone_is_said_in_one_line(tmp_path: Path) -> None:
    shell = ["sh", "-c", f"mkdir gone && cd gone && rmdir ../gone; {sys.executable} -m a3c_exp env=cartpole"]
    ended = subprocess.run(shell, cwd=tmp_path, env=environment(), timeout=120, capture_output=True, text=True)
    assert ended.returncode == 1 and ended.stderr.count("\n") == 1
    assert "Is the folder that this was started in still there?" in ended.stderr


def test_a_mistake_with_closed_streams_still_gives_its_exit_code(tmp_path: Path) -> None:
    shell = ["sh", "-c", f"{sys.executable} -m a3c_exp gama=0.9 <&- >&- 2>&-"]
    assert subprocess.run(shell, cwd=tmp_path, env=environment(), timeout=120).returncode == 2
    assert list(tmp_path.iterdir()) == []
