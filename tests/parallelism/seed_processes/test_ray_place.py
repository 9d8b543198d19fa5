"""Seeds of one run on a real Ray cluster of two nodes on this machine, which are killed, as the command and the head are."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import a3c_exp
from tests.support.command import QUICK, lines, record, run, start, summary
from tests.support.ray_cluster import SETTINGS, RayNodes, orphans, ray_nodes, wait_until

pytest.importorskip("ray", reason="Ray is an extra: pip install 'a3c_exp[ray]'")
pytestmark = pytest.mark.cluster

SEEDS = range(3)
TINY = (*QUICK, "max_episodes=null", "max_episode_steps=40", "evaluation.episodes=2", "evaluation.max_episode_steps=20",
        "evaluation.every_env_steps=20_000", "parallelism=deterministic", "compile=false", "checkpoint.every_env_steps=2000",
        "num_seeds=3")  # fmt: skip
WHOLE = (*TINY, "parallelism.seed_block=1", "max_env_steps=40_000")
ON_RAY = ("parallelism.on=ray", "parallelism.processes=3", "hydra.run.dir=run")


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayNodes]:
    with ray_nodes() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training on this machine."""
    folder = tmp_path_factory.mktemp("whole")
    assert run(*WHOLE, "hydra.run.dir=run", cwd=folder).returncode == 0
    return folder / "run"


def assert_same(ours: Path, theirs: Path) -> None:
    for seed in SEEDS:
        here, there = (where / f"seed={seed}" for where in (ours, theirs))
        for key in ("weights_digest", "episodes_digest", "env_steps", "updates", "episodes"):
            assert summary(here)[key] == summary(there)[key], key
        evaluations = [
            [(line["env_step"], line["returns"]) for line in lines(where / "evaluations.jsonl")] for where in (here, there)
        ]
        assert evaluations[0] == evaluations[1] and len(evaluations[0]) >= 2
        counted = [line["env_step"] for line in lines(here / "metrics.jsonl")]
        assert counted == sorted(counted)


def reached(run_directory: Path, steps: int, seed: int = 0) -> Callable[[], bool]:
    """Whether a seed has a checkpoint of so many steps, or of more."""
    folder = run_directory / f"seed={seed}" / "checkpoints"
    return lambda: any(int(path.stem.removeprefix("step_")) >= steps for path in folder.glob("step_*.pt"))


def test_ctrl_c_saves_a_checkpoint_and_this_machine_goes_on_to_the_same_weights(
    tmp_path: Path, nodes: RayNodes, whole: Path
) -> None:
    process = start(*WHOLE, *ON_RAY, f"parallelism.address={nodes.address}", cwd=tmp_path, **SETTINGS)
    wait_until(reached(tmp_path / "run", 10_000), process)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(60)
    assert process.returncode == 130 and "Traceback" not in err, err
    assert record(tmp_path / "run")["status"] == "interrupted"
    wait_until(lambda: not orphans(tmp_path), limit=30)
    ended = run("resume=run", "parallelism.on=local", "parallelism.processes=1", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert_same(tmp_path / "run", whole)


def test_when_the_command_is_killed_nothing_trains_on_and_a_cluster_goes_on_with_it(
    tmp_path: Path, nodes: RayNodes, whole: Path
) -> None:
    process = start(*WHOLE, *ON_RAY, f"parallelism.address={nodes.address}", cwd=tmp_path, **SETTINGS)
    wait_until(reached(tmp_path / "run", 10_000), process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(60)
    wait_until(lambda: not orphans(tmp_path), limit=60)
    ended = run("resume=run", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert_same(tmp_path / "run", whole)


def test_seeds_of_a_lost_node_go_on_on_another_one_to_the_same_weights(tmp_path: Path, nodes: RayNodes, whole: Path) -> None:
    process = start(*WHOLE, *ON_RAY, f"parallelism.address={nodes.address}", cwd=tmp_path, **SETTINGS)
    wait_until(lambda: sum(bool(reached(tmp_path / "run", 8_000, seed)()) for seed in SEEDS) >= 2, process)
    for child in [psutil.Process(nodes.raylets[1]), *psutil.Process(nodes.raylets[1]).children(recursive=True)]:
        child.kill()
    _, err = process.communicate(180)
    assert process.returncode == 0, err
    assert "another one goes on for it, from step" in err
    assert_same(tmp_path / "run", whole)
    for seed in SEEDS:
        assert len(record(tmp_path / "run" / f"seed={seed}")["sessions"]) == 1
    wait_until(lambda: not orphans(tmp_path), limit=60)


def test_a_run_whose_cluster_has_lost_its_head_ends_within_a_minute_and_goes_on_here(tmp_path: Path) -> None:
    with ray_nodes(1) as cluster:
        endless = ("parallelism.seed_block=3", "max_env_steps=100_000_000", f"parallelism.address={cluster.address}")
        process = start(*TINY, *endless, *ON_RAY, cwd=tmp_path, **SETTINGS)
        wait_until(reached(tmp_path / "run", 10_000), process)
        os.kill(cluster.head, signal.SIGKILL)
        killed = time.monotonic()
        _, err = process.communicate(90)
        assert time.monotonic() - killed < 60
        assert process.returncode == 1 and f"the head of the cluster at {cluster.address} has not answered" in err, err
        assert "Traceback" not in err
        wait_until(lambda: not orphans(tmp_path), limit=60)
    steps = [summary(tmp_path / "run" / f"seed={seed}")["env_steps"] for seed in SEEDS]
    for seed in SEEDS:
        assert reached(tmp_path / "run", steps[seed], seed)(), "no step is lost"
    more = f"max_env_steps={max(steps) + 1000}"
    ended = run("resume=run", "parallelism.on=local", "parallelism.processes=1", more, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    for seed in SEEDS:
        episodes = [line["episode"] for line in lines(tmp_path / "run" / f"seed={seed}" / "episodes.jsonl")]
        assert episodes == list(range(episodes[0], episodes[0] + len(episodes))) and episodes[0] <= 1


def test_a_node_with_other_code_is_left_out_and_said(tmp_path: Path, whole: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(Path(a3c_exp.__file__).parent, other / "a3c_exp", ignore=shutil.ignore_patterns("__pycache__"))
    (other / "a3c_exp" / "a_file_of_its_own.py").write_text("")
    with ray_nodes(other_code=other) as cluster:
        process = start(*WHOLE, *ON_RAY, f"parallelism.address={cluster.address}", cwd=tmp_path, **SETTINGS)
        _, err = process.communicate(240)
        assert process.returncode == 0, err
        assert err.count("other files of a3c_exp") == 1, err
        assert_same(tmp_path / "run", whole)
