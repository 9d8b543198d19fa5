"""Numbers of an environment's info reach every logger as means over its episodes, whatever process steps it."""

import csv
import math
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from a3c_exp.config.compose import compose_jobs
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.envs.process_pool import SubprocessEnvs
from a3c_exp.system.errors import ConfigError, EnvInterfaceError, RunFailed
from a3c_exp.training.build import build_run
from tests.support.command import lines, summary
from tests.support.trained import trained


class Speedometer(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Says how far the episode is and a number that follows from its seed, once how it began, and what is no number."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        assert seed is not None
        self.seed, self.time = seed % 1000, 0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.time += 1
        info = {**info, "time": np.float32(self.time), "seed": np.array([self.seed]), "name": "cart"}
        return observation, reward, terminated, truncated, info | ({"begin": 7, "end": math.inf} if self.time == 1 else {})


WRAPPED = f"env.wrappers=[{__name__}.Speedometer]"
LOGGED = "env.log_info=[time,seed,begin,end,misspelled]"


def assert_logged(run: Path) -> list[dict[str, Any]]:
    episodes = lines(run / "episodes.jsonl")
    assert episodes
    for episode in episodes:
        assert episode["info/time"] == (episode["length"] + 1) / 2
        assert episode["info/seed"] == episode["env_seed"] % 1000 and episode["info/begin"] == 7
        assert episode["info/misspelled"] is None and episode["info/end"] is None
    return episodes


def test_means_over_the_episode_are_in_the_log_and_in_curves(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", WRAPPED, LOGGED, "logger=csv", "logger.row_interval=0.0")
    episodes = assert_logged(run)
    with (run / "csv" / "episode.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["info/time"]) for row in rows] == [episode["info/time"] for episode in episodes]
    (said,) = [line for line in (run / "messages.log").read_text().splitlines() if "log_info" in line]
    assert "env.log_info has misspelled, which was in no info of the first episode. Is it the environment's own" in said
    plain = trained(tmp_path / "plain", WRAPPED)
    assert summary(plain)["weights_digest"] == summary(run)["weights_digest"]
    assert not any("info" in key for episode in lines(plain / "episodes.jsonl") for key in episode)


def test_where_it_is_not_used_no_step_is_watched() -> None:
    envs = GymnasiumEnvs("CartPole-v1")
    assert envs.episode_info is None and "InfoMeans" not in str(envs.envs[0])
    envs.close()


@pytest.mark.parametrize("parallelism", ["hogwild", "parameter_server", "deterministic"])
def test_every_parallelism_logs_them(tmp_path: Path, parallelism: str) -> None:
    assert_logged(trained(tmp_path / "run", WRAPPED, LOGGED, f"parallelism={parallelism}", "max_env_steps=150"))


def test_they_come_from_a_pool_of_processes_too() -> None:
    make = partial(GymnasiumEnvs, "CartPole-v1", wrappers=[f"{__name__}.Speedometer"], log_info=["seed", "time"])
    pool = SubprocessEnvs(make, 3, processes=2)
    try:
        for k in range(3):
            pool.reset(k, 10 + k)
        for active in ([True] * 3, [False, True, True]):
            pool.step(np.ones(3, np.int64), np.array(active))
        assert pool.episode_info is not None
        assert [pool.episode_info(k) for k in range(3)] == [{"seed": 10 + k, "time": 1.0 + 0.5 * (k > 0)} for k in range(3)]
    finally:
        pool.close()


def test_what_is_no_number_is_said_at_the_end_of_the_first_episode(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"worker \d.*: env.log_info has name, but info\['name'\] is the str 'cart'"):
        trained(tmp_path / "run", WRAPPED, "env.log_info=[name]")
    envs = GymnasiumEnvs("CartPole-v1", 2, wrappers=[f"{__name__}.Speedometer"], log_info=["name"])
    for k in range(2):
        envs.reset(k, k)
    envs.step(np.zeros(2, np.int64), np.array([False, True]))
    assert envs.episode_info is not None and math.isnan(envs.episode_info(0)["name"])
    with pytest.raises(EnvInterfaceError) as error:
        envs.episode_info(1)
    assert error.value.index == 1
    envs.close()


def test_a_tensor_environment_has_no_info() -> None:
    overrides = ["env=cartpole", "env.backend=tensor", "+env.log_info=[speed]"]
    with pytest.raises(ConfigError, match=r"env.log_info is \['speed'\], which is for gymnasium's own code"):
        build_run(compose_jobs(overrides, multirun=False)[0].config)
