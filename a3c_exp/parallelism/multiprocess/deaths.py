"""The deaths of a run's processes, and how many of them it survives."""

from itertools import takewhile
from typing import Any

from a3c_exp.parallelism.base import MessageEvent
from a3c_exp.parallelism.multiprocess.supervisor import Death
from a3c_exp.system.errors import WorkerError

_SAME_DEATHS = 3  # with one traceback and no step between them, after which no replacement will do better


class Deaths:
    """What ended processes so far.

    Args:
        allowed: how many deaths a run survives.
    """

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._deaths: list[tuple[Death, int]] = []  # and the run's steps at the time

    def __len__(self) -> int:
        return len(self._deaths)

    def add(self, death: Death, name: str, workers: str, env_steps: int) -> MessageEvent:
        """Say that the process ``name`` is replaced.

        Args:
            workers: those that it hosted, in brackets.
            env_steps: that the run has counted.

        Raises:
            WorkerError: this death is one too many, or the last ones came with the same traceback and no step between them.
        """
        self._deaths.append((death, env_steps))
        deaths, same = len(self), self._same_deaths()
        if deaths > self._allowed:
            raise WorkerError(
                f"{name} {death.cause}; that is death {deaths}, and {self._allowed} are allowed (parallelism.max_restarts). "
                f"Mend what ends it, then go on from the last checkpoint with resume=RUN_DIR{death.details}"
            )
        if same == _SAME_DEATHS:
            raise WorkerError(
                f"{name} {death.cause}; that is death {same} by the same error without a step in between. "
                f"Mend it, then go on with resume=RUN_DIR{death.details}"
            )
        details = "; the same error" if same > 1 else death.details
        return MessageEvent(f"{name}{workers} {death.cause}; replaced, {deaths} of at most {self._allowed} times{details}")

    def _same_deaths(self) -> int:
        """How many of the last deaths are one error, shown by one traceback, that came before the next step."""
        last = self._deaths[-1]
        if not last[0].last_output:
            return 0
        alike = takewhile(lambda past: (past[0].last_output, past[1]) == (last[0].last_output, last[1]), reversed(self._deaths))
        return len(list(alike))

    def summary(self) -> dict[str, Any]:
        """For the run's summary."""
        return {"restarts": len(self), "deaths": [f"process {death.index} {death.cause}" for death, _ in self._deaths]}
