"""Results of the scaling benchmark, filled in or from runs that are scripted."""

from collections.abc import Callable
from typing import Any

from benchmarks.scaling.points import Point, all_series
from benchmarks.scaling.record import (
    SeriesResult,
    new_result,
)
from benchmarks.scaling.run import (
    Compilation,
    PointMeasurement,
)

SERIES = all_series()
WARM = Compilation(None, 500.0, None)
ENVIRONMENT: dict[str, Any] = {"machine": {"cores": 2}, "versions": {"python": "3"}, "date": "today", "git": None}


def empty(name: str) -> SeriesResult:
    return new_result(SERIES[name], 2.5, "python -m benchmarks scaling", ENVIRONMENT)


def filled(name: str, repeats: int = 5, speed: float = 1000.0) -> SeriesResult:
    result = empty(name)
    for number, row in enumerate(result.rows, start=1):
        row.compiled = WARM
        row.measured = [PointMeasurement(speed * number + repeat, 400.0 + number, 9.5, 8.0) for repeat in range(repeats)]
    return result


class Scripted:
    """Returns scripted speeds, one per repeat, or raises a scripted error."""

    def __init__(self, speeds: Callable[[Point, int], float | Exception]) -> None:
        self.speeds = speeds
        self.calls: list[str] = []

    def prepare(self, point: Point) -> Compilation:
        self.calls.append(f"prepare {point.label}")
        return WARM

    def measure(self, point: Point) -> PointMeasurement:
        repeat = self.calls.count(point.label)
        self.calls.append(point.label)
        speed = self.speeds(point, repeat)
        if isinstance(speed, Exception):
            raise speed
        return PointMeasurement(speed, 400.0, 10.0, 5.0)
