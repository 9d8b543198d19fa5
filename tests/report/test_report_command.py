"""``python -m a3c_exp.report``: mistakes in one line, and what it imports and overwrites."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from a3c_exp.report.__main__ import main
from tests.support.synthetic_runs import write_run


def test_nothing_that_is_not_a_report_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", episodes=4)
    for name in ("index.html", "runs.csv", "figures", "tables"):
        out = tmp_path / name.replace(".", "_")
        out.mkdir()
        (out / name).write_text("precious")
        assert main([str(run), "--out", str(out)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "--out DIR" in error
        assert [path.name for path in out.iterdir()] == [name]
        assert (out / name).read_text() == "precious"


def test_a_typing_mistake_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    for path, what in ((tmp_path / "typo", "no such directory"), (tmp_path / "empty", "no runs found")):
        assert main([str(path)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert what in captured.err
        assert "Name a run directory: a folder with a run.json" in captured.err


@pytest.mark.usefixtures("few_figures")
def test_the_command_says_where_the_report_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", episodes=4, evaluations=0, overrides=["note=$x \x1b[31m{y}", "seed=0"])
    assert main([str(run), "--no-png"]) == 0
    out = capsys.readouterr().out
    assert f"report: {run / 'report' / 'index.html'}" in out
    assert "1 finished" in out
    assert "\x1b" not in out
    assert re.search(r"  -\d", out)  # a true minus sign would be a question mark on some terminals
    assert "note=$x" in (run / "report" / "index.html").read_text()
    assert main([str(run), "--no-png"]) == 0  # its own report it replaces
    monkeypatch.chdir(tmp_path)
    other = write_run(tmp_path / "other", episodes=4, status="running", pid=os.getpid())
    assert main([str(run), str(other), "--no-png"]) == 0
    assert (tmp_path / "report" / "index.html").is_file()


def test_reading_and_reporting_import_neither_torch_nor_matplotlib_beforehand() -> None:
    code = "import a3c_exp.report.builder, sys; sys.exit(len({'torch', 'matplotlib', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
