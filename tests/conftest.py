"""Tests run as workers do: one thread a process, set before anything numeric is imported."""

import gc
import os
import signal
import tempfile
from collections.abc import Generator

import pytest
from hypothesis import settings

from a3c_exp.system.cli import record_command_line

os.environ.setdefault("OMP_NUM_THREADS", "1")

_DATA = tempfile.TemporaryDirectory(prefix="a3c_exp_data_")
os.environ["XDG_DATA_HOME"] = _DATA.name  # which configurations are the user's own: a3c_exp/config/trust.py

os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", f"{_DATA.name}/inductor")  # out of the way of a person's own
os.environ.setdefault("TORCHINDUCTOR_VEC_ISA_OK", "1")  # a processor's flags are believed; else six programs try them out

os.environ.setdefault("MKL_CBWR", "AUTO")  # MKL rounds a product alike wherever it begins: test_matrix_products.py

_COMMAND = "tests.support.command"

settings.register_profile("a3c_exp", deadline=None)  # a machine may be busy: no test is about time
settings.load_profile("a3c_exp")

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests under nohup would hand on that it is ignored


def pytest_configure(config: pytest.Config) -> None:
    """Where tests run in several processes, one imports for the commands of all."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        from tests.support.forked_commands import share

        config.add_cleanup(share(config.rootpath))


@pytest.fixture(scope="session", autouse=True)
def fork_server() -> None:
    """As in a run: the first to start the fork server decides what it has imported, and most of its children want torch."""
    from a3c_exp.parallelism.multiprocess.supervisor import start_fork_server

    start_fork_server()


@pytest.fixture(autouse=True)
def own_command_line() -> Generator[None]:
    """A command that a test calls as a function records what was typed; the test after it has typed nothing."""
    yield
    record_command_line([])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nearly all that importing makes stays; the collector would look through it again and again, for a third of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a slow test come first, then those that start commands, so that no process works on one of them while the
    others have nothing left to do."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    modules = {item.path: vars(item.module) for item in items if isinstance(item, pytest.Function)}
    starting = {
        path
        for path, names in modules.items()
        if any(getattr(names.get(name), "__module__", "") == _COMMAND for name in ("run", "start", "start_anew"))
    }
    items.sort(key=lambda item: (item.path not in slow, item.path not in starting))


def pytest_collection_finish() -> None:
    """What was imported stays: the collector need not look through all of torch again and again. Nor need it look as often
    as is usual: this is a twentieth of the time of tests that make many small objects, as compositions are."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
