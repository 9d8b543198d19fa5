"""Every command ends with one line and a documented exit code, never with a traceback."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from a3c_exp.system.cli import CommandParser, run_command
from a3c_exp.system.errors import ConfigError, RunFailed
from tests.support.pushing import PATIENCE


@pytest.mark.parametrize(("error", "code"), [(ConfigError("no"), 2), (RunFailed("no"), 1), (KeyboardInterrupt(), 130)])
def test_an_error_becomes_one_line_and_an_exit_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> int:
        raise error

    assert run_command("a3c_exp.report", command) == code
    assert capsys.readouterr().err == ("" if code == 130 else "a3c_exp.report: no\n")


def test_what_the_system_refuses_becomes_one_line_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    def open_too_many() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            Path("/dev/null").read_bytes()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert run_command("a3c_exp", open_too_many) == 1
    assert capsys.readouterr().err == "a3c_exp: /dev/null: Too many open files. Allow more open files (ulimit -n 1024)\n"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (RuntimeError("can't start new thread"), "Allow more processes (ulimit -u)"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "Allow more memory (ulimit -v unlimited)"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "Allow more memory (ulimit -v unlimited)"),
        (RuntimeError("std::bad_alloc"), "Allow more memory (ulimit -v unlimited)"),
        (MemoryError("Unable to allocate 8.00 GiB"), "Allow more memory (ulimit -v unlimited)"),
    ],
)
def test_what_python_says_in_its_own_words_is_explained_too(
    error: Exception, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> int:
        raise error

    assert run_command("a3c_exp", command) == 1
    assert f"a3c_exp: {error}. {remedy}" in capsys.readouterr().err


def test_an_error_that_c_code_forgot_to_set_is_of_memory_only_where_that_is_limited(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        raise SystemError("error return without exception set")

    with pytest.raises(SystemError):
        run_command("a3c_exp", command)
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 45, before[1]))  # which limits nothing
    try:
        assert run_command("a3c_exp", command) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert "without exception set. Allow more memory (ulimit -v unlimited)" in capsys.readouterr().err


def test_too_little_memory_for_torch_is_said_before_it_is_imported() -> None:
    """With somewhat less than its import needs torch hangs in it."""
    command = f"ulimit -v {500 << 10}; exec {sys.executable} -m a3c_exp.runs --help"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 2
    assert ended.stderr == (
        "a3c_exp.runs: the process may use 500 MiB of address space, and torch alone takes 600. Try ulimit -v unlimited first\n"
    )


def test_code_of_others_that_calls_exit_does_not_pass_for_the_end_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """A script without a guard that is imported for its environment, a simulator that has a command of its own."""
    assert run_command("a3c_exp.evaluate", lambda: sys.exit(0)) == 1
    assert "called sys.exit(0)" in capsys.readouterr().err
    parser = CommandParser("a3c_exp.evaluate", "", "")
    with pytest.raises(SystemExit, match="0"):
        run_command("a3c_exp.evaluate", lambda: parser.parse_args(["--help"]) and None)


def test_a_mistyped_option_is_answered_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    parser = CommandParser("a3c_exp.report", "", "")
    assert run_command("a3c_exp.report", lambda: parser.parse_args(["--wrong"]) and None) == 2
    assert capsys.readouterr().err == (
        "a3c_exp.report: unrecognized arguments: --wrong. python -m a3c_exp.report --help lists the options\n"
    )
