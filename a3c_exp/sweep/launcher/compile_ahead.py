"""What a sweep's runs need compiled is compiled while its first runs train: by one process, in the order of the runs."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from a3c_exp.sweep.launcher.compile_plan import compile_plan
from a3c_exp.sweep.launcher.sweep_progress import JobState

if TYPE_CHECKING:
    from a3c_exp.parallelism.multiprocess.compiling_processes import CompileTask, CompilingProcesses


@dataclass(frozen=True)
class Shape:
    """Runs that run the same code."""

    task: "CompileTask"
    jobs: Collection[JobState]

    @property
    def is_needed(self) -> bool:
        return any(job.result is None for job in self.jobs)

    @property
    def waits(self) -> bool:
        """Whether none of the runs has started."""
        return not any(job.started for job in self.jobs)


class CompileAhead:
    """Compiles for runs that wait, in a single process. Where a run has started, its own processes are helped first, since no
    other code is needed as soon.

    The process has no lower priority than workers. It makes runs that train slower for a while, but every step that is taken
    uncompiled costs several times as much, so all runs end earlier the sooner there is code.
    """

    def __init__(self, jobs: Sequence[JobState]) -> None:
        by_number = {job.number: job for job in jobs}
        shapes = compile_plan.shapes(list(by_number))
        self._left = [Shape(task, [by_number[number] for number in numbers]) for task, numbers in shapes]
        self._compiling: CompilingProcesses | None = None

    def update(self) -> Iterator[str]:
        """Begin once there is something to do, and end what is no longer needed. Yields what there is to say."""
        if self._compiling is not None:
            yield from self._take_outcomes(self._compiling)
            if not self._left or not self._left[0].is_needed:
                self.close()
        if self._compiling is None:
            self._left = [shape for shape in self._left if shape.is_needed]
            if any(shape.waits for shape in self._left) and not all(shape.waits for shape in self._left):
                self._begin()

    def _begin(self) -> None:
        from a3c_exp.parallelism.multiprocess.compiling_processes import CompilingProcesses

        try:
            self._compiling = CompilingProcesses([shape.task for shape in self._left], "forkserver", most=1)
        except OSError:  # there is no place for compiled code, as each run says for itself
            self._left.clear()

    def _take_outcomes(self, compiling: "CompilingProcesses") -> Iterator[str]:
        while self._left and (outcome := compiling.outcome()) is not None:
            if outcome.is_last:
                self._left.clear()
                yield f"nothing more is compiled before it is needed: {outcome.status_text}"
                return
            shape = self._left.pop(0)
            # What failed is said by the runs, which try it too.
            if outcome.compiled and outcome.seconds and shape.waits:
                yield f"compiled in {outcome.seconds:.0f} s, before it is needed: {', '.join(job.name for job in shape.jobs)}"

    def close(self) -> None:
        """End what compiles, and leave nothing half-done."""
        if self._compiling is not None:
            self._compiling.close()
            self._compiling = None
