"""Sweeps on a real Ray cluster of two nodes on this machine, one of which is killed."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.command import QUICK, lines, record, run, start, summary
from tests.support.ray_cluster import SETTINGS, RayNodes, orphans, ray_nodes, wait_until
from tests.support.undecided import UNDECIDED, write_ablation

pytest.importorskip("ray", reason="Ray is an extra: pip install 'a3c_exp[ray]'")
pytestmark = pytest.mark.cluster

TINY = (*QUICK, "max_episodes=null", "max_episode_steps=40", "evaluation.episodes=2", "evaluation.max_episode_steps=20",
        "parallelism=deterministic", "compile=false", "checkpoint.every_env_steps=2000")  # fmt: skip
RAY = ("hydra/launcher=ray", "hydra.launcher.silence_timeout=15", "-m")


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayNodes]:
    with ray_nodes() as cluster:
        yield cluster


def test_what_runs_on_a_lost_node_goes_on_on_another_to_the_same_weights(tmp_path: Path, nodes: RayNodes) -> None:
    sweep = ("seed=1,2", "max_env_steps=100_000")
    assert run(*TINY, *sweep, "hydra.sweep.dir=local", "-m", cwd=tmp_path).returncode == 0
    process = start(*TINY, *sweep, "hydra.sweep.dir=swept", f"hydra.launcher.address={nodes.address}", *RAY,
                    cwd=tmp_path, **SETTINGS)  # fmt: skip
    wait_until(lambda: all(list(tmp_path.glob(f"swept/seed={seed}/checkpoints/step_[1-9]*.pt")) for seed in (1, 2)), process)
    for child in [psutil.Process(nodes.raylets[1]), *psutil.Process(nodes.raylets[1]).children(recursive=True)]:
        if "a3c_exp" not in " ".join(child.cmdline()):
            child.kill()  # a machine that is gone takes its jobs along; here they live on, as orphans
    _, err = process.communicate(180)
    assert process.returncode == 0, err
    assert "the job goes on elsewhere" in err and "2 of 2 runs finished" in err
    sessions = []
    for seed in (1, 2):
        there, here = (tmp_path / name / f"seed={seed}" for name in ("swept", "local"))
        assert summary(there)["weights_digest"] == summary(here)["weights_digest"]
        episodes = [line["episode"] for line in lines(there / "episodes.jsonl")]
        assert episodes == list(range(len(episodes))) or episodes == list(range(1, len(episodes) + 1))
        sessions.append(len(record(there)["sessions"]))
    assert sorted(sessions) == [1, 2]
    wait_until(lambda: not orphans(tmp_path))


def test_runs_of_a_suspended_command_stop_and_go_on_with_it(tmp_path: Path) -> None:
    steps = "max_env_steps=250_000"  # more than can be done while a node waits for the command
    process = start(*TINY, "seed=1,2", steps, "hydra.sweep.dir=swept", *RAY, cwd=tmp_path, **SETTINGS)
    first = tmp_path / "swept" / "seed=1"
    wait_until(lambda: list(first.glob("checkpoints/step_2*.pt")), process)
    os.kill(process.pid, signal.SIGSTOP)
    wait_until(lambda: record(first)["status"] == "interrupted")
    os.kill(process.pid, signal.SIGCONT)
    _, err = process.communicate(180)
    assert process.returncode == 0 and "2 of 2 runs finished" in err, err
    assert len(record(first)["sessions"]) == 2


def test_a_command_whose_cluster_has_lost_its_head_ends_in_a_line(tmp_path: Path) -> None:
    with ray_nodes(1) as cluster:
        process = start(*TINY, "seed=1,2", "max_env_steps=1_000_000", "hydra.sweep.dir=swept",
                        f"hydra.launcher.address={cluster.address}", *RAY, cwd=tmp_path, **SETTINGS)  # fmt: skip
        wait_until(lambda: list(tmp_path.glob("swept/seed=1/checkpoints/step_2*.pt")), process)
        os.kill(cluster.head, signal.SIGKILL)
        _, err = process.communicate(120)
        assert process.returncode == 1 and f"the head of the cluster at {cluster.address} has not answered" in err, err
        assert "Go on with resume=swept" in err and "Traceback" not in err
        wait_until(lambda: record(tmp_path / "swept" / "seed=1")["status"] == "interrupted")
        wait_until(lambda: not orphans(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root may mount")
def test_without_a_shared_disk_a_run_comes_back(tmp_path: Path) -> None:
    sweep = ("seed=1,2", "max_env_steps=10_000", "parallelism.seed_block=1")
    (tmp_path / "work").mkdir()
    assert run(*TINY, *sweep, "hydra.sweep.dir=here", "-m", cwd=tmp_path / "work").returncode == 0
    with ray_nodes(hide=tmp_path / "work") as cluster:
        on_ray = (f"hydra.launcher.address={cluster.address}", "hydra.sweep.dir=there", *RAY)
        ended = run(*TINY, *sweep, *on_ray, cwd=tmp_path / "work")
        assert ended.returncode == 1 and "does not see the launcher's" in ended.stderr
        on_ray = (*on_ray, "hydra.launcher.shared=false", "on_existing=resume", "retry_failed=true")
        ended = run(*TINY, *sweep, *on_ray, cwd=tmp_path / "work")
    assert ended.returncode == 0, ended.stderr
    for seed in (1, 2):
        there, here = (tmp_path / "work" / name / f"seed={seed}" for name in ("there", "here"))
        assert summary(there)["episodes_digest"] == summary(here)["episodes_digest"]
        names = [sorted(path.relative_to(run).as_posix() for path in run.rglob("*")) for run in (there, here)]
        assert names[0] == [name for name in names[1] if name not in (".lock", ".lease")]


def test_of_many_more_runs_than_cores_each_begins_whichever_finds_cores_first(tmp_path: Path) -> None:
    ended = run(*TINY, "seed=range(8)", "max_env_steps=20_000", "hydra.sweep.dir=swept", *RAY, cwd=tmp_path, limit=110)
    assert ended.returncode == 0 and "8 of 8 runs finished" in ended.stderr, ended.stderr


def test_runs_that_place_their_seeds_on_the_same_cluster_do_not_take_the_cores_of_these(tmp_path: Path) -> None:
    """Two runs would have both cores of the cluster, and their seeds none."""
    with ray_nodes() as cluster:
        seeds = ("num_seeds=2", "parallelism.on=ray", "parallelism.seed_block=1", f"parallelism.address={cluster.address}")
        ended = run(*TINY, *seeds, "seed=1,3", "max_env_steps=3000", "hydra.sweep.dir=swept",
                    f"hydra.launcher.address={cluster.address}", *RAY, cwd=tmp_path, limit=110)  # fmt: skip
    assert ended.returncode == 0 and "2 of 2 runs finished" in ended.stderr, ended.stderr


def test_an_ablation_adds_its_next_seeds_on_the_cluster(tmp_path: Path) -> None:
    with ray_nodes() as cluster:
        ended = run(*UNDECIDED, "ablation.max_seeds=7", f"hydra.launcher.address={cluster.address}", "hydra.sweep.dir=swept",
                    "--config-dir", str(write_ablation(tmp_path / "conf")), *RAY, cwd=tmp_path, limit=170)  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "2 more seeds each for 2 groups" in ended.stderr and "all: 19 runs" in ended.stderr, ended.stderr
    assert ended.stderr.count(" | on ") == 5, "a run was not on the cluster"


def test_a_study_tries_on_the_cluster_and_goes_on_without_a_node(tmp_path: Path) -> None:
    with ray_nodes() as cluster:
        study = ("hydra/sweeper=optuna", "gamma=interval(0.8,0.99)", "study.n_trials=3", "study.n_jobs=2", "study.pruner=null",
                 "study.study_name=s", "hydra.sweep.dir=s", "max_env_steps=20_000")  # fmt: skip
        process = start(*TINY, *study, f"hydra.launcher.address={cluster.address}", *RAY, cwd=tmp_path, **SETTINGS)
        wait_until(lambda: all(list(tmp_path.glob(f"s/trial={number}/checkpoints/step_2*.pt")) for number in (0, 1)), process)
        for child in [psutil.Process(cluster.raylets[1]), *psutil.Process(cluster.raylets[1]).children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        _, err = process.communicate(180)
    assert process.returncode == 0 and "3 complete" in err, err
    assert not orphans(tmp_path) and not list((tmp_path / "s").glob(".launcher*"))


def test_ctrl_c_saves_checkpoints_everywhere_and_another_launcher_goes_on(tmp_path: Path) -> None:
    arguments = ("seed=1,2,3", "max_env_steps=30_000", "hydra.sweep.dir=swept")
    process = start(*TINY, *arguments, *RAY, cwd=tmp_path, **SETTINGS)
    wait_until(lambda: list(tmp_path.glob("swept/seed=1/checkpoints/step_2*.pt")), process)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(90)
    assert process.returncode == 130, err
    assert "stopped by Ctrl-C" in err and "Go on with resume=swept" in err
    assert record(tmp_path / "swept" / "seed=1")["status"] == "interrupted"
    assert not orphans(tmp_path) and not list((tmp_path / "swept").glob(".launcher*"))
    ended = run("resume=swept", "hydra/launcher=local", cwd=tmp_path)
    assert ended.returncode == 0 and "3 of 3 runs finished" in ended.stderr


def test_mistakes_are_a_line(tmp_path: Path) -> None:
    for override, said in (
        ("hydra.launcher.n_jobs=0", "hydra.launcher.n_jobs is 0"),
        ("hydra.launcher.address=127.0.0.1:1", "there is no Ray cluster at 127.0.0.1:1"),
        ("hydra.launcher.node=a", "no key hydra.launcher.node"),
    ):
        ended = run(
            *TINY, "max_env_steps=99", "seed=1,2", "hydra/launcher=ray", override, "hydra.sweep.dir=swept", "-m", cwd=tmp_path
        )
        assert ended.returncode == 2 and said in ended.stderr and "Traceback" not in ended.stderr, ended.stderr
        assert list(tmp_path.iterdir()) == [], "something is left behind"
