"""Trainings whose workers live on a real Ray cluster of two nodes on this machine: hosts, nodes, the gateway and the head are
killed or suspended, and every count is exact all the same."""

import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from a3c_exp.config.budget import Budget
from a3c_exp.parallelism.parameter_server.gradient_slots import SlotField
from a3c_exp.parallelism.parameter_server.strategy import ParameterServer
from a3c_exp.parallelism.ray.strategy import RayParameterServer
from a3c_exp.system.errors import ConfigError, WorkerError
from tests.support.command import QUICK, record, run, start, summary
from tests.support.driving import ENDLESS, Training, alive, small_task, suspend
from tests.support.faulty import ticked
from tests.support.ray_cluster import SETTINGS, RayNodes, ray_nodes
from tests.support.ray_link import linked_nodes, links_are_possible

pytest.importorskip("ray", reason="Ray is an extra: pip install 'a3c_exp[ray]'")
pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayNodes]:
    with ray_nodes() as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    signal.alarm(400)  # what is waited for here takes longer than elsewhere


def hosts(cluster: RayNodes) -> list[int]:
    """The processes of hosts, by node."""
    found = []
    for raylet in cluster.raylets:
        if alive(raylet):
            for child in psutil.Process(raylet).children(recursive=True):
                with suppress(psutil.Error):  # which has ended meanwhile
                    found += [child.pid] if "GroupActor" in " ".join(child.cmdline()) else []
    return found


def kill_node(raylet: int) -> None:
    """A machine that is gone takes its processes along."""
    for child in [psutil.Process(raylet), *psutil.Process(raylet).children(recursive=True)]:
        child.kill()


def check_counts(training: Training, **expected: int) -> None:
    """Weights, optimizer, counters, statistics and log tell the same."""
    final, _ = training.parallelism.snapshot()
    assert ticked(final), "an update was lost, doubled or torn"
    assert {name: getattr(final, name) for name in expected} == expected
    assert training.stats.windows == final.updates
    assert final.episodes == len({event.episode.env_seed for event in training.episodes}) == len(training.episodes)
    figures = training.parallelism.summary()
    assert (figures["unapplied"], figures["unlogged"]) == (0, 0)


@pytest.mark.parametrize(
    ("budget", "counts"),
    [
        (Budget(max_env_steps=607), {"env_steps": 607}),
        (Budget(max_episodes=41), {"episodes": 41, "env_steps": 205, "updates": 41}),
        (Budget(max_updates=37), {"updates": 37, "env_steps": 185}),
    ],
    ids=["steps", "episodes", "updates"],
)
def test_budgets_are_exact_over_two_nodes(nodes: RayNodes, budget: Budget, counts: dict[str, int]) -> None:
    server = RayParameterServer(address=nodes.address)
    training = Training(server, small_task(budget, workers=3, lengths=(5,))).finish()
    check_counts(training, **counts)
    assert server.summary()["processes"] == 2 and training.notices == []
    wait_until(lambda: not hosts(nodes), "no host to be left")


def test_a_killed_host_is_replaced_and_nothing_is_lost_or_doubled(nodes: RayNodes) -> None:
    task = small_task(Budget(max_env_steps=9000), workers=4, lengths=(5,), seconds=0.001)
    training = Training(RayParameterServer(address=nodes.address, processes=2), task)
    with training:
        for kill in range(3):
            reached = training.parallelism.counts().updates + 40
            training.until(lambda reached=reached: training.parallelism.counts().updates > reached, "work")
            assert not training.spent()
            os.kill(hosts(nodes)[0], signal.SIGKILL)
            training.until(lambda deaths=kill + 1: len(training.notices) == deaths, "the notice")
        training.until(training.spent, "the end of the budget")
    check_counts(training, env_steps=9000)
    assert all("was lost with its node or its process; replaced" in text for text in training.notices), training.notices


def test_a_host_that_was_suspended_and_replaced_has_no_say_any_more(nodes: RayNodes) -> None:
    """As after a partition: two hosts of one group live at the same time."""
    server = RayParameterServer(address=nodes.address, processes=1, worker_timeout=4.0)
    training = Training(server, small_task(Budget(max_env_steps=20_000), workers=3, lengths=(5,), seconds=0.001))
    with training:
        training.until(lambda: training.parallelism.counts().updates > 40, "work")
        (host,) = hosts(nodes)
        os.kill(host, signal.SIGSTOP)
        training.until(lambda: len(training.notices) == 1, "the notice")
        reached = training.parallelism.counts().updates + 40
        training.until(lambda: training.parallelism.counts().updates > reached, "work on the other node")
        os.kill(host, signal.SIGCONT)
        training.until(training.spent, "the end of the budget")
    check_counts(training, env_steps=20_000)
    assert "worker group 0 (workers 0 to 2) gave no answer for 4 s; replaced" in training.notices[0]
    wait_until(lambda: not alive(host), "the suspended host to end")


def test_a_gateway_that_is_killed_is_replaced_and_its_hosts_end(nodes: RayNodes) -> None:
    server = RayParameterServer(address=nodes.address, processes=2)
    training = Training(server, small_task(Budget(max_env_steps=4500), workers=4, lengths=(5,), seconds=0.001))
    with training:
        training.until(lambda: training.parallelism.counts().updates > 40, "work")
        before, fields = hosts(nodes), server._gradient_slots.fields.numpy()
        processes = server._supervisor.processes
        suspend(processes[server._server_index].pid)
        training.until(lambda: (fields[:, SlotField.sent] > fields[:, SlotField.answered]).all(), "windows that nobody takes")
        os.kill(processes[server._gateway_index].pid, signal.SIGKILL)
        training.until(lambda: len(training.notices) == 1, "the notice")
        os.kill(processes[server._server_index].pid, signal.SIGCONT)
        wait_until(lambda: not any(alive(host) for host in before), "the hosts to end")
        training.until(training.spent, "the end of the budget")
    check_counts(training, env_steps=4500, updates=900, episodes=900)
    assert training.notices[0].startswith("the gateway process was killed by SIGKILL; replaced")


def test_a_training_goes_on_without_a_lost_node_and_takes_in_one_that_comes(tmp_path: Path) -> None:
    with ray_nodes() as cluster:
        server = RayParameterServer(address=cluster.address, processes=2)
        training = Training(server, small_task(ENDLESS, workers=4, lengths=(5,), seconds=0.001))
        with training:
            training.until(lambda: len(hosts(cluster)) == 2 and server.counts().updates > 40, "work")
            kill_node(cluster.raylets[1])
            training.until(lambda: len(training.notices) == 1, "the notice")
            reached = server.counts().updates + 100
            training.until(lambda: server.counts().updates > reached, "work on the node that is left")
            assert len(hosts(cluster)) == 1
            cluster.add_node()
            training.until(lambda: len(hosts(cluster)) == 2, "a host on the new node")
            windows = server._counters.workers[0].clone()
            training.until(lambda: bool((server._counters.workers[0] > windows + 5).all()), "work of all workers")
        check_counts(training)
        again = Training(ParameterServer(processes=1), small_task(ENDLESS, workers=4, lengths=(5,)), server.snapshot()[0])
        with again:
            again.until(lambda: again.stats.windows > 5, "work without Ray from the state")


@pytest.mark.skipif(not links_are_possible(), reason="no network namespace can be made: ip netns add fails")
@pytest.mark.parametrize("seconds", [30.0, 45.0], ids=["shorter than worker_timeout", "longer"])
def test_a_network_that_is_down_delays_its_group_and_no_other(seconds: float) -> None:
    """The old host behind the cut lives on for a while when another one takes over its workers."""
    with tempfile.TemporaryDirectory(prefix="r") as folder, linked_nodes(Path(folder)) as cluster:
        server = RayParameterServer(address=cluster.address, processes=2, worker_timeout=38.0)
        training = Training(server, small_task(ENDLESS, workers=4, lengths=(5,), seconds=0.001))

        def windows() -> list[int]:
            return [int(share) for share in server._counters.workers[0].view(2, 2).sum(1)]

        def hosts_there() -> list[psutil.Process]:
            return [process for process in cluster.processes_there() if "GroupActor" in " ".join(process.cmdline())]

        with training:
            training.until(lambda: min(windows()) > 40, "work of both groups")
            old = hosts_there()
            assert len(old) == 1
            cluster.cut()
            cut, before = time.monotonic(), windows()
            training.until(lambda: time.monotonic() - cut > seconds, "the time")
            grown = sorted(after - share for after, share in zip(windows(), before, strict=True))
            assert grown[0] <= 4 < 1000 < grown[1], "the group on this side waited for the other one"
            cluster.mend()
            reached = [count + 20 for count in windows()]
            training.until(lambda: all(a > b for a, b in zip(windows(), reached, strict=True)), "work of both groups")
            assert len(training.notices) == (seconds > 38.0)
            wait_until(lambda: len(hosts_there()) == 1, "one host there")
            assert (hosts_there() == old) == (seconds < 38.0)
        check_counts(training)


def test_what_no_node_can_host_ends_the_run_in_time(nodes: RayNodes) -> None:
    server = RayParameterServer(address=nodes.address, processes=1, cpus=7, wait_for_nodes=3.0)
    training = Training(server, small_task(ENDLESS, workers=2))
    with training, pytest.raises(WorkerError, match="has had no node with 7 cores free for 3 s"):
        training.until(lambda: False)


def test_an_error_of_an_environment_is_told_as_without_ray(nodes: RayNodes) -> None:
    server = RayParameterServer(address=nodes.address, processes=1, max_restarts=1)
    training = Training(server, small_task(ENDLESS, workers=2, lengths="none"))
    with training, pytest.raises(WorkerError, match=r"worker group 0 raised an error; that is death 2(.|\n)*Traceback"):
        training.until(lambda: False)


def test_no_cluster_is_said_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match=r"there is no Ray cluster at 127\.0\.0\.1:1"):
        RayParameterServer(address="127.0.0.1:1").check(small_task(ENDLESS, workers=1))


RAY = (*QUICK, "env=pendulum", "parallelism=ray", "parallelism.processes=2", "compile=false", "max_episodes=null",
       "max_episode_steps=40", "evaluation.episodes=2", "evaluation.max_episode_steps=20")  # fmt: skip


def test_gradients_go_within_messages_and_not_through_the_object_store(tmp_path: Path, nodes: RayNodes) -> None:
    """A window's gradients are a megabyte and a half here. Ray's default would store whatever is larger than 100 KiB."""
    wide = ("model.actor_hidden=[600,600]", "model.critic_hidden=[600,600]", "optimizer.lr=1e-5")
    process = start(*RAY, *wide, "max_env_steps=10_000_000", f"parallelism.address={nodes.address}", "hydra.run.dir=run",
                    cwd=tmp_path, **SETTINGS)  # fmt: skip
    wait_until(lambda: episodes(tmp_path / "run") > 9, "episodes", process)
    before, seen = episodes(tmp_path / "run"), []
    while episodes(tmp_path / "run") < before + 20:
        seen.append(stored_objects(nodes.address))
    os.kill(process.pid, signal.SIGINT)
    process.communicate(60)
    assert seen and not any(seen), f"objects in the store: {seen}"


def stored_objects(address: str) -> int:
    """How many objects are in the stores of all nodes."""
    from ray._private.internal_api import memory_summary

    found = re.search(r"Plasma memory usage \d+ MiB, (\d+) objects", memory_summary(address=address, stats_only=True))
    assert found
    return int(found[1])


def test_a_run_whose_cluster_has_lost_its_head_ends_in_a_minute_and_goes_on_elsewhere(tmp_path: Path) -> None:
    with ray_nodes() as cluster:
        process = start(*RAY, "max_env_steps=10_000_000", f"parallelism.address={cluster.address}", "hydra.run.dir=run",
                        cwd=tmp_path, **SETTINGS)  # fmt: skip
        wait_until(lambda: episodes(tmp_path / "run") > 9, "episodes", process)
        os.kill(cluster.head, signal.SIGKILL)
        killed = time.monotonic()
        _, err = process.communicate(120)
        assert time.monotonic() - killed < 60.0
        assert process.returncode == 1 and f"the head of the cluster at {cluster.address} has not answered for 20 s" in err, err
    steps = max(int(path.stem.partition("_")[2]) for path in (tmp_path / "run" / "checkpoints").glob("step_*.pt"))
    assert steps > 0
    ended = run("resume=run", f"max_env_steps={steps + 2000}", "parallelism.address=local", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert summary(tmp_path / "run")["env_steps"] == steps + 2000


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_the_end_of_the_command_is_that_of_all_hosts(tmp_path: Path, nodes: RayNodes, end: signal.Signals) -> None:
    process = start(*RAY, "max_env_steps=10_000_000", f"parallelism.address={nodes.address}", "hydra.run.dir=run",
                    cwd=tmp_path, **SETTINGS)  # fmt: skip
    wait_until(lambda: episodes(tmp_path / "run") > 9, "episodes", process)
    assert len(hosts(nodes)) == 2
    os.kill(process.pid, end)
    _, err = process.communicate(60)
    if end is signal.SIGINT:
        assert process.returncode == 130, err
        assert record(tmp_path / "run")["status"] == "interrupted"
    wait_until(lambda: not hosts(nodes), "no host to be left")


def episodes(folder: Path) -> int:
    """How many lines there are."""
    path = folder / "episodes.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def wait_until(holds: Callable[[], object], what: str, process: Any = None, limit: float = 120.0) -> None:
    deadline = time.monotonic() + limit
    while not holds():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"waited {limit:g} s for {what}"
        time.sleep(0.05)
