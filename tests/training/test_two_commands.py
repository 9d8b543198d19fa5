"""Two commands on one run directory: one trains, the other is refused and changes nothing."""

import os
import signal
import time
from pathlib import Path

import pytest

from a3c_exp.envs.classic_control import ClassicControlEnvs
from tests.support.command import lines, record, run, start, summary
from tests.support.forked_commands import ForkedCommand
from tests.support.interruptions import HOLD, Sleepy

GATE = Path("gate")
"""A folder in the directory that a command is started in: while it is there, a process that builds an environment
leaves a file named by its process id and waits until the folder is renamed."""
COMMAND = (
    "env=cartpole", "workers=2", "logger=none", "model.hidden=[6]", "max_updates=null", "max_env_steps=400",
    "evaluation.episodes=2", "truncation=end", "max_episode_steps=30", "hydra.run.dir=here",
    f"env._target_={__name__}.Gated",
)  # fmt: skip


class Gated(ClassicControlEnvs):
    """Environments that are not built, and take no step, while the gate is there."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        if GATE.is_dir():
            (GATE / str(os.getpid())).touch()
        while GATE.is_dir():
            time.sleep(0.01)


def files(directory: Path) -> dict[Path, bytes]:
    """All but who trained there last."""
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file() and path.name not in (".lock", ".lease")}


def wait_at_gate(process: ForkedCommand, cwd: Path) -> None:
    deadline = time.monotonic() + 90
    while not (cwd / GATE / str(process.pid)).exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def refused_meanwhile(*command: str, cwd: Path) -> str:
    """A command that ends with one line and exit code 2 while another waits at the gate; returns that line."""
    process = start(*command, cwd=cwd)
    try:
        deadline = time.monotonic() + 90
        while process.poll() is None:
            assert not (cwd / GATE / str(process.pid)).exists(), "both go on"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
        _, err = process.communicate()
    assert process.returncode == 2 and err.count("\n") == 1, err
    return err


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run of two seeds has finished."""
    cwd = tmp_path_factory.mktemp("twice")
    ended = run(*COMMAND, "num_seeds=2", "parallelism=deterministic", cwd=cwd)
    assert ended.returncode == 0, ended.stderr
    return cwd


def test_of_two_resumes_at_once_one_goes_on(finished: Path) -> None:
    """Both would otherwise read that nobody trains there before either has written that it does."""
    (finished / GATE).mkdir()
    first = start("resume=here", "max_env_steps=800", cwd=finished)
    try:
        wait_at_gate(first, finished)
        before = files(finished / "here")
        for target in ("here", "here/seed=1"):  # a seed's directory is a run too
            line = refused_meanwhile(f"resume={target}", "max_env_steps=900", cwd=finished)
            assert f"still running as process {first.pid}" in line
        assert files(finished / "here") == before
    finally:
        (finished / GATE).rename(finished / "open")
        _, err = first.communicate(timeout=100)
    assert first.returncode == 0, err
    for seed in ("seed=0", "seed=1"):
        numbers = [line["episode"] for line in lines(finished / "here" / seed / "episodes.jsonl")]
        assert numbers == list(range(1, summary(finished / "here" / seed)["episodes"] + 1))
    assert len(record(finished / "here")["sessions"]) == 2


def test_who_resumes_one_seed_keeps_the_others_from_being_resumed_with_it(finished: Path) -> None:
    (finished / GATE).mkdir()
    first = start("resume=here/seed=1", "max_env_steps=1200", cwd=finished)
    try:
        wait_at_gate(first, finished)
        line = refused_meanwhile("resume=here", "max_env_steps=1600", cwd=finished)
        assert f"seed=1 is still running as process {first.pid}" in line
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        (finished / GATE).rename(finished / "open again")
    ended = run("resume=here", "max_env_steps=1600", cwd=finished)
    assert ended.returncode == 0, "a lock dies with who held it: " + ended.stderr


def test_a_run_that_was_never_stopped_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / HOLD).write_text("100")
    first = start(*COMMAND, f"env._target_={Sleepy.__module__}.Sleepy", "parallelism=deterministic", cwd=tmp_path)
    try:
        deadline = time.monotonic() + 90
        while not (tmp_path / "here" / "checkpoints" / "step_0.pt").exists():
            assert first.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        line = refused_meanwhile("resume=here", "max_env_steps=900", cwd=tmp_path)
        assert f"still running as process {first.pid}" in line
    finally:
        (tmp_path / HOLD).unlink()
        _, err = first.communicate(timeout=100)
    assert first.returncode == 0, err
    assert summary(tmp_path / "here")["env_steps"] == 400 and len(record(tmp_path / "here")["sessions"]) == 1


@pytest.mark.parametrize("damaged", ["run.json", "checkpoints/step_400.pt"])
def test_a_resume_of_several_seeds_that_is_refused_changes_none_of_them(damaged: str, tmp_path: Path) -> None:
    ended = run(*COMMAND, "num_seeds=3", "checkpoint.keep_last=1", "parallelism=deterministic", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (tmp_path / "here" / "seed=2" / damaged).write_text("")
    before = files(tmp_path / "here")
    ended = run("resume=here", "max_env_steps=800", cwd=tmp_path)
    assert ended.returncode == 2 and damaged in ended.stderr and ended.stderr.count("\n") == 1, ended.stderr
    assert files(tmp_path / "here") == before


def test_a_new_run_of_several_seeds_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "here" / "seed=1").mkdir(parents=True)
    (tmp_path / "here" / "seed=1" / "run.json").write_text("{}")
    ended = run(*COMMAND, "num_seeds=2", "parallelism=deterministic", cwd=tmp_path)
    assert ended.returncode == 2 and "seed=1 already holds a run" in ended.stderr, ended.stderr
    assert not (tmp_path / "here" / "run.json").exists() and not (tmp_path / "here" / "seed=0").exists()


@pytest.mark.parametrize("where", [("hydra.run.dir=${env.id}",), ("hydra.sweep.dir=.", "hydra.sweep.subdir=${env.id}", "-m")])
def test_a_new_run_that_is_refused_leaves_the_files_of_the_run_that_is_there(where: tuple[str, ...], tmp_path: Path) -> None:
    """Where the directory follows from the configuration, Hydra would write its files there before anything can refuse."""
    command = [text for text in COMMAND if not text.startswith("hydra.run.dir")]
    ended = run(*command, "hydra.run.dir=${env.id}", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    before = files(tmp_path / "CartPole-v1")
    written = {path.name for path in before if path.parent.name == ".hydra"}
    assert written == {"config.yaml", "hydra.yaml", "overrides.yaml"}
    ended = run(*command, "gamma=0.5", *where, cwd=tmp_path)
    assert ended.returncode != 0 and "already holds a run" in ended.stderr, ended.stderr
    assert files(tmp_path / "CartPole-v1") == before
