"""One run from Python: composed, checked and trained as ``python -m a3c_exp`` does it."""

import ast
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from a3c_exp.api.run_data import Run
from a3c_exp.config.compose import ComposedJob, compose_jobs
from a3c_exp.system.cli import command_line, record_command_line
from a3c_exp.system.errors import ConfigError, explained_disk_errors
from a3c_exp.system.signals import StopSignals, exit_if_stopped
from a3c_exp.training import cli
from a3c_exp.training.callbacks import Callback

_PLAIN_TEXT = re.compile(r"[A-Za-z_][\w./-]*")
_NOT_TEXT = frozenset({"true", "false", "null", "nan", "inf"})
"""Words that Hydra reads as something else."""


def train(*overrides: str, callbacks: Sequence[Callback] = (), **values: Any) -> Run:
    """Train one run in a new directory below ``outputs``, or go on with one (``resume=RUN_DIR``).

    Args:
        overrides: as on the command line: ``"env=cartpole"``, ``"+experiment=zoo/acrobot"``, ``"hydra.run.dir=my/folder"``.
        callbacks: called beside those that the configuration names.
        values: further overrides by key, of Python's own types: ``max_env_steps=50_000``, ``**{"optimizer.lr": 1e-3}``.

    Returns:
        The run, finished.

    Raises:
        ConfigError, RunDirectoryError: before anything was started, with the line that the command prints.
        RunFailed: the run ended early by its own fault.
        KeyboardInterrupt: Ctrl-C stopped it, after a checkpoint was saved; ``train(resume=RUN_DIR)`` goes on.
    """
    texts = [*overrides, *(f"{key}={as_override(value)}" for key, value in values.items())]
    _require_main_thread()
    with _recorded_command(texts), _interruptible(), explained_disk_errors():
        if targets := [text.partition("=")[2] for text in texts if text.startswith("resume=")]:
            directory = Path(targets[-1].strip("'\"")).expanduser()
            _require_guard("resume=")
            cli.resume_run(directory, [text for text in texts if not text.startswith("resume=")], callbacks)
            return Run(directory)
        jobs = compose_jobs(texts, multirun=False)
        if _starts_processes(jobs[0]):
            _require_guard(f"parallelism={jobs[0].hydra.runtime.choices['parallelism']}")
        components = cli.build_components(jobs)
        components = replace(components, callbacks=[*components.callbacks, *callbacks])
        arguments = cli.with_run_directory(texts, jobs, multirun=False)
        directories = [text.partition("=")[2] for text in arguments if text.startswith("hydra.run.dir=")]
        directory = Path(directories[-1].strip("'\""))
        from a3c_exp.training.run import run

        exit_if_stopped()
        run(jobs[0].config, cli.identity_of_job(jobs[0], directory), components=components)
        return Run(directory)


def as_override(value: Any) -> str:
    """A Python value as Hydra's grammar writes it.

    >>> [as_override(value) for value in (50_000, 1e-4, None, True, "cartpole", "it's 7", [1, "a"], {"kind": "none"})]
    ['50000', '0.0001', 'null', 'true', 'cartpole', "'it\\\\'s 7'", '[1,a]', '{kind:none}']
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{as_override(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(as_override, value))}]"
    if isinstance(value, str | os.PathLike):
        text = str(value)
        if _PLAIN_TEXT.fullmatch(text) and text.lower() not in _NOT_TEXT:
            return text
        escaped = re.sub(r"(\\*)'", lambda match: 2 * match[1] + "\\'", text)  # Hydra's rule: only those before a quote
        return f"'{escaped}'"
    if hasattr(value, "item"):  # a number of numpy or torch
        return as_override(value.item())
    if isinstance(value, int | float):
        return repr(value)
    raise ConfigError(
        f"a value of the run is {type(value).__name__} {value!r:.60}, but it is a number, a text, True, False, None, or a list "
        "or dict of these. Try a text with what you would type on the command line"
    )


def _starts_processes(job: ComposedJob) -> bool:
    parallelism = job.config.parallelism
    several = (parallelism.get("processes") or 0) > 1 or parallelism.get("env_processes")
    return bool("start_method" in parallelism or several)


def _require_main_thread() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise ConfigError(
            "a3c_exp.train was called in a thread, where Ctrl-C and other signals cannot be handled. Call it in the main "
            "thread, or start python -m a3c_exp in a process"
        )


def _require_guard(what: str) -> None:
    """A ConfigError where worker processes would run the user's script again, since they import it, and train in turn."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if file is not None and not Path(file).is_file():  # <stdin>
        raise ConfigError(f"the processes of {what} import the script again, and {file} is no file. Write it into one")
    frame = sys._getframe()
    while frame is not None and not (frame.f_code.co_name == "<module>" and frame.f_globals is vars(main)):
        frame = frame.f_back  # type: ignore[assignment]
    if frame is None or file is None or frame.f_code.co_filename != file:
        return  # a notebook, an interactive session
    if not any(frame.f_lineno in lines for lines in _guarded_lines(file)):
        raise ConfigError(
            f"{file}, line {frame.f_lineno}, trains at the top level of a script, which the processes of {what} import "
            'again. Write it under a line: if __name__ == "__main__":'
        )


@cache
def _guarded_lines(file: str) -> list[range]:
    """The lines of a script that only run where it is started, not where it is imported; all, if it cannot be read."""
    try:
        nodes = ast.parse(Path(file).read_text()).body
    except (OSError, ValueError, SyntaxError):
        return [range(1, sys.maxsize)]
    guards = [node for node in nodes if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)]
    return [range(node.lineno, (node.end_lineno or node.lineno) + 1) for node in guards]


@contextmanager
def _recorded_command(texts: Sequence[str]) -> Iterator[None]:
    """run.json has the command that would do the same."""
    before = command_line()
    record_command_line(["python -m a3c_exp", *texts])
    try:
        yield
    finally:
        record_command_line(before)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C, which the run answers by a checkpoint, is Python's own exception outside."""
    try:
        with StopSignals():
            yield
    except SystemExit as error:
        if error.code == 128 + signal.SIGINT:
            raise KeyboardInterrupt from None
        raise
