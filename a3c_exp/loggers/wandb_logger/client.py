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

WANDB_PROCESS_SCRIPT = Path(__file__).with_name("process.py")
IMPORT_TIMEOUT = 60.0  # importing wandb takes a second, or many while a dozen workers start on two cores
GRACE_SECONDS = 2.0
MAX_QUEUED_ROWS = 20_000  # rows, about 20 MB; so many wait only when W&B is very slow to start, or hangs

JsonObject = dict[str, Any]


class _WandbProcessError(Exception):
    """The process could not begin, or is gone. The message says why; ``is_final`` that offline would fare no better."""

    def __init__(self, reason: str, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


class WandbClient:
    """Passes commands on to a process of wandb's own, in order and in the background.

    Args:
        handshake: what the process needs to know to begin a run.
        init_timeout: seconds that W&B has to answer before the run is kept offline.
        finish_timeout: seconds that it has to take what is left when the run ends.
    """

    def __init__(self, handshake: JsonObject, init_timeout: float, finish_timeout: float) -> None:
        self._handshake = {**handshake, "init_timeout": init_timeout, "finish_timeout": finish_timeout}
        self._init_timeout = init_timeout
        self._finish_timeout = finish_timeout
        self._commands: queue.SimpleQueue[JsonObject | None] = queue.SimpleQueue()
        self._messages: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._received = b""
        self._temp_directory = ""
        self._directory = ""
        self._num_dropped_rows = 0
        self._abandoned = False
        self._start_time = time.monotonic()
        self._startup_done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wandb pipe", daemon=True)
        self._thread.start()

    def send(self, command: JsonObject) -> None:
        if self._thread.is_alive():
            self._commands.put(command)

    def send_row(self, row: JsonObject) -> None:
        """As ``send``, but lets the row go when W&B is far behind: the run directory has it anyway."""
        if self._commands.qsize() < MAX_QUEUED_ROWS:
            self.send({"do": "log", "row": row})
        else:
            self._num_dropped_rows += 1

    def messages(self) -> list[str]:
        """What a person should know. It is kept until asked for, since a thread that prints would garble a display."""
        news = []
        while not self._messages.empty():
            news.append(self._messages.get())
        return news

    def close(self) -> None:
        """Wait until W&B has taken everything, within the limit; after this no process is left."""
        self._commands.put(None)
        self._startup_done.wait(max(self._start_time + self._init_timeout + 2 * GRACE_SECONDS - time.monotonic(), 0.0))
        self._thread.join(self._finish_timeout + GRACE_SECONDS)
        if self._thread.is_alive():
            self._abandoned = True
            if self._process:
                self._process.kill()
            self._thread.join(GRACE_SECONDS)
            self._report_unsent()
        if self._num_dropped_rows:
            self._messages.put(f"was too slow for {self._num_dropped_rows} rows, which are in the run directory only")

    # From here on: in the thread.

    def _run(self) -> None:
        try:
            self._start_run()
            self._startup_done.set()
            self._forward_commands()
        except Exception as error:  # whatever it is, it is not worth the run
            if not self._abandoned:
                self._messages.put(f"is off from here, the run goes on without it: {error}{self._sync_hint()}")
        finally:
            self._startup_done.set()
            self._end_process()

    def _start_run(self) -> None:
        try:
            ready = self._start_process(self._handshake["mode"])
        except _WandbProcessError as error:
            if error.is_final or self._abandoned or self._handshake["mode"] == "offline":
                raise
            self._end_process()
            ready = {**self._start_process("offline"), "why": f"could not go online: {error}"}
        self._directory = ready["directory"]
        if ready["mode"] == "online":
            self._messages.put(ready["url"])
        else:
            why = f" ({ready['why']})" if ready["why"] else ""
            self._messages.put(f"keeps this run offline{why}{self._sync_hint()}")

    def _start_process(self, mode: str) -> JsonObject:
        self._received = b""
        self._temp_directory = tempfile.mkdtemp(prefix="a3c_wandb_")  # wandb leaves folders behind when it is killed
        self._process = subprocess.Popen(
            # -P: with this folder on its path, `import wandb` would find the wandb.py beside this file.
            [sys.executable, "-P", str(WANDB_PROCESS_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "TMPDIR": self._temp_directory},
            start_new_session=True,  # Ctrl-C is for the run to answer
        )
        self._write({**self._handshake, "mode": mode})
        reply = self._receive(IMPORT_TIMEOUT)
        if reply and reply["word"] == "imported":
            reply = self._receive(self._init_timeout + GRACE_SECONDS)
        if reply is None:
            raise _WandbProcessError("no answer in time")
        if reply["word"] != "ready":
            raise _WandbProcessError(reply["why"], is_final=reply["word"] in ("missing", "disabled"))
        return reply

    def _forward_commands(self) -> None:
        assert self._process and self._process.stdin
        while True:
            try:
                command = self._commands.get(timeout=1.0)
            except queue.Empty:
                self._handle_reply(self._receive(0.0))
                continue
            if command is None:
                break
            self._write(command)
        self._process.stdin.close()
        try:
            while True:
                self._handle_reply(self._receive(None))  # close() sets the limit
        except _WandbProcessError:  # it has nothing more to say
            pass

    def _handle_reply(self, reply: JsonObject | None) -> None:
        if reply and reply["word"] == "problem":
            self._messages.put(f"could not take something: {reply['why']}")
        elif reply and reply["word"] == "unsent":
            self._report_unsent(f" ({reply['why']})")

    def _write(self, command: JsonObject) -> None:
        assert self._process and self._process.stdin
        rest = json.dumps(command, default=str).encode() + b"\n"
        try:
            while rest:
                rest = rest[os.write(self._process.stdin.fileno(), rest) :]
        except BrokenPipeError:
            raise _WandbProcessError("its process ended") from None

    def _receive(self, timeout: float | None) -> JsonObject | None:
        """The next thing that the process says, or ``None`` if it says nothing in time."""
        assert self._process and self._process.stdout
        deadline = None if timeout is None else time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._received:
                if not selector.select(None if deadline is None else max(deadline - time.monotonic(), 0.0)):
                    return None
                if not (some := os.read(self._process.stdout.fileno(), 65536)):
                    raise _WandbProcessError("its process ended")
                self._received += some
        line, _, self._received = self._received.partition(b"\n")
        reply: JsonObject = json.loads(line)
        return reply

    def _end_process(self) -> None:
        if process := self._process:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
            shutil.rmtree(self._temp_directory, ignore_errors=True)

    def _report_unsent(self, reason: str = "") -> None:
        self._messages.put(f"did not take everything in {self._finish_timeout:g} s{reason}{self._sync_hint()}")

    def _sync_hint(self) -> str:
        return f"; to send it later: wandb sync {self._directory}" if self._directory else ""
