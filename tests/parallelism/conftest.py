"""What holds for every test here: one thread, as in a run's main process and its workers, and an end."""

import signal
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More threads than free cores wait for each other, for seconds on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    torch.set_flush_denormal(False)  # a host's own setting, which some tests run here


@pytest.fixture(autouse=True)
def no_hang(request: pytest.FixtureRequest) -> Iterator[None]:
    """What is tested here hangs when it is broken; then the test fails, and the next one begins."""

    def give_up(number: int, frame: object) -> None:
        raise TimeoutError("this test hung")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(120 if request.node.get_closest_marker("cluster") is None else 400)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
