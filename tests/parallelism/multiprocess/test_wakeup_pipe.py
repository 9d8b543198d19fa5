"""A ring is never lost, never makes the ringer wait, and never says more than that there is something to see."""

import time
from multiprocessing import Pipe

from a3c_exp.parallelism.multiprocess.wakeup_pipe import WakeupListener, create_wakeup_pipe, notify


def seconds(listener: WakeupListener, timeout: float) -> float:
    before = time.monotonic()
    listener.wait(timeout)
    return time.monotonic() - before


def test_a_ring_before_anyone_listens_is_heard_once() -> None:
    listening, ringing = create_wakeup_pipe()
    pipe, _kept = Pipe()
    notify(ringing)
    notify(ringing)
    listener = WakeupListener([listening], pipe)
    assert not listening.poll() or seconds(listener, 30.0) < 30.0
    assert not listening.poll(), "what was heard is heard again"
    assert seconds(listener, 0.05) >= 0.04


def test_nobody_waits_for_a_listener_that_never_comes() -> None:
    listening, ringing = create_wakeup_pipe()
    pipe, _kept = Pipe()
    for _ in range(100_000):  # more than fits into a pipe
        notify(ringing)
    listener = WakeupListener([listening], pipe)
    deadline = time.monotonic() + 30.0
    while listening.poll():
        listener.wait(0.0)
        assert time.monotonic() < deadline


def test_the_end_of_the_main_process_is_no_reason_to_wait_any_longer() -> None:
    listening, _ringing = create_wakeup_pipe()
    pipe, others = Pipe()
    others.close()
    assert seconds(WakeupListener([listening], pipe), 30.0) < 30.0
