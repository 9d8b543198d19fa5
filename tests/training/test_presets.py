"""Every preset trains; what a study found is what its preset says, and what was published had its chance in the study."""

import csv
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

import a3c_exp
from a3c_exp.config.compose import CONFIG_DIR, compose_jobs
from a3c_exp.sweep.study.config import read_study_config
from a3c_exp.sweep.study.search_space import read_search_space
from a3c_exp.training.build import build_run
from tests.support.command import ROOT

TRIALS = ROOT / "docs" / "studies"
BEST = 6
PRESETS = sorted(
    str(path.relative_to(CONFIG_DIR / "experiment").with_suffix("")) for path in CONFIG_DIR.glob("experiment/**/*.yaml")
)


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_trains_for_two_windows_and_is_evaluated(preset: str, tmp_path: Path) -> None:
    (job,) = compose_jobs([f"+experiment={preset}"], multirun=False)
    steps = 2 * job.config.workers * job.config.n_step
    run = a3c_exp.train(
        f"+experiment={preset}",
        f"hydra.run.dir={tmp_path / 'run'}",
        max_env_steps=steps,
        logger="none",
        compile=False,
        **{"evaluation.episodes": 1, "evaluation.max_episode_steps": 40},
    )
    assert run.summary["status"] == "finished" and run.summary["env_steps"] >= steps
    assert np.isfinite(run.evaluations["mean"]).all() and len(run.evaluations) >= 1


def best_trials(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        complete = [row for row in csv.DictReader(file) if row["state"] == "complete"]
    return sorted(complete, key=lambda row: -float(row["evaluation.mean"]))[:BEST]


def test_the_tuned_preset_lies_among_the_best_trials_of_the_study_that_it_names() -> None:
    best = best_trials(TRIALS / "pendulum.csv")
    (job,) = compose_jobs(["+experiment=pendulum_tuned"], multirun=False)
    tuned = [column for column in best[0] if column.startswith("param.")]
    assert len(tuned) == 5
    for column in tuned:
        values = [float(row[column]) for row in best]
        own = float(OmegaConf.select(job.config, column.removeprefix("param.")))
        assert min(values) <= own <= max(values), column
    assert build_run(job.config).setup.budget.max_env_steps == job.config.max_env_steps


@pytest.mark.parametrize("study", ["pendulum", "cartpole"])
def test_what_was_published_is_among_what_the_study_may_try(study: str) -> None:
    (base,) = compose_jobs([f"+study={study}"], multirun=False)
    settings = read_study_config(base.hydra.sweeper, base.config.seed)
    space = read_search_space(settings.params, [f"+study={study}"], None, base.config)
    (published,) = compose_jobs([f"env={study}"], multirun=False)
    tried = set(space.distributions) - {"beta"}  # the notebook has no entropy term, and a logarithmic range no zero
    assert tried == {"gamma", "n_step", "workers", "optimizer.lr"}
    for key in tried:
        value = OmegaConf.select(published.config, key)
        distribution = space.distributions[key]
        assert distribution._contains(distribution.to_internal_repr(value)), f"{key}={value}"
