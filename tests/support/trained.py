"""A small run made in this process, with a run directory like any other's."""

from pathlib import Path

from a3c_exp.config.compose import compose_jobs
from a3c_exp.training.run import RunIdentity, run
from a3c_exp.training.seed_runs import save_config

SMALL = (
    "env=gymnasium", "env.id=CartPole-v1", "model=shared_mlp", "parallelism=synchronous", "workers=2", "n_step=5",
    "max_env_steps=400", "evaluation.every_env_steps=200", "evaluation.episodes=2", "metrics.every_env_steps=100", "seed=4",
)  # fmt: skip


def trained(directory: Path, *overrides: str) -> Path:
    """Train CartPole a little, with other settings if some are given; returns the directory."""
    (job,) = compose_jobs([*SMALL, "logger=none", *overrides], multirun=False)
    directory.mkdir(parents=True)
    run(job.config, RunIdentity(directory, directory.name, None, "gymnasium", "synchronous", list(overrides)))
    save_config(directory, job.config)  # Hydra's part
    return directory
