"""Several jobs of a sweep at a time, as a user starts them. Real processes throughout."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from a3c_exp.sweep.launcher.local import can_start
from a3c_exp.sweep.launcher.sweep_progress import JobState
from tests.support.command import QUICK, record, run, session_members, start, start_anew, summary
from tests.support.forked_commands import ForkedCommand

LOCAL = "hydra/launcher=local"
TINY = (*QUICK, "parallelism=deterministic", "max_episode_steps=40", "evaluation.episodes=2", "evaluation.max_episode_steps=20")
LONG = ("max_episodes=50_000", "compile=false")
"""Minutes of work, so that it is not done before the test stops it; not without end, in case the test runner is killed."""


def sweep_of(folder: Path) -> Path:
    (sweep,) = folder.glob("outputs/*/*_sweep")
    return sweep


def test_a_job_that_dies_fails_alone_and_says_how(tmp_path: Path) -> None:
    failing = ("env._target_=tests.support.failing.FailingEnvironments", "~env.id", "~env.backend", "~env.kwargs")
    swept = ("+env.how=kill,raise", "+env.fail_at=45,0", "++hydra.job.env_set.A3C_SEEN=yes")
    ended = run(*TINY, *failing, *swept, "max_env_steps=100", LOCAL, "-m", cwd=tmp_path)
    assert ended.returncode == 1
    assert "2 of 4 runs finished" in ended.stderr
    sweep = sweep_of(tmp_path)
    for number, how in ((1, "kill"), (3, "raise")):
        fine = sweep / f"+env.fail_at=0,+env.how={how}"  # named by what differs
        about, hydra = record(fine), OmegaConf.load(fine / ".hydra" / "hydra.yaml").hydra
        # As with Hydra's own launcher.
        assert (hydra.job.num, hydra.job.id, hydra.mode) == (number, str(number), "MULTIRUN")
        assert hydra.job.env_set == {"A3C_SEEN": "yes"} and hydra.runtime.output_dir == str(fine)
        assert about["overrides"] == list(hydra.overrides.task) and f"+env.how={how}" in about["overrides"]
        assert (about["status"], about["group"], about["job_type"]) == ("finished", sweep.name, "sweep")
        assert about["command"].startswith("python -m a3c_exp ") and about["command"].endswith(f"{LOCAL} -m")
    killed, raised = (sweep / f"+env.fail_at=45,+env.how={how}" for how in ("kill", "raise"))
    assert record(killed)["status"] == summary(killed)["status"] == "failed"
    assert "was killed by SIGKILL" in record(killed)["reason"] and record(killed)["sessions"][-1]["status"] == "failed"
    assert f"failed: +env.how=kill +env.fail_at=45: {killed}: its process was killed by SIGKILL" in ended.stderr
    # An unforeseen error is shown whole, once, with the name of the run that it ended.
    assert record(raised)["status"] == "failed" and "the pendulum came off" in record(raised)["reason"]
    assert "+env.how=raise +env.fail_at=45 | RuntimeError: the pendulum came off" in ended.stderr
    assert ended.stderr.count("Traceback") == 1
    assert "failed: +env.how=raise +env.fail_at=45: RuntimeError: the pendulum came off" in ended.stderr


def test_stopping_a_sweep_stops_every_run_with_a_checkpoint(tmp_path: Path) -> None:
    process = start_anew(*TINY, *LONG, "workers=2,1,3", "parallelism=hogwild", "parallelism.processes=1",
                    "hydra.launcher.n_jobs=2", LOCAL, "-m", cwd=tmp_path)  # fmt: skip
    runs = wait_for_two(tmp_path, process)
    assert len(fork_servers(process)) == 1, "the runs' workers come from the server that the runs came from"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    for directory in runs:
        assert record(directory)["status"] == summary(directory)["status"] == "interrupted", err
        assert list((directory / "checkpoints").glob("step_*.pt"))
    assert len(list(sweep_of(tmp_path).glob("*/run.json"))) == 2 and "1 was not started" in err
    assert f"resume={runs[0]}" in err
    assert_no_process_is_left(process)


def test_a_launcher_that_is_killed_leaves_no_run_behind(tmp_path: Path) -> None:
    process = start(*TINY, *LONG, "seed=1,2", "hydra.launcher.n_jobs=2", LOCAL, "-m", cwd=tmp_path)
    runs = wait_for_two(tmp_path, process)
    process.kill()
    process.communicate(timeout=30)
    assert_no_process_is_left(process)
    for directory in runs:
        assert record(directory)["status"] == "interrupted" and record(directory)["reason"] == "SIGTERM"


@pytest.mark.parametrize(
    ("wanted", "room", "by_cores", "started"),
    [
        ([1, 1, 1], 2, True, 2),
        ([2, 1, 1], 2, True, 1),
        ([8, 1], 2, True, 1),  # more than there are cores: alone
        ([1, 2, 1], 2, True, 1),  # smaller jobs do not overtake the large one
        ([8, 8, 8], 2, False, 2),  # hydra.launcher.n_jobs=2 counts jobs
        ([1, 0, 1], 4, True, 1),  # one that is not ready yet keeps its place
    ],
)
def test_no_more_begin_than_there_are_cores_for(wanted: list[int], room: int, by_cores: bool, started: int) -> None:
    jobs = [JobState(number, f"workers={number}") for number in range(len(wanted))]
    for job, cores in zip(jobs, wanted, strict=True):
        job.cores = cores
    for job in jobs:
        if not can_start(job, jobs, room, by_cores):
            break
        job.started = True
    assert [job.started for job in jobs] == [number < started for number in range(len(wanted))]


def wait_for_two(folder: Path, process: "subprocess.Popen[str] | ForkedCommand") -> list[Path]:
    """Until two runs of the sweep in ``folder`` have finished some episodes."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        directories = [path.parent for path in folder.glob("outputs/*/*/*/episodes.jsonl") if path.stat().st_size > 1000]
        if len(directories) == 2:
            return directories
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"no two runs within a minute: {process.communicate()}")


def fork_servers(process: "subprocess.Popen[str]") -> list[int]:
    """The fork servers of a session; the processes that they fork have their command line."""
    alike = {pid for pid in session_members(process.pid) if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()}
    return [pid for pid in alike if int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) not in alike]


def assert_no_process_is_left(process: "subprocess.Popen[str] | ForkedCommand") -> None:
    deadline = time.monotonic() + 20
    while session_members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert session_members(process.pid) == []
