"""What a command does where its directory already holds a run: refuse, or go on with it.

It is a matter of the command, not of the run, so it stands in no configuration: it reaches the processes of a sweep's jobs, on
whatever machine a launcher starts them, in an environment variable.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from a3c_exp.system.errors import ConfigError, closest_match

RUNS_ELSEWHERE = 75
"""Exit code of ``resume=<sweep> job=N`` where another process trains that run: try again later (EX_TEMPFAIL of sysexits.h)."""

VARIABLE = "A3C_EXISTING_RUNS"
"""Environment variable of a command that goes on with runs, and of its jobs."""

COMMAND_KEYS = {
    "resume": ("", "a directory", "go on with this run, with all that is left of this sweep, or with this study"),
    "on_existing": (
        "refuse",
        "`refuse`, `resume`",
        "where the named directory holds a run or a sweep: refuse, or go on with it",
    ),
    "retry_failed": ("false", "true or false", "go on with runs that failed too, where a sweep is gone on with"),
    "job": (
        "",
        "a whole number",
        "go on with this run of the sweep alone, by its number, as a task of a batch system's array does",
    ),
    "trust": ("", "modules", "import them although a saved configuration that names them is not as you saved it (SECURITY.md)"),
}
"""Keys of the command, which stand in no configuration: default, allowed values, meaning."""
_POLICIES = {"refuse": False, "resume": True}
_FLAGS = {"false": False, "true": True}


@dataclass(frozen=True)
class ExistingRuns:
    """What is done with a run that is there already."""

    resume: bool = False  # go on with it; else refuse to start
    retry_failed: bool = False  # of a sweep: go on with runs that failed too
    trusted: tuple[str, ...] = ()  # modules that saved configurations may name, as ``trust=`` says
    job: int | None = None  # of a sweep: the number of the only run that is meant

    @classmethod
    def from_overrides(cls, overrides: Sequence[str]) -> tuple["ExistingRuns", list[str]]:
        """What a command says by ``on_existing=``, ``retry_failed=``, ``job=`` and ``trust=``, and its other overrides. Raises
        ConfigError for values that there are not."""
        known = COMMAND_KEYS.keys() - {"resume"}
        typed = [text.partition("=") for text in overrides]
        said = {key: value.strip("'\"") for key, _, value in typed if key in known}
        resume = _choice("on_existing", said.get("on_existing", "refuse"), _POLICIES)
        retry = _choice("retry_failed", said.get("retry_failed", "false").lower(), _FLAGS)
        trusted = tuple(value for key, _, value in typed if key == "trust")
        if not (job := said.get("job", "0")).isdecimal():
            raise ConfigError(f"job is {job!r}, but it is the number of a run in a sweep, from 0. Try job=0")
        number = int(job) if "job" in said else None
        return cls(resume, retry, trusted, number), [text for text in overrides if text.partition("=")[0] not in known]

    @classmethod
    def of_this_process(cls) -> "ExistingRuns":
        """What the command said that this process belongs to."""
        content = json.loads(os.environ.get(VARIABLE, "{}"))
        return cls(**{**content, "trusted": tuple(content.get("trusted", ()))})

    def hand_on(self) -> None:
        """Say it to this process and to all that it starts from now on."""
        os.environ.pop(VARIABLE, None)
        if self.resume:
            os.environ[VARIABLE] = json.dumps(asdict(self))

    def leaves_alone(self, status: str | None) -> bool:
        """Whether nothing is left to do for a run of a sweep that says this of itself (``None``: it has not begun)."""
        return status in ("finished", "pruned") or (status == "failed" and not self.retry_failed)


def _choice(key: str, typed: str, choices: dict[str, bool]) -> bool:
    if typed not in choices:
        guess = closest_match(typed, choices) or list(choices)[-1]
        raise ConfigError(f"{key} is {typed!r}, but it is one of {', '.join(choices)}. Try {key}={guess}")
    return choices[typed]
