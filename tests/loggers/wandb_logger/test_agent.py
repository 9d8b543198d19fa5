"""W&B's own agent starts runs of its sweeps here, and W&B's variables say where they go."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from a3c_exp.config.compose import compose_jobs
from a3c_exp.config.instantiate import checked_partial
from a3c_exp.loggers.wandb_logger.logger import WandbLogger
from a3c_exp.loggers.wandb_logger.sync import unsent
from tests.support.command import ROOT, environment
from tests.support.offline_wandb import SUMMARY, records, run_info
from tests.support.wandb_service import GraphqlHandler, serving

pytestmark = pytest.mark.usefixtures("nobody_logged_in")
SMALL = ["env=cartpole", "logger.mode=offline", "max_updates=20", "evaluation.episodes=1", "workers=2"]
COMMAND = ["${env}", "${interpreter}", "-m", "a3c_exp", *SMALL, "${args_no_hyphens}"]
ARGUMENTS = {"optimizer.lr": {"value": 0.002}, "n_step": {"value": 7}}


@contextmanager
def controller() -> Iterator[tuple[str, list[str]]]:
    """In place of W&B's server, which cannot be had here, for its agent: a sweep that has one run. Also what was asked."""
    asked: list[str] = []
    run = {"type": "run", "id": "1", "run_id": "run00001", "program": "", "args": ARGUMENTS}

    class Handler(GraphqlHandler):
        def reply(self) -> None:
            query = self.read_query()["query"]
            asked.append(query)
            sweep = {"id": "s", "name": "abc12345", "config": yaml.safe_dump({"command": COMMAND}), "runs": {"edges": []}}
            viewer = {"id": "u", "entity": "someone", "username": "someone", "flags": "{}", "teams": {"edges": []}}
            answer: dict[str, Any] = {"project": {"sweep": sweep}, "viewer": viewer}
            if "createAgent" in query:
                answer = {"createAgent": {"agent": {"id": "a"}}}
            elif "agentHeartbeat" in query:
                first = sum("agentHeartbeat" in each for each in asked) == 1
                answer = {"agentHeartbeat": {"agent": {"id": "a"}, "commands": json.dumps([run] if first else [])}}
            self.send_data(answer)

    with serving(Handler) as address:
        yield address, asked


@pytest.mark.slow
def test_an_agent_of_wandb_starts_a_run_with_the_sweeps_values(tmp_path: Path) -> None:
    with controller() as (address, asked):
        variables = environment() | {"WANDB_BASE_URL": address, "WANDB_API_KEY": "0123456789" * 4}
        variables["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), variables["PATH"]))
        variables["PYTHONPATH"] = str(ROOT)
        agent = [sys.executable, "-P", "-m", "wandb", "agent", "--count", "1", "someone/thesis/abc12345"]
        done = subprocess.run(agent, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert any("createAgent" in query for query in asked)
    (run,) = (record.parent for record in tmp_path.glob("outputs/*/*/run.json"))
    config = yaml.safe_load((run / ".hydra" / "config.yaml").read_text())
    assert (config["optimizer"]["lr"], config["n_step"], config["max_updates"]) == (0.002, 7, 20)
    assert (run / "wandb_id").read_text() == "run00001\n" and config["logger"]["project"] == "thesis"
    (folder,) = (tmp_path / "wandb").glob("offline-run-*-run00001")
    assert unsent([run]) == [folder] and not (run / "wandb").exists()


def logger_of(*overrides: str) -> tuple[WandbLogger, list[str]]:
    messages: list[str] = []
    config = compose_jobs([*overrides], multirun=False)[0].config.logger
    return checked_partial(config, "logger")(on_message=messages.append), messages


def test_wandbs_variables_say_where_a_run_goes_unless_the_configuration_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"PROJECT": "thesis", "RUN_GROUP": "gg", "TAGS": "aa, bb", "MODE": "offline", "DIR": str(tmp_path / "files")}
    for name, value in variables.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    run = run_info(tmp_path / "run")
    run.directory.mkdir()
    logger, messages = logger_of("logger.project=mine", "logger.tags=[cc]")
    logger.start(run)
    logger.finish("finished", SUMMARY)
    said = [message for message in messages if "counts" in message]
    assert said == [
        "W&B: logger.project=mine of the configuration counts, not WANDB_PROJECT=thesis",
        "W&B: logger.tags=cc of the configuration counts, not WANDB_TAGS=aa, bb",
    ]
    (folder,) = (tmp_path / "files" / "wandb").glob("offline-run-*")
    (sent,) = records(folder)
    placed = next(record["run"] for record in sent if record["type"] == "run")
    assert (placed["project"], placed["run_group"]) == ("mine", "gg") and "cc" in placed["tags"]
    assert unsent([run.directory]) == [folder] and not (run.directory / "wandb").exists()
    assert any(str(folder) in message for message in messages)
