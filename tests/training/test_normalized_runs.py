"""Runs that normalize: the same however seeds are split and whatever is evaluated meanwhile; and what cannot be normalized."""

from pathlib import Path

import pytest

from tests.support.command import run, summary

COMMON = (
    "env=pendulum", "env.backend=tensor", "parallelism=deterministic", "workers=2", "compile=false", "logger=none",
    "max_episodes=null",
    "max_env_steps=800", "max_episode_steps=100", "normalize.observation=true", "normalize.reward=true", "num_seeds=2",
    "parallelism.seed_block=1", "evaluation.episodes=1", "evaluation.max_episode_steps=20",
)  # fmt: skip


def test_statistics_depend_neither_on_processes_nor_on_evaluations(tmp_path: Path) -> None:
    for folder, options in (
        ("together", ["evaluation.every_env_steps=null"]),
        ("apart", ["evaluation.every_env_steps=200", "parallelism.processes=2"]),
    ):
        ended = run(*COMMON, *options, f"hydra.run.dir={folder}", cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
    for seed in ("seed=0", "seed=1"):
        together, apart = (summary(tmp_path / folder / seed) for folder in ("together", "apart"))
        assert together["weights_digest"] == apart["weights_digest"]
        assert together["normalization"] == apart["normalization"]
        statistics = together["normalization"]
        assert statistics["steps"] == together["env_steps"] == 800
        assert len(statistics["observation_mean"]) == len(statistics["observation_std"]) == 3
        assert min(statistics["observation_std"]) > 0.1
        assert statistics["return_std"] > 1.0


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["env=gymnasium", "env.id=FrozenLake-v1"], "observations are choices (Discrete"),
        (["env=car_racing"], "observations are pictures"),
    ],
)
def test_what_has_no_mean_is_refused_in_one_line(overrides: list[str], text: str, tmp_path: Path) -> None:
    ended = run(*overrides, "normalize.observation=true", "logger=none", "hydra.run.dir=here", cwd=tmp_path)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert text in line and "Try normalize.observation=false" in line
    assert not (tmp_path / "here").exists()
