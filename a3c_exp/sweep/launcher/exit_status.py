"""How the jobs of one command fare, whoever runs them: this process, or processes that a launcher starts."""

from dataclasses import dataclass, field


@dataclass
class Outcomes:
    """Attributes:
    total: jobs that the command asks for, as far as is known.
    num_started: jobs begun so far.
    failures: a line for each job that failed.
    reported: the errors that these lines stand for, so that nobody tells them a second time.
    """

    total: int = 1
    num_started: int = 0
    failures: list[str] = field(default_factory=list)
    reported: list[BaseException] = field(default_factory=list)

    def add_failure(self, line: str, error: BaseException) -> None:
        """Note a job that failed, and the error that says why."""
        self.failures.append(line)
        self.reported.append(error)

    def was_reported(self, error: BaseException) -> bool:
        """Whether this very error stands among the failures."""
        return any(error is one for one in self.reported)


outcomes = Outcomes()
"""Of the command that this process carries out."""
