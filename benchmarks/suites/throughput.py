"""Training steps per second on Pendulum with 12 workers, with everything that makes it fast: compiled rounds, many seeds."""

import sys
from collections.abc import Sequence

from benchmarks.harness.interleaved import Requirement, Variant
from benchmarks.harness.process_tree import run_command
from benchmarks.harness.training_runs import STARTUP_TIMEOUT, WORKERS, TrainingRuns, last_json_result
from benchmarks.suites.roofline import Network, arithmetic_limit, env_steps_per_second, parallel_env_steps_per_second
from benchmarks.suites.speed import textbook_steps_per_second

TITLE = f"throughput: training steps a second, Pendulum, {WORKERS} workers, compiled"
UNIT = "steps/s"
BASELINE = "textbook_a3c"
NO_EVALUATION = ("evaluation.every_env_steps=null",)
COMPILED = ("compile=true", *NO_EVALUATION)
GYMNASIUM = ("env.backend=gymnasium",)
FUSED_ROUNDS = ("env.backend=tensor", *COMPILED)
PENDULUM_NETWORK = Network(((3, 200), (200, 2), (3, 100), (100, 1)), WORKERS, 10, per_worker_weights=True)


def variants(runs: TrainingRuns) -> list[Variant]:
    def ours(name: str, overrides: Sequence[str], times: float | None = None) -> Variant:
        requirement = None if times is None else Requirement("ratio", "at least", times)
        return Variant(name, lambda: runs.steps_per_second(overrides), requirement)

    deterministic, two = "parallelism=deterministic", "parallelism.processes=2"
    one, ten = "parallelism.processes=1", [deterministic, "num_seeds=10", *FUSED_ROUNDS]
    return [
        Variant(BASELINE, lambda: textbook_steps_per_second(runs)),
        Variant("stable-baselines3 A2C, the same networks and settings", lambda: stable_baselines(runs)),
        ours("a3c_exp compile=false", ["compile=false", *NO_EVALUATION]),
        ours("a3c_exp hogwild, gymnasium's Pendulum", [two, *GYMNASIUM, *COMPILED], 25.0),
        ours("a3c_exp hogwild, tensors, one process", [one, *FUSED_ROUNDS]),
        ours("a3c_exp hogwild, tensors, two processes", [two, *FUSED_ROUNDS], 90.0),
        ours("a3c_exp deterministic, tensors", [deterministic, *FUSED_ROUNDS], 60.0),
        ours("a3c_exp deterministic, tensors, num_seeds=10", ten),
        ours("a3c_exp deterministic, tensors, num_seeds=10, two processes", [two, *ten], 120.0),
        Variant("gymnasium's Pendulum alone, one process", lambda: env_steps_per_second("Pendulum-v1", runs.seconds)),
        Variant(
            "gymnasium's Pendulum alone, two processes", lambda: parallel_env_steps_per_second("Pendulum-v1", runs.seconds, 2)
        ),
        Variant(
            "arithmetic limit of the report's networks, one core", lambda: arithmetic_limit(PENDULUM_NETWORK, runs.seconds)
        ),
    ]


def stable_baselines(runs: TrainingRuns) -> float:
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
    with run_command(arguments, runs.unused_path("output")) as job:
        job.wait(timeout=2 * STARTUP_TIMEOUT + 2 * runs.seconds)
    return float(last_json_result(job.output, "stable_baselines_a2c")["steps_per_second"])
