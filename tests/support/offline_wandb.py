"""What a run sends to wandb, what wandb keeps of it without a network, and whether its processes are gone."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from a3c_exp.config.budget import Budget
from a3c_exp.loggers.base import RunInfo
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, MetricsRecord
from tests.support.metrics import metrics_record

OWN = [{"worker": 0, "entropy_coef": 0.01, "lr": 1e-3}, {"worker": 1, "entropy_coef": 0.1, "lr": 1e-4}]
CONFIG = {
    "env": {"id": "Pendulum-v1", "time_limit": None},
    "parallelism": {"workers": 4},
    "seed": 1,
    "worker_hyperparameters": OWN,
}
SUMMARY = {"reason": "budget reached", "episodes": 12, "evaluation": {"mean": -790.0, "ci_low": -900.0}}
CLOSED_PORT = "http://127.0.0.1:9"


def run_info(directory: Path, **more: Any) -> RunInfo:
    return RunInfo(directory, "workers=4", "a_sweep", "sweep", ("pendulum",), CONFIG, Budget(max_episodes=12), **more)


def episode(number: int) -> EpisodeRecord:
    return EpisodeRecord(number, 0, -10.0 * number, 200, -1.0, -1.0, 200 * number, 20, 1.0, "truncated", 7)


def metrics(env_step: int) -> MetricsRecord:
    speeds = {"worker_steps_per_second": [30.0, 10.0 + env_step], "worker_updates_per_second": [3.0, 1.0]}
    new = {"grad_norm_clipped": 0.5, "value_std": 2.0, "entropy_normalized": 0.6, "truncated_share": 0.25}
    new |= {"lr": 1e-3, "beta": 0.01, "max_grad_norm": 0.5}
    return replace(metrics_record(env_step, loss=0.5, **new), **speeds)


def evaluation(env_step: int, mean: float) -> EvaluationRecord:
    return EvaluationRecord(env_step, 1, 1.0, 2, True, mean, 1.0, mean, mean, mean, mean, mean, 200.0, [mean, mean], True)


def relatives() -> list[str]:
    """Command lines of the processes of wandb that these tests have started, told by the home that they were given."""
    commands = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
            ours = f"HOME={os.environ['HOME']}\0".encode() in (process / "environ").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if ours and any("wandb-" in word or "wandb_logger/process" in word for word in words[:3]):
            commands.append(" ".join(words))
    return commands


def records(*folders: Path) -> list[list[dict[str, Any]]]:
    """What wandb itself finds in runs of its own."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json"]
    readers = [subprocess.Popen([*command, str(folder)], stdout=subprocess.PIPE, text=True) for folder in folders]
    return [[json.loads(line) for line in reader.communicate(timeout=60)[0].splitlines()] for reader in readers]


def history(records: list[dict[str, Any]], key: str) -> list[tuple[int, Any]]:
    items = [record["history"]["item"] for record in records if record["type"] == "history"]
    return [(item["env_step"], item[key]) for item in items if key in item]


def summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for record in records:
        if record["type"] == "summary":
            merged.update(record["summary"].get("update", {}))
    return merged


def wait_for_process() -> list[int]:
    """The process that this one started for wandb."""
    deadline = time.monotonic() + 60.0
    while True:
        assert time.monotonic() < deadline, "no process for wandb was started"
        command = ["pgrep", "-P", str(os.getpid()), "-f", "wandb_logger/process"]
        pids = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        if pids:
            return [int(number) for number in pids]
        time.sleep(0.02)


def nothing_left_after(seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while (relatives() or scratch()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return relatives() == [] and scratch() == []


def scratch() -> list[Path]:
    """Folders for temporary files that nobody took away."""
    return list(Path(tempfile.gettempdir()).glob("*wandb*"))
