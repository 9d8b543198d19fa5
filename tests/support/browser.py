"""A real browser without a window, driven by the DevTools protocol over a pipe: no further package, no network, no profile."""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (found := shutil.which(name))), ""
)
MISSING = "no Chromium or Chrome on this machine's path"
QUIETLY = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--disable-extensions", "--proxy-server=127.0.0.1:9", "--hide-scrollbars"),
)


class Browser:
    """One page of a browser. ``complaints`` are errors of its scripts and what its security policy refused."""

    def __init__(self, profile: Path) -> None:
        ours_in, theirs_out = (fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in os.pipe())
        theirs_in, ours_out = (fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in os.pipe())
        arguments = [BROWSER, *QUIETLY, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        command = ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", *arguments]
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, pass_fds=[theirs_in, theirs_out], start_new_session=True, **streams)
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        self._received = b""
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self.complaints: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(20)
        os.close(self._in)
        os.close(self._out)

    def screen(self, width: int, height: int = 900, dark: bool = False) -> None:
        """Take a screen of this size, in CSS pixels, on which the system is light or dark."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address: str) -> None:
        """Go to an address. It may not have been drawn when this returns."""
        self._call("Page.navigate", url=address)

    def ask(self, script: str) -> Any:
        """What an expression comes to inside the page."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, script: str, seconds: float = 30.0) -> Any:
        """What an expression comes to, once that is true."""
        deadline = time.monotonic() + seconds
        while not (value := self.ask(script)):
            assert time.monotonic() < deadline, f"{script} is still not true: {self.complaints} {self._text()!r}"
            time.sleep(0.05)
        return value

    def _text(self) -> str:
        return str(self.ask("document.body.innerText"))[:1000]

    def picture(self, whole: bool = False) -> bytes:
        """What is on the screen, or the ``whole`` page, as PNG."""
        return base64.b64decode(self._call("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def _call(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        request = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            request["sessionId"] = self._session
        os.write(self._out, json.dumps(request).encode() + b"\0")
        while True:
            message = self._next_message()
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._note(message)

    def _next_message(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            assert select.select([self._in], [], [], 60)[0], "the browser says nothing"
            data = os.read(self._in, 1 << 16)
            assert data, "the browser has ended"
            self._received += data
        text, self._received = self._received.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        if message.get("method") == "Log.entryAdded" and (entry := message["params"]["entry"])["level"] == "error":
            self.complaints += [] if "(Bad Request)" in entry["text"] else [entry["text"]]  # an answer that a page shows
