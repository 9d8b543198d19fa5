"""Training steps a second on Pendulum with 12 workers when nothing is spared: machine code, whole rounds, many seeds."""

import sys
from collections.abc import Sequence

from benchmarks.harness.interleaved import Requirement, Variant
from benchmarks.harness.process_tree import running
from benchmarks.harness.training_runs import START_ALLOWANCE, WORKERS, Runs, last_result
from benchmarks.suites.roofline import Network, arithmetic_limit, environment_alone, environments_alone
from benchmarks.suites.speed import textbook

TITLE = f"throughput: training steps a second, Pendulum, {WORKERS} workers, machine code"
UNIT = "steps/s"
BASELINE = "textbook_a3c"
QUIET = ("evaluation.every_env_steps=null",)
COMPILED = ("compile=true", *QUIET)
WHOLE = ("env.backend=tensor", *COMPILED)
REPORT = Network(((3, 200), (200, 2), (3, 100), (100, 1)), WORKERS, 10, own_weights=True)


def variants(runs: Runs) -> list[Variant]:
    def ours(name: str, overrides: Sequence[str], times: float | None = None) -> Variant:
        requirement = None if times is None else Requirement("ratio", "at least", times)
        return Variant(name, lambda: runs.steps_per_second(overrides), requirement)

    deterministic, two = "parallelism=deterministic", "parallelism.processes=2"
    one, ten = "parallelism.processes=1", [deterministic, "num_seeds=10", *WHOLE]
    return [
        Variant(BASELINE, lambda: textbook(runs)),
        Variant("stable-baselines3 A2C, the same networks and settings", lambda: stable_baselines(runs)),
        ours("a3c_exp compile=false", ["compile=false", *QUIET]),
        ours("a3c_exp hogwild, gymnasium's Pendulum", [two, *COMPILED], 25.0),
        ours("a3c_exp hogwild, tensors, one process", [one, *WHOLE]),
        ours("a3c_exp hogwild, tensors, two processes", [two, *WHOLE], 90.0),
        ours("a3c_exp deterministic, tensors", [deterministic, *WHOLE], 60.0),
        ours("a3c_exp deterministic, tensors, num_seeds=10", ten),
        ours("a3c_exp deterministic, tensors, num_seeds=10, two processes", [two, *ten], 120.0),
        Variant("gymnasium's Pendulum alone, one process", lambda: environment_alone("Pendulum-v1", runs.seconds)),
        Variant("gymnasium's Pendulum alone, two processes", lambda: environments_alone("Pendulum-v1", runs.seconds, 2)),
        Variant("arithmetic limit of the report's networks, one core", lambda: arithmetic_limit(REPORT, runs.seconds)),
    ]


def stable_baselines(runs: Runs) -> float:
    arguments = [
        sys.executable,
        "-m",
        "benchmarks.baselines.stable_baselines_a2c",
        "--env",
        "Pendulum-v1",
        "--workers",
        str(WORKERS),
    ]
    arguments += ["--seconds", str(runs.seconds), "--json"]
    with running(arguments, runs.scratch("output")) as job:
        job.wait(limit=2 * START_ALLOWANCE + 2 * runs.seconds)
    return float(last_result(job.output, "stable_baselines_a2c")["steps_per_second"])
