"""Each worker's own values are drawn from what was asked for, independently of other workers, and rates fall to zero."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from a3c_exp.algorithm.per_worker import HyperparameterRange, PerWorkerHyperparameters
from a3c_exp.config.compose import compose_jobs
from a3c_exp.config.enums import HyperparameterRangeKind
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run
from tests.support.command import run, summary
from tests.support.single_process import tiny_task


@pytest.mark.parametrize("key", ["beta", "lr"])
@pytest.mark.parametrize("kind", [HyperparameterRangeKind.uniform, HyperparameterRangeKind.loguniform])
def test_values_fill_the_space_between_their_bounds_evenly(kind: HyperparameterRangeKind, key: str) -> None:
    spread = HyperparameterRange(key, kind, 1e-4, 1e-2)
    drawn = np.array([spread.draw(0, worker) for worker in range(2000)])
    assert drawn.min() >= 1e-4 and drawn.max() <= 1e-2
    is_log = kind is HyperparameterRangeKind.loguniform
    even = np.log(drawn / 1e-4) / math.log(100) if is_log else (drawn - 1e-4) / (1e-2 - 1e-4)
    steps = np.abs(np.sort(even) - (np.arange(2000) + 0.5) / 2000).max()
    assert steps < 0.05, "Kolmogorov and Smirnov exceed 0.05 once in 10 000"


def test_values_that_are_listed_are_dealt_in_turn() -> None:
    spread = HyperparameterRange("beta", HyperparameterRangeKind.values, values=(0.1, 0.0, 0.3))
    assert [spread.draw(seed, worker) for seed in (0, 7) for worker in range(4)] == [0.1, 0.0, 0.3, 0.1] * 2


def test_a_rate_and_a_coefficient_are_independent_of_each_other() -> None:
    beta, lr = (HyperparameterRange(key, HyperparameterRangeKind.uniform, 0.0, 1.0) for key in ("beta", "lr"))
    drawn = np.array([(beta.draw(0, worker), lr.draw(0, worker)) for worker in range(500)])
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.2


def test_a_workers_values_do_not_depend_on_the_other_workers() -> None:
    both = PerWorkerHyperparameters(
        HyperparameterRange("beta", HyperparameterRangeKind.loguniform, 1e-3, 1.0),
        HyperparameterRange("lr", HyperparameterRangeKind.uniform, 0.0, 0.1),
    )
    few, many = tiny_task(workers=2, per_worker=both), tiny_task(workers=7, per_worker=both, num_seeds=3)
    assert many.worker_hyperparameters(0)[:2] == few.worker_hyperparameters(0)
    assert many.worker_hyperparameters(1) == tiny_task(workers=7, per_worker=both, seed=1).worker_hyperparameters(1)
    assert many.worker_hyperparameters(1) != many.worker_hyperparameters(0)
    only_beta = PerWorkerHyperparameters(beta=both.beta)
    of_beta = tiny_task(workers=2, per_worker=only_beta).worker_hyperparameters(0)
    assert [values["entropy_coef"] for values in of_beta] == [
        values["entropy_coef"] for values in few.worker_hyperparameters(0)
    ]
    assert [values["lr"] for values in of_beta] == [1e-2, 1e-2], "the optimizer's own"
    assert tiny_task(workers=2).worker_hyperparameters(0) == []


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["per_worker.beta={kind: loguniform, low: 0, high: 1}"], "per_worker.beta goes from low=0.0 to high=1.0"),
        (["per_worker.beta={kind: uniform, low: 2, high: 1}"], "per_worker.beta goes from low=2.0 to high=1.0"),
        (["per_worker.lr={kind: loguniform, low: 1e-4}"], "per_worker.lr goes from low=0.0001 to high=None"),
        (["per_worker.lr={kind: uniform, low: 0, high: inf}"], "per_worker.lr.high is inf, but it is a finite number or null"),
        (["per_worker.lr={kind: values, values: []}"], "per_worker.lr.values is "),
        (["per_worker.beta={kind: values, values: [0.1, -1]}"], "per_worker.beta.values is "),
        (["per_worker.lr={kind: values, values: [0.1]}", "parallelism=synchronous"], "per_worker.lr gives each worker"),
        (["per_worker.beta={kind: normal, low: 0, high: 1}"], "per_worker.beta"),
        (
            ["per_worker.beta={kind: uniform, lo: 0, high: 1}"],
            "there is no key per_worker.beta.lo. Did you mean per_worker.beta.low?",
        ),
        (["per_worker.lr=0.1"], "per_worker.lr is 0.1, but it holds keys of its own: kind, low, high, values"),
        (["per_worker.gamma={kind: uniform, low: 0, high: 1}"], "per_worker.gamma"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        (job,) = compose_jobs([*overrides, "logger=none"], multirun=False)
        build_run(job.config)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1, str(caught.value)


def test_a_run_says_what_each_worker_had_of_its_own(tmp_path: Path) -> None:
    small = ("env=cartpole", "model.hidden=[4]", "parallelism=deterministic", "workers=3", "logger=none", "max_updates=30")
    own = "per_worker.beta={kind: values, values: [0.0, 0.01]}", "per_worker.lr={kind: loguniform, low: 1e-4, high: 1e-2}"
    ended = run(*small, *own, "lr_schedule=linear", "evaluation.episodes=1", "hydra.run.dir=here", "seed=3", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    spread = HyperparameterRange("lr", HyperparameterRangeKind.loguniform, 1e-4, 1e-2)
    expected = [{"worker": k, "entropy_coef": (0.0, 0.01, 0.0)[k], "lr": spread.draw(3, k)} for k in range(3)]
    assert summary(tmp_path / "here")["workers"] == json.loads(json.dumps(expected))
