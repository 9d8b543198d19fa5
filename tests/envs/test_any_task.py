"""``env=gymnasium env.id=...``: any task trains, whatever it observes and however it is acted in."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from omegaconf import DictConfig

from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.config.compose import compose_jobs
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.evaluate.__main__ import main as evaluate
from a3c_exp.evaluate.evaluator import Evaluator, EvaluatorConfig
from a3c_exp.models.distributions import (
    Beta,
    Categorical,
    Distribution,
    Normal,
    NormalMixture,
    ProductDistribution,
    SquashedNormal,
    StateDependentNoise,
)
from a3c_exp.parallelism.worker_group import WorkerGroup, WorkerId
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run
from tests.support.command import QUICK, lines, record, run, summary

STAT = StatisticsTable().columns

NESTED = "tests.support.nested:Nested-v0"
CONTINUOUS = "env.kwargs={continuous:true}"
MIXTURE = ("model.head.kind=mixture", "model.head.components=2")
SDE = ("model.head.use_sde=true", "model.head.sde_sample_freq=25", "model.head.log_std_init=-2")
WRAPPED = (
    "env.wrappers=[gymnasium.wrappers.FlattenObservation,"
    "{_target_:gymnasium.wrappers.RescaleAction,min_action:-3.0,max_action:3.0},"
    "{_target_:gymnasium.wrappers.TimeLimit,max_episode_steps:25}]"
)


def config(id: str, *overrides: str) -> DictConfig:
    (job,) = compose_jobs(["env=gymnasium", f"env.id={id}", *QUICK, "n_step=10", *overrides], multirun=False)
    return job.config


@pytest.mark.parametrize(
    ("id", "overrides", "family"),
    [
        ("Acrobot-v1", (), Categorical),
        ("MountainCarContinuous-v0", (), Normal),
        ("MountainCarContinuous-v0", MIXTURE, NormalMixture),
        ("MountainCarContinuous-v0", ("model.head.kind=beta",), Beta),
        ("MountainCarContinuous-v0", SDE, StateDependentNoise),
        ("LunarLander-v3", (), Categorical),
        ("LunarLander-v3", (CONTINUOUS,), Normal),
        ("FrozenLake-v1", (), Categorical),  # observes a Discrete space
        ("Blackjack-v1", ("evaluation.max_episode_steps=30",), Categorical),  # observes a Tuple
        ("LunarLander-v3", (CONTINUOUS, "model.head.kind=squashed_gaussian"), SquashedNormal),
        ("Pendulum-v1", (WRAPPED,), Normal),
        (NESTED, (), ProductDistribution),
        (NESTED, MIXTURE, ProductDistribution),
        (NESTED, SDE, ProductDistribution),
    ],
)
def test_a_task_acts_learns_and_is_evaluated(id: str, overrides: tuple[str, ...], family: type[Distribution]) -> None:
    """In this process, through the same parts that worker processes are made of."""
    task = build_run(config(id, *overrides)).setup
    workers = WorkerGroup(task, [WorkerId(0, 0), WorkerId(0, 1)], np.zeros(2, np.int64), np.zeros(2, np.int64), lambda _: True)
    model, layout = task.model(workers.envs)
    assert type(model.distribution) is family
    taken, ended = 0, []
    while taken < 300:
        done = workers.round(np.full(2, 10, np.int64))
        assert done.gradients.isfinite().all() and (done.gradients != 0).any(dim=1).all()
        assert np.isfinite(done.window_stats).all()
        assert (done.window_stats[:, STAT["entropy_term"]] != 0).all()
        workers.weights.sub_(1e-3 * done.gradients)
        taken += int(done.steps.sum())
        ended += done.ended
    assert ended or task.max_episode_steps is None or task.max_episode_steps > 100
    if WRAPPED in overrides:
        assert {episode.length for episode in ended} == {25}
        assert {episode.end for episode in ended} == {"truncated"}
    for deterministic in (True, False):
        judge = Evaluator(model, layout, workers.envs, EvaluatorConfig(2, deterministic, 30), task.seed)
        assert np.isfinite(judge.evaluate(workers.weights[0], 0, 0, 0.0).returns).all()
    workers.close()


@pytest.mark.parametrize(
    ("overrides", "normalized"),
    [
        (["env.id=Acrobot-v1"], True),
        (["env.id=FrozenLake-v1"], False),  # observes a Discrete space
        (["env.id=Blackjack-v1"], False),  # a Tuple of choices
        (["env.id=tests.support.pictures:Pictures-v0", "model=conv_gru"], False),
        ([f"env.id={NESTED}"], False),  # a picture among its parts
    ],
)
def test_observations_are_normalized_where_they_have_numbers_and_no_pictures(overrides: list[str], normalized: bool) -> None:
    (job,) = compose_jobs(["env=gymnasium", "evaluation.max_episode_steps=30", *overrides], multirun=False)
    task = build_run(job.config)
    assert task.setup.normalization.observation is normalized
    assert task.setup.normalization.reward
    assert task.choices["normalize.observation"] is normalized  # which is saved, for a resume


def test_a_task_with_nested_spaces_trains_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    budget = ("max_env_steps=400", "n_step=5", "evaluation.episodes=2", "parallelism.processes=1")
    wrapper = "env.wrappers=[{_target_:gymnasium.wrappers.TimeLimit,max_episode_steps:7}]"
    ended = run("env=gymnasium", f"env.id={NESTED}", wrapper, *QUICK, *budget, *MIXTURE, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (path,) = tmp_path.glob("outputs/*/*/run.json")
    assert record(path.parent)["status"] == "finished"
    assert summary(path.parent)["env_steps"] == 400
    episodes = lines(path.parent / "episodes.jsonl")
    assert len(episodes) >= 50 and {episode["length"] for episode in episodes} == {7}
    assert evaluate([str(path.parent), "--episodes", "2", "--checkpoint", "last"]) == 0
    assert "7 steps on average" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["env.wrappers=[gymnasium.wrappers.TimeLimt]"], "env.wrappers[0]: gymnasium.wrappers.TimeLimt cannot be imported"),
        (["env.wrappers=[{_target_:gymnasium.wrappers.TimeLimit,steps:3}]"], "It takes max_episode_steps"),
        (["env.wrappers=gymnasium.wrappers.ClipReward"], "env.wrappers is 'gymnasium.wrappers.ClipReward', but it is a list"),
        (["env.kwargs={wings:2}"], "could not be made"),
        (["env.id=tests.no_such_module:Task-v0"], "No module named 'tests.no_such_module'"),
        (["model.head.kind=mixture"], "needs a Box action space"),
        (["model.head.components=0"], "at least 1"),
    ],
)
def test_a_mistake_about_a_task_is_one_line(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_run(config("CartPole-v1", *overrides))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_auto_is_what_scaled_was_on_the_published_task() -> None:
    """The preset's network is the report's whether the mean says auto or scaled: not one initial weight and output differs."""
    import torch

    outputs: list[Any] = []
    for mean in ("auto", "scaled"):
        (job,) = compose_jobs(["env=pendulum", f"model.head.mean={mean}"], multirun=False)
        task = build_run(job.config).setup
        envs = task.make_envs(num_envs=1)
        model, layout = task.model(envs)
        with torch.no_grad():
            outputs.append((layout.flatten(model), model(torch.tensor([[0.3, -0.9, 4.0]]), torch.zeros(1, 0)).parameters))
        envs.close()
    assert torch.equal(outputs[0][0], outputs[1][0]) and torch.equal(outputs[0][1], outputs[1][1])


def test_a_well_known_id_is_registered_by_its_package_or_says_which_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("gymnasium_robotics") is None:
        with pytest.raises(ConfigError, match=r"No module named 'gymnasium_robotics'. Try pip install gymnasium-robotics"):
            GymnasiumEnvs("FetchReach-v4")
    # A package that registers as ale_py does: this one has no license to ask for, and no downloads.
    entry_point = "gymnasium.envs.classic_control.pendulum:PendulumEnv"
    (tmp_path / "ale_py.py").write_text(f"import gymnasium\ngymnasium.register('ALE/Test-v5', entry_point={entry_point!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ale_py", raising=False)
    try:
        assert GymnasiumEnvs("ALE/Test-v5").action_space.shape == (1,)
        (job,) = compose_jobs(["env=gymnasium", "env.id=ALE/Test-v5"], multirun=False)
        (notice,) = (text for text in build_run(job.config).notices if "no time limit" in text)
        assert "cut off after 100,000 steps" in notice and "evaluation.max_episode_steps=1000" in notice
    finally:
        gymnasium.registry.pop("ALE/Test-v5", None)
        sys.modules.pop("ale_py", None)


def test_pictures_of_mujoco_follow_what_walks() -> None:
    pytest.importorskip("mujoco", reason="the extra mujoco is not installed")
    for id, camera in (("Hopper-v5", 0), ("Reacher-v5", -1)):  # whose model has no camera
        seen, unseen = GymnasiumEnvs(id, render_mode="rgb_array"), GymnasiumEnvs(id)
        assert seen.envs[0].unwrapped.mujoco_renderer.camera_id == camera
        assert unseen.envs[0].unwrapped.mujoco_renderer.camera_id == -1
        seen.close()
        unseen.close()
