"""What a person sees of a sweep whose jobs run side by side: one view of all on a terminal, else a line for each event."""

import atexit
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from a3c_exp.loggers.console import live
from a3c_exp.loggers.progress import Progress, clock, plain_line
from a3c_exp.sweep.launcher.job_state import Entry

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text


class Board:
    """Shows which jobs run and how far they are, and says of each how it ended. All on standard error.

    On a terminal, with ``rich`` installed, that is one view that stays at the bottom while what runs have to say scrolls by
    above it. Anywhere else it is a line for each event, and for each running job one every ``interval`` seconds.

    Args:
        sweep: the directory of the whole.
        total: jobs that the command asks for.
        begun, failed: those before this launch.
        interval: seconds between a job's plain lines.
        stream: where to write; standard error unless given.
    """

    def __init__(
        self,
        sweep: Path,
        total: int,
        begun: int = 0,
        failed: int = 0,
        interval: float = 10.0,
        stream: TextIO | None = None,
    ) -> None:
        self.sweep = sweep
        self.total = total
        self.done = begun
        self.failed = failed
        self.running: list[Entry] = []
        self.asked_to_stop = False
        self._before = begun
        self._begun = begun
        self._began = time.monotonic()
        self._interval = interval
        self._due: dict[int, float] = {}
        self._stream = stream or sys.stderr
        self._live = self._open()
        if self._live:
            atexit.register(self._close_live)  # a terminal gets its cursor back whatever happens

    # -- what happens ----------------------------------------------------------------------------------------------------

    def begin(self, entry: Entry) -> None:
        self._begun += 1
        self.running.append(entry)
        if not self._live:
            self._write(f"a3c_exp: run {self._begun} of {self.total}: {entry.name}")

    def show(self, entry: Entry, method: str, *arguments: Any) -> None:
        """What a job's console was told."""
        match method:
            case "start":
                entry.progress = Progress(arguments[0])
                self._due[entry.number] = time.monotonic() + self._interval / 4  # by then there is something to say
            case "message":
                self.say(entry, arguments[0])
            case "finish":
                entry.status, entry.summary = arguments
            case "episode" | "metrics" | "evaluation" if entry.progress:
                getattr(entry.progress, method)(*arguments)

    def say(self, entry: Entry, text: str) -> None:
        """What a job has to say, with its name before each line."""
        if self._live:
            from a3c_exp.sweep.launcher.progress_view import said

            for line in text.splitlines():
                self._print(said(entry, line))
        else:
            self._write("\n".join(f"{entry.name} | {line}" for line in text.splitlines()))

    def end(self, entry: Entry) -> None:
        """A job is over, for whatever reason."""
        self.done += 1
        self.failed += entry.failed is not None
        self.running = [one for one in self.running if one is not entry]
        if self._live:
            from a3c_exp.sweep.launcher.progress_view import last_word

            self._print(last_word(entry))
        else:
            self._write(f"{entry.name} | {entry.last_word}")

    def stopping(self) -> None:
        """Everyone was asked to stop."""
        self.asked_to_stop = True
        if self.running and not self._live:
            self._write("a3c_exp: stopping; each run saves a checkpoint first (once more ends them at once)")

    def draw(self) -> None:
        """What is due where there is no terminal; one draws itself."""
        now = time.monotonic()
        for entry in self.running:
            if self._live is None and entry.progress and now >= self._due[entry.number]:
                self._due[entry.number] = now + self._interval
                self._write(f"{entry.name} | {plain_line(entry.progress).lstrip()}")

    def close(self, stopped: str | None = None) -> None:
        """The launch is over."""
        self._close_live()
        if stopped:
            left = self.total - self._begun
            never = f"; {left} {'was' if left == 1 else 'were'} never begun" if left > 0 else ""
            self._write(f"a3c_exp: {self.sweep}: stopped by {stopped}{never}")

    # -- figures of the whole --------------------------------------------------------------------------------------------

    @property
    def fraction(self) -> float:
        """Of all runs, counted by how far each is."""
        running = sum((entry.progress.fraction or 0.0) for entry in self.running if entry.progress)
        return min(1.0, (self.done + running) / max(self.total, 1))

    @property
    def times(self) -> str:
        """``0:03:10, 0:05:02 left``"""
        elapsed = time.monotonic() - self._began
        before = self._before / max(self.total, 1)
        so_far = self.fraction - before
        left = f", {clock(elapsed * (1 - self.fraction) / so_far)} left" if so_far > 0.01 else ""
        return clock(elapsed) + left

    @property
    def counts(self) -> str:
        """``2 of 10 done · 2 running · 1 failed``"""
        words = [f"{self.done} of {self.total} done", f"{len(self.running)} running"]
        if self.failed:
            words.append(f"{self.failed} failed")
        return " · ".join(words)

    # -- writing ---------------------------------------------------------------------------------------------------------

    def _open(self) -> "Live | None":
        def view() -> Any:
            from a3c_exp.sweep.launcher.progress_view import BoardView

            return BoardView(self)

        return live(view, self._stream)

    def _print(self, text: "Text") -> None:
        if self._live:
            with suppress(OSError, ValueError):
                self._live.console.print(text, soft_wrap=True)

    def _write(self, text: str) -> None:
        # A reader that went away is no reason to stop: the run directories have it all.
        with suppress(OSError, ValueError):
            print(text, file=self._stream, flush=True)

    def _close_live(self) -> None:
        live, self._live = self._live, None
        if live:
            atexit.unregister(self._close_live)
            with suppress(OSError, ValueError):
                live.stop()
