"""What a sweep compiles while its first runs train: in their order, each shape once, and nothing that no run needs."""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.utils import JobReturn

from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.parallelism.multiprocess import compiling_processes
from a3c_exp.parallelism.multiprocess.compiling_processes import CompileOutcome, CompileTask
from a3c_exp.sweep.launcher.compile_ahead import CompileAhead
from a3c_exp.sweep.launcher.compile_plan import compile_plan
from a3c_exp.sweep.launcher.pool import JobPool
from a3c_exp.sweep.launcher.sweep_progress import JobState
from tests.support.single_process import tiny_task


class Commanded:
    """Stands for a process that compiles, until a test says how that went."""

    begun: list["Commanded"]

    def __init__(self, tasks: Sequence[CompileTask], start_method: str, most: int) -> None:
        assert most == 1
        self.workers, self.closed = [sum(task.group_sizes) for task in tasks], False
        self.outcomes: list[CompileOutcome] = []
        Commanded.begun.append(self)

    def outcome(self) -> CompileOutcome | None:
        return self.outcomes.pop(0) if self.outcomes else None

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def commanded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Commanded]]:
    monkeypatch.setattr(compiling_processes, "CompilingProcesses", Commanded)
    Commanded.begun = []
    yield Commanded.begun
    compile_plan.recorder([])


def jobs_of(workers: Sequence[int], compiles: bool = True) -> list[JobState]:
    """A sweep's runs, checked as a command checks them, each with a seed of its own."""
    take_note = compile_plan.recorder(range(len(workers)))
    for place, count in enumerate(workers):
        setup = replace(tiny_task(workers=count, seed=place), compile_while_training=compiles)
        components: Any = SimpleNamespace(parallelism=Hogwild(processes=2), setup=setup)
        take_note(place, components)
    return [JobState(number, f"workers={count}") for number, count in enumerate(workers)]


def ended(job: JobState) -> None:
    job.result = JobReturn()


def said(ahead: CompileAhead) -> list[str]:
    return list(ahead.update())


def test_shapes_are_compiled_in_the_order_of_the_runs_and_each_once(commanded: list[Commanded]) -> None:
    jobs = jobs_of([4, 6, 4, 12, 6])
    ahead = CompileAhead(jobs)
    assert said(ahead) == [] and commanded == [], "the first run starts before anything else does"
    jobs[0].started = True
    assert said(ahead) == []
    (compiling,) = commanded
    assert compiling.workers == [4, 6, 12], "beginning with what is needed first"
    compiling.outcomes = [CompileOutcome(True, "", 9.0), CompileOutcome(True, "", 21.0)]
    assert said(ahead) == ["compiled in 21 s, before it is needed: workers=6, workers=6"]
    compiling.outcomes = [CompileOutcome(False, "not compiled: no such operator", 3.0)]
    assert not compiling.closed
    assert said(ahead) == [], "the run says so, which tries it too"
    assert compiling.closed and said(ahead) == [] and len(commanded) == 1


def test_what_no_run_needs_any_more_is_not_compiled(commanded: list[Commanded]) -> None:
    jobs = jobs_of([4, 6, 12])
    ahead = CompileAhead(jobs)
    jobs[0].started = True
    said(ahead)
    ended(jobs[0])  # before there was code
    jobs[1].started = True
    said(ahead)
    assert [(each.workers, each.closed) for each in commanded] == [([4, 6, 12], True), ([6, 12], False)]
    for job in jobs:
        ended(job)
    said(ahead)
    assert commanded[-1].closed and len(commanded) == 2


@pytest.mark.parametrize("workers", [[4, 4, 4], [4]])
def test_nothing_is_begun_where_the_run_that_trains_compiles_it(workers: list[int], commanded: list[Commanded]) -> None:
    jobs = jobs_of(workers)
    jobs[0].started = True
    assert said(CompileAhead(jobs)) == [] and commanded == []


def test_runs_that_compile_nothing_have_nothing_compiled(commanded: list[Commanded]) -> None:
    jobs = jobs_of([4, 6], compiles=False)
    jobs[0].started = True
    assert said(CompileAhead(jobs)) == [] and commanded == []


def test_a_process_that_dies_is_not_replaced_and_an_end_ends_it(commanded: list[Commanded]) -> None:
    jobs = jobs_of([4, 6])
    ahead = CompileAhead(jobs)
    jobs[0].started = True
    said(ahead)
    dead = CompileOutcome(False, "the compiling process was killed by SIGKILL", is_last=True)
    commanded[0].outcomes = [dead, dead]
    assert said(ahead) == ["nothing more is compiled before it is needed: the compiling process was killed by SIGKILL"]
    assert commanded[0].closed and said(ahead) == [] and len(commanded) == 1


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_end_of_a_sweep_ends_what_compiles(end: str, commanded: list[Commanded]) -> None:
    jobs = jobs_of([4, 6])
    ahead = CompileAhead(jobs)
    jobs[0].started = True
    said(ahead)
    silent: Any = SimpleNamespace(announce_stop=lambda: None, kill=lambda handles: None)
    pool = JobPool([], silent, silent, ahead)
    pool._request_stop(signal.SIGINT) if end == "stop" else pool.kill_all()
    assert commanded[0].closed
    pool.kill_all()
