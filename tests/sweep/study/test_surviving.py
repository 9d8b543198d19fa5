"""A study survives killed workers and Ctrl-C: failures are recorded, stopped trials are retried, and no trial counts twice."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from a3c_exp.runs.study_storage import REASON, RETRY_OF, RETRYABLE, open_storage
from a3c_exp.sweep.trials.heartbeat import heartbeats_of
from tests.support.command import record, run, session_members, start, start_anew, summary
from tests.support.forked_commands import ForkedCommand
from tests.support.interruptions import HOLD
from tests.training.test_damaged_checkpoints import room_for

pytestmark = pytest.mark.slow

SLOW = (
    "hydra/sweeper=optuna", "env=cartpole", "env._target_=tests.support.interruptions.Sleepy", "model.hidden=[4]",
    "workers=2", "logger=none", "truncation=end", "max_episode_steps=20", "max_updates=null", "max_env_steps=2500",
    "evaluation.every_env_steps=1000", "evaluation.episodes=1", "gamma=interval(0.8,0.99)", "study.study_name=night",
    "study.n_trials=3", "study.n_jobs=2", "study.pruner=null",
)  # fmt: skip
STUDY = Path("outputs/studies/night")


def trials(folder: Path) -> list[FrozenTrial]:
    if not (folder / STUDY / "study.json").exists():
        return []
    return optuna.load_study(study_name="night", storage=open_storage(None, folder / STUDY)).trials


def wait_for(what: str, folder: Path, process: ForkedCommand, ready: Callable[[list[FrozenTrial]], bool]) -> list[FrozenTrial]:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if ready(current := trials(folder)):
            return current
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"timeout while waiting for {what}: {process.communicate()}")


def under_way(folder: Path, current: list[FrozenTrial]) -> list[FrozenTrial]:
    """The trials whose runs have logged episodes."""
    running = [trial for trial in current if trial.state is TrialState.RUNNING]
    logs = {trial.number: folder / STUDY / f"trial={trial.number}" / "episodes.jsonl" for trial in running}
    return [trial for trial in running if logs[trial.number].exists() and logs[trial.number].stat().st_size > 0]


def holder(trial: FrozenTrial) -> int:
    (heartbeat,) = heartbeats_of(trial)
    return int(heartbeat["pid"])


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three trials: one was killed, then the study was stopped and resumed to its end."""
    folder = tmp_path_factory.mktemp("night")
    (folder / HOLD).write_text("1000")  # no trial comes to its end before the study is stopped
    process = start(*SLOW, "-m", cwd=folder)
    running = wait_for("two running trials", folder, process, lambda now: len(under_way(folder, now)) == 2)
    killed = under_way(folder, running)[0]
    os.kill(holder(killed), signal.SIGKILL)
    wait_for("the failed trial", folder, process, lambda now: now[killed.number].state is TrialState.FAIL)
    process.send_signal(signal.SIGINT)
    (folder / HOLD).unlink()
    _, stderr = process.communicate(timeout=100)
    (folder / "first.json").write_text(json.dumps({"code": process.returncode, "stderr": stderr}))
    assert session_members(process.pid) == [], "a trial worker outlived its study"
    ended = run(*SLOW, "study.n_jobs=1", "-m", cwd=folder, limit=300)  # n_jobs may change when a study is resumed
    assert ended.returncode == 0, ended.stderr
    (folder / "second.txt").write_text(ended.stderr)
    return folder


def start_with_deaths(folder: Path, *deaths: str) -> ForkedCommand:
    """A study of one trial, whose workers die these deaths one after another as soon as they are started."""
    (folder / "deaths").mkdir()
    for number, death in enumerate(deaths):
        (folder / "deaths" / f"{death}.{number}").touch()
    quick = ("study.n_trials=1", "study.n_jobs=1", "max_env_steps=50", "-m")
    return start(*SLOW, *quick, cwd=folder, DEATHS=str(folder / "deaths"))


def test_a_worker_that_dies_between_two_trials_does_not_end_the_study(tmp_path: Path) -> None:
    process = start_with_deaths(tmp_path, "SIGKILL")
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert [trial.state for trial in trials(tmp_path)] == [TrialState.COMPLETE] and not list((tmp_path / "deaths").iterdir())


def test_workers_that_cannot_start_are_not_started_for_ever(tmp_path: Path) -> None:
    """130 is what OpenBLAS makes of a machine on which it gets no thread: it sends itself SIGINT."""
    process = start_with_deaths(tmp_path, *["130"] * 20)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 1 and "no trial could be started: stopped by Ctrl-C. More: " in err, err
    assert len(list((tmp_path / "deaths").iterdir())) == 18


def test_a_killed_trial_fails_with_its_reason_and_the_study_continues(night: Path) -> None:
    (killed,) = (trial for trial in trials(night) if trial.user_attrs.get(REASON) == "its process was killed by SIGKILL")
    assert killed.state is TrialState.FAIL and RETRYABLE not in killed.user_attrs
    assert sum(trial.state is TrialState.COMPLETE for trial in trials(night)) == 2


def test_stopping_a_study_leaves_checkpoints_and_prints_the_command_that_resumes(night: Path) -> None:
    first = json.loads((night / "first.json").read_text())
    assert first["code"] == 130 and "stopped by Ctrl-C. Go on with: python -m a3c_exp hydra/sweeper=optuna" in first["stderr"]
    assert "killed by SIGKILL" in first["stderr"] and "Traceback" not in first["stderr"]
    stopped = [trial for trial in trials(night) if trial.user_attrs.get(RETRYABLE)]
    assert stopped
    for trial in stopped:
        directory = night / STUDY / f"trial={trial.number}"
        if (directory / "run.json").exists():
            assert record(directory)["status"] == "interrupted" and list((directory / "checkpoints").glob("step_*.pt"))


def test_a_resumed_study_has_n_trials_and_no_directory_twice(night: Path) -> None:
    all_trials = trials(night)
    repeated = {trial.user_attrs[RETRY_OF] for trial in all_trials if RETRY_OF in trial.user_attrs}
    assert repeated == {trial.number for trial in all_trials if trial.user_attrs.get(RETRYABLE)}
    assert [trial.number for trial in all_trials] == list(range(3 + len(repeated)))
    assert all(trial.state.is_finished() for trial in all_trials)
    for trial in all_trials:
        if trial.state is TrialState.COMPLETE:
            directory = night / STUDY / f"trial={trial.number}"
            assert trial.value == summary(directory)["evaluation"]["mean"]
            assert record(directory)["command"].startswith("python -m a3c_exp hydra/sweeper=optuna env=cartpole")
            assert len(record(directory)["sessions"]) == 1


def test_a_study_whose_disk_is_full_ends_in_a_line_and_the_same_command_goes_on(night: Path, tmp_path: Path) -> None:
    shutil.copytree(night / STUDY, tmp_path / STUDY)
    before = [trial.state for trial in trials(tmp_path)]
    with room_for((tmp_path / STUDY / "study.journal").stat().st_size + 40):
        process = start_anew(*SLOW, "study.n_trials=4", "-m", cwd=tmp_path)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 1 and "Traceback" not in said, said
    assert "ulimit -f" in said and "The same command goes on with it" in said
    assert [trial.state for trial in trials(tmp_path)] == before, "half a line of the journal is no trial"
    ended = run(*SLOW, "study.n_trials=4", "study.n_jobs=1", "-m", cwd=tmp_path, limit=300)
    assert ended.returncode == 0, ended.stderr
    assert [trial.state for trial in trials(tmp_path)] == [*before, TrialState.COMPLETE]


def test_a_finished_study_prints_its_best_trial_and_makes_a_report(night: Path) -> None:
    stderr = (night / "second.txt").read_text()
    best = max((trial for trial in trials(night) if trial.value is not None), key=lambda trial: trial.value or 0.0)
    assert "continues: " in stderr and f"trial {best.number}: gamma=" in stderr
    assert (night / STUDY / "report" / "index.html").is_file() and "report: outputs/studies/night/report/index.html" in stderr


def test_the_best_can_be_run_as_an_experiment_without_the_study(night: Path) -> None:
    from a3c_exp.config.compose import compose_jobs

    best = max((trial for trial in trials(night) if trial.value is not None), key=lambda trial: trial.value or 0.0)
    (job,) = compose_jobs(["+experiment=night"], False, [str(night / STUDY / "best")])
    assert job.config.gamma == best.params["gamma"] and job.config.max_env_steps == 2500 and job.env == "cartpole"
    assert job.config.env._target_ == "tests.support.interruptions.Sleepy" and list(job.config.model.hidden) == [4]


def test_a_study_with_a_failed_trial_ends_with_exit_code_1_and_names_it(tmp_path: Path) -> None:
    each_once = "study.sampler={_target_: optuna.samplers.BruteForceSampler}"
    ended = run("hydra/sweeper=optuna", "env=cartpole", "max_updates=60", "evaluation.episodes=2", "logger=none",
                "study.n_trials=2", each_once, "optimizer.lr=choice(1e-3,1e30)", "-m", cwd=tmp_path, limit=300)  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    assert "2 of 2 trials: 1 complete, 1 failed" in ended.stderr and "not finite" in ended.stderr
