"""A folder of runs and a server on it, shared by what only reads."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from a3c_exp.dashboard.outputs_index import OutputsIndex
from a3c_exp.dashboard.server import DashboardServer
from a3c_exp.report import report_files
from a3c_exp.runs.sweep_plan import PlannedJob, SweepPlan
from tests.support.synthetic_runs import DEAD_PID, write_run, write_seeds

CHOICES = {"env": "pendulum", "parallelism": "hogwild"}
EVIL = "<script>alert(1)<_script>"  # a folder's name may hold anything but a slash


@dataclass(frozen=True)
class Site:
    """A server that answers, and how to ask it."""

    server: DashboardServer

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        """The answer to ``path``, sent as it is: no client cleans it up. Underscores in names of headers are hyphens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=20)
        host = headers.pop("Host", None)
        connection.putrequest(method, path, skip_host=host is not None)
        if host:
            connection.putheader("Host", host)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response, body

    def ask(self, name: str, *pairs: tuple[str, object], **query: object) -> Any:
        """The answer of ``/api/<name>``."""
        _, body = self.get(f"/api/{name}?{urlencode([*pairs, *query.items()])}")
        return json.loads(body)


Serve = Callable[[Path], Site]


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    """Serve a folder until the tests end."""
    servers = []

    def start(root: Path) -> Site:
        server = DashboardServer(OutputsIndex(root), port=0)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return Site(server)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def write_study(directory: Path) -> None:
    """A study as ``study.json`` and its trials' folders say it: two complete, one pruned, one that still runs."""
    directory.mkdir(parents=True)
    content = {
        "format": 2,
        "study_name": "<b>s",
        "n_trials": 5,
        "objectives": [["evaluation.mean", "maximize"]],
        "space": {"gamma": "interval(0.8, 0.999)"},
        "sessions": [{"command": "python -m a3c_exp +study=s -m"}],
    }
    (directory / "study.json").write_text(json.dumps(content))
    for number, (state, value) in enumerate([("complete", -300.0), ("complete", -200.0), ("pruned", None), ("running", None)]):
        params = {"gamma": 0.8 + number / 100}
        status = "finished" if state == "complete" else state
        folder = write_run(directory / f"trial={number}", episodes=4, evaluations=2, status=status, config=params)
        known = {"number": number, "state": state, "params": params, "values": value and [value], "spread": value and [2.5]}
        known["reason"] = "MedianPruner at evaluation 2" if state == "pruned" else None
        if state != "running":
            (folder / "trial.json").write_text(json.dumps(known))


@pytest.fixture(scope="session")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that was interrupted, seeds that trained together, a study, a report, and names that mean harm."""
    root = tmp_path_factory.mktemp("dashboard") / "outputs"
    sweep = root / "2026-11-21" / "14-10-05_sweep"
    sweep.mkdir(parents=True)
    folders = [f"workers={workers},seed={seed}" for workers in (4, 12) for seed in range(2)]
    jobs = tuple(PlannedJob(number, folder, (), {}) for number, folder in enumerate(folders))
    SweepPlan(sweep, "python -m a3c_exp -m", (), (), (), None, {}, jobs).write()
    write_run(sweep / folders[0], episodes=8, run_json=CHOICES)
    write_run(sweep / folders[1], seed=1, episodes=8, run_json=CHOICES)
    write_run(sweep / folders[2], workers=12, episodes=8, status="running", pid=DEAD_PID, half_written=True, run_json=CHOICES)
    evil = write_run(root / "2026-11-20" / EVIL, episodes=4, status="failed", reason=EVIL, config={"tags": [EVIL]})
    (evil / "videos").mkdir()
    (evil / "videos" / "episode 0.mp4").write_bytes(bytes(range(256)) * 8)
    (evil / "checkpoints").mkdir()
    (evil / "checkpoints" / "step_1.pt").write_bytes(b"weights")
    write_seeds(root / "2026-11-22" / "seeds", episodes=4, seeds=2)
    write_run(root / "2026-11-22" / "live", episodes=4, status="running", run_json=CHOICES, config={"max_episodes": 8})
    write_study(root / "studies" / "s")
    (sweep / "report").mkdir()
    page = f"<!DOCTYPE html>\n{report_files.MARKER}\n<title>a &amp; b</title><script>alert(1)</script>"
    (sweep / "report" / "index.html").write_text(page)
    (root / "2026-11-20" / "index.html").write_text("<title>no report</title>")
    return root


@pytest.fixture(scope="session")
def site(outputs: Path, serve: Serve) -> Site:
    return serve(outputs)
