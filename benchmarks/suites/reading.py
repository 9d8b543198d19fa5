"""Seconds to read what many runs left: a list of a thousand, a report on two hundred."""

import json
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.interleaved import MeasurementError, Requirement, Variant
from benchmarks.harness.process_tree import running
from benchmarks.harness.training_runs import Runs

TITLE = "reading: a list of 1000 runs, a report on 200, each of 1000 episodes, 200 lines of metrics, 40 evaluations"
UNIT = "s"
BASELINE = None
LISTED, REPORTED, SEEDS = 1000, 200, 10
LINES = {"episodes.jsonl": 1000, "metrics.jsonl": 200, "evaluations.jsonl": 40}  # as the Pendulum report's preset leaves them
LIMIT = 300.0


def variants(runs: Runs) -> list[Variant]:
    folder = runs.scratch("many")
    soon = Requirement("value", "less than", 1.0)
    return [
        Variant("runs: list", partial(listing, runs, folder, []), soon),
        Variant("runs: by configuration", partial(listing, runs, folder, ["workers>=6", "optimizer.lr<1"]), soon),
        Variant("runs: best over seeds", partial(listing, runs, folder, [], "best", "--over-seeds")),
        Variant("runs: all as CSV", partial(listing, runs, folder, ["--csv"])),
        Variant(f"report on {REPORTED}", partial(report, runs, folder), Requirement("value", "less than", 20.0)),
    ]


def listing(runs: Runs, folder: Path, words: Sequence[str], *command: str) -> float:
    """From outside: the clock starts before the interpreter does."""
    prepare(runs, folder)
    return _seconds(runs, ["-m", "a3c_exp.runs", *command, str(folder), *words])


def report(runs: Runs, folder: Path) -> float:
    """Of the first runs, into a new folder."""
    prepare(runs, folder)
    some = [str(path) for path in sorted(folder.iterdir())[: REPORTED // SEEDS]]
    return _seconds(runs, ["-m", "a3c_exp.report", *some, "--out", str(runs.scratch("report"))])


def prepare(runs: Runs, folder: Path) -> None:
    """Make a real run and lengthen it to what a long one leaves, then the others after it; once."""
    if folder.exists():
        return
    made, _ = runs.run(
        ["seed=0", "max_episode_steps=200", "evaluation.every_env_steps=5000", "metrics.every_env_steps=5000"], 40_000, "none"
    )
    for name, number in LINES.items():
        (made / f"long_{name}").write_text(_lengthened(made / name, number))
    config = (made / ".hydra" / "config.yaml").read_text()
    record: dict[str, Any] = json.loads((made / "run.json").read_text())
    for index in range(LISTED):
        seed, workers = index % SEEDS, index // SEEDS % 10 + 1
        path = folder / f"lr={index // (10 * SEEDS)},workers={workers:02}" / f"seed={seed}"
        (path / ".hydra").mkdir(parents=True)
        text = config.replace("\nseed: 0\n", f"\nseed: {seed}\n").replace("\nworkers: 12\n", f"\nworkers: {workers}\n")
        (path / ".hydra" / "config.yaml").write_text(text.replace("lr: 0.0001", f"lr: {1e-4 * (1 + index // (10 * SEEDS))}"))
        (path / "run.json").write_text(
            json.dumps({**record, "seed": seed, "name": f"{path.parent.name},{path.name}"}, indent=2)
        )
        shutil.copy(made / "summary.json", path)
        for name in LINES:
            (path / name).hardlink_to(made / f"long_{name}")


def _lengthened(path: Path, number: int) -> str:
    """The file's lines again and again, their counters going on."""
    given = [json.loads(line) for line in path.read_text().splitlines()]
    if not given:
        raise MeasurementError(f"{path.name} of a real run is empty")
    step = given[-1]["env_step"]
    found = []
    for index in range(number):
        line, lap = dict(given[index % len(given)]), index // len(given)
        line["env_step"] += lap * step
        line |= {"episode": index + 1} if "episode" in line else {}
        line |= {"wall_time": line["wall_time"] + lap * given[-1]["wall_time"]}
        found.append(json.dumps(line))
    return "\n".join(found) + "\n"


def _seconds(runs: Runs, arguments: Sequence[str]) -> float:
    with running([sys.executable, *arguments], runs.scratch("output")) as job:
        seconds = job.wait(LIMIT)
    if not job.output.read_text().strip():
        raise MeasurementError(f"{arguments[1]} printed nothing")
    return seconds
