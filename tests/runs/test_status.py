"""What an older version wrote is never misread: it is refused in one line that names the commit that reads it."""

import json
from pathlib import Path

import pytest

from a3c_exp.evaluate.__main__ import main as evaluate
from a3c_exp.runs.__main__ import main as runs
from a3c_exp.runs.record import load
from a3c_exp.runs.run_summary import RunSummary
from a3c_exp.runs.status import FORMAT, format_problem
from a3c_exp.system.errors import RunDirectoryError
from a3c_exp.training.resume import resumed_config
from tests.support.synthetic_runs import write_run


def older(folder: Path) -> Path:
    """A run directory of format 1."""
    run = write_run(folder / "run", episodes=3)
    content = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**content, "format": 1}))
    return run


def test_an_older_run_is_neither_resumed_nor_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = older(tmp_path)
    for read in (load, lambda directory: resumed_config(directory, ["max_episodes=9"])):
        with pytest.raises(RunDirectoryError, match=r"older a3c_exp.* Commit f51536f does") as caught:
            read(run)
        assert "\n" not in str(caught.value)
    assert evaluate([str(run)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "git checkout f51536f" in message


def test_a_list_shows_an_older_run_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = older(tmp_path)
    write_run(tmp_path / "new", episodes=3)
    assert runs([str(tmp_path)]) == 0
    assert {"run", "new"} <= set(capsys.readouterr().out.replace("/", " ").split())
    summary = RunSummary(run)
    assert summary.status == "finished"
    assert any("older a3c_exp" in problem for problem in summary.problems)


@pytest.mark.parametrize("content", [{"format": 1}, {}, {"format": "x"}, {"format": FORMAT + 1}])
def test_only_the_current_format_is_read(content: dict[str, object]) -> None:
    assert format_problem(content) is not None
    assert format_problem({"format": FORMAT}) is None
