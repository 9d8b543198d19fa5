"""The errors that a user can fix. Each message says what was got, what is allowed and what to type instead."""

import difflib
import errno
import os
import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or what kind it is where it has no text, to go behind a colon."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


_ELSEWHERE = ". Choose a directory that you may write to (hydra.run.dir=..., with -m hydra.sweep.dir=...)"
_REMEDIES = {
    errno.ENOSPC: ". Free some space, or choose a directory on another disk",
    errno.EDQUOT: ". Free some space, or choose a directory on another disk",
    errno.EFBIG: ". Allow larger files (ulimit -f unlimited)",
    errno.EMFILE: ". Allow more open files (ulimit -n 1024)",
    errno.EAGAIN: ". Allow more processes (ulimit -u), or ask for fewer (parallelism=deterministic)",
    errno.ENOMEM: ". Allow more memory (ulimit -v unlimited)",
    errno.EACCES: _ELSEWHERE,
    errno.EROFS: _ELSEWHERE,
}
"""What to do, by the number of an error of the operating system."""


def explain_os_error(error: OSError, path: object = None) -> str:
    """An error of the operating system in one line, with what to do; about ``path``, or the file that it names."""
    where = f"{path or error.filename}: " if path or error.filename else ""
    gone = error.errno == errno.ENOENT and not where
    remedy = ". Is the folder that this was started in still there?" if gone else _REMEDIES.get(error.errno or 0, "")
    return f"{where}{error.strerror or first_line(error)}{remedy}"


_OUT_OF_MEMORY = {ImportError: "failed to map", RuntimeError: "can't allocate memory", Exception: "std::bad_alloc"}
"""What the dynamic loader, torch's allocator and C++ say where they got no memory, by the class that Python gives it."""


def refused_by_system(error: BaseException) -> OSError | None:
    """The error of the operating system that Python and libraries say otherwise, where they got no thread or no memory.
    ``None`` for all other errors."""
    text = str(error)
    if isinstance(error, RuntimeError) and text == "can't start new thread":
        return OSError(errno.EAGAIN, text)
    if isinstance(error, MemoryError):
        return OSError(errno.ENOMEM, first_line(error) if text else os.strerror(errno.ENOMEM))
    limited = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
    if limited and isinstance(error, SystemError):  # of C code that got no memory and did not say so; without a limit, a bug
        return OSError(errno.ENOMEM, first_line(error))
    for kind, said in _OUT_OF_MEMORY.items():
        if isinstance(error, kind) and said in text:  # numpy's has a page of advice around it
            return OSError(errno.ENOMEM, next(line.strip() for line in text.splitlines() if said in line))
    return None


def closest_match(word: str, choices: Iterable[str]) -> str | None:
    """The choice that ``word`` was most likely meant to be, in any case; ``None`` if none is close.

    >>> closest_match("Worker", ["workers", "gamma"])
    'workers'
    """
    by_lower_case = {choice.lower(): choice for choice in choices}
    matches = difflib.get_close_matches(word.lower(), list(by_lower_case), n=1, cutoff=0.6)
    return by_lower_case[matches[0]] if matches else None


@contextmanager
def explained_disk_errors(directory: object = None) -> Iterator[None]:
    """Where directories are made and a run is recorded: a RunDirectoryError says which one the disk refuses, and what to do."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or directory
        if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG, errno.EPERM) and error.filename:
            raise RunDirectoryError(f"{explain_os_error(error)}{_ELSEWHERE}") from None
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS):
            raise RunDirectoryError(explain_os_error(error)) from None
        raise


class A3CError(Exception):
    """Base of every error that is shown as one clear message and never as a traceback; it ends a command with ``exit_code``."""

    exit_code = 2


class ConfigError(A3CError, ValueError):
    """The configuration cannot be run. Raised before a process starts or a directory is made."""


class RunDirectoryError(A3CError):
    """A run directory or a checkpoint is missing, in use, damaged or not what it should be."""


class StillRunning(RunDirectoryError):  # noqa: N818 - it names what happens to the run
    """Another process, which lives, trains in this directory."""


class SlurmError(A3CError):
    """One of Slurm's commands failed, or there is none. What was submitted goes on by itself."""

    exit_code = 1


class HubError(A3CError):
    """The Hugging Face hub was not reached, or refused what was asked. A repository has all of an upload, or nothing of it."""

    exit_code = 1


class WorkerError(A3CError):
    """A worker process died or stopped responding more often than the configuration allows."""


class NonFiniteError(A3CError):
    """A loss or a gradient was NaN or infinite. Names the worker, its window and the term."""


class EnvInterfaceError(A3CError):
    """An environment returned what gymnasium's interface or its own spaces do not allow. It would do so again: no retry.

    It is the one at ``index`` of its batch; the ``episode`` is in words; the ``step`` counts from 1, ``None`` in ``reset``.
    """

    exit_code = 1

    def __init__(self, problem: str, index: int = 0, episode: str = "", step: int | None = None) -> None:
        super().__init__(problem, index, episode, step)  # all of them, so that it can be pickled
        self.problem, self.index, self.episode, self.step = problem, index, episode, step

    def __str__(self) -> str:
        where = [self.episode] if self.episode else []
        if self.step is not None:
            where.append(f"step {self.step}")
        return f"{', '.join(where)}: {self.problem}" if where else self.problem


class LockTimeoutError(A3CError):
    """A shared lock could not be acquired within its timeout. Names the process that holds it."""


class LeaseLost(A3CError):  # noqa: N818 - it names what happened to the run
    """Another process has gone on with the run, since this one seemed dead; it must not write there any more."""

    exit_code = 1


class RunFailed(A3CError):  # noqa: N818 - it names what happened to the run
    """A run ended early by its own fault; its directory says why, and so does this."""

    exit_code = 1


class RunLost(RunFailed):
    """A run was lost with the machine that it was on, by no fault of its own."""
