"""What the runs of a command run compiled: known when they are checked, used when they are launched."""

import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from a3c_exp.parallelism.multiprocess.compiling_processes import CompileTask
    from a3c_exp.training.build import RunComponents


class CompilePlan:
    """What is compiled for each run, by its number in the sweep."""

    def __init__(self) -> None:
        self._tasks: dict[int, tuple[bytes, CompileTask]] = {}

    def recorder(self, numbers: Sequence[int]) -> "Callable[[int, RunComponents], None]":
        """What takes note of the runs of a command that are built, in the order of these ``numbers``."""
        self._tasks.clear()
        return lambda place, components: self._add(numbers[place], components)

    def _add(self, number: int, components: "RunComponents") -> None:
        if (task := components.parallelism.compile_task(components.setup)) is None:
            return
        alike = replace(task, setup=replace(task.setup, seed=0))  # seeds are no part of compiled code
        with suppress(pickle.PicklingError, AttributeError, TypeError):  # the run itself says what it cannot send
            self._tasks[number] = pickle.dumps(alike), task

    def shapes(self, numbers: Sequence[int]) -> "list[tuple[CompileTask, list[int]]]":
        """What these runs run compiled, in their order, each with the numbers of all runs that run the same."""
        alike: dict[bytes, list[int]] = {}
        for number in numbers:
            if number in self._tasks:
                alike.setdefault(self._tasks[number][0], []).append(number)
        return [(self._tasks[same[0]][1], same) for same in alike.values()]


compile_plan = CompilePlan()  # of this process's command
