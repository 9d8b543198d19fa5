"""MLflow: a real server on loopback, read back by its client, and servers that are gone or do not answer."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from a3c_exp.loggers.mlflow_logger.logger import ID_FILE, MlflowLogger
from a3c_exp.loggers.mlflow_logger.study import MlflowStudy, TrialRecord
from a3c_exp.runs.log_records import Status
from tests.loggers.test_services import Rows, log
from tests.support.offline_wandb import CLOSED_PORT, SUMMARY, run_info

pytest.importorskip("mlflow", reason="extra `mlflow` is not installed")


@pytest.fixture(scope="module", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with a database of its own."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts")]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 180
    try:
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=2):
                break
            assert process.poll() is None and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.3)
        yield address
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def logged(folder: Path, address: str, steps: tuple[int, ...], status: Status = "finished", **more: Any) -> list[str]:
    """Log a session of a run of a sweep; returns the messages."""
    messages: list[str] = []
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"status": status}))
    logger = MlflowLogger(address, "thesis", 120.0, 120.0, row_interval=0.0, on_message=messages.append)
    logger.start(replace(run_info(folder), **more))
    log(logger, steps=steps)
    picture = folder / "step_200.png"
    picture.write_bytes(b"a picture")
    logger.screenshot(picture, 200)
    logger.finish(status, SUMMARY | {"weights_digest": "abc"})
    return messages


def run_of(client: Any, folder: Path) -> Any:
    return client.get_run((folder / ID_FILE).read_text().strip())


@pytest.mark.slow
def test_a_sweep_in_mlflow_has_every_point_parameter_tag_and_file(server: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    runs = [tmp_path / "a_sweep" / name for name in ("workers=4", "workers=8")]
    jobs = [{"number": number, "folder": folder.name} for number, folder in enumerate(runs)]
    for folder in runs:
        (folder / "checkpoints").mkdir(parents=True)
        (folder.parent / "sweep.json").write_text(json.dumps({"jobs": jobs}))
        (folder / "checkpoints" / "best.pt").write_bytes(b"weights")
        (folder / "summary.json").write_text("{}")
    client = MlflowClient(server)
    (runs[0].parent / ".lease").touch()  # as the sweep's command does
    said = logged(runs[0], server, (200, 400))
    assert run_of(client, runs[0].parent).info.status == "RUNNING", "another run is to come"
    assert len(said) == 1 and said[0].startswith(f"MLflow {server}/#/experiments/"), said
    assert len(logged(runs[0], server, (600,), resumed=True, start_env_step=400)) == 1
    logged(runs[1], server, (200,))

    rows = Rows()
    log(rows, steps=(200, 400, 600))
    run, other, parent = (run_of(client, folder) for folder in (*runs, runs[0].parent))
    for name, points in rows.points().items():
        assert [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)] == points, name
    assert run.data.params["env.id"] == "Pendulum-v1" and run.data.params["seed"] == "1"
    tags = run.data.tags
    assert tags["mlflow.parentRunId"] == other.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert (tags["group"], tags["job_type"], tags["weights_digest"]) == ("a_sweep", "workers=4", "abc")
    assert "steps a second" in tags["mlflow.note.content"]
    assert (run.info.run_name, run.info.status, parent.info.run_name) == ("workers=4", "FINISHED", "a_sweep")
    assert parent.info.status == "FINISHED"
    assert [file.path for file in client.list_artifacts(parent.info.run_id)] == ["sweep.json"]
    folders = ("", "checkpoints", "screenshots")
    files = {file.path for folder in folders for file in client.list_artifacts(run.info.run_id, folder)}
    assert files >= {"summary.json", "checkpoints/best.pt", "screenshots/step_200.png"}


@pytest.mark.slow
def test_a_sweep_ends_as_its_runs_did_and_goes_on_with_them(server: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client, sweep = MlflowClient(server), tmp_path / "stopped"
    folders = [sweep / "control=fair" / "seed=0", sweep / "control=fair" / "seed=1"]
    sweep.mkdir()
    (sweep / "sweep.json").write_text(json.dumps({"jobs": [{"folder": str(folder.relative_to(sweep))} for folder in folders]}))
    logged(folders[0], server, (200,), "interrupted", group="stopped")
    first = run_of(client, sweep)
    assert first.info.status == "KILLED" and not (sweep / "control=fair" / ID_FILE).exists()
    logged(folders[0], server, (400,), "finished", group="stopped", resumed=True, start_env_step=200)
    assert run_of(client, sweep).info.status == "KILLED", "it alone was gone on with"
    logged(folders[1], server, (200,), "failed", group="stopped")
    assert run_of(client, sweep).info.status == "FAILED" and run_of(client, sweep).info.run_id == first.info.run_id
    states = [run_of(client, folder).info.status for folder in folders]
    assert states == ["FINISHED", "FAILED"]


@pytest.mark.slow
def test_a_study_in_mlflow_has_its_trials_with_parameters_values_and_states(server: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client, study, said = MlflowClient(server), tmp_path / "s", list[str]()
    (study / "report").mkdir(parents=True)
    (study / "report" / "figure.svg").write_text("a figure")
    (study / "study.json").write_text("{}")
    settings = {"tracking_uri": server, "experiment": "thesis", "init_timeout": 120.0, "finish_timeout": 120.0}
    trials = [
        TrialRecord(0, "complete", {"gamma": 0.9}, {"evaluation.mean": -300.0}, {}),
        TrialRecord(1, "pruned", {"gamma": 0.8}, {"evaluation.mean": -900.0}, {"reason": "too low"}),
        TrialRecord(2, "failed", {"gamma": 0.7}, {}, {"reason": "its process was killed"}),
    ]
    for session in range(2):
        mirror = MlflowStudy(settings, study, "s", {"gamma": "interval(0.7, 0.9)"}, {"goal": "maximize evaluation.mean"})
        if session == 0:
            logged(study / "trial=0", server, (200,), group="s", name="trial=0")
            for seed in range(2):
                logged(study / "trial=1" / f"seed={seed}", server, (200,), group="s", name=f"trial=1/seed={seed}")
            mirror.update(trials[:1], trials[0])
        mirror.update(trials, trials[0])
        mirror.finish("finished", [study / "study.json", study / "report"], said.append)
        if session == 0:
            ids = {path: path.read_text() for path in study.rglob(f"{ID_FILE}*")}
    assert ids == {path: path.read_text() for path in study.rglob(f"{ID_FILE}*")} and len(said) == 2, said
    parent, *runs = (run_of(client, study / folder) for folder in (".", "trial=0", "trial=1"))
    runs.append(client.get_run((study / f"{ID_FILE}.trial=2").read_text().strip()))
    assert (parent.info.status, parent.data.params["gamma"], parent.data.tags["best.gamma"]) == (
        "FINISHED", "interval(0.7, 0.9)", "0.9",
    )  # fmt: skip
    assert parent.data.metrics["study/best_value"] == -300.0
    assert [file.path for file in client.list_artifacts(parent.info.run_id, "report")] == ["report/figure.svg"]
    assert [run.data.tags["mlflow.parentRunId"] for run in runs] == 3 * [parent.info.run_id]
    assert [run.data.tags["state"] for run in runs] == ["complete", "pruned", "failed"]
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED", "FAILED"]
    assert [run.data.params.get("gamma") for run in runs] == [None, "0.8", "0.7"], "a run has its configuration already"
    history = [client.get_metric_history(run.info.run_id, "study/evaluation.mean") for run in runs]
    assert [[point.value for point in points] for points in history] == [[-300.0], [-900.0], []]
    seed = run_of(client, study / "trial=1" / "seed=1")
    assert seed.data.tags["mlflow.parentRunId"] == runs[1].info.run_id and seed.data.tags["job_type"] == "trial"


@contextmanager
def hanging_server() -> Iterator[str]:
    """A server that takes requests and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        held: list[socket.socket] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    held.append(listening.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for one in held:
            one.close()


@pytest.mark.slow
@pytest.mark.parametrize("hangs", [False, True], ids=["gone", "hangs"])
def test_a_server_that_does_not_answer_is_reported_once_and_not_waited_for(hangs: bool, tmp_path: Path) -> None:
    with hanging_server() if hangs else nullcontext(CLOSED_PORT) as address:
        messages: list[str] = []
        logger = MlflowLogger(address, "thesis", 3.0, 1.0, row_interval=0.0, on_message=messages.append)
        logger.start(replace(run_info(tmp_path), group=None))
        started = time.monotonic()
        for _ in range(200):
            log(logger)
        assert time.monotonic() - started < 30.0, "logging only fills a queue"
        logger.finish("finished", SUMMARY)
        assert len(messages) == 1 and messages[0].startswith("MLflow is off from here, the run goes on without it"), messages
        assert not (tmp_path / ID_FILE).exists()
