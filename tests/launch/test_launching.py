"""Several jobs of a sweep at a time, as a person starts them. Real processes throughout."""

import os
import signal
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from tests.command import QUICK, record, run, session_members, start, summary

LOCAL = "hydra/launcher=local"
TINY = (*QUICK, "parallelism=deterministic", "max_episode_steps=40", "evaluation.episodes=2", "evaluation.max_episode_steps=20")
ENDLESS = (*QUICK, "max_episode_steps=50", "evaluation.episodes=2", "evaluation.max_episode_steps=20")


def sweep_of(folder: Path) -> Path:
    (sweep,) = folder.glob("outputs/*/*_sweep")
    return sweep


def what_hydra_knew(directory: Path) -> dict[str, Any]:
    """Everything that .hydra/hydra.yaml says of a job but for where it was and who launched it."""
    content: Any = OmegaConf.to_container(OmegaConf.load(directory / ".hydra" / "hydra.yaml"))["hydra"]
    runtime = content.pop("runtime")
    for key in ("launcher", "sweep", "run"):
        content.pop(key)
    runtime["choices"].pop("hydra/launcher")
    content["overrides"].pop("hydra")
    return {**content, "choices": runtime["choices"], "config_sources": runtime["config_sources"]}


def test_a_job_beside_others_is_the_job_alone(tmp_path: Path) -> None:
    arguments = (*TINY, "seed=3,4", "max_env_steps=200", "+hydra.job.env_set.A3C_SEEN=yes", "-m")
    found = {}
    for launcher in ("local", "basic"):
        folder = tmp_path / launcher
        folder.mkdir()
        ended = run(*arguments[:-1], f"hydra/launcher={launcher}", "-m", cwd=folder)
        assert ended.returncode == 0, ended.stderr
        assert "2 of 2 runs finished" in ended.stderr and ended.stdout == ""
        found[launcher] = sorted(sweep_of(folder).glob("*/run.json"))
    for ours, theirs in zip(found["local"], found["basic"], strict=True):
        assert ours.parent.name == theirs.parent.name
        for key in ("weights_digest", "episodes_digest", "env_steps"):
            assert summary(ours.parent)[key] == summary(theirs.parent)[key]
        assert what_hydra_knew(ours.parent) == what_hydra_knew(theirs.parent)
        for key in ("name", "group", "job_type", "overrides", "status", "seed"):
            here, there = record(ours.parent)[key], record(theirs.parent)[key]
            assert (here == there) or key == "group"
        assert record(ours.parent)["command"].endswith("hydra/launcher=local -m")
    assert len({record(path.parent)["pid"] for path in found["local"]}) == 2


def test_a_job_that_dies_fails_alone_and_says_how(tmp_path: Path) -> None:
    failing = ("env._target_=tests.failing.FailingEnvironments", "~env.id", "~env.backend", "~env.kwargs")
    ended = run(*TINY, *failing, "+env.how=kill,raise", "+env.fail_at=45,0", "max_env_steps=100", LOCAL, "-m", cwd=tmp_path)
    assert ended.returncode == 1
    assert "2 of 4 runs finished" in ended.stderr
    sweep = sweep_of(tmp_path)
    for how in ("kill", "raise"):
        assert record(next(sweep.glob(f"*fail_at=0,*how={how},*")))["status"] == "finished"
    killed, raised = (next(sweep.glob(f"*fail_at=45,*how={how},*")) for how in ("kill", "raise"))
    assert record(killed)["status"] == summary(killed)["status"] == "failed"
    assert "was killed by SIGKILL" in record(killed)["reason"] and record(killed)["sessions"][-1]["status"] == "failed"
    assert f"failed: +env.how=kill +env.fail_at=45: {killed}: its process was killed by SIGKILL" in ended.stderr
    # An error that nobody foresaw is shown whole, once, with the name of the run that it struck.
    assert record(raised)["status"] == "failed" and "the pendulum came off" in record(raised)["reason"]
    assert "+env.how=raise +env.fail_at=45 | RuntimeError: the pendulum came off" in ended.stderr
    assert ended.stderr.count("Traceback") == 1
    assert "failed: +env.how=raise +env.fail_at=45: RuntimeError: the pendulum came off" in ended.stderr


def test_stopping_a_sweep_stops_every_run_with_a_checkpoint(tmp_path: Path) -> None:
    process = start(*ENDLESS, "workers=2,1,3", "parallelism=hogwild", "parallelism.processes=1",
                    "hydra.launcher.jobs=2", LOCAL, "-m", cwd=tmp_path)  # fmt: skip
    runs = wait_for_two(tmp_path, process)
    assert len(fork_servers(process)) == 1, "the runs' workers come from the server that the runs came from"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    for directory in runs:
        assert record(directory)["status"] == summary(directory)["status"] == "interrupted", err
        assert list((directory / "checkpoints").glob("step_*.pt"))
    assert len(list(sweep_of(tmp_path).glob("*/run.json"))) == 2 and "1 was never begun" in err
    assert f"resume={runs[0]}" in err
    assert_nobody_is_left(process)


def test_a_launcher_that_is_killed_leaves_no_run_behind(tmp_path: Path) -> None:
    process = start(*TINY, "seed=1,2", "hydra.launcher.jobs=2", LOCAL, "-m", cwd=tmp_path)
    runs = wait_for_two(tmp_path, process)
    process.kill()
    process.communicate(timeout=30)
    assert_nobody_is_left(process)
    for directory in runs:
        assert record(directory)["status"] == "interrupted" and record(directory)["reason"] == "SIGTERM"


def test_jobs_that_fill_the_machine_run_one_after_another(tmp_path: Path) -> None:
    cores = len(os.sched_getaffinity(0))
    tiny = (*ENDLESS, f"workers={cores}", "max_episodes=4", "parallelism=hogwild")
    ended = run(*tiny, "seed=1,2", LOCAL, "-m", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    runs = sorted((record(path.parent) for path in sweep_of(tmp_path).glob("*/run.json")), key=lambda about: about["seed"])
    first, second = (about["timings"] for about in runs)
    assert datetime.fromisoformat(first["ended"]) <= datetime.fromisoformat(second["created"])


def wait_for_two(folder: Path, process: "subprocess.Popen[str]") -> list[Path]:
    """Until two runs of the sweep in ``folder`` have lived some episodes."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        found = [path.parent for path in folder.glob("outputs/*/*/*/episodes.jsonl") if path.stat().st_size > 1000]
        if len(found) == 2:
            return found
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"no two runs within a minute: {process.communicate()}")


def fork_servers(process: "subprocess.Popen[str]") -> list[int]:
    """Those processes of a session that imported for others; what they fork has their command line."""
    alike = {pid for pid in session_members(process.pid) if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()}
    return [pid for pid in alike if int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) not in alike]


def assert_nobody_is_left(process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 20
    while session_members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert session_members(process.pid) == []
