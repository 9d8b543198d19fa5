"""A damaged checkpoint is named, with the reason, and passed over; only a run without a whole one ends there."""

import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from a3c_exp.training.checkpoint import read, write
from tests.support.command import record, run, start_anew, summary

DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:100]), "it was cut short, or is no checkpoint"),
    "text": (lambda path: path.write_text("x\n"), "it was cut short, or is no checkpoint"),
    "zeros": (lambda path: path.write_bytes(bytes(path.stat().st_size)), "it was cut short, or is no checkpoint"),
    "foreign": (lambda path: torch.save([1.0], path), "it is no checkpoint of this package"),
    "optimizer": (lambda path: torch.save({"state": {0: 1.0}}, path), "it is no checkpoint of this package"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run with several checkpoints."""
    directory = tmp_path_factory.mktemp("finished") / "run"
    command = ("env=cartpole", "logger=none", "checkpoint.every_env_steps=150", "max_updates=40", f"hydra.run.dir={directory}")
    ended = run(*command, cwd=directory.parent)
    assert ended.returncode == 0, ended.stderr
    return directory


@pytest.fixture
def directory(finished: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(finished, tmp_path / "run")


def resume(directory: Path) -> "subprocess.CompletedProcess[str]":
    return run(f"resume={directory}", "max_updates=60", cwd=directory.parent)


def steps(directory: Path) -> list[Path]:
    """The checkpoints to go on from, the newest first."""
    paths = (directory / "checkpoints").glob("step_*.pt")
    return sorted(paths, key=lambda path: int(path.stem.removeprefix("step_")), reverse=True)


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_a_damaged_newest_checkpoint_is_left_out_and_the_reason_is_said(directory: Path, damage: str) -> None:
    inflict, reason = DAMAGES[damage]
    newest, before = steps(directory)[:2]
    inflict(newest)

    evaluated = run(str(directory), "--checkpoint", "last", "--episodes", "2", module="a3c_exp.evaluate", cwd=directory.parent)
    assert evaluated.returncode == 0, evaluated.stderr
    assert before.name in evaluated.stdout
    assert f"{newest} is damaged: {reason}" in evaluated.stderr, "otherwise older weights pass for the last ones"

    resumed = resume(directory)
    assert resumed.returncode == 0, resumed.stderr
    assert "Traceback" not in resumed.stderr
    for said in (resumed.stderr, (directory / "messages.log").read_text()):
        assert f"{newest} is damaged: {reason}" in said and f"{before.name}" in said
    assert record(directory)["sessions"][-1]["from_env_step"] == int(before.stem.removeprefix("step_"))
    assert summary(directory)["updates"] == 60


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_a_run_whose_checkpoints_are_all_damaged_ends_in_one_line(directory: Path, damage: str) -> None:
    inflict, reason = DAMAGES[damage]
    for path in steps(directory):
        inflict(path)
    for ended in (
        resume(directory),
        run(str(directory), "--checkpoint", "last", module="a3c_exp.evaluate", cwd=directory.parent),
    ):
        assert ended.returncode == 2, ended.stderr
        assert len(ended.stderr.splitlines()) == 1 and reason in ended.stderr
        assert "miniz" not in ended.stderr and "weights_only" not in ended.stderr
    assert record(directory)["status"] == "finished"


def test_a_configuration_that_is_empty_is_one_line(directory: Path) -> None:
    (directory / ".hydra" / "config.yaml").write_bytes(b"\x00")
    ended = resume(directory)
    assert ended.returncode == 2 and len(ended.stderr.splitlines()) == 1, ended.stderr


@pytest.mark.parametrize("damage", ["empty", "text", "foreign"])
def test_damaged_best_weights_do_not_keep_a_run_from_going_on(directory: Path, damage: str) -> None:
    inflict, reason = DAMAGES[damage]
    best = directory / "checkpoints" / "best.pt"
    inflict(best)

    evaluated = run(str(directory), module="a3c_exp.evaluate", cwd=directory.parent)
    assert evaluated.returncode == 2 and len(evaluated.stderr.splitlines()) == 1
    assert f"{best} is damaged: {reason}" in evaluated.stderr and "--checkpoint last" in evaluated.stderr

    resumed = resume(directory)
    assert resumed.returncode == 0, resumed.stderr
    for said in (resumed.stderr, (directory / "messages.log").read_text()):
        assert f"{best} is damaged: {reason}" in said and "the next evaluation" in said
    assert read(best)["env_steps"] > 0, "the weights of an evaluation take its place"


def test_a_best_evaluation_with_other_fields_is_damage_too(directory: Path) -> None:
    best = directory / "checkpoints" / "best.pt"
    content = read(best)
    write(best, {**content, "evaluation": {"mean": 1.0}})
    resumed = resume(directory)
    assert resumed.returncode == 0 and f"{best} is damaged" in resumed.stderr, resumed.stderr


@pytest.mark.parametrize(
    ("parallelism", "room", "left"), [("deterministic", 40_000, ["step_0.pt"]), ("synchronous", 15_000, [])]
)
def test_a_checkpoint_that_finds_no_room_is_one_line_and_the_one_before_stays(
    parallelism: str, room: int, left: list[str], tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    command = ("env=pendulum", f"parallelism={parallelism}", "workers=4", "logger=none", "max_episodes=null")
    every = ("max_env_steps=20_000", "max_episode_steps=200", "checkpoint.every_env_steps=4_000", f"hydra.run.dir={directory}")
    with room_for(room):
        process = start_anew(*command, *every, cwd=tmp_path)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1, stderr
    assert "Traceback" not in stderr and "enforce fail" not in stderr
    reason = record(directory)["reason"]
    assert "/checkpoints/" in reason and "File too large" in reason and f"resume={directory}" in reason
    assert record(directory)["status"] == "failed"
    assert [path.name for path in (directory / "checkpoints").iterdir()] == left


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Files of processes that are started meanwhile can have this many bytes, as if the disk were full then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
