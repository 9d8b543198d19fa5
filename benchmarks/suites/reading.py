"""Seconds to read many run directories: a list of 1000, a report on 200."""

import json
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.interleaved import MeasurementError, Requirement, Variant
from benchmarks.harness.process_tree import run_command
from benchmarks.harness.training_runs import TrainingRuns

TITLE = "reading: a list of 1000 runs, a report on 200, each of 1000 episodes, 200 lines of metrics, 40 evaluations"
UNIT = "s"
BASELINE = None
NUM_LISTED, NUM_REPORTED, NUM_SEEDS = 1000, 200, 10
# As many as a run of the Pendulum preset writes.
LINES_PER_FILE = {"episodes.jsonl": 1000, "metrics.jsonl": 200, "evaluations.jsonl": 40}
TIMEOUT = 300.0


def variants(runs: TrainingRuns) -> list[Variant]:
    folder = runs.unused_path("many")
    soon = Requirement("value", "less than", 1.0)
    return [
        Variant("runs: list", partial(time_listing, runs, folder, []), soon),
        Variant("runs: by configuration", partial(time_listing, runs, folder, ["workers>=6", "optimizer.lr<1"]), soon),
        Variant("runs: best over seeds", partial(time_listing, runs, folder, [], "best", "--over-seeds")),
        Variant("runs: all as CSV", partial(time_listing, runs, folder, ["--csv"])),
        Variant(f"report on {NUM_REPORTED}", partial(time_report, runs, folder), Requirement("value", "less than", 20.0)),
    ]


def time_listing(runs: TrainingRuns, folder: Path, conditions: Sequence[str], *command: str) -> float:
    """The clock starts before the interpreter does."""
    prepare_runs(runs, folder)
    return _time_command(runs, ["-m", "a3c_exp.runs", *command, str(folder), *conditions])


def time_report(runs: TrainingRuns, folder: Path) -> float:
    """A report on the first runs, into a new folder."""
    prepare_runs(runs, folder)
    folders = [str(path) for path in sorted(folder.iterdir())[: NUM_REPORTED // NUM_SEEDS]]
    return _time_command(runs, ["-m", "a3c_exp.report", *folders, "--out", str(runs.unused_path("report"))])


def prepare_runs(runs: TrainingRuns, folder: Path) -> None:
    """Once: make a real run, lengthen its files to those of a long one, and copy it with other values."""
    if folder.exists():
        return
    original, _ = runs.run(
        ["seed=0", "max_episode_steps=200", "evaluation.every_env_steps=5000", "metrics.every_env_steps=5000"], 40_000, "none"
    )
    for name, number in LINES_PER_FILE.items():
        (original / f"long_{name}").write_text(_repeat_lines(original / name, number))
    config = (original / ".hydra" / "config.yaml").read_text()
    record: dict[str, Any] = json.loads((original / "run.json").read_text())
    for index in range(NUM_LISTED):
        seed, workers = index % NUM_SEEDS, index // NUM_SEEDS % 10 + 1
        path = folder / f"lr={index // (10 * NUM_SEEDS)},workers={workers:02}" / f"seed={seed}"
        (path / ".hydra").mkdir(parents=True)
        text = config.replace("\nseed: 0\n", f"\nseed: {seed}\n").replace("\nworkers: 12\n", f"\nworkers: {workers}\n")
        (path / ".hydra" / "config.yaml").write_text(
            text.replace("lr: 0.0001", f"lr: {1e-4 * (1 + index // (10 * NUM_SEEDS))}")
        )
        (path / "run.json").write_text(
            json.dumps({**record, "seed": seed, "name": f"{path.parent.name},{path.name}"}, indent=2)
        )
        shutil.copy(original / "summary.json", path)
        for name in LINES_PER_FILE:
            (path / name).hardlink_to(original / f"long_{name}")


def _repeat_lines(path: Path, num_lines: int) -> str:
    """The file's lines repeated, with continuing counters."""
    originals = [json.loads(line) for line in path.read_text().splitlines()]
    if not originals:
        raise MeasurementError(f"{path.name} of a real run is empty")
    step = originals[-1]["env_step"]
    lines = []
    for index in range(num_lines):
        line, lap = dict(originals[index % len(originals)]), index // len(originals)
        line["env_step"] += lap * step
        line |= {"episode": index + 1} if "episode" in line else {}
        line |= {"wall_time": line["wall_time"] + lap * originals[-1]["wall_time"]}
        lines.append(json.dumps(line))
    return "\n".join(lines) + "\n"


def _time_command(runs: TrainingRuns, arguments: Sequence[str]) -> float:
    with run_command([sys.executable, *arguments], runs.unused_path("output")) as job:
        seconds = job.wait(TIMEOUT)
    if not job.output.read_text().strip():
        raise MeasurementError(f"{arguments[1]} printed nothing")
    return seconds
