"""What a cluster costs where this machine alone would do: Ray's launcher and parallelism over those of one machine."""

import sys
from collections.abc import Sequence

from benchmarks.harness.interleaved import Requirement, Variant
from benchmarks.harness.process_tree import run_command
from benchmarks.harness.training_runs import CAR_RACING, PENDULUM, STARTUP_TIMEOUT, TrainingRuns
from benchmarks.several_machines.costs import calls_per_second

TITLE = "cluster: Ray on this machine alone, or on the cluster that RAY_ADDRESS names, over what needs no cluster"
UNIT = "times"
BASELINE = None
JOBS, JOB_SECONDS = 8, 60.0
GROUPS, WORKERS = 2, 12
QUIET = ("compile=false", "evaluation.every_env_steps=null", "checkpoint.every_env_steps=null")
ON_RAY = ("parallelism=ray", f"parallelism.processes={GROUPS}")  # on the cluster of RAY_ADDRESS, if there is one
HERE = ("parallelism=parameter_server", f"parallelism.processes={GROUPS}")
HALF_AS_MANY_WEIGHTS = ("model.hidden_size=136",)
PENDULUM_WEIGHTS, PENDULUM_WINDOW = 1_703, 10

Task = tuple[Sequence[str], int]
"""The command's words that name it, and the steps of a first, short run."""


def variants(runs: TrainingRuns) -> list[Variant]:
    pendulum, car_racing = (PENDULUM, 50_000), (CAR_RACING, 2_000)
    return [
        Variant(
            f"seconds of {JOBS} runs of {JOB_SECONDS:.0f} seconds with hydra/launcher=ray over launcher=local",
            lambda: time_sweep(runs, "ray") / time_sweep(runs, "local"),
            Requirement("value", "at most", 1.1),
        ),
        Variant(
            "speed of parallelism=ray over parameter_server, CarRacing with 557,000 weights, 12 workers in 2 groups",
            lambda: ray_over_here(runs, car_racing, HALF_AS_MANY_WEIGHTS),
            Requirement("value", "at least", 0.85),
        ),
        Variant(
            "the same with its preset's 1,114,000 weights",
            lambda: ray_over_here(runs, car_racing),
        ),
        Variant(
            "the same with parallelism.gradient_dtype=float32",
            lambda: ray_over_here(runs, car_racing, on_ray=("parallelism.gradient_dtype=float32",)),
        ),
        Variant(
            "speed of parallelism=ray over parameter_server, Pendulum, 12 workers in 2 groups",
            lambda: ray_over_here(runs, pendulum),
        ),
        Variant(
            "calls of parallelism=ray on Pendulum over calls of 2 actors that compute nothing",
            lambda: (
                calls_of_training(runs, pendulum) / calls_per_second(GROUPS, WORKERS // GROUPS, PENDULUM_WEIGHTS, runs.seconds)
            ),
        ),
    ]


def ray_over_here(runs: TrainingRuns, task: Task, overrides: Sequence[str] = (), on_ray: Sequence[str] = ()) -> float:
    """The speed of parallelism=ray over that of parallelism=parameter_server, one run after the other."""
    ray = runs.steps_per_second([*QUIET, *ON_RAY, *overrides, *on_ray], *task)
    return ray / runs.steps_per_second([*QUIET, *HERE, *overrides], *task)


def calls_of_training(runs: TrainingRuns, task: Task) -> float:
    """Each carries a window of every worker of a group."""
    return runs.steps_per_second([*QUIET, *ON_RAY], *task) / PENDULUM_WINDOW / (WORKERS // GROUPS)


def time_sweep(runs: TrainingRuns, launcher: str) -> float:
    """Seconds from the command of a sweep to its end: runs on one core each, of about ``JOB_SECONDS`` each."""
    one_core = ("parallelism=deterministic", *QUIET)
    steps = runs.steps_for(one_core, JOB_SECONDS)
    directory = runs.unused_path("sweep")
    words = [
        *PENDULUM, *one_core, f"max_env_steps={steps}", f"seed=range({JOBS})", "logger=none", f"hydra/launcher={launcher}",
        f"hydra.sweep.dir='{directory}'", "-m",
    ]  # fmt: skip
    with run_command([sys.executable, "-m", "a3c_exp", *words], runs.unused_path("output")) as job:
        return job.wait(STARTUP_TIMEOUT + 2 * JOBS * JOB_SECONDS, interval=0.2)
