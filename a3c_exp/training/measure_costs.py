"""``python -m a3c_exp.training.measure_costs``: what a rollout, a gradient and an update cost on this machine.

A report predicts the wall time on other machines from it.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from a3c_exp.config.compose import compose_jobs
from a3c_exp.parallelism.worker_group import WorkerGroup, WorkerId
from a3c_exp.runs.record import environment_info
from a3c_exp.system.cli import CommandParser, command, record_command_line, run_command
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.torch_settings import single_threaded
from a3c_exp.training.build import RunComponents, build_run

COSTS_FILE = "costs.json"
WORKER_COUNTS = (1, 2, 3, 4, 6, 8, 12)
"""Workers of one process, stacked; up to as many as the configuration has."""
_NUM_REPEATS = 20
_WARM_UP_ROUNDS = 30

_EPILOG = """\
examples:
  python -m a3c_exp.training.measure_costs --out outputs/2026-11-22/10-00-00_worker_count_ablation
      next to the runs of an ablation, so that the report on them predicts wall times for other machines
  python -m a3c_exp.training.measure_costs env=cartpole workers=6 --out .

Takes about fifteen seconds of an otherwise idle machine; --seconds for longer. Overrides are those of python -m a3c_exp."""


def measure(components: RunComponents, workers: int, seconds: float, repeats: int = _NUM_REPEATS) -> dict[str, list[float]]:
    """Collect and learn windows with so many ``workers``, stacked in one process, for ``seconds``; their budget is ignored.
    Returns ``[repeats]`` seconds of a core's time for a ``rollout`` and a ``gradient`` of all windows, and one ``update``."""
    setup = replace(components.setup, workers=workers, num_seeds=1)
    members = [WorkerId(setup.seed, worker) for worker in range(workers)]
    rounds, begun = np.zeros((2, workers), np.int64)
    stacked = WorkerGroup(setup, members, rounds, begun, lambda _: True)
    weights = components.initial_states[0].weights.clone()
    state = torch.zeros_like(components.initial_states[0].optimizer_state)
    allowed = np.full(workers, setup.learner.n_step)
    costs: dict[str, list[float]] = {"rollout": [], "gradient": [], "update": []}
    updates = 0
    try:
        for _ in range(_WARM_UP_ROUNDS):
            stacked.round(allowed)
        for _ in range(repeats):
            stacked.acting_seconds = stacked.learning_seconds = pushing = 0.0
            number, ends = 0, time.perf_counter() + seconds / repeats
            while not number or time.perf_counter() < ends:
                gradients = stacked.round(allowed).gradients
                began = time.process_time()
                for k in range(workers):  # as hogwild does: a push, then a pull, worker by worker
                    setup.optimizer.step(weights, gradients[k], state, updates, lr=0.0)  # which leaves the weights as they are
                    stacked.weights[k].copy_(weights)
                    updates += 1
                pushing += time.process_time() - began
                number += 1
            costs["rollout"].append(stacked.acting_seconds / number)
            costs["gradient"].append(stacked.learning_seconds / number)
            costs["update"].append(pushing / (number * workers))
    finally:
        stacked.close()
    return costs


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write ``costs.json``; 0 if it was written, 2 with one line on stderr if it could not be."""
    record_command_line(["python -m a3c_exp.training.measure_costs", *(sys.argv[1:] if argv is None else argv)])
    summary = "Measure what a rollout, a gradient and an update cost on this machine."
    parser = CommandParser("a3c_exp.training.measure_costs", summary, _EPILOG)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the configuration (default: env=pendulum)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=f"where {COSTS_FILE} goes: a folder of runs")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="for each number of workers (default: 1)")
    return run_command("a3c_exp.training.measure_costs", lambda: _measure_and_write(**vars(parser.parse_intermixed_args(argv))))


def _measure_and_write(overrides: Sequence[str], out: Path, seconds: float) -> None:
    target = out / COSTS_FILE
    if not 0.0 < seconds < 3600.0:
        raise ConfigError(f"--seconds is {seconds:g}, but it is above 0 and below 3600. Try --seconds 1")
    if not out.is_dir():
        raise ConfigError(f"{out} is no folder. Name one that holds runs: --out outputs/...")
    if target.exists():
        raise ConfigError(f"{target} is there already and is not overwritten. Move it away, or choose another --out")
    components = build_run(compose_jobs(list(overrides), multirun=False)[0].config)
    setup, costs = components.setup, []
    print(f"{'workers':>9}{'rollout':>12}{'gradient':>12}{'update':>12}   microseconds a window, medians")
    for workers in [size for size in WORKER_COUNTS if size <= setup.workers]:
        with single_threaded():
            cost = measure(components, workers, seconds)
        costs.append({"workers": workers, **cost})
        each = [1e6 * float(np.median(values)) for values in cost.values()]
        print(f"{workers:>9}{each[0] / workers:>12.1f}{each[1] / workers:>12.1f}{each[2]:>12.1f}", flush=True)
    content = {"format": 1, "command": command(), "n_step": setup.learner.n_step, "costs": costs}
    environment = {key: value for key, value in environment_info().items() if key in ("git", "versions", "machine", "host")}
    with target.open("x") as file:
        json.dump(content | environment, file, indent=1)
    print(f"\ncosts: {target}")


if __name__ == "__main__":
    sys.exit(main())
