"""The run's side of the pipe to a service's process. Training never waits for it; the end of a run does, for a limited time."""

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from a3c_exp.system.child_process import ChildCommand

IMPORT_TIMEOUT = 60.0  # importing a service's library takes a second, or many while a dozen workers start on two cores
GRACE_SECONDS = 2.0
MAX_QUEUED_ROWS = 20_000  # about 20 MB; so many wait only when the service is very slow to start, or hangs

JsonObject = dict[str, Any]


class _ServiceProcessError(Exception):
    """The process could not begin a run online, or has ended."""


class ServiceClient:
    """Passes commands to a process for a service, in order and in the background; the ``handshake`` has the run, the mode and
    the timeouts. The process of W&B, wandb_logger/process.py, shows what is sent and answered."""

    script: Path  # what the process runs
    offline_mode = ""  # the mode in which it begins a run without its service; empty: it cannot

    def __init__(self, handshake: JsonObject) -> None:
        self._handshake = handshake
        self._init_timeout, self._finish_timeout = (float(handshake[f"{name}_timeout"]) for name in ("init", "finish"))
        self._commands: queue.SimpleQueue[JsonObject] = queue.SimpleQueue()
        self._messages: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process: ChildCommand | None = None
        self._temp_directory = ""
        self._directory = ""
        self._num_dropped_rows = 0
        self._abandoned = False
        self._start_time = time.monotonic()
        self._startup_done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="service pipe", daemon=True)
        self._thread.start()

    def send(self, command: JsonObject) -> None:
        if self._thread.is_alive():
            self._commands.put(command)

    def send_row(self, row: JsonObject) -> None:
        """As ``send``, but drops the row when the service is far behind: the run directory has it anyway."""
        if self._commands.qsize() < MAX_QUEUED_ROWS:
            self.send({"do": "log", "row": row})
        else:
            self._num_dropped_rows += 1

    def pop_messages(self) -> list[str]:
        """Messages for the user. They are kept until they are asked for, since a thread that prints would garble a display."""
        return [self._messages.get() for _ in range(self._messages.qsize())]

    def finish(self, status: str, summary: JsonObject) -> None:
        """End the run. Waits within the limit until the service has taken everything; after this no process is left."""
        self.send({"do": "finish", "status": status, "summary": summary})
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

    # The rest runs in the thread.

    def _run(self) -> None:
        try:
            self._start_run()
            self._startup_done.set()
            self._forward_commands()
        except Exception as error:  # no error of a service is worth the run
            if not self._abandoned:
                self._messages.put(f"is off from here, the run goes on without it: {error}{self._sync_hint()}")
        finally:
            self._startup_done.set()
            self._end_process()

    def _start_run(self) -> None:
        try:
            ready = self._start_process(self._handshake["mode"])
        except _ServiceProcessError as error:
            if self._abandoned or self._handshake["mode"] == self.offline_mode or not self.offline_mode:
                raise
            self._end_process()
            ready = {**self._start_process(self.offline_mode), "why": f"could not go online: {error}"}
        self._directory = ready["directory"]
        if ready["mode"] == "online":
            self._messages.put(ready["url"])
        else:
            why = f" ({ready['why']})" if ready["why"] else ""
            self._messages.put(f"keeps this run offline{why}{self._sync_hint()}")

    def _start_process(self, mode: str) -> JsonObject:
        self._temp_directory = tempfile.mkdtemp(prefix="a3c_service_")  # libraries leave folders behind when they are killed
        self._process = ChildCommand(
            # -P: with its folder on its path, `import wandb` could find a module beside the script.
            [sys.executable, "-P", str(self.script)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": self._temp_directory},
            start_new_session=True,  # Ctrl-C is for the run to answer
        )
        self._write({**self._handshake, "mode": mode})
        reply = self._receive(IMPORT_TIMEOUT)
        if reply and reply["type"] == "imported":
            reply = self._receive(self._init_timeout + GRACE_SECONDS)
        if reply is None:
            raise _ServiceProcessError("no answer in time")
        if reply["type"] in ("missing", "disabled"):
            raise RuntimeError(reply["why"])  # offline it could not begin a run either
        if reply["type"] != "ready":
            raise _ServiceProcessError(reply["why"])
        return reply

    def _forward_commands(self) -> None:
        finished = False
        while not finished:
            try:
                command = self._commands.get(timeout=1.0)
            except queue.Empty:
                self._handle_reply(self._receive(0.0))
                continue
            self._write(command)
            finished = command["do"] == "finish"
        with suppress(_ServiceProcessError):  # it ends when it has nothing more to report
            while True:
                self._handle_reply(self._receive(None))  # finish() sets the limit

    def _handle_reply(self, reply: JsonObject | None) -> None:
        if reply and reply["type"] == "problem":
            self._messages.put(f"could not take something: {reply['why']}")
        elif reply and reply["type"] == "unsent":
            self._report_unsent(f" ({reply['why']})")

    def _write(self, command: JsonObject) -> None:
        assert self._process
        try:
            self._process.pipe.send_bytes(json.dumps(command, default=str).encode())
        except OSError:
            raise _ServiceProcessError("its process ended") from None

    def _receive(self, timeout: float | None) -> JsonObject | None:
        """The next reply of the process, or ``None`` if none comes in time."""
        assert self._process
        try:
            return self._process.pipe.recv() if self._process.pipe.poll(timeout) else None
        except (EOFError, OSError):
            raise _ServiceProcessError("its process ended") from None

    def _end_process(self) -> None:
        if self._process:
            self._process.close()
            shutil.rmtree(self._temp_directory, ignore_errors=True)

    def _report_unsent(self, reason: str = "") -> None:
        self._messages.put(f"did not take everything in {self._finish_timeout:g} s{reason}{self._sync_hint()}")

    def _sync_hint(self) -> str:
        return f"; to send it later: {self.send_later(self._directory)}" if self._directory else ""

    def send_later(self, directory: str) -> str:
        """The command that sends what is in the ``directory`` that the process named."""
        raise NotImplementedError
