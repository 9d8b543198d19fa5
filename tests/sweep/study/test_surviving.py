"""A study can be left alone for a night: what is killed is recorded, what is stopped goes on, and the count is kept."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from a3c_exp.runs.study_storage import REASON, RETRY_OF, RETRYABLE, open_storage
from a3c_exp.sweep.trials.heartbeat import heartbeats_of
from tests.support.command import record, run, session_members, start, summary

SLOW = (
    "hydra/sweeper=optuna", "env=cartpole", "env._target_=tests.training.test_exact_resume.Sleepy", "model.hidden=[4]", "workers=2",
    "logger=none", "truncation=end", "max_episode_steps=20", "max_updates=null", "max_env_steps=2500",
    "evaluation.every_env_steps=1000", "evaluation.episodes=1", "gamma=interval(0.8,0.99)", "study.study_name=night",
    "study.n_trials=3", "study.n_jobs=2", "study.pruner=null",
)  # fmt: skip
PLACE = Path("outputs/studies/night")


def trials(folder: Path) -> list[FrozenTrial]:
    if not (folder / PLACE / "study.json").exists():
        return []
    return optuna.load_study(study_name="night", storage=open_storage(None, folder / PLACE)).trials


def wait_for(
    what: str, folder: Path, process: "subprocess.Popen[str]", ready: Callable[[list[FrozenTrial]], bool]
) -> list[FrozenTrial]:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if ready(found := trials(folder)):
            return found
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"{what} never came: {process.communicate()}")


def under_way(folder: Path, found: list[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that live episodes just now."""
    running = [trial for trial in found if trial.state is TrialState.RUNNING]
    logs = {trial.number: folder / PLACE / f"trial={trial.number}" / "episodes.jsonl" for trial in running}
    return [trial for trial in running if logs[trial.number].exists() and logs[trial.number].stat().st_size > 0]


def holder(trial: FrozenTrial) -> int:
    (heartbeat,) = heartbeats_of(trial)
    return int(heartbeat["pid"])


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three trials of which one was killed, and all stopped, before it was gone on with to its end."""
    folder = tmp_path_factory.mktemp("night")
    process = start(*SLOW, "-m", cwd=folder)
    found = wait_for("two trials at a time", folder, process, lambda found: len(under_way(folder, found)) == 2)
    killed = under_way(folder, found)[0]
    os.kill(holder(killed), signal.SIGKILL)
    wait_for("word of its death", folder, process, lambda found: found[killed.number].state is TrialState.FAIL)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=100)
    (folder / "first.json").write_text(json.dumps({"code": process.returncode, "said": said}))
    assert session_members(process.pid) == [], "a lane outlived its study"
    ended = run(*SLOW, "study.n_jobs=1", "-m", cwd=folder, limit=300)  # of how many at a time, the study knows nothing
    assert ended.returncode == 0, ended.stderr
    (folder / "second.txt").write_text(ended.stderr)
    return folder


def test_a_trial_that_was_killed_is_failed_with_its_reason_and_the_study_goes_on(night: Path) -> None:
    (killed,) = (trial for trial in trials(night) if trial.user_attrs.get(REASON) == "its process was killed by SIGKILL")
    assert killed.state is TrialState.FAIL and RETRYABLE not in killed.user_attrs
    assert sum(trial.state is TrialState.COMPLETE for trial in trials(night)) == 2


def test_stopping_a_study_leaves_checkpoints_and_the_command_that_goes_on(night: Path) -> None:
    first = json.loads((night / "first.json").read_text())
    assert first["code"] == 130 and "stopped by Ctrl-C. Go on with: python -m a3c_exp hydra/sweeper=optuna" in first["said"]
    assert "killed by SIGKILL" in first["said"] and "Traceback" not in first["said"]
    stopped = [trial for trial in trials(night) if trial.user_attrs.get(RETRYABLE)]
    assert stopped
    for trial in stopped:
        where = night / PLACE / f"trial={trial.number}"
        if (where / "run.json").exists():
            assert record(where)["status"] == "interrupted" and list((where / "checkpoints").glob("step_*.pt"))


def test_a_study_that_goes_on_has_as_many_trials_as_were_asked_for_and_no_directory_twice(night: Path) -> None:
    found = trials(night)
    repeated = {trial.user_attrs[RETRY_OF] for trial in found if RETRY_OF in trial.user_attrs}
    assert repeated == {trial.number for trial in found if trial.user_attrs.get(RETRYABLE)}
    assert [trial.number for trial in found] == list(range(3 + len(repeated)))
    assert all(trial.state.is_finished() for trial in found)
    for trial in found:
        if trial.state is TrialState.COMPLETE:
            where = night / PLACE / f"trial={trial.number}"
            assert trial.value == summary(where)["evaluation"]["mean"]
            assert record(where)["command"].startswith("python -m a3c_exp hydra/sweeper=optuna env=cartpole")
            assert len(record(where)["sessions"]) == 1


def test_the_end_names_the_best_and_makes_the_page(night: Path) -> None:
    said = (night / "second.txt").read_text()
    best = max((trial for trial in trials(night) if trial.value is not None), key=lambda trial: trial.value or 0.0)
    assert "continues: " in said and f"trial {best.number}: gamma=" in said
    assert (night / PLACE / "report" / "index.html").is_file() and "report: outputs/studies/night/report/index.html" in said


def test_the_best_can_be_run_as_an_experiment_without_the_study(night: Path) -> None:
    from a3c_exp.config.compose import compose_jobs

    best = max((trial for trial in trials(night) if trial.value is not None), key=lambda trial: trial.value or 0.0)
    (job,) = compose_jobs(["+experiment=night"], False, [str(night / PLACE / "best")])
    assert job.config.gamma == best.params["gamma"] and job.config.max_env_steps == 2500 and job.env == "cartpole"
    assert job.config.env._target_ == "tests.training.test_exact_resume.Sleepy" and list(job.config.model.hidden) == [4]
