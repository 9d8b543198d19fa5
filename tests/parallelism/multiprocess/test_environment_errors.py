"""What an environment raises is shown as what it is, also where a pipe that lost its other end raises the same."""

from pathlib import Path

import pytest

from tests.support.command import record, run

TASK = """
import builtins

import gymnasium
from gymnasium.envs.classic_control.pendulum import PendulumEnv

class Gone(PendulumEnv):
    def __init__(self, error, render_mode=None):
        super().__init__(render_mode=render_mode)
        self.error = error

    def step(self, action):
        raise getattr(builtins, self.error)("the simulator is gone")

gymnasium.register("Gone-v0", Gone, max_episode_steps=100)
"""
WAYS = {
    "hogwild": ("parallelism=hogwild", "parallelism.processes=1"),
    "parameter_server": ("parallelism=parameter_server", "parallelism.processes=1"),
    "env_processes": ("parallelism=deterministic", "parallelism.env_processes=2"),
    "num_seeds": (
        "parallelism=deterministic",
        "num_seeds=2",
        "parallelism.processes=2",
        "parallelism.seed_block=1",
    ),
}


@pytest.mark.parametrize(
    ("way", "error"),
    [
        ("hogwild", "EOFError"),
        ("hogwild", "BrokenPipeError"),
        ("parameter_server", "ConnectionResetError"),
        ("env_processes", "EOFError"),
        ("env_processes", "BrokenPipeError"),
        ("num_seeds", "EOFError"),
    ],
)
def test_a_simulator_that_is_gone_is_not_taken_for_the_main_process(way: str, error: str, tmp_path: Path) -> None:
    (tmp_path / "gone.py").write_text(TASK)
    directory = tmp_path / "run"
    ended = run(
        *("env=gymnasium", "env.id=gone:Gone-v0", f"env.kwargs={{error: {error}}}", "workers=2", "model=separate_mlp"),
        *("logger=none", "max_env_steps=1_000", f"hydra.run.dir={directory}", *WAYS[way]),
        cwd=tmp_path,
    )
    assert ended.returncode == 1, ended.stderr
    assert f"{error}: the simulator is gone" in ended.stderr
    assert f"{error}: the simulator is gone" in record(directory)["reason"]
