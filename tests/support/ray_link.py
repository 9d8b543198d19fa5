"""A Ray cluster of two nodes with a network of their own between them, which can be cut: one node here, the other one in a
network namespace of this machine. Only root may make one."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from a3c_exp.system.ray.cluster import knock
from tests.support.command import environment
from tests.support.ray_cluster import SETTINGS, STORE_BYTES

_HERE, _THERE, _PORT = "10.77.41.1", "10.77.41.2", 6411
_NAMES = ("a3c_ray", "a3c_here", "a3c_there")  # the namespace, and the ends of the link


def links_are_possible() -> bool:
    """Whether this process may make a network namespace."""
    with suppress(OSError):
        made = subprocess.run(["ip", "netns", "add", "a3c_try"], capture_output=True).returncode == 0
        subprocess.run(["ip", "netns", "del", "a3c_try"], capture_output=True)
        return os.geteuid() == 0 and made
    return False


@dataclass
class LinkedNodes:
    """A running cluster of a node with a core here, for the head, and one with a core behind the link."""

    address: str

    def cut(self) -> None:
        """Take the link down: neither end hears of it."""
        _ip("-n", _NAMES[0], "link", "set", _NAMES[2], "down")

    def mend(self) -> None:
        _ip("-n", _NAMES[0], "link", "set", _NAMES[2], "up")

    def processes_there(self) -> list[psutil.Process]:
        """The processes of the node behind the link."""
        pids = subprocess.run(["ip", "netns", "pids", _NAMES[0]], capture_output=True, text=True).stdout.split()
        return [psutil.Process(int(pid)) for pid in pids if psutil.pid_exists(int(pid))]


@contextmanager
def linked_nodes(folder: Path, store_bytes: int = STORE_BYTES) -> Iterator[LinkedNodes]:
    """The cluster, with ``store_bytes`` for objects on each node; what it writes goes into the ``folder``, whose name must be
    short."""
    space, here, there = _NAMES
    _ip("netns", "add", space)
    started: list[subprocess.Popen[bytes]] = []
    nodes = LinkedNodes(f"{_HERE}:{_PORT}")
    try:
        _ip("link", "add", here, "type", "veth", "peer", "name", there)
        _ip("link", "set", there, "netns", space)
        _ip("addr", "add", f"{_HERE}/24", "dev", here)
        _ip("-n", space, "addr", "add", f"{_THERE}/24", "dev", there)
        _ip("link", "set", here, "up")
        for name in ("lo", there):
            _ip("-n", space, "link", "set", name, "up")
        head = ["--head", f"--node-ip-address={_HERE}", f"--port={_PORT}", "--include-dashboard=false"]
        started.append(_start([], folder / "h", store_bytes, *head))
        deadline = time.monotonic() + 60.0
        while not _answers(nodes.address):
            assert time.monotonic() < deadline and started[0].poll() is None, "the head did not start"
            time.sleep(0.1)
        node = [f"--address={nodes.address}", f"--node-ip-address={_THERE}"]
        started.append(_start(["ip", "netns", "exec", space], folder / "t", store_bytes, *node))
        yield nodes
    finally:
        for process in [*started[:1], *nodes.processes_there()]:
            with suppress(psutil.Error):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
        for process in started:
            process.wait(10.0)
        _ip("netns", "del", space)  # and the link with it


def _start(prefix: list[str], folder: Path, store_bytes: int, *arguments: str) -> "subprocess.Popen[bytes]":
    common = ["--num-cpus=1", f"--object-store-memory={store_bytes}", f"--temp-dir={folder}", "--block"]
    command = [*prefix, sys.executable, "-m", "ray.scripts.scripts", "start", *arguments, *common]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, env={**environment(), **SETTINGS}, stdin=quiet, stdout=quiet, stderr=quiet)


def _answers(address: str) -> bool:
    try:
        knock(address)
    except OSError:
        return False
    return True


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
