"""MLflow: a real server on loopback, read back by its client, and servers that are gone or do not answer."""

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


def logged(folder: Path, address: str, steps: tuple[int, ...], **more: Any) -> list[str]:
    """Log a session of a run of a sweep; returns the messages."""
    messages: list[str] = []
    logger = MlflowLogger(address, "thesis", 120.0, 120.0, row_interval=0.0, on_message=messages.append)
    logger.start(run_info(folder, **more))
    log(logger, steps=steps)
    picture = folder / "step_200.png"
    picture.write_bytes(b"a picture")
    logger.screenshot(picture, 200)
    logger.finish("finished", SUMMARY | {"weights_digest": "abc"})
    return messages


@pytest.mark.slow
def test_a_sweep_in_mlflow_has_every_point_parameter_tag_and_file(server: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    runs = [tmp_path / "a_sweep" / name for name in ("workers=4", "workers=8")]
    for folder in runs:
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "best.pt").write_bytes(b"weights")
        (folder / "summary.json").write_text("{}")
    said = logged(runs[0], server, (200, 400))
    assert len(said) == 1 and said[0].startswith(f"MLflow {server}/#/experiments/"), said
    assert len(logged(runs[0], server, (600,), resumed=True, start_env_step=400)) == 1
    logged(runs[1], server, (200,))

    client, rows = MlflowClient(server), Rows()
    log(rows, steps=(200, 400, 600))
    run, other = (client.get_run((folder / ID_FILE).read_text().strip()) for folder in runs)
    parent = client.get_run((tmp_path / "a_sweep" / ID_FILE).read_text().strip())
    for name, points in rows.points().items():
        assert [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)] == points, name
    assert run.data.params["env.id"] == "Pendulum-v1" and run.data.params["seed"] == "1"
    tags = run.data.tags
    assert tags["mlflow.parentRunId"] == other.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert (tags["group"], tags["job_type"], tags["weights_digest"]) == ("a_sweep", "workers=4", "abc")
    assert "steps a second" in tags["mlflow.note.content"]
    assert (run.info.run_name, run.info.status, parent.info.run_name) == ("workers=4", "FINISHED", "a_sweep")
    assert parent.info.status == "FINISHED"
    folders = ("", "checkpoints", "screenshots")
    files = {file.path for folder in folders for file in client.list_artifacts(run.info.run_id, folder)}
    assert files >= {"summary.json", "checkpoints/best.pt", "screenshots/step_200.png"}


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
