"""The records of a study agree with the runs of its trials. Trial workers run in this process here."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState

from a3c_exp.__main__ import _main
from a3c_exp.runs.study_storage import REASON, SEED_STD, SEEDS
from a3c_exp.sweep.study.overrides import TRIAL_WORKER_VARIABLE
from tests.support.command import lines, record, summary
from tests.support.studies import begin

TINY = (
    "hydra/sweeper=optuna", "env=cartpole", "env.backend=tensor", "model.hidden=[4]", "workers=2", "logger=none",
    "truncation=end", "max_episode_steps=20", "max_updates=null", "max_env_steps=400", "evaluation.every_env_steps=100",
    "evaluation.episodes=2", "study.study_name=s", "gamma=interval(0.8,0.99)",
)  # fmt: skip
FAILING = (
    "env=pendulum", "parallelism=synchronous",
    "env._target_=tests.support.failing.FailingEnvironments", "~env.id", "~env.backend",
    "~env.kwargs", "+env.fail_at=30", "model.actor_hidden=[4]", "model.critic_hidden=[4]", "max_episodes=null",
    "max_env_steps=100", "evaluation.max_episode_steps=10", "+env.how=choice(raise,not_finite)",
)  # fmt: skip
EACH_ONCE = "study.sampler={_target_: optuna.samplers.BruteForceSampler}"
RunTrials = Callable[..., list[FrozenTrial]]


@pytest.fixture
def run_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunTrials:
    """Runs a trial worker with some overrides until its study has all its trials, and returns them."""

    def run(
        *overrides: str, n_trials: int = 1, directions: str | list[str] = "maximize", objective: object = None
    ) -> list[FrozenTrial]:
        changed = {} if objective is None else {"objective": objective}
        queue = begin(tmp_path, n_trials=n_trials, direction=directions, **changed)
        argv = [*overrides, f"study.n_trials={n_trials}", f"hydra.sweep.dir='{tmp_path}'", "-m"]
        monkeypatch.setenv(TRIAL_WORKER_VARIABLE, "python -m a3c_exp and what was typed")
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
        monkeypatch.setattr(sys, "argv", ["a3c_exp", *argv])
        assert _main(argv) == 0
        return queue.trials()

    return run


def test_a_pruned_run_stops_within_one_evaluation_and_says_so(run_trials: RunTrials, tmp_path: Path) -> None:
    (trial,) = run_trials(*TINY, "study.pruner={_target_: optuna.pruners.ThresholdPruner, lower: 1000.0, n_warmup_steps: 0}")
    assert trial.state is TrialState.PRUNED and list(trial.intermediate_values) == [1]
    where = tmp_path / "trial=0"
    assert record(where)["status"] == summary(where)["status"] == "pruned"
    assert record(where)["reason"] == trial.user_attrs[REASON]
    assert "ThresholdPruner at evaluation 1: evaluation.mean is" in record(where)["reason"]
    (evaluation,) = lines(where / "evaluations.jsonl")
    assert evaluation["mean"] == trial.intermediate_values[1] == summary(where)["evaluation"]["mean"]
    assert 100 <= summary(where)["env_steps"] < 200, "it trained on after the evaluation"
    assert record(where)["group"] == tmp_path.name, "so that W&B shows the study as one group"
    assert list((where / "checkpoints").glob("step_*.pt"))


def test_a_trials_value_is_the_mean_over_its_seeds_and_each_is_kept(run_trials: RunTrials, tmp_path: Path) -> None:
    (trial,) = run_trials(*TINY, "num_seeds=2", "seed=3")
    inner = [summary(tmp_path / "trial=0" / f"seed={seed}")["evaluation"]["mean"] for seed in (3, 4)]
    assert trial.user_attrs[SEEDS] == {"seed=3": [inner[0]], "seed=4": [inner[1]]}
    assert trial.value == pytest.approx(np.mean(inner)) and trial.user_attrs[SEED_STD] == [pytest.approx(np.std(inner, ddof=1))]
    each = [[line["mean"] for line in lines(tmp_path / "trial=0" / f"seed={seed}" / "evaluations.jsonl")] for seed in (3, 4)]
    assert list(trial.intermediate_values.values()) == [pytest.approx(np.mean(pair)) for pair in zip(*each, strict=True)]


def test_a_trial_is_pruned_across_seeds_too(run_trials: RunTrials, tmp_path: Path) -> None:
    pruner = "study.pruner={_target_: tests.support.pruners.PruneAt, step: 6}"
    (trial,) = run_trials(*TINY, "study.seeds=[3,4,5]", pruner)
    first, second, third = (tmp_path / "trial=0" / f"seed={seed}" for seed in (3, 4, 5))
    assert (record(first)["status"], record(second)["status"], third.exists()) == ("finished", "pruned", False)
    assert trial.state is TrialState.PRUNED and list(trial.user_attrs[SEEDS]) == ["seed=3"]
    ours, theirs = ([line["mean"] for line in lines(where / "evaluations.jsonl")] for where in (first, second))
    assert len(ours) == 4 and len(theirs) == 2
    both = [np.mean(pair) for pair in zip(ours, theirs, strict=False)]
    assert list(trial.intermediate_values.values()) == pytest.approx([*ours, *both])


def test_a_failed_trial_keeps_its_reason_and_the_study_goes_on(run_trials: RunTrials, tmp_path: Path) -> None:
    trials = run_trials(*TINY[:1], *FAILING, *TINY[-2:-1], "logger=none", "workers=1", EACH_ONCE, n_trials=2)
    reasons = {trial.params["env.how"]: trial.user_attrs[REASON] for trial in trials}
    assert {trial.state for trial in trials} == {TrialState.FAIL} and len(trials) == 2
    assert reasons["raise"] == "RuntimeError: the pendulum came off"
    assert "not finite" in reasons["not_finite"] or "NaN" in reasons["not_finite"] or "nan" in reasons["not_finite"]
    assert {record(tmp_path / f"trial={number}")["status"] for number in range(2)} == {"failed"}


def test_several_objectives_are_all_kept_and_nothing_is_pruned(run_trials: RunTrials, tmp_path: Path) -> None:
    objectives = ("study.objective=[evaluation.mean,updates]", "study.direction=[maximize,minimize]")
    pruner = "study.pruner={_target_: tests.support.pruners.PruneAt, step: 1}"
    (trial,) = run_trials(
        *TINY, *objectives, pruner, directions=["maximize", "minimize"], objective=["evaluation.mean", "updates"]
    )
    ended = summary(tmp_path / "trial=0")
    assert trial.values == [ended["evaluation"]["mean"], ended["updates"]] and ended["status"] == "finished"
    assert trial.intermediate_values == {}


def test_a_custom_search_space_decides_the_overrides_of_a_run(run_trials: RunTrials, tmp_path: Path) -> None:
    trials = run_trials(*TINY, "study.custom_search_space=tests.support.spaces.window_by_share")
    for trial in trials:
        config = (tmp_path / f"trial={trial.number}" / ".hydra" / "overrides.yaml").read_text()
        assert f"n_step={round(20 * trial.params['share'])}" in config and "share=" not in config
