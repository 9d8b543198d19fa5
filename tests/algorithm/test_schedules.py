"""Hyperparameters over the budget are what their schedules say, in every window, in the log and after a resume."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a3c_exp.algorithm.per_worker import HyperparameterRange, PerWorkerHyperparameters
from a3c_exp.algorithm.schedules import Schedule, Schedules
from a3c_exp.config.budget import Budget
from a3c_exp.config.compose import compose_jobs
from a3c_exp.config.enums import HyperparameterRangeKind, ScheduleKind
from a3c_exp.optimizers.sgd import SGD
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run
from tests.support.command import lines, run
from tests.support.reference_training import schedule_factor
from tests.support.single_process import Driven, tiny_task

LINEAR = Schedule("lr_schedule", ScheduleKind.linear)


def test_lines_between_points_are_those_of_a_ruler() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        fractions = np.sort(random.choice(1001, random.integers(1, 7), replace=False)) / 1000
        points = list(zip(fractions.tolist(), random.uniform(0, 9, len(fractions)).tolist(), strict=True))
        for at in (0.0, 1.0, *fractions.tolist(), *random.random(5).tolist()):
            assert Schedule("beta_schedule", points).factor(at) == pytest.approx(schedule_factor(points, at), abs=1e-9)


def test_factors_follow_half_a_cosine_or_lines_between_points() -> None:
    cosine = Schedule("lr_schedule", ScheduleKind.cosine)
    assert [cosine.factor(fraction) for fraction in (0.0, 1 / 3, 0.5, 1.0)] == pytest.approx([1.0, 0.75, 0.5, 0.0])
    points = Schedule("lr_schedule", [(0.2, 1.0), (0.6, 0.5), (0.6 + 1e-9, 0.1), (1.0, 0.0)])
    expected = [1.0, 1.0, 0.75, 0.5, 0.05, 0.0]
    assert [points.factor(fraction) for fraction in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)] == pytest.approx(expected, abs=1e-6)
    assert Schedule("lr_schedule").factor(1.0) == 1.0


def test_a_schedule_follows_whichever_budget_is_nearest_its_end() -> None:
    budget = Budget(max_episodes=10, max_env_steps=1000)
    assert LINEAR.factor(budget.fraction(episodes=2, env_steps=700, updates=9)) == pytest.approx(0.3)
    assert LINEAR.factor(budget.fraction(episodes=9, env_steps=700, updates=9)) == pytest.approx(0.1)
    assert LINEAR.factor(budget.fraction(episodes=10, env_steps=700, updates=9)) == 0.0


@pytest.mark.parametrize("kind", [Deterministic, Synchronous])
@pytest.mark.parametrize("scheduled", ["lr", "max_grad_norm"])
def test_steps_of_gradients_that_are_always_clipped_show_the_schedule(kind: Any, scheduled: str) -> None:
    """With plain SGD a step's length is the rate times the clip; of the clip it is that of the worker's pull."""
    budget, workers = Budget(max_updates=40), 3
    settings: dict[str, Any] = {"optimizer": SGD(lr=0.01), "max_grad_norm": 1e-3, "budget": budget, "reward_shift": 1.0}
    task = tiny_task(workers=workers, schedules=Schedules(**{scheduled: LINEAR}), **settings)
    driven = Driven(kind(order="fixed") if kind is Deterministic else kind(), task).step(40).stop()
    moved = [float((after - before).norm()) for before, after in pairwise(driven.weights)]
    assert driven.spent()
    stale = workers - 1 if kind is Deterministic and scheduled == "max_grad_norm" else 0
    expected = [0.01 * 1e-3 * (1 - max(0, update - stale) / 40) for update in range(40)]
    assert moved == pytest.approx(expected, rel=2e-2, abs=2e-8)


SMALL = ("env=cartpole", "model.hidden=[4]", "workers=2", "logger=none", "evaluation.episodes=1", "seed=3", "compile=false")
SCHEDULED = ("beta=0.1", "beta_schedule=cosine", "max_grad_norm=0.5", "max_grad_norm_schedule=[[0,1],[0.5,0.2]]")


@pytest.mark.parametrize("parallelism", ["deterministic", "synchronous", "hogwild", "parameter_server"])
def test_a_run_logs_where_its_schedules_stand(parallelism: str, tmp_path: Path) -> None:
    # Processes do not wait for the one that logs: enough steps that a few lines fall between the first and the last.
    steps = 400 if parallelism in ("deterministic", "synchronous") else 8000
    budget = f"max_env_steps={steps}", f"metrics.every_env_steps={steps // 8}"
    ended = run(*SMALL, *SCHEDULED, *budget, f"parallelism={parallelism}", "hydra.run.dir=here", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    logged = lines(tmp_path / "here" / "metrics.jsonl")
    assert len(logged) > 1 and logged[-1]["env_step"] == steps
    for line in logged:
        used = line["env_step"] / steps
        assert line["lr"] is None, "it is constant"
        assert line["beta"] == pytest.approx(0.05 * (1 + math.cos(math.pi * used)))
        assert line["max_grad_norm"] == pytest.approx(0.5 * max(0.2, 1 - 1.6 * used))


def test_workers_own_coefficients_are_logged_as_their_mean() -> None:
    beta = HyperparameterRange("beta", HyperparameterRangeKind.values, values=(0.1, 0.3))
    schedules = Schedules(LINEAR, Schedule("beta_schedule", ScheduleKind.linear))
    task = tiny_task(workers=2, per_worker=PerWorkerHyperparameters(beta), schedules=schedules)
    assert task.scheduled_hyperparameters(0, 0.25) == pytest.approx({"lr": 0.75e-2, "beta": 0.15})
    assert tiny_task().scheduled_hyperparameters(0, 0.25) == {}


def test_schedules_can_be_swept() -> None:
    shapes = "beta_schedule=constant,linear", "max_grad_norm_schedule=cosine,[[0,1],[1,0.1]]", "max_grad_norm=1"
    built = [build_run(job.config).setup.schedules for job in compose_jobs([*shapes, "logger=none"], multirun=True)]
    assert [(each.beta.shape, each.max_grad_norm.shape) for each in built] == [
        (beta, norm) for beta in ("constant", "linear") for norm in ("cosine", ((0.0, 1.0), (1.0, 0.1)))
    ]


@pytest.mark.parametrize("key", ["lr_schedule", "beta_schedule", "max_grad_norm_schedule"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("cosines", "{} is 'cosines', but it is one of constant, linear, cosine or a list, each a list of 2"),
        ("[[0,1],[0.5]]", "{} is [[0,1],[0.5]], but it is one of"),
        ("[[0.5,1],[0,1]]", "{} is [[0.5, 1.0], [0.0, 1.0]], but its points are"),
        ("[]", "{} is [], but its points are"),
    ],
)
def test_what_is_no_schedule_is_refused_in_one_line(key: str, value: str, said: str) -> None:
    refused(f"{key}={value}", "max_grad_norm=1", said=said.format(key))


def test_a_clip_that_is_not_there_has_no_schedule() -> None:
    refused("max_grad_norm_schedule=linear", said="max_grad_norm_schedule is linear, but max_grad_norm is null")


def refused(*overrides: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        (job,) = compose_jobs([*overrides, "logger=none"], multirun=False)
        build_run(job.config)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1, str(caught.value)
