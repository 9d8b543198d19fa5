"""A point of the scaling benchmark is measured in its steady state, with every process, and leaves memory free."""

from pathlib import Path

import pytest

from a3c_exp.compile.compiler import Compiler
from benchmarks.harness.interleaved import MeasurementError
from benchmarks.scaling import run as scaling_run
from benchmarks.scaling.run import (
    ProcessTreeMonitor,
    compilation_from_messages,
    measured_span,
    rate_of,
)


def lines(*points: tuple[int, float]) -> list[dict[str, float]]:
    return [{"env_step": step, "wall_time": seconds} for step, seconds in points]


def test_starting_and_waiting_for_other_seeds_are_not_measured() -> None:
    """The time before the first line is slow, and the last line is written when all seeds have finished."""
    written = lines((100, 50.0), (200, 51.0), (300, 52.0), (400, 53.0), (500, 54.0), (600, 90.0))
    assert rate_of(*measured_span(written)) == 100.0


@pytest.mark.parametrize("points", [[], [(1, 1.0)], [(1, 1.0), (2, 2.0)], [(1, 1.0), (2, 1.0), (3, 2.0)]])
def test_too_little_is_not_a_speed(points: list[tuple[int, float]]) -> None:
    with pytest.raises(MeasurementError):
        measured_span(lines(*points))


def test_a_run_that_continued_uncompiled_is_not_shown_as_compiled(tmp_path: Path) -> None:
    """By the messages of the run."""
    cold, warm, without, partly, waited = (Compiler(tmp_path) for _ in range(5))
    cold.compile_seconds, cold.num_compiled = 41.2, 4
    warm.num_compiled = partly.num_compiled = waited.num_compiled = 4
    waited.waited = True
    without.failures = partly.failures = ["no compiler"]
    stamp = "2026-11-22T00:00:00+0000 "
    assert compilation_from_messages(stamp + cold.status_text()) == (41.0, None)
    assert compilation_from_messages(stamp + warm.status_text()) == (None, None)
    assert compilation_from_messages(stamp + waited.status_text()) == (None, None)
    for compiler in (without, partly):
        seconds, remark = compilation_from_messages(stamp + compiler.status_text())
        assert seconds is None
        assert remark is not None
        assert "no compiler" in remark
    assert compilation_from_messages("something else")[1] is not None


def test_processor_time_is_that_of_the_measured_span_and_of_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor, now = ProcessTreeMonitor(), [100.0]
    seconds = {1: 5.0, 2: 0.0}
    monkeypatch.setattr(scaling_run, "pss_bytes", lambda processes: 0)
    monkeypatch.setattr(scaling_run.time, "time", lambda: now[0])
    monkeypatch.setattr(scaling_run, "cpu_seconds", lambda processes: seconds)
    monitor([])
    now[0], seconds = 102.0, {1: 6.0, 2: 2.0}
    monitor([])
    now[0], seconds = 104.0, {1: 7.0}
    monitor([])  # the other process has ended, and its time still counts
    assert monitor.cpu_seconds_between(101.0, 103.0) == pytest.approx(1.5 + 0.5)
    assert monitor.cpu_seconds_between(99.0, 103.0) is None


def test_a_measurement_does_not_use_up_the_machines_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = ProcessTreeMonitor()
    monitor([])
    monkeypatch.setattr(scaling_run, "MIN_FREE_MEMORY_SHARE", 1.0)
    with pytest.raises(MeasurementError, match="of memory were left"):
        monitor([])
