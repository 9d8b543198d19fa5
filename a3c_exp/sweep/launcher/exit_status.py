"""How the jobs of one command end, whether this process runs them or processes that a launcher starts."""

from dataclasses import dataclass, field


@dataclass
class Outcomes:
    """Attributes:
    total: jobs that the command asks for, as far as is known.
    num_started: jobs begun so far.
    failures: a line for each job that failed.
    reported: the errors of these lines, so that none is printed a second time.
    """

    total: int = 1
    num_started: int = 0
    failures: list[str] = field(default_factory=list)
    reported: list[BaseException] = field(default_factory=list)

    def add_failure(self, line: str, error: BaseException) -> None:
        """Record a failed job and its error."""
        self.failures.append(line)
        self.reported.append(error)

    def was_reported(self, error: BaseException) -> bool:
        """Whether this very error is among the failures."""
        return any(error is reported for reported in self.reported)


outcomes = Outcomes()
"""Of this process's command."""
