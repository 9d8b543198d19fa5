"""One directory's lease: taken, confirmed before writes, and given back."""

import contextlib
import os
import time
from pathlib import Path

from a3c_exp.runs.lease.holder import LEASE, LEASE_SECONDS, Holder, read_patiently, still_running
from a3c_exp.system.errors import LeaseLost

_CONFIRMED_SECONDS = LEASE_SECONDS / 2  # for so long a lease that was seen to be one's own may be relied on
_SETTLE_SECONDS = 1.0  # after which of two that took over a lease at once one has found the other's


class Lease:
    """A directory's lease, held by this process."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / LEASE
        self._holder = Holder.this_process()
        self._confirmed = (0.0, 0.0)
        self._take()

    def confirm(self, within: float = _CONFIRMED_SECONDS) -> None:
        """Raise LeaseLost if another process has taken the lease over; it is looked up unless that was ``within`` seconds."""
        if all(0 <= now - before < within for now, before in zip(_clocks(), self._confirmed, strict=True)):
            return
        clocks = _clocks()
        if not self._path.exists() and self._path.parent.is_dir():
            with contextlib.suppress(OSError):  # somebody has removed it by hand; of a full disk its own message tells
                self._create()
        holder = Holder.read(self._path.parent)
        if holder is not None and holder.token != self._holder.token:
            self._confirmed = (0.0, 0.0)  # each write finds it anew
            raise LeaseLost(
                f"process {holder} has gone on with {self._path.parent}, since this one gave no sign of life for "
                f"{LEASE_SECONDS:.0f} s. It stops without writing anything more. Wait for the end of the other"
            )
        with contextlib.suppress(OSError):
            os.utime(self._path)
        self._confirmed = clocks

    def release(self) -> None:
        """Give it back, if it is still this process's."""
        with contextlib.suppress(OSError):
            if (holder := Holder.read(self._path.parent)) is None or holder.token == self._holder.token:
                self._path.unlink()

    def _take(self) -> None:
        """Take a lease that is free. Raises RunDirectoryError if its holder lives."""
        try:
            self._create()
        except FileExistsError:
            self._take_over()
        self._confirmed = _clocks()

    def _create(self) -> None:
        with self._path.open("x") as file:
            try:
                file.write(self._holder.to_text())
                file.flush()
            except OSError:
                self._path.unlink()
                raise

    def _take_over(self) -> None:
        directory, before = self._path.parent, read_patiently(self._path.parent)
        mine = directory / f"{LEASE}.{self._holder.token}"
        try:
            mine.write_text(self._holder.to_text())
            # By the disk's own clock, so that those of two machines need not agree.
            with contextlib.suppress(FileNotFoundError):
                age = mine.stat().st_mtime - self._path.stat().st_mtime
                if before is not None and (before.lives() if before.is_here else age < LEASE_SECONDS):
                    raise still_running(directory, str(before), None if before.is_here else age)
            mine.replace(self._path)
        finally:
            mine.unlink(missing_ok=True)
        if before is not None and not before.is_here:
            time.sleep(_SETTLE_SECONDS)
        holder = Holder.read(directory)
        if holder is not None and holder.token != self._holder.token:
            raise still_running(directory, str(holder))


def _clocks() -> tuple[float, float]:
    """One that goes on while the machine sleeps, and one that is set anew after a virtual machine has stood still."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock), time.time()
