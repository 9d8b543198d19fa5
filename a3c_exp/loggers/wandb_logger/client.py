"""The near end of the pipe to ``process.py``. Training never waits for it; the end of a run does, for a while."""

import json
import os
import queue
import selectors
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("process.py")
IMPORT_TIMEOUT = 60.0  # importing wandb takes a second, or many while a dozen workers start on two cores
GRACE = 2.0
MOST_WAITING = 20_000  # rows, about 20 MB; so many wait only when W&B is very slow to start, or hangs

Values = dict[str, Any]


class _FailedError(Exception):
    """The process could not begin, or is gone. The message says why; ``is_final`` that offline would fare no better."""

    def __init__(self, why: str, is_final: bool = False) -> None:
        super().__init__(why)
        self.is_final = is_final


class WandbPipe:
    """Passes commands on to a process of wandb's own, in order and in the background.

    Args:
        hello: what the process needs to know to begin a run.
        init_timeout: seconds that W&B has to answer before the run is kept offline.
        finish_timeout: seconds that it has to take what is left when the run ends.
    """

    def __init__(self, hello: Values, init_timeout: float, finish_timeout: float) -> None:
        self._hello = {**hello, "init_timeout": init_timeout, "finish_timeout": finish_timeout}
        self._init_timeout = init_timeout
        self._finish_timeout = finish_timeout
        self._commands: queue.SimpleQueue[Values | None] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._heard = b""
        self._scratch = ""
        self._directory = ""
        self._dropped = 0
        self._given_up = False
        self._started = time.monotonic()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._work, name="wandb pipe", daemon=True)
        self._thread.start()

    def send(self, command: Values) -> None:
        if self._thread.is_alive():
            self._commands.put(command)

    def send_row(self, row: Values) -> None:
        """As ``send``, but lets the row go when W&B is far behind: the run directory has it anyway."""
        if self._commands.qsize() < MOST_WAITING:
            self.send({"do": "log", "row": row})
        else:
            self._dropped += 1

    def news(self) -> list[str]:
        """What a person should know. It is kept until asked for, since a thread that prints would garble a display."""
        news = []
        while not self._news.empty():
            news.append(self._news.get())
        return news

    def close(self) -> None:
        """Wait until W&B has taken everything, within the limit; after this no process is left."""
        self._commands.put(None)
        self._begun.wait(max(self._started + self._init_timeout + 2 * GRACE - time.monotonic(), 0.0))
        self._thread.join(self._finish_timeout + GRACE)
        if self._thread.is_alive():
            self._given_up = True
            if self._process:
                self._process.kill()
            self._thread.join(GRACE)
            self._say_unsent()
        if self._dropped:
            self._news.put(f"was too slow for {self._dropped} rows, which are in the run directory only")

    # From here on: in the thread.

    def _work(self) -> None:
        try:
            self._begin()
            self._begun.set()
            self._pass_on()
        except Exception as error:  # whatever it is, it is not worth the run
            if not self._given_up:
                self._news.put(f"is off from here, the run goes on without it: {error}{self._how_to_send()}")
        finally:
            self._begun.set()
            self._end_process()

    def _begin(self) -> None:
        try:
            ready = self._open(self._hello["mode"])
        except _FailedError as error:
            if error.is_final or self._given_up or self._hello["mode"] == "offline":
                raise
            self._end_process()
            ready = {**self._open("offline"), "why": f"could not go online: {error}"}
        self._directory = ready["directory"]
        if ready["mode"] == "online":
            self._news.put(ready["url"])
        else:
            why = f" ({ready['why']})" if ready["why"] else ""
            self._news.put(f"keeps this run offline{why}{self._how_to_send()}")

    def _open(self, mode: str) -> Values:
        self._heard = b""
        self._scratch = tempfile.mkdtemp(prefix="a3c_wandb_")  # wandb leaves folders behind when it is killed
        self._process = subprocess.Popen(
            # -P: with this folder on its path, `import wandb` would find the wandb.py beside this file.
            [sys.executable, "-P", str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "TMPDIR": self._scratch},
            start_new_session=True,  # Ctrl-C is for the run to answer
        )
        self._write({**self._hello, "mode": mode})
        reply = self._listen(IMPORT_TIMEOUT)
        if reply and reply["word"] == "imported":
            reply = self._listen(self._init_timeout + GRACE)
        if reply is None:
            raise _FailedError("no answer in time")
        if reply["word"] != "ready":
            raise _FailedError(reply["why"], is_final=reply["word"] in ("missing", "disabled"))
        return reply

    def _pass_on(self) -> None:
        assert self._process and self._process.stdin
        while True:
            try:
                command = self._commands.get(timeout=1.0)
            except queue.Empty:
                self._heed(self._listen(0.0))
                continue
            if command is None:
                break
            self._write(command)
        self._process.stdin.close()
        try:
            while True:
                self._heed(self._listen(None))  # close() sets the limit
        except _FailedError:  # it has nothing more to say
            pass

    def _heed(self, reply: Values | None) -> None:
        if reply and reply["word"] == "problem":
            self._news.put(f"could not take something: {reply['why']}")
        elif reply and reply["word"] == "unsent":
            self._say_unsent(f" ({reply['why']})")

    def _write(self, command: Values) -> None:
        assert self._process and self._process.stdin
        rest = json.dumps(command, default=str).encode() + b"\n"
        try:
            while rest:
                rest = rest[os.write(self._process.stdin.fileno(), rest) :]
        except BrokenPipeError:
            raise _FailedError("its process ended") from None

    def _listen(self, timeout: float | None) -> Values | None:
        """The next thing that the process says, or ``None`` if it says nothing in time."""
        assert self._process and self._process.stdout
        deadline = None if timeout is None else time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._heard:
                if not selector.select(None if deadline is None else max(deadline - time.monotonic(), 0.0)):
                    return None
                if not (some := os.read(self._process.stdout.fileno(), 65536)):
                    raise _FailedError("its process ended")
                self._heard += some
        line, _, self._heard = self._heard.partition(b"\n")
        reply: Values = json.loads(line)
        return reply

    def _end_process(self) -> None:
        if process := self._process:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _say_unsent(self, why: str = "") -> None:
        self._news.put(f"did not take everything in {self._finish_timeout:g} s{why}{self._how_to_send()}")

    def _how_to_send(self) -> str:
        return f"; to send it later: wandb sync {self._directory}" if self._directory else ""
