"""How the jobs of one command fare, whoever runs them: this process, or processes that a launcher starts."""

from dataclasses import dataclass, field


@dataclass
class Outcomes:
    """Attributes:
    total: jobs that the command asks for, as far as is known.
    begun: jobs begun so far.
    failures: a line for each job that failed.
    told: the errors that these lines stand for, so that nobody tells them a second time.
    """

    total: int = 1
    begun: int = 0
    failures: list[str] = field(default_factory=list)
    told: list[BaseException] = field(default_factory=list)

    def fail(self, line: str, error: BaseException) -> None:
        """Note a job that failed, and the error that says why."""
        self.failures.append(line)
        self.told.append(error)

    def has_told(self, error: BaseException) -> bool:
        """Whether this very error stands among the failures."""
        return any(error is one for one in self.told)


outcomes = Outcomes()
"""Of the command that this process carries out."""
