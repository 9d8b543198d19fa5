"""The parts of a training process add up to its processor time, and every part is timed."""

import time
from collections.abc import Sequence
from functools import partial

import pytest

from a3c_exp.parallelism import worker_group
from benchmarks.harness.interleaved import MeasurementError
from benchmarks.harness.profile_parts import PartTimer
from benchmarks.harness.training_process import SynchronousProcess, WorkerProcess
from benchmarks.suites import parts
from benchmarks.suites.parts import Breakdown, Training, trainings
from tests.support.walker import Walker

STEPPED = ("environments", "acting", "window", "learning", "pushing", "rest")
SMALL = ("env=pendulum", "workers=4", "env.backend=gymnasium", "compile=false")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (partial(WorkerProcess, SMALL, 2), STEPPED),
        (partial(WorkerProcess, [*SMALL, "parallelism=parameter_server"], 2), (*STEPPED, "server")),
        (
            partial(SynchronousProcess, ["env=cartpole", "truncation=end", "compile=true"]),
            trainings()["CartPole, synchronous"].parts,
        ),
    ],
    ids=["hogwild", "parameter server", "synchronous"],
)
def test_the_parts_add_up_and_none_is_missing(make, expected: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_group, "Compiler", Walker)
    monkeypatch.setattr(parts, "_WARM_UP", 0.01)
    breakdown = Breakdown(Training(make, tuple(expected)))
    before, began = breakdown.process.env_steps(), time.process_time()
    measured = breakdown.measure(0.1)
    whole, steps = time.process_time() - began, breakdown.process.env_steps() - before
    assert set(measured) == set(expected)
    assert min(measured.values()) > 0
    assert 0.8 * whole < 1e-6 * steps * sum(measured.values()) < whole
    breakdown._parts = (*breakdown._parts, "drawing")
    with pytest.raises(MeasurementError, match="where a training has"):
        breakdown.measure(0.01)


def test_what_timing_takes_is_left_out() -> None:
    timer = PartTimer(time.process_time, calibrate=True)

    def outer() -> None:
        for _ in range(1000):
            inner()

    inner = timer.timed(lambda: None, "inner")
    start = time.process_time()
    timer.timed(outer, "outer")()
    whole = time.process_time() - start
    assert abs(sum(timer.seconds.values())) < whole / 2, "a thousand calls of nothing"
    assert timer.seconds_of_timing > whole / 2
