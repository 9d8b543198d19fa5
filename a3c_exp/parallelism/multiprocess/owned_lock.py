"""A lock between processes that the kernel takes back when its holder dies, that names its holder, and that times out."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from a3c_exp.system.errors import LockTimeoutError


class OwnedLock:
    """``flock`` on a file of its own: kill -9 releases it, which no semaphore in shared memory can promise.

    Args:
        path: the file, on a local disk; each process opens it for itself.
        owner: ``[1]`` int64 in shared memory, where the holder writes its process id.
        timeout: seconds to wait before giving up; meanwhile ``on_wait`` is called again and again.
    """

    def __init__(
        self, path: Path, owner: NDArray[np.int64], timeout: float, on_wait: Callable[[], None] = lambda: None
    ) -> None:
        self._owner, self._timeout, self._on_wait = owner, timeout, on_wait
        self._path, self._pid = path, os.getpid()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def __enter__(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._wait()
        self._owner[0] = self._pid

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._owner[0] = 0
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def _wait(self) -> None:
        deadline, pause = time.monotonic() + self._timeout, 1e-6
        while True:
            time.sleep(pause)
            pause = min(2 * pause, 1e-3)
            self._on_wait()
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    holder = f"{self._path.name}, held by process {self._owner[0]}"
                    raise LockTimeoutError(f"process {self._pid} waited {self._timeout:g} s for {holder}") from None

    def close(self) -> None:
        os.close(self._file)
