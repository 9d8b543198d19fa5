"""docs/tensor-environments.md: what it shows is what runs."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from a3c_exp.config.compose import compose_jobs
from a3c_exp.envs.tensor.base import advance, begin
from a3c_exp.envs.tensor.batch import TensorEnvBatch
from a3c_exp.envs.tensor.gymnasium_vector import TensorVectorEnv
from a3c_exp.envs.tensor.mountain_car import MountainCar
from a3c_exp.training.build import build_run
from tests.support.command import ROOT, run, summary

MANUAL = (ROOT / "docs" / "tensor-environments.md").read_text()
EXAMPLES = ROOT / "examples"
PYTHON = re.findall(r"^```python\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)
YAML = re.findall(r"^```yaml\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)


def test_the_task_in_the_manual_is_the_one_that_is_tested() -> None:
    assert len(PYTHON) == 3 and len(YAML) == 1
    assert PYTHON[1] == (ROOT / "a3c_exp" / "envs" / "tensor" / "mountain_car.py").read_text()
    assert YAML[0] in (EXAMPLES / "conf" / "env" / "mountain_car.yaml").read_text()


def test_the_other_pieces_run_as_they_stand() -> None:
    shown = {
        "torch": torch,
        "begin": begin,
        "advance": advance,
        "env": MountainCar(),
        "noise": torch.rand(2, 3, 1, dtype=torch.float64),
        "action": torch.full((2, 3), 2),
        "gamma": 0.9,
        "value": lambda observation: observation.sum(-1),
    }
    exec(PYTHON[0], shown)
    target = shown["target"]
    assert isinstance(target, torch.Tensor) and target.shape == (2, 3)
    exec(PYTHON[2], shown)
    observations = shown["observations"]
    assert isinstance(observations, np.ndarray) and observations.shape == (64, 3)
    assert TensorVectorEnv(MountainCar(), num_envs=64, max_episode_steps=200).reset(seed=0)[0].shape == (64, 2)


def test_the_files_that_are_named_are_there() -> None:
    links = re.findall(r"\]\(\.\./([^)]+)\)", MANUAL)
    assert len(links) >= 6
    assert not [link for link in links if not (ROOT / link).exists()]


def test_the_example_trains_from_its_folder(tmp_path: Path) -> None:
    settings = ("env=mountain_car", "logger=none", "workers=3", "parallelism=deterministic")
    limits = ("max_env_steps=900", "evaluation.every_env_steps=null", f"hydra.run.dir={tmp_path / 'here'}")
    done = run("--config-dir", "conf", *settings, *limits, cwd=EXAMPLES)
    assert done.returncode == 0, done.stderr
    assert summary(tmp_path / "here")["env_steps"] == 900


def test_the_presets_key_reaches_the_constructor() -> None:
    (job,) = compose_jobs(
        ["env=mountain_car", "env.environment.power=0.5"], multirun=False, config_dirs=[str(EXAMPLES / "conf")]
    )
    assert OmegaConf.select(job.config, "env.environment._target_") == "a3c_exp.envs.tensor.mountain_car.MountainCar"
    envs = build_run(job.config).setup.make_envs(num_envs=1)
    assert isinstance(envs, TensorEnvBatch)
    stepped = envs.tensor_env.step(torch.tensor([-0.5, 0.0]), torch.tensor(2))
    assert float(stepped.state[1]) == pytest.approx(0.07), "as fast as it may be"
