"""Neither a slow, hung or dead wandb nor a missing network disturbs a run."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from a3c_exp.loggers.base import Logger
from a3c_exp.loggers.wandb_logger.logger import WandbLogger, run_id
from a3c_exp.system.errors import ConfigError
from tests.support.command import run
from tests.support.driving import suspend, wait_until
from tests.support.offline_wandb import (
    CLOSED_PORT,
    SUMMARY,
    episode,
    evaluation,
    history,
    nothing_left_after,
    records,
    relatives,
    run_info,
    summary,
    wait_for_process,
)
from tests.support.wandb_service import GraphqlHandler, serving

pytestmark = pytest.mark.usefixtures("nobody_logged_in")


def test_a_key_without_a_network_is_offline_within_the_limit_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.setenv("WANDB_BASE_URL", CLOSED_PORT)
    messages: list[str] = []
    logger = WandbLogger(init_timeout=1.0, finish_timeout=5.0, on_message=messages.append)
    began = time.monotonic()
    logger.start(run_info(tmp_path))
    logger.episode(episode(1))
    logger.finish("finished", SUMMARY)
    assert time.monotonic() - began < 30.0  # left to itself wandb takes 100; alone on a machine this takes 4
    (message,) = messages
    assert "keeps this run offline (could not go online: " in message and "connection refused" in message
    assert "\n" not in message
    (kept,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    assert b"episode/return" in kept.read_bytes()
    assert nothing_left_after(0.0)


def test_a_hung_wandb_does_not_hang_the_run(tmp_path: Path) -> None:
    messages: list[str] = []
    logger = WandbLogger(mode="offline", init_timeout=15.0, finish_timeout=0.5, on_message=messages.append)
    logger.start(run_info(tmp_path))
    (process,) = wait_for_process()

    def has_begun() -> bool:
        logger.episode(episode(1))
        return bool(messages)

    wait_until(has_begun, "wandb to begin", every=0.1)
    suspend(process)
    for number in range(2000):  # more than a pipe holds
        logger.evaluation(evaluation(number, -1.0))
    began = time.monotonic()
    logger.finish("finished", SUMMARY)
    assert time.monotonic() - began < 10.0
    assert messages[1].startswith("W&B did not take everything in 0.5 s; to send it later: wandb sync ")
    assert nothing_left_after(5.0)


def test_an_upload_that_hangs_does_not_hang_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    messages: list[str] = []
    with slow_service() as address:
        monkeypatch.setenv("WANDB_BASE_URL", address)
        logger = WandbLogger(init_timeout=15.0, finish_timeout=0.5, on_message=messages.append)
        logger.start(run_info(tmp_path))
        logger.episode(episode(1))

        def has_begun() -> bool:
            logger.video(tmp_path / "none.mp4", 1)
            return bool(messages)

        wait_until(has_begun, "wandb to begin", every=0.1)
        began = time.monotonic()
        logger.finish("finished", SUMMARY)
        assert time.monotonic() - began < 10.0
    (folder,) = (tmp_path / "wandb").glob("run-*")
    assert messages[0] == f"W&B {address}/someone/a3c_exp/runs/{(tmp_path / 'wandb_id').read_text().strip()}"
    assert "W&B could not take something: FileNotFoundError: " in messages[1]  # there is no such video
    assert messages[-1].startswith("W&B did not take everything") and messages[-1].endswith(f": wandb sync {folder}")
    assert nothing_left_after(5.0)


def test_a_dead_wandb_is_reported_once_and_training_continues(tmp_path: Path) -> None:
    messages: list[str] = []
    logger = WandbLogger(mode="offline", row_interval=0.0, on_message=messages.append)
    logger.start(run_info(tmp_path))
    (process,) = wait_for_process()
    os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + 10.0
    while not messages and time.monotonic() < deadline:
        logger.episode(episode(1))
        time.sleep(0.05)
    logger.finish("finished", SUMMARY)
    assert messages == ["W&B is off from here, the run goes on without it: its process ended"]
    assert nothing_left_after(5.0)


def test_a_killed_run_leaves_no_process_and_is_not_shown_as_running(tmp_path: Path) -> None:
    program = f"""
import tempfile, time
from a3c_exp.loggers.wandb_logger.client import WandbClient
tempfile.tempdir = {tempfile.gettempdir()!r}
handshake = dict(directory={str(tmp_path)!r}, project="p", entity=None, mode="offline", id="abcdefgh", name="n", group=None,
             job_type="train", tags=[], config={{}}, argv=["train.py"], pid=1, init_timeout=15.0, finish_timeout=15.0)
pipe = WandbClient(handshake)
pipe.send_row({{"env_step": 200, "episode/return": -10.0}})
deadline = time.monotonic() + 60
while not pipe.pop_messages():
    assert time.monotonic() < deadline
    time.sleep(0.1)
print("ready", flush=True)
time.sleep(60)
"""
    run = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert run.stdout and run.stdout.readline() == "ready\n"
    assert len(relatives()) >= 2
    run.kill()
    run.wait()
    assert nothing_left_after(5.0)
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    (sent,) = records(folder)
    assert summary(sent)["status"] == "killed" and sent[-1]["exit"]["exit_code"] == 1
    assert history(sent, "episode/return") == [(200, -10.0)]


def test_wandb_mode_disabled_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    messages: list[str] = []
    logger = WandbLogger(on_message=messages.append)
    logger.start(run_info(tmp_path))
    logger.finish("finished", SUMMARY)
    assert len(messages) == 1 and "WANDB_MODE" in messages[0]
    assert not (tmp_path / "wandb").exists()


def test_a_mode_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match="'onlin'; it can be auto, online, offline"):
        WandbLogger(mode="onlin")


@pytest.mark.parametrize("name", ["none", "wandb", "csv", "list"])
def test_the_configuration_files_name_only_what_exists(name: str) -> None:
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    path = Path(__file__).parents[3] / "conf" / "logger" / f"{name}.yaml"
    assert path.read_text().startswith(f"# python -m a3c_exp logger={name}\n")
    assert isinstance(instantiate(OmegaConf.load(path)), Logger)


@contextmanager
def slow_service() -> Iterator[str]:
    """A service in place of W&B's that lets a run begin and then never answers."""
    over = threading.Event()
    model = {"id": "m", "name": "a3c_exp", "entity": {"id": "e", "name": "someone"}}

    class Handler(GraphqlHandler):
        def reply(self) -> None:
            query = self.read_query() if self.path == "/graphql" else {}
            if self.path != "/graphql":
                over.wait(30.0)
                return
            bucket = {"id": "b", "name": query["variables"].get("name"), "displayName": "d", "project": model}
            answers = {
                "RunResumeStatus": {"model": {**model, "bucket": None}},
                "UpsertBucket": {"upsertBucket": {"bucket": bucket, "inserted": True}},
            }
            if query["operationName"] not in answers:
                over.wait(30.0)
                return
            self.send_data(answers[query["operationName"]])

    with serving(Handler) as address:
        try:
            yield address
        finally:
            over.set()


def test_the_id_that_an_agent_of_wandb_gives_is_that_of_one_run_and_never_of_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = run_id(tmp_path / "resumed")
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc12345")
    monkeypatch.setenv("WANDB_RUN_ID", "run00001")
    for directory in (tmp_path / "new", tmp_path / "resumed"):
        assert earlier != run_id(directory) == "run00001" == (directory / "wandb_id").read_text().strip()
    for several in (["seed=0,1"], ["hydra/sweeper=optuna", "gamma=choice(0.9,0.99)", "study.n_trials=2"]):
        ended = run("env=cartpole", "max_updates=20", *several, "-m", cwd=tmp_path)
        assert ended.returncode == 2 and len(ended.stderr.splitlines()) == 1
        assert "WANDB_RUN_ID=run00001 names one run in W&B" in ended.stderr and "env -u WANDB_RUN_ID" in ended.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"new", "resumed"}
