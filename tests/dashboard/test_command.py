"""``python -m a3c_exp.dashboard``: one line that says where, one for a mistake, one at the end."""

import signal
import time
import urllib.request
from pathlib import Path

import pytest

from a3c_exp.dashboard.__main__ import main
from tests.support.command import start
from tests.support.synthetic_runs import write_run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_it_with_a_line_and_code_0(number: int, tmp_path: Path) -> None:
    write_run(tmp_path / "outputs" / "a", episodes=2)
    with (tmp_path / "said").open("w+") as said:
        process = start("--port", "0", module="a3c_exp.dashboard", cwd=tmp_path, output=said.fileno())
        deadline = time.monotonic() + 120
        while "Ctrl-C" not in (text := (tmp_path / "said").read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        url = text.split()[3]
        assert text.startswith("dashboard of outputs: http://127.0.0.1:")
        assert urllib.request.urlopen(f"{url}/api/runs", timeout=20).status == 200
        process.send_signal(number)
        assert process.wait(30) == 0
    assert (tmp_path / "said").read_text().splitlines()[1:] == ["", "dashboard ended"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: there is no such folder. Name a folder of runs"),
        (["file"], "file: is a file, not a folder. Name a folder of runs"),
        (["empty"], "empty: no runs here or below. Start one first, or name another folder of runs"),
        ([], "outputs: there is no such folder. Name a folder of runs"),
        (["--port", "70000"], "'70000' is no port"),
        (["--hots", "x"], "--help lists the options"),
    ],
)
def test_a_mistake_is_said_in_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("a3c_exp.dashboard: ") and error.count("\n") == 1
