"""Which configurations of the launcher are refused before a directory is made or a process started."""

from pathlib import Path

import pytest

from a3c_exp.config.compose import compose_jobs
from a3c_exp.sweep.launcher.config import LocalLauncherConfig
from a3c_exp.sweep.launcher.job import required_cores
from a3c_exp.system.errors import ConfigError
from tests.support.command import run


@pytest.mark.parametrize(("jobs", "silence", "said"), [(0, 120.0, "n_jobs is 0"), (None, 5.0, "heartbeat_timeout is 5.0")])
def test_a_value_out_of_range_is_named_with_what_to_type(jobs: int | None, silence: float, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"hydra\.launcher\.{said}.*Try hydra\.launcher\."):
        LocalLauncherConfig(n_jobs=jobs, heartbeat_timeout=silence).check()


@pytest.mark.parametrize(
    ("override", "said"), [("hydra.launcher.n_jobs=abc", "whole number"), ("hydra.launcher.job=2", "no key hydra.launcher.job")]
)
def test_a_launchers_keys_are_checked_as_all_others_are(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compose_jobs(["hydra/launcher=local", override, "seed=1,2"], multirun=True)


def test_the_command_says_so_in_one_line_and_makes_nothing(tmp_path: Path) -> None:
    ended = run("hydra/launcher=local", "hydra.launcher.n_jobs=0", "seed=1,2", "-m", cwd=tmp_path)
    assert ended.returncode == 2 and ended.stderr.startswith("a3c_exp: hydra.launcher.n_jobs is 0"), ended.stderr
    assert len(ended.stderr.splitlines()) == 1 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("overrides", "cores"),
    [
        (["parallelism=hogwild", "parallelism.processes=3", "workers=8"], 3),
        (["parallelism=parameter_server", "parallelism.processes=null", "workers=1"], 1),
        (["parallelism=deterministic", "workers=8"], 1),
        (["parallelism=deterministic", "num_seeds=5", "parallelism.processes=3"], 3),
        (["parallelism=synchronous", "parallelism.env_processes=4"], 4),
    ],
)
def test_a_run_is_counted_with_the_cores_that_it_keeps_busy(overrides: list[str], cores: int) -> None:
    (job,) = compose_jobs(overrides, multirun=False)
    assert required_cores(job.config) == cores
