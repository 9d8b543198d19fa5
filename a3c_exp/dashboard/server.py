"""The server: which address it takes, and what it holds for the threads that answer."""

import errno
import ipaddress
import socket
import socketserver
import sys
from collections.abc import Callable, Mapping
from http.server import ThreadingHTTPServer
from typing import Any

from a3c_exp.dashboard.group_views import StudyViews, SweepViews
from a3c_exp.dashboard.outputs_folder import OutputsFolder
from a3c_exp.dashboard.outputs_index import OutputsIndex
from a3c_exp.dashboard.report_views import ReportViews
from a3c_exp.dashboard.request_handler import RequestHandler
from a3c_exp.dashboard.run_views import RunViews
from a3c_exp.system.errors import ConfigError

LOOPBACK = "127.0.0.1"
_FIRST_PORT, _NUM_PORTS = 7300, 40
"""Where a free port is looked for."""


class DashboardServer(ThreadingHTTPServer):
    """Serves the page for a folder of runs on one address, a thread a connection. It only reads.

    Raises ConfigError for an address that cannot be taken.
    """

    daemon_threads = True
    allow_reuse_port = False  # else a second server of the same user would share the port without a word
    request_queue_size = 64

    def __init__(self, index: OutputsIndex, host: str = LOOPBACK, port: int | None = None) -> None:
        self.host, self.index = host, index
        self.address_family, address = _resolve(host)
        self.is_local = ipaddress.ip_address(address.partition("%")[0]).is_loopback
        self.folder: OutputsFolder = index.folder
        self.answers = answers(index)
        for candidate in range(_FIRST_PORT, _FIRST_PORT + _NUM_PORTS) if port is None else [port]:
            try:
                super().__init__((address, candidate), RequestHandler)
            except OSError as error:
                if port is None and error.errno == errno.EADDRINUSE:
                    continue
                raise ConfigError(_refusal(host, candidate, error)) from None
            return
        last = _FIRST_PORT + _NUM_PORTS - 1
        raise ConfigError(f"all ports from {_FIRST_PORT} to {last} are taken. Choose another one: --port 0 takes any free one")

    def server_bind(self) -> None:
        """As of ``HTTPServer``, which looks the host's name up, and may wait for the network at that."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.host, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """What to open in a browser."""
        host = LOOPBACK if self.host in ("0.0.0.0", "::", "") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}"

    def accepts_host(self, header: str) -> bool:
        """Whether a request's ``Host`` is one of ours. Any numeric address is; of names only those that are known to mean this
        machine: a page elsewhere may let a name of its own point here (DNS rebinding), and would be let in by it."""
        name = header.rpartition(":")[0] if header.rpartition(":")[2].isdecimal() and not header.endswith("]") else header
        if not (name := name.lower().rstrip(".")):
            return False
        if name in ("localhost", self.host.lower()) or (not self.is_local and name == socket.gethostname().lower()):
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True


Answer = Callable[[dict[str, list[str]]], Mapping[str, Any]]


def answers(index: OutputsIndex) -> dict[str, Answer]:
    """What is asked for below ``/api/``, by name."""
    runs, sweeps, studies, reports = RunViews(index), SweepViews(index), StudyViews(index), ReportViews(index)
    root = {"root": str(index.folder.root)}
    return {
        "root": lambda query: root,
        "runs": runs.list_runs,
        "run": runs.show_run,
        "curves": runs.draw_curves,
        "compare": runs.compare_runs,
        "sweeps": sweeps.list_sweeps,
        "sweep": sweeps.show_sweep,
        "studies": studies.list_studies,
        "study": studies.show_study,
        "reports": reports.list_reports,
        "verdicts": reports.judge,
    }


def _resolve(host: str) -> tuple[socket.AddressFamily, str]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host or None, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such name"
        raise ConfigError(f"--host {host}: {reason}. Give an address of this machine, such as {LOOPBACK}") from None
    return family, str(address[0])


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"--port {port} is taken by another program. Choose another one, or leave it out: a free one is found"
    if error.errno == errno.EACCES:
        return f"--port {port} is not allowed to you: {error.strerror}. Choose one above 1023, or leave it out"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host} is no address of this machine. Give one, such as {LOOPBACK}"
    return f"--host {host} --port {port} cannot be taken: {error.strerror}. Leave both out: {LOOPBACK} and a free port"
