"""What tests of environments share."""

import gc
import os
import signal
from collections.abc import Iterator
from multiprocessing import resource_tracker

import pytest

from a3c_exp.parallelism.multiprocess.supervisor import start_fork_server
from tests.support.driving import descendants
from tests.support.pooling import gone


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """No test may leave a process behind, and none may hang."""

    def give_up(number: int, frame: object) -> None:
        raise TimeoutError("this test hung")

    start_fork_server()  # as hogwild wants it: this server serves all tests that come after
    resource_tracker.ensure_running()
    had = descendants(os.getpid())
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    gc.collect()
    gone(descendants(os.getpid()) - had)
