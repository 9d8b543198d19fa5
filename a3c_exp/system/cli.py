"""What all commands share: how arguments are read, how errors are printed, which exit code they give, what was typed."""

import argparse
import io
import os
import re
import resource
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from a3c_exp.system.errors import A3CError, ConfigError, explain_os_error, refused_by_system

_command_line: list[str] = []


@dataclass
class Outcomes:
    """How the jobs of one command end, whether this process runs them or processes that a launcher starts."""

    total: int = 1  # jobs that the command asks for, as far as is known
    num_started: int = 0
    failures: list[str] = field(default_factory=list)  # a line for each job that failed
    reported: list[BaseException] = field(default_factory=list)  # their errors, so that none is printed a second time
    left_running: bool = False  # the jobs go on after the command, which knows nothing of their end

    def add_failure(self, line: str, error: BaseException) -> None:
        self.failures.append(line)
        self.reported.append(error)


outcomes = Outcomes()  # of this process's command


class CommandParser(argparse.ArgumentParser):
    """The parser of ``python -m <program>``, which reports a mistake in one line; the epilog has examples."""

    def __init__(self, program: str, description: str, epilog: str, usage: str | None = None) -> None:
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(f"python -m {program}", usage, description, epilog, formatter_class=layout, allow_abbrev=False)

    def add_trust(self) -> None:
        """The option by which code is trusted that a saved configuration names."""
        help = "import this module although the configuration that names it is not as you saved it (see SECURITY.md)"
        self.add_argument("--trust", action="append", default=[], metavar="MODULE", help=help)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}. {self.prog} --help lists the options")


def whole_number(least: int, example: int) -> Callable[[str], int]:
    """The ``type`` of an option that takes a whole number of at least ``least``."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"it is {text}, but takes a whole number of at least {least}. Try {example}")
        return number

    return parse


_LEAST_ADDRESS_SPACE = 600  # MiB, with which torch's build for CPUs can be imported; with less it may hang instead of failing


def _require_address_space() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit >> 20 < _LEAST_ADDRESS_SPACE:
        raise ConfigError(
            f"the process may use {limit >> 20:,} MiB of address space, and torch alone takes {_LEAST_ADDRESS_SPACE}. "
            "Try ulimit -v unlimited first"
        )


def run_command(program: str, command: Callable[[], int | None]) -> int:
    """Call ``command``; its exit code (0 for ``None``), or that of the error that ended it, with one line on stderr. 2: the
    command was wrong; 1: a run failed; 130: Ctrl-C; 141: the reader of the output, such as ``head``, has closed it."""
    _open_closed_streams()
    sys.argv[1:] = map(expand_home, sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without ± or a true minus shows a question mark
            stream.reconfigure(errors="replace")
    try:
        _require_address_space()
        code = command() or 0
        sys.stdout.flush()
        return code
    except A3CError as error:
        print(f"{program}: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno is None:  # of a library or an environment, which mean something else by it
            raise
        with suppress(OSError):  # of the very disk that is full
            print(f"{program}: {explain_os_error(error)}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    except (RuntimeError, ImportError, MemoryError, SystemError) as error:
        if (refused := refused_by_system(error)) is None:
            raise
        print(f"{program}: {explain_os_error(refused)}", file=sys.stderr, flush=True)
        return 1
    except SystemExit as error:
        *_, (frame, line) = traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] in ("a3c_exp", "argparse", "hydra"):
            raise
        print(
            f"{program}: {frame.f_code.co_filename}, line {line}, called sys.exit({error.code!r}), which would end the "
            "program. Raise an exception instead",
            file=sys.stderr,
        )
        return 1


def expand_home(argument: str) -> str:
    """An argument with the user's home in place of a ``~/`` that shells leave as it is: behind an equals sign, or quoted.

    >>> expand_home("hydra.run.dir=~/try") == f"hydra.run.dir='{Path.home()}/try'"
    True
    """
    match = re.fullmatch(r"([^=]*=)?(['\"]?)~(/.*)", argument, re.DOTALL)
    home = os.path.expanduser("~")  # noqa: PTH111 - Path's own raises for a user without a home
    if match is None or not home.startswith("/"):
        return argument
    key, quote, rest = match.group(1) or "", match.group(2), match.group(3)
    if not key or key.startswith("-") or quote:
        return f"{key}{quote}{home}{rest}"
    return f"{key}'{home}{rest}'"  # quoted for Hydra, whatever characters the folder has


def _open_closed_streams() -> None:
    """Let standard streams that are closed (``2>&-``) lead nowhere, for this process and its children: Python has ``None`` in
    their place, and the next opened file would get their number and all that libraries print."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open("w" if number else "r")  # noqa: SIM115 - for the life of the process
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def record_command_line(argv: Sequence[str]) -> None:
    """Remember what was typed, before directories are added to it for Hydra."""
    _command_line[:] = argv


def command_line() -> list[str]:
    """The program and its arguments as they were typed."""
    return list(_command_line or sys.argv)


def command() -> str:
    """The command line as it was typed, in one string."""
    program, *arguments = command_line()
    name = Path(program).name
    if name == "__main__.py":
        name = "python -m a3c_exp"
    return " ".join([name, *map(shlex.quote, arguments)])


def print_notice(text: str) -> None:
    """Say on stderr what a person should know beside the output."""
    with suppress(OSError):  # its reader is gone, or its disk is full: that is no reason to end
        print(f"a3c_exp: {text}", file=sys.stderr, flush=True)


def print_rows(rows: Sequence[tuple[str, str]]) -> None:
    """Print names with their values, in two columns."""
    for name, value in rows:
        print(f"{name:<14} {value}", flush=True)
