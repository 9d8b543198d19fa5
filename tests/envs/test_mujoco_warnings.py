"""MuJoCo's warnings are seen once each, and leave no file."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mujoco")

CODE = """
import mujoco
from a3c_exp.envs.gymnasium import GymnasiumEnvs

envs = GymnasiumEnvs("HalfCheetah-v5", 3)  # whose file has an attribute that MuJoCo calls deprecated
for env in envs.envs:
    env.reset(seed=1)
    for _ in range(3):
        env.unwrapped.data.qvel[:] = float("nan")
        mujoco.mj_step(env.unwrapped.model, env.unwrapped.data)
"""


def test_a_warning_is_shown_once_and_what_is_deprecated_is_not(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert line.startswith("a3c_exp: MuJoCo warns: Nan, Inf or huge value in QVEL") and done.stdout == ""
    assert list(tmp_path.iterdir()) == []
