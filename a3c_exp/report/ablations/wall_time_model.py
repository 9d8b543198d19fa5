"""How long training would take on a machine with so many cores, from what its parts cost on one of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from a3c_exp.report.ablations.claims import CLAIMS
from a3c_exp.report.ablations.verdicts import Decision, decide
from a3c_exp.report.columns import FloatArray, mapping, number, read_json_object
from a3c_exp.report.quantities.curve_metrics import MIN_EFFECT_RATIO
from a3c_exp.report.run_reader import RunData
from a3c_exp.stats.estimates import Interval

COSTS_FILE = "costs.json"
CORES = (1, 2, 4, 6, 8, 12, 16)
SOURCE_CORES = 12
"""Of the machine of the report: its listing has one worker for each, ``cpu_count()``, and trains with 12."""
_MAX_PARENT_FOLDERS = 4  # folders above a run in which its costs may lie


@dataclass(frozen=True, eq=False)
class MeasuredCosts:
    """What the parts of training cost on one core.

    Attributes:
        path: where that is written.
        n_step: steps of a window.
        host: on which machine, in words.
        workers: ``[S]`` how many were stacked, increasing.
        rollout, gradient: ``[S, R]`` seconds for one window of each of them, measured R times.
        update: ``[S, R]`` seconds for one push and pull.
    """

    path: Path
    n_step: int
    host: str
    workers: FloatArray
    rollout: FloatArray
    gradient: FloatArray
    update: FloatArray

    def seconds_per_window(self, workers_per_process: float) -> FloatArray:
        """``[R]`` seconds that one window costs a process with so many workers; linear between sizes that were measured."""
        whole = (self.rollout + self.gradient) / self.workers[:, None] + self.update
        return np.array([np.interp(workers_per_process, self.workers, column) for column in whole.T])


@dataclass(frozen=True)
class WallTimePrediction:
    """How much longer the same number of episodes takes with fewer workers, on a machine with so many cores.

    Attributes:
        cores: of that machine.
        change: from how many workers to how many.
        stacked: false: one process a worker, as the report; true: one process a core, which hosts its share of the workers.
        before, after: seconds for the report's 1000 episodes of 4000 steps.
        ratio, interval: after over before, and the middle 95 % of it over repeated measurements.
        decision: the verdict on "takes clearly longer".
    """

    cores: int
    change: tuple[int, int]
    stacked: bool
    before: float
    after: float
    ratio: float
    interval: Interval
    decision: Decision


def find_costs(runs: Iterable[RunData]) -> MeasuredCosts | None:
    """The ``costs.json`` nearest above the runs; ``None`` if there is none that can be read."""
    for run in runs:
        for folder in [run.path, *run.path.resolve().parents][: _MAX_PARENT_FOLDERS + 1]:
            if (folder / COSTS_FILE).is_file():
                return read_costs(folder / COSTS_FILE)
    return None


def read_costs(path: Path) -> MeasuredCosts | None:
    """What ``python -m a3c_exp.training.measure_costs`` wrote; ``None`` if that cannot be read."""
    content = read_json_object(path, []) or {}
    rows = content.get("costs")
    if not isinstance(rows, list):
        return None
    try:
        rows = sorted(map(mapping, rows), key=lambda row: number(row.get("workers")))
        tables = [np.array([row[name] for row in rows], dtype=np.float64) for name in ("rollout", "gradient", "update")]
        workers = np.array([row["workers"] for row in rows], dtype=np.float64)
        n_step = int(content["n_step"])
    except (KeyError, TypeError, ValueError):
        return None
    if not all(table.ndim == 2 and table.shape[1] and (table > 0).all() for table in tables) or workers.size < 1:
        return None
    return MeasuredCosts(path, n_step, _machine_label(content), workers, *tables)


def predict_seconds(costs: MeasuredCosts, workers: int, cores: int, windows: float, stacked: bool) -> FloatArray:
    """``[R]`` seconds for so many windows.

    No process waits for another (pushes to shared weights take no lock), so windows of different processes run side by side
    as long as there are cores: ``min(workers, cores)`` at a time. Slower clocks of busy cores, memory and the operating system
    are left out, so more workers are at least as good here as they would be.

    Args:
        costs: of one core.
        workers, cores: of the machine that is asked about.
        windows: pushed by all workers together.
        stacked: one process a core with its share of workers, rather than one process a worker.
    """
    if not stacked:
        return windows * costs.seconds_per_window(1) / min(workers, cores)
    processes = min(workers, cores)
    shares = [workers // processes + (index < workers % processes) for index in range(processes)]
    speed: FloatArray = np.sum([1.0 / costs.seconds_per_window(share) for share in shares], axis=0)
    return windows / speed


def predict_wall_times(
    costs: MeasuredCosts, cores: Iterable[int] = CORES, episodes: int = 1000, steps: int = 4000
) -> list[WallTimePrediction]:
    """The fourth conclusion for machines that nobody ran it on."""
    windows = episodes * steps / costs.n_step
    clock = next(one for one in CLAIMS if one.parts[0].quantity == "seconds")
    found = []
    for stacked in (False, True):
        for many, few in clock.changes:
            change = int(many.rpartition("_")[2]), int(few.rpartition("_")[2])
            for count in cores:
                before, after = (predict_seconds(costs, workers, count, windows, stacked) for workers in change)
                found.append(_predict_change(count, change, stacked, before, after))
    return found


def _predict_change(
    cores: int, change: tuple[int, int], stacked: bool, before: FloatArray, after: FloatArray
) -> WallTimePrediction:
    ratios = after / before
    low, ratio, high = (float(value) for value in np.quantile(ratios, (0.025, 0.5, 0.975)))
    logs = float(np.log(low)), float(np.log(high))
    found = decide(float(np.log(ratio)), logs, float(np.log(MIN_EFFECT_RATIO)))
    return WallTimePrediction(
        cores, change, stacked, float(np.median(before)), float(np.median(after)), ratio, (low, high), found
    )


def _machine_label(content: Mapping[str, Any]) -> str:
    machine = mapping(content.get("machine"))
    return ", ".join(str(value) for value in (machine.get("cpu"), content.get("host")) if value)
