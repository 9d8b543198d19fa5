"""An interrupted sweep is gone on with by one command: every run once, under its old number and in its old directory."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from a3c_exp.config.existing_runs import VARIABLE, ExistingRuns
from a3c_exp.runs.format_table import Terminal
from a3c_exp.runs.sweep_plan import read_sweep_plan
from a3c_exp.runs.sweeps.sweep_status import status_table
from a3c_exp.sweep.planned.resume import jobs_to_launch
from a3c_exp.sweep.study.overrides import study_command
from a3c_exp.system.errors import RunDirectoryError
from tests.support.command import record, run, session_members, start
from tests.support.interruptions import HELD, HOLD, Sleepy, same_run

COMMAND = (
    "env=cartpole", "workers=2", "logger=none", "model.hidden=[6]", "max_updates=null", "evaluation.episodes=2",
    "truncation=end", "max_episode_steps=30",
    "checkpoint.every_env_steps=50", "parallelism=deterministic", "hydra.launcher.n_jobs=1",
    f"env._target_={Sleepy.__module__}.Sleepy", "-m",
)  # fmt: skip
SWEEP = ("max_env_steps=120,400,410", "hydra.sweep.dir=swept")
FOLDERS = ("max_env_steps=120", "max_env_steps=400", "max_env_steps=410")


def interrupt(cwd: Path, sweep: tuple[str, ...] = SWEEP, everything: bool = False) -> None:
    """A sweep whose command (or ``everything``) is killed when its first run has finished and its second stands still."""
    (cwd / HOLD).write_text("150")
    process = start(*COMMAND, *sweep, cwd=cwd)
    deadline = time.monotonic() + 90
    while not (cwd / HELD).exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert record(cwd / "swept" / FOLDERS[0])["status"] == "finished"
    for pid in session_members(process.pid) if everything else [process.pid]:
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert not (cwd / "swept" / FOLDERS[2] / "run.json").exists()
    table, problem = status_table(cwd / "swept", Terminal())
    if sweep == SWEEP:
        assert [line.split()[1] for line in table.splitlines()[1:4]] == [
            "finished",
            "killed" if everything else "running",
            "missing",
        ]
        assert "resume=" in table.splitlines()[-1] and not problem


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cwd = tmp_path_factory.mktemp("undisturbed")
    ended = run(*COMMAND, *SWEEP, cwd=cwd)
    assert ended.returncode == 0, ended.stderr
    return cwd / "swept"


def test_a_plan_says_what_hydra_makes_of_it(undisturbed: Path) -> None:
    plan = read_sweep_plan(undisturbed)
    assert [job.folder for job in plan.jobs] == list(FOLDERS)
    for job in plan.jobs:
        assert list(job.overrides) == record(undisturbed / job.folder)["overrides"]
    for key, said in (("n_jobs=0", "hydra.launcher.n_jobs is 0"), ("n_job=1", "hydra.launcher.n_job")):
        refused = run("resume=swept", f"hydra.launcher.{key}", cwd=undisturbed.parent)
        assert refused.returncode == 2 and said in refused.stderr and refused.stderr.count("\n") == 1, refused.stderr
    ended = run("resume=swept", cwd=undisturbed.parent)
    assert ended.returncode == 0 and "3 of 3 runs finished" in ended.stderr, ended.stderr
    ended = run("resume=swept", "job=1", cwd=undisturbed.parent)
    assert ended.returncode == 0 and f"run 1, {FOLDERS[1]}: 1 finished" in ended.stderr, ended.stderr
    for word, said in (("job=3", "has no run 3"), ("job=last", "job is 'last'")):
        refused = run("resume=swept", word, cwd=undisturbed.parent)
        assert refused.returncode == 2 and said in refused.stderr and refused.stderr.count("\n") == 1, refused.stderr
    refused = run("resume=swept", "gamma=0.5", cwd=undisturbed.parent)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "as it was planned" in refused.stderr


def test_a_killed_sweep_goes_on_to_the_digests_of_one_that_was_not(undisturbed: Path, tmp_path: Path) -> None:
    interrupt(tmp_path)
    before = (tmp_path / "swept" / FOLDERS[0] / "run.json").read_bytes()
    process = start(*COMMAND, *SWEEP, "on_existing=resume", cwd=tmp_path)  # while the second run, an orphan, is still there
    (tmp_path / HOLD).unlink()
    _, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert "3 runs: 1 finished" in err and "3 of 3 runs finished" in err
    assert (tmp_path / "swept" / FOLDERS[0] / "run.json").read_bytes() == before
    assert [len(record(tmp_path / "swept" / folder)["sessions"]) for folder in FOLDERS] == [1, 2, 1]
    for folder in FOLDERS:
        same_run(tmp_path / "swept" / folder, undisturbed / folder)
    assert "num: 2" in (tmp_path / "swept" / FOLDERS[2] / ".hydra" / "hydra.yaml").read_text()
    other = run(*COMMAND, *SWEEP, "gamma=0.5", "on_existing=resume", cwd=tmp_path)
    assert other.returncode == 2 and "was planned for 3 runs" in other.stderr and other.stderr.count("\n") == 1
    assert run(*COMMAND, *SWEEP, cwd=tmp_path).stderr.count("resume=swept)") == 1


def test_failed_runs_are_tried_again_only_if_asked(undisturbed: Path, tmp_path: Path) -> None:
    interrupt(tmp_path, ("max_env_steps=120,400", SWEEP[1]), everything=True)
    (tmp_path / HOLD).unlink()
    broken = tmp_path / "swept" / FOLDERS[0] / "run.json"
    broken.write_text(json.dumps({**json.loads(broken.read_text()), "status": "failed", "reason": "a meteorite"}))
    plan = tmp_path / "swept" / "sweep.json"
    content = json.loads(plan.read_text())
    content["git"] = {"commit": "0123456789abcdef", "dirty": False}
    plan.write_text(json.dumps(content))
    ended = run("resume=swept", "hydra/launcher=basic", cwd=tmp_path)
    assert ended.returncode == 1 and "a meteorite (retry_failed=true" in ended.stderr, ended.stderr
    assert "commit 0123456789ab then" in ended.stderr and "1 of 2 runs finished" in ended.stderr
    same_run(tmp_path / "swept" / FOLDERS[1], undisturbed / FOLDERS[1])
    ended = run("resume=swept", "retry_failed=true", cwd=tmp_path)
    assert len(record(tmp_path / "swept" / FOLDERS[0])["sessions"]) == 2, ended.stderr


def test_a_study_has_no_plan_and_launches_all_that_it_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    ExistingRuns(resume=True).hand_on()
    assert ExistingRuns.of_this_process() == ExistingRuns(resume=True) and jobs_to_launch(tmp_path) is None


def test_a_study_is_gone_on_with_by_what_it_was_started_with(tmp_path: Path) -> None:
    said = ("python -m a3c_exp 'gamma=interval(0.8,0.9)' +study=pendulum -m", "python -m a3c_exp resume=s study.n_trials=9")
    (tmp_path / "study.json").write_text(json.dumps({"sessions": [{"command": text} for text in said]}))
    words = ["gamma=interval(0.8,0.9)", "+study=pendulum", "-m", f"hydra.sweep.dir='{tmp_path}'", "study.n_trials=40"]
    assert study_command(tmp_path, ["study.n_trials=40"]) == words
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(RunDirectoryError, match="names no command"):
        study_command(tmp_path, [])
