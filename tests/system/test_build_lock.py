"""Two processes never make the same thing at the same time, and neither waits for ever."""

import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path

from a3c_exp.system.build_lock import build_lock


def hold(path: Path, pipe: Connection) -> None:
    with build_lock(path, limit=30.0) as other:
        pipe.send(other)
        pipe.recv()  # held until told, or until killed


def test_the_second_waits_and_knows_for_whom_and_a_dead_holder_holds_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=hold, args=(tmp_path / "lock", theirs), daemon=True)
    process.start()
    assert ours.poll(60) and ours.recv() is None, "the first waits for nobody"

    began = time.monotonic()
    with build_lock(tmp_path / "lock", limit=0.3) as other:
        assert other == process.pid and time.monotonic() - began >= 0.3, "there is a limit"
    process.kill()
    process.join(10)
    with build_lock(tmp_path / "lock", limit=30.0):
        pass
    with build_lock(tmp_path / "lock", limit=30.0) as other:
        assert other is None
    assert list(tmp_path.iterdir()) == [], "nothing is left lying about"
