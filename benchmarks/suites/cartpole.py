"""Training steps per second on CartPole with 6 workers, against stable-baselines3's A2C."""

import sys
from collections.abc import Sequence

from benchmarks.harness.interleaved import Requirement, Variant
from benchmarks.harness.process_tree import run_command
from benchmarks.harness.training_runs import CARTPOLE, STARTUP_TIMEOUT, TrainingRuns, last_json_result
from benchmarks.suites.roofline import Network, arithmetic_limit, env_steps_per_second

WORKERS = 6
TITLE = f"cartpole: training steps a second, CartPole, {WORKERS} workers"
UNIT = "steps/s"
BASELINE = "stable-baselines3 A2C"
FUSED_ROUNDS = ("compile=true", "env.backend=tensor")
CARTPOLE_NETWORK = Network(((4, 128), (128, 128), (128, 2), (128, 1)), WORKERS, 5)


def variants(runs: TrainingRuns) -> list[Variant]:
    def ours(name: str, overrides: Sequence[str], requirement: Requirement | None = None) -> Variant:
        return Variant(name, lambda: runs.steps_per_second(overrides, CARTPOLE), requirement)

    return [
        Variant(BASELINE, lambda: stable_baselines(runs)),
        ours("a3c_exp env=cartpole", []),
        ours("a3c_exp compile=true env.backend=gymnasium", ["compile=true", "env.backend=gymnasium"]),
        ours("a3c_exp compile=true env.backend=tensor", FUSED_ROUNDS, Requirement("ratio", "at least", 20.0)),
        ours("a3c_exp compile=true model=small_mlp", ["compile=true", "model=small_mlp"]),
        ours("a3c_exp parallelism=deterministic", ["parallelism=deterministic"]),
        ours("a3c_exp parallelism=hogwild", ["parallelism=hogwild"]),
        ours("a3c_exp num_seeds=10", ["num_seeds=10"]),
        ours("a3c_exp compile=true env.backend=tensor num_seeds=10", [*FUSED_ROUNDS, "num_seeds=10"]),
        Variant("gymnasium's CartPole alone, one process", lambda: env_steps_per_second("CartPole-v1", runs.seconds)),
        Variant(
            "arithmetic limit of the notebook's network, one core", lambda: arithmetic_limit(CARTPOLE_NETWORK, runs.seconds)
        ),
    ]


def stable_baselines(runs: TrainingRuns) -> float:
    """Runs as a command, like a3c_exp, and excludes its own warm-up."""
    arguments = [sys.executable, "-m", "benchmarks.baselines.stable_baselines_a2c", "--workers", str(WORKERS)]
    arguments += ["--seconds", str(runs.seconds), "--json"]
    with run_command(arguments, runs.unused_path("output")) as job:
        job.wait(timeout=2 * STARTUP_TIMEOUT + 2 * runs.seconds)
    return float(last_json_result(job.output, "stable_baselines_a2c")["steps_per_second"])
