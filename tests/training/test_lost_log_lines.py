"""What a log has lost is said when the run is gone on with, and written down."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.command import record, run
from tests.training.test_two_commands import COMMAND


@pytest.fixture(scope="module")
def ended_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that came to its end, to copy."""
    folder = tmp_path_factory.mktemp("ended")
    ended = run(*COMMAND, "parallelism=deterministic", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.mark.parametrize("fault", ["zeros", "cut", "removed", "none"])
def test_a_resume_says_how_many_lines_the_log_has_lost(fault: str, ended_run: Path, tmp_path: Path) -> None:
    shutil.copytree(ended_run, tmp_path, dirs_exist_ok=True)
    log = tmp_path / "here" / "episodes.jsonl"
    whole = log.read_bytes()
    if fault == "zeros":  # what a power failure leaves
        log.write_bytes(whole[:-1024] + bytes(1024))
    elif fault == "cut":
        log.write_bytes(whole[:-1024])
    elif fault == "removed":
        log.unlink()
    total = len(whole.splitlines())
    left = {"zeros": whole[:-1024].count(b"\n"), "cut": whole[:-1024].count(b"\n"), "removed": 0, "none": total}[fault]
    ended = run("resume=here", "max_env_steps=800", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    said = f"lacks {total - left} of the {total} episodes"
    assert (said in ended.stderr + ended.stdout) == (said in (tmp_path / "here" / "messages.log").read_text()) == (left < total)
    assert record(tmp_path / "here")["sessions"][-1]["missing_episodes"] == total - left
    numbers = [json.loads(line)["episode"] for line in log.read_bytes().splitlines()]
    assert numbers[:left] == list(range(1, left + 1)) and numbers[left] == total + 1
