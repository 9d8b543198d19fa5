"""The one view of work in progress: redrawn at the bottom of a terminal, or plain lines in a pipe, a file or a job's log."""

import atexit
import sys
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.live import Live

    Render = Callable[[int, int], RenderableType]

REFRESH_PER_SECOND = 2  # each drawing costs some milliseconds of the process that also trains
MAX_WIDTH = 110


class LiveView:
    """Draws ``render(width, height)`` at each refresh where the stream (standard error unless given) is a terminal that can
    move its cursor; what ``render`` imports of rich costs a pipe nothing. Elsewhere, lines on a subject are ``interval``
    seconds apart."""

    def __init__(self, render: "Render", interval: float = 10.0, stream: TextIO | None = None) -> None:
        self._render = render
        self._interval = interval
        self._stream_override = stream
        self._console: Console | None = None
        self._live: Live | None = None
        self._next_line_times: dict[Hashable, float] = {}

    @property
    def is_drawn(self) -> bool:
        return self._live is not None

    def start(self) -> None:
        """Begin to draw, where that can be done. What is printed from then on scrolls by above the view."""
        if not self._stream.isatty():
            return
        from rich.console import Console
        from rich.live import Live

        console = Console(file=self._stream)
        if not console.is_terminal or console.is_dumb_terminal:
            return
        self._console = console
        # rich would move what is printed to stdout over to stderr, even if stdout is piped into something.
        options: dict[str, Any] = {"transient": True, "redirect_stdout": sys.stdout.isatty()}
        self._live = Live(self, console=console, refresh_per_second=REFRESH_PER_SECOND, **options)
        self._live.start(refresh=True)
        atexit.register(self.close)  # an exception that nothing catches would leave a terminal without a cursor

    def print(self, *parts: str | tuple[str, str]) -> None:
        """One message of joined ``parts``; a pair is a text and its style on a terminal, such as ``bold red``."""
        with suppress(OSError, ValueError):  # a reader that went away is no reason to stop: the run directory has it all
            if self._console is None:
                text = "".join(part if isinstance(part, str) else part[0] for part in parts)
                print(text, file=self._stream, flush=True)
            else:
                from rich.text import Text

                self._console.print(Text.assemble(*parts), soft_wrap=True)

    def print_if_due(self, make_line: Callable[[], str], subject: Hashable = None) -> None:
        """A plain line where nothing is drawn, unless there was one on this ``subject`` less than an interval ago."""
        now = time.monotonic()
        if self._live is None and now >= self._next_line_times.get(subject, 0.0):
            self._next_line_times[subject] = now + self._interval
            self.print(make_line())

    def close(self) -> None:
        """Remove the view and leave the terminal as it was; messages can still be printed."""
        live, self._live = self._live, None
        if live is not None:
            atexit.unregister(self.close)
            with suppress(OSError, ValueError):
                live.stop()

    @property
    def _stream(self) -> TextIO:
        return self._stream_override or sys.stderr

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.constrain import Constrain

        width = min(options.max_width, MAX_WIDTH)
        yield Constrain(self._render(width, options.size.height), width)
