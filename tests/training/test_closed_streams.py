"""A run whose standard streams were closed by who started it trains as any other."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import environment, record


@pytest.mark.parametrize("parallelism", ["synchronous", "hogwild"])
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_a_run_with_closed_streams_finishes(closed: str, parallelism: str, tmp_path: Path) -> None:
    command = f"{sys.executable} -m a3c_exp env=cartpole logger=none parallelism={parallelism} hydra.run.dir=run"
    shell = ["sh", "-c", f"{command} max_updates=5 evaluation.episodes=1 {closed}"]
    ended = subprocess.run(shell, cwd=tmp_path, env=environment(), timeout=120)
    assert ended.returncode == 0
    assert record(tmp_path / "run")["status"] == "finished"


def test_a_mistake_with_closed_streams_still_gives_its_exit_code(tmp_path: Path) -> None:
    shell = ["sh", "-c", f"{sys.executable} -m a3c_exp gama=0.9 <&- >&- 2>&-"]
    assert subprocess.run(shell, cwd=tmp_path, env=environment(), timeout=120).returncode == 2
    assert list(tmp_path.iterdir()) == []
