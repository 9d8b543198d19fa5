"""``python -m a3c_exp.dashboard``: a live page of runs, sweeps, studies and reports, from their files alone."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from a3c_exp.dashboard.outputs_index import OutputsIndex
from a3c_exp.dashboard.server import LOOPBACK, DashboardServer
from a3c_exp.system.cli import CommandParser, run_command

_EPILOG = f"""\
examples:
  python -m a3c_exp.dashboard                        what lies below outputs/, on {LOOPBACK} and a free port
  python -m a3c_exp.dashboard outputs/2026-11-21     what lies below that
  python -m a3c_exp.dashboard --port 8000            on this port
  python -m a3c_exp.dashboard --host 0.0.0.0         for everybody who can reach this machine

It reads the files of runs while they train, and never writes. Ctrl-C ends it. On another machine: ssh -L 7300:{LOOPBACK}:7300
MACHINE, then open http://{LOOPBACK}:7300 here. Optuna's own dashboard is another program: optuna-dashboard (docs/tuning.md)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM, and return 0; 2, with one line on stderr, if the command was wrong."""
    return run_command("a3c_exp.dashboard", lambda: _main(_parser().parse_args(argv)))


def _main(options: argparse.Namespace) -> None:
    index = OutputsIndex(options.directory)
    index.require_something()
    try:
        with DashboardServer(index, options.host, options.port) as server:
            for number in (signal.SIGINT, signal.SIGTERM):  # a shell may have had the first one ignored
                signal.signal(number, signal.default_int_handler)
            server.answers["runs"]({})  # read all that a list shows, so that the first page need not wait
            print(f"dashboard of {options.directory}: {server.url}   (Ctrl-C ends it)", flush=True)
            if not server.is_local:
                print(f"everybody who can reach port {server.server_port} of this machine can see these runs", flush=True)
            server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        print("\ndashboard ended", flush=True)


def _parser() -> argparse.ArgumentParser:
    does = "Show runs, sweeps, studies and reports on a live page, from their files alone."
    parser = CommandParser("a3c_exp.dashboard", does, _EPILOG)
    add = parser.add_argument
    add("directory", nargs="?", type=Path, default=Path("outputs"), metavar="DIR", help="folder of runs (default: outputs)")
    add("--host", default=LOOPBACK, help=f"address to listen on (default: {LOOPBACK}, which only this machine reaches)")
    add("--port", type=_port, help="port to listen on; 0 for any free one (default: the first free one from 7300 on)")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port, which is a number from 0 to 65535")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
