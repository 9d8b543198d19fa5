"""Every command ends with one line and a documented exit code, never with a traceback."""

import pytest

from a3c_exp.system.cli import CommandParser, run_command
from a3c_exp.system.errors import ConfigError, RunFailed


@pytest.mark.parametrize(("error", "code"), [(ConfigError("no"), 2), (RunFailed("no"), 1), (KeyboardInterrupt(), 130)])
def test_an_error_becomes_one_line_and_an_exit_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> int:
        raise error

    assert run_command("a3c_exp.report", command) == code
    assert capsys.readouterr().err == ("" if code == 130 else "a3c_exp.report: no\n")


def test_a_mistyped_option_is_answered_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    parser = CommandParser("a3c_exp.report", "", "")
    assert run_command("a3c_exp.report", lambda: parser.parse_args(["--wrong"]) and None) == 2
    assert capsys.readouterr().err == (
        "a3c_exp.report: unrecognized arguments: --wrong. python -m a3c_exp.report --help lists the options\n"
    )
