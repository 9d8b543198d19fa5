"""How long training would take on a machine with so many cores, from what its parts cost on one of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from a3c_exp.config.ablation import MIN_EFFECT_RATIO, Claim, WallTimeTraining
from a3c_exp.report.ablations.effect_estimates import Decision, decide
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.run_reader import RunData
from a3c_exp.runs.tolerant_io import mapping, number, read_json_object

COSTS_FILE = "costs.json"
Changes = Sequence[tuple[int, int]]  # from how many workers to how many
_CORES = (1, 2, 4, 6, 8, 12, 16)
_MAX_PARENT_FOLDERS = 4  # folders above a run in which its costs may lie


@dataclass(frozen=True, eq=False)
class MeasuredCosts:
    """What the parts of training cost on one core."""

    n_step: int  #: steps of a window
    host: str  #: on which machine, in words
    workers: FloatArray  #: ``[S]`` how many were stacked, increasing
    rollout: FloatArray  #: ``[S, R]`` seconds for one window of each of them, measured R times
    gradient: FloatArray  #: the same
    update: FloatArray  #: ``[S, R]`` seconds for one push and pull

    def seconds_per_window(self, workers_per_process: float) -> FloatArray:
        """``[R]`` seconds that one window costs a process with so many workers; linear between sizes that were measured."""
        costs = (self.rollout + self.gradient) / self.workers[:, None] + self.update
        return np.array([np.interp(workers_per_process, self.workers, column) for column in costs.T])


class WallTimePrediction(NamedTuple):
    """How much longer the same number of steps takes with fewer workers, on a machine with so many cores."""

    cores: int
    change: tuple[int, int]  # from how many workers to how many
    stacked: bool  # one process a core, which hosts its share of the workers, rather than one process a worker
    before: float  # seconds
    after: float
    ratio: float  # after over before
    decision: Decision  # on "takes clearly longer"


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
    named = (mapping(content.get("machine")).get("cpu"), content.get("host"))
    return MeasuredCosts(n_step, ", ".join(str(name) for name in named if name), workers, *tables)


def predict_seconds(costs: MeasuredCosts, workers: int, cores: int, windows: float, stacked: bool) -> FloatArray:
    """``[R]`` seconds until all workers together have pushed so many windows, with processes as in ``WallTimePrediction``: as
    many at a time as there are cores, since pushes to shared weights take no lock. Slower clocks of busy cores and memory are
    left out, so more workers are at least as good here as they would be."""
    processes = min(workers, cores)
    if not stacked:
        return windows * costs.seconds_per_window(1) / processes
    shares = [workers // processes + (index < workers % processes) for index in range(processes)]
    speed: FloatArray = np.sum([1.0 / costs.seconds_per_window(share) for share in shares], axis=0)
    return windows / speed


def worker_counts(claim: Claim) -> list[tuple[int, int]]:
    """From how many workers to how many each change of a claim about wall time goes, as far as its arms are named so."""
    numbers = [tuple(arm.rpartition("_")[2] for arm in change) for change in claim.changes]
    return [(int(before), int(after)) for before, after in numbers if before.isdigit() and after.isdigit()]


def predict_wall_times(costs: MeasuredCosts, changes: Changes, training: WallTimeTraining) -> list[WallTimePrediction]:
    """The change of wall time for machines on which nothing was run."""
    windows = training.episodes * training.steps / costs.n_step
    found = []
    for stacked, change, count in product((False, True), changes, _CORES):
        before, after = (predict_seconds(costs, workers, count, windows, stacked) for workers in change)
        low, ratio, high = (float(edge) for edge in np.quantile(after / before, (0.025, 0.5, 0.975)))  # over measurements
        decision = decide(math.log(ratio), (math.log(low), math.log(high)), math.log(MIN_EFFECT_RATIO))
        if decision == "no difference that matters":  # the question is only whether it takes clearly longer
            decision = "not supported"
        medians = float(np.median(before)), float(np.median(after))
        found.append(WallTimePrediction(count, change, stacked, *medians, ratio, decision))
    return found
