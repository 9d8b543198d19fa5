"""One request: whether it may be answered, and the answer. There is only GET and HEAD."""

import hashlib
import os
import re
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import parse_qs, unquote

from a3c_exp.dashboard.payloads import static_files, to_json
from a3c_exp.system.errors import A3CError, ConfigError

if TYPE_CHECKING:
    from a3c_exp.dashboard.server import DashboardServer

_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'; sandbox"
"""For what others may have made: a report's page has its styles within it, and nothing in it may run."""
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_STATIC_TYPES = {
    "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}  # fmt: skip
_FILE_TYPES = {
    ".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif", ".png": "image/png", ".jpg": "image/jpeg",
    ".svg": "image/svg+xml", ".csv": "text/csv; charset=utf-8", ".pdf": "application/pdf", ".html": "text/html; charset=utf-8",
}  # fmt: skip
"""What is served of the folder: pictures, videos and what reports consist of; no weights, no configurations."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_BLOCK = 1 << 18  # bytes of a file that are read at a time


class RequestHandler(BaseHTTPRequestHandler):
    """Answers requests of one connection."""

    server: "DashboardServer"
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds after which a connection without a request is closed

    def do_GET(self) -> None:
        """Answer with headers and body."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer with headers alone."""
        self._answer()

    def _refuse_method(self) -> None:
        self.close_connection = True  # the request's body is not read
        self._send_text(HTTPStatus.METHOD_NOT_ALLOWED, "this server only reads", {"Allow": "GET, HEAD"})

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse_method  # noqa: N815

    def version_string(self) -> str:
        """Of the header ``Server``: without versions, which would only help an attacker."""
        return "a3c_exp"

    def log_message(self, format: str, *arguments: object) -> None:
        """A page that asks every two seconds would fill the terminal."""

    def _answer(self) -> None:
        if self.headers.get("Content-Length") or self.headers.get("Transfer-Encoding"):
            self.close_connection = True  # a body, which is not read, must not be taken for the next request
        if not self.server.accepts_host(self.headers.get("Host", "")):
            known = "by its numeric address, or start it with --host and the name that you use"
            self._send_text(HTTPStatus.FORBIDDEN, f"this name does not belong to the dashboard; open it {known}")
            return
        path, _, query = self.path.partition("?")
        place, _, rest = path.removeprefix("/").partition("/")
        if path == "/":
            self._send_static("index.html")
        elif place == "static":
            self._send_static(rest)
        elif place == "api":
            self._send_answer(unquote(rest), query)
        elif place == "files":
            self._send_file(rest)
        else:
            self._send_text(HTTPStatus.NOT_FOUND, "nothing here")

    def _send_static(self, name: str) -> None:
        if (body := static_files().get(name)) is None:
            self._send_text(HTTPStatus.NOT_FOUND, "nothing here")
            return
        policy = {"Content-Security-Policy": _PAGE_POLICY} if name.endswith(".html") else {}
        self._send_body(body, _STATIC_TYPES[name.rpartition(".")[2]], policy)

    def _send_answer(self, name: str, query: str) -> None:
        status = HTTPStatus.OK
        try:
            if (answer := self.server.answers.get(name)) is None:
                raise ConfigError(f"there is no answer to {name}. Go back to the page")
            body = to_json(answer(parse_qs(query)))
        except A3CError as error:
            status, body = HTTPStatus.BAD_REQUEST, to_json({"error": str(error)})
        except ConnectionError:
            raise
        except Exception as error:  # a run that was deleted meanwhile must not take the page away
            traceback.print_exc()
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            body = to_json({"error": f"{type(error).__name__}: {error} (the terminal of the dashboard has the traceback)"})
        self._send_body(body, "application/json", status=status)

    def _send_body(
        self, body: bytes, kind: str, more: dict[str, str] | None = None, status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        """Send a whole body, or only that it is what the browser has already."""
        tag = f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"'
        if status is HTTPStatus.OK and self.headers.get("If-None-Match") == tag:
            self._send_head(HTTPStatus.NOT_MODIFIED, {"ETag": tag, "Cache-Control": "no-cache"})
            return
        known = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-cache", "ETag": tag}
        self._send_head(status, known | (more or {}))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_text(self, status: HTTPStatus, text: str, more: dict[str, str] | None = None) -> None:
        self._send_body(f"{text}\n".encode(), "text/plain; charset=utf-8", more, status)

    def _send_head(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**_ALWAYS, **headers}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _send_file(self, address: str) -> None:
        """A file of the folder, or the part of it that a player asks for."""
        path = self.server.folder.path_of(address)
        kind = _FILE_TYPES.get(path.suffix.lower()) if path is not None else None
        if path is None or kind is None or (path.suffix.lower() == ".html" and not self._is_report(address)):
            self._send_text(HTTPStatus.NOT_FOUND, "nothing here")
            return
        try:
            file = self.server.folder.open(path)
        except OSError:
            self._send_text(HTTPStatus.NOT_FOUND, "nothing here")
            return
        with file:
            size = os.fstat(file.fileno()).st_size
            headers = {"Content-Type": kind, "Accept-Ranges": "bytes", "Cache-Control": "no-cache"}
            headers["Content-Security-Policy"] = _FILE_POLICY
            part = _part_of(self.headers.get("Range", ""), size)
            if part is None:
                self._send_head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                                {**headers, "Content-Range": f"bytes */{size}", "Content-Length": "0"})  # fmt: skip
                return
            begin, end = part
            status = HTTPStatus.OK
            if self.headers.get("Range") and (begin, end) != (0, size):
                status = HTTPStatus.PARTIAL_CONTENT
                headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
            self._send_head(status, {**headers, "Content-Length": str(end - begin)})
            if self.command != "HEAD":
                self._copy(file, begin, end)

    def _copy(self, file: BinaryIO, begin: int, end: int) -> None:
        file.seek(begin)
        while begin < end and (block := file.read(min(_BLOCK, end - begin))):
            self.wfile.write(block)
            begin += len(block)
        if begin < end:  # it was cut short meanwhile, and the browser waits for more than there is
            self.close_connection = True

    def _is_report(self, address: str) -> bool:
        folder, _, name = address.rpartition("/")
        return name == "index.html" and (folder or ".") in self.server.index.snapshot().reports


def _part_of(header: str, size: int) -> tuple[int, int] | None:
    """``[begin, end)`` that ``Range: bytes=...`` asks for, all of it without one; ``None`` if there is no such part."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or (not match[1] and not match[2]):
        return 0, size
    if not match[1]:
        begin, end = max(0, size - int(match[2])), size
    else:
        begin, end = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
    return (begin, end) if begin < end else None
