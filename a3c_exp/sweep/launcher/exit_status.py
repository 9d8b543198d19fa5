"""How the jobs of one command end, whether this process runs them or processes that a launcher starts."""

from dataclasses import dataclass, field


@dataclass
class Outcomes:
    """What is known of the jobs so far."""

    total: int = 1  # jobs that the command asks for, as far as is known
    num_started: int = 0
    failures: list[str] = field(default_factory=list)  # a line for each job that failed
    reported: list[BaseException] = field(default_factory=list)  # their errors, so that none is printed a second time

    def add_failure(self, line: str, error: BaseException) -> None:
        self.failures.append(line)
        self.reported.append(error)


outcomes = Outcomes()  # of this process's command
