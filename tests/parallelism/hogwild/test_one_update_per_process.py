"""Workers of a process that act with one copy of the weights: one update of all their windows, as in A2C, and A3C between."""

from pathlib import Path

import pytest

from a3c_exp.config.compose import compose_jobs
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run
from tests.support.command import lines, run, summary

TASK = (
    "env=cartpole",
    "workers=3",
    "max_env_steps=900",
    "logger=none",
    "evaluation.episodes=1",
    "evaluation.max_episode_steps=20",
)
SHARED = ("parallelism=hogwild", "parallelism.one_update_per_process=true")


def trained(folder: Path, *overrides: str) -> Path:
    done = run(*overrides, f"hydra.run.dir={folder}", cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    "more", [(), ("env.backend=tensor", "model=recurrent_mlp", "per_worker.beta={kind: values, values: [0.1, 0.0]}")]
)
def test_one_process_is_synchronous_training_bit_for_bit(more: tuple[str, ...], tmp_path: Path) -> None:
    together = summary(trained(tmp_path / "sync", *TASK, *more, "parallelism=synchronous"))
    shared = summary(trained(tmp_path / "shared", *TASK, *more, *SHARED, "parallelism.processes=1"))
    assert shared["weights_digest"] == together["weights_digest"]
    assert shared["episodes_digest"] == together["episodes_digest"]
    assert shared["updates"] == together["updates"]


def test_processes_push_one_gradient_of_all_their_windows_each(tmp_path: Path) -> None:
    folder = trained(tmp_path / "two", *TASK, *SHARED, "workers=4", "parallelism.processes=2", "metrics.every_env_steps=300")
    result = summary(folder)
    assert result["env_steps"] == 900
    assert 90 <= result["updates"] <= 100  # of 2 x 5 steps each, but for the last few, and not of 5
    assert lines(folder / "metrics.jsonl")


def test_a_rate_for_each_worker_needs_an_update_for_each() -> None:
    (job,) = compose_jobs([*TASK, *SHARED, "per_worker.lr={kind: values, values: [1e-3]}"], multirun=False)
    with pytest.raises(ConfigError, match="one_update_per_process=true the workers of a process make one update together"):
        build_run(job.config)
