"""EnvPool's CarRacing where it is installed, and what is said where it is not."""

import importlib.util

import numpy as np
import pytest

from a3c_exp.config.compose import compose_jobs
from a3c_exp.envs.car_racing.envs import CarRacingEnvs
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run

installed = importlib.util.find_spec("envpool") is not None


@pytest.mark.parametrize("options", [{"source": "render"}, {"domain_randomize": True}, {"render_mode": "rgb_array"}])
def test_what_it_cannot_do_is_refused(options: dict) -> None:
    with pytest.raises(ConfigError, match="one small picture"):
        CarRacingEnvs(backend="envpool", **options)


@pytest.mark.skipif(not installed, reason="EnvPool is an extra")
def test_a_seed_is_an_episode_and_another_seed_another() -> None:
    one, same, other = (CarRacingEnvs(backend="envpool", frame_skip=2) for _ in range(3))
    for envs, seed in ((one, 2**52 + 1), (same, 2**52 + 1), (other, 2**52 + 2)):
        envs.reset(0, 3)  # what was before must not matter
        envs.step(np.array([1]), np.array([True]))
        envs.reset(0, seed)
        for _ in range(8):
            envs.step(np.array([2]), np.array([True]))
    assert np.array_equal(one.observation, same.observation)
    assert not np.array_equal(one.observation, other.observation)
    assert one.observation.std() > 0.05 and one.observation_space.contains(one.observation[0])


@pytest.mark.skipif(not installed, reason="EnvPool is an extra")
def test_it_scores_as_gymnasium_does() -> None:
    """Tiles under the car with the first step, then a tenth a frame; standing still is hopeless; leaving the field ends it."""
    envs = CarRacingEnvs(backend="envpool", actions=[[0, 0, 0], [0, 0.5, 0]], no_progress_limit=4)
    envs.reset(0, 1)
    assert not envs.step(np.array([0]), np.array([True]))
    assert 3 < envs.reward[0] < 20
    assert [envs.step(np.array([0]), np.array([True])) for _ in range(3)] == [False, False, True]
    assert envs.truncated[0] and envs.reward[0] == pytest.approx(-0.1, abs=1e-5)
    patient = CarRacingEnvs(backend="envpool", actions=[[0, 0, 0], [0, 0.5, 0]], frame_skip=4)
    patient.reset(0, 1)
    assert any(patient.step(np.array([1]), np.array([True])) for _ in range(240))
    assert patient.terminated[0] and patient.reward[0] < -90


@pytest.mark.skipif(not installed, reason="EnvPool is an extra")
def test_an_evaluation_is_always_gymnasiums() -> None:
    (job,) = compose_jobs(["env=car_racing", "env.backend=envpool"], multirun=False)
    task = build_run(job.config).setup
    envs, plain = task.make_evaluation_envs(num_envs=1), CarRacingEnvs()
    for batch in (envs, plain):
        batch.reset(0, 1)
    assert np.array_equal(envs.observation, plain.observation)
