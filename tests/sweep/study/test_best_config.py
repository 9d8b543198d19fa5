"""The best configuration stands for itself: loaded as a file or typed as a command, it is the trial's own."""

import shlex
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from a3c_exp.config.compose import compose_jobs
from a3c_exp.runs.study_storage import BEST_FOLDER
from a3c_exp.sweep.study.study_files import write_best_config


@pytest.mark.parametrize(
    "overrides",
    [
        ["env=pendulum", "gamma=0.93", "optimizer.lr=0.00123", "parallelism=deterministic", "parallelism.lag=[0,22]"],
        ["+study=cartpole", "n_step=16", "workers=8", "beta=1e-05", "optimizer=rmsprop"],
        ["+experiment=car_racing_tuned", "max_env_steps=1000", "max_grad_norm=null"],
        [
            "env=gymnasium",
            "env.id=Acrobot-v1",
            "+env.kwargs.wind=true",
            "per_worker.lr={kind: loguniform, low: 1e-4, high: 1e-2}",
        ],
    ],
    ids=["pendulum", "study", "experiment", "added keys"],
)
def test_the_best_as_a_file_and_as_a_command_is_the_trials_own_configuration(overrides: list[str], tmp_path: Path) -> None:
    typed = shlex.split(write_best_config(tmp_path, "mine", overrides, "a note"))[3:]
    folder = tmp_path / BEST_FOLDER
    jobs = [
        compose_jobs(overrides, False)[0],
        compose_jobs(["+experiment=mine"], False, [str(folder)])[0],
        compose_jobs(typed, False)[0],
    ]
    configs = [OmegaConf.to_container(job.config, resolve=True, enum_to_str=True) for job in jobs]
    assert configs[1] == configs[0], "the file is another configuration"
    assert configs[2] == configs[0], "the command is another configuration"
    text = (folder / "experiment" / "mine.yaml").read_text()
    assert text.startswith("# @package _global_\n# python -m a3c_exp --config-dir ") and "# a note" in text
