"""Where the time of one training process goes: parts are timed where they run, each without the parts that it calls."""

import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any

from a3c_exp.system.torch_settings import single_threaded
from benchmarks.harness.interleaved import Variant

_CALIBRATION_CALLS = 2000


class PartTimer:
    """Sums the time of functions, each without the timed functions that it calls: ``seconds`` and ``calls`` by part.

    Args:
        clock: seconds; ``time.process_time`` for processor time.
        calibrate: measure what the timing of a call itself takes and leave it out, which matters with a clock that takes half
            a microsecond, as that of processor time does.

    Attributes:
        seconds_of_timing: what was left out.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter, calibrate: bool = False) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._clock = clock
        self._nested_seconds: list[float] = []
        self._inside = self._outside = 0.0  # of the timing of a call: what is counted as the call's own, and what is not
        if calibrate:
            self._calibrate()

    def _calibrate(self) -> None:
        nothing, start = self.timed(lambda: None, "nothing"), self._clock()
        for _ in range(_CALIBRATION_CALLS):
            nothing()
        inside = self.seconds["nothing"] / _CALIBRATION_CALLS
        self._outside = (self._clock() - start) / _CALIBRATION_CALLS - inside
        self._inside = inside
        self.clear()

    @property
    def seconds_of_timing(self) -> float:
        return sum(self.calls.values()) * (self._inside + self._outside)

    def timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """The function, timed as this part."""

        @wraps(function, assigned=())
        def call(*args: Any, **kwargs: Any) -> Any:
            start = self._clock()
            self._nested_seconds.append(0.0)
            result = function(*args, **kwargs)
            duration = self._clock() - start
            self.seconds[part] += duration - self._nested_seconds.pop() - self._inside
            self.calls[part] += 1
            if self._nested_seconds:
                self._nested_seconds[-1] += duration + self._outside
            return result

        return call

    def time_method(self, owner: Any, name: str, part: str) -> None:
        """Time a method of this object from now on."""
        setattr(owner, name, self.timed(getattr(owner, name), part))

    def clear(self) -> None:
        self.seconds.clear()
        self.calls.clear()


class BreakdownVariants:
    """Variants for the total and its parts. Measuring the total, which comes first in every repeat, measures all parts.

    Args:
        make_breakdown: its result's ``measure(seconds)`` returns microseconds by part; called when first needed.
        seconds: length of a measurement.
    """

    def __init__(self, make_breakdown: Callable[[], Any], seconds: float) -> None:
        self._make_breakdown, self._seconds = make_breakdown, seconds
        self._breakdown: Any = None
        self._microseconds: dict[str, float] = {}

    def microseconds_of(self, name: str) -> float:
        return self._microseconds[name]

    def measure_total(self) -> float:
        with single_threaded():
            self._breakdown = self._breakdown or self._make_breakdown()
            self._microseconds = self._breakdown.measure(self._seconds)
        return sum(self._microseconds.values())

    def variants(self, name: str, parts: dict[str, str]) -> list[Variant]:
        """The total, then each of ``parts``, a name in the table by key."""

        def part(key: str) -> Variant:
            return Variant(f"{name}: {parts[key]}", lambda: self.microseconds_of(key))

        return [Variant(f"{name}, all of it", self.measure_total), *(part(key) for key in parts)]
