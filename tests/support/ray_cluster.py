"""Two nodes of a Ray cluster on this machine, each of processes of its own, so that one can be killed by itself: a program of
its own, since Ray stays with the process that started it. It prints the address and each node's process, adds a node for each
line of its standard input, and ends with that."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.command import environment
from tests.support.forked_commands import ForkedCommand

STORE_BYTES = 80 * 2**20
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}


@dataclass
class RayNodes:
    """A running cluster."""

    address: str
    head: int  # process id of the cluster's head
    raylets: list[int]  # and of each node
    add_node: Callable[[], None] = lambda: None  # one more


@contextmanager
def ray_nodes(
    count: int = 2, hide: Path | None = None, other_code: Path | None = None, store_bytes: int = STORE_BYTES
) -> Iterator[RayNodes]:
    """A cluster of so many nodes with a core and ``store_bytes`` for objects each, which do not see what is in a folder that is
    to ``hide``; but for the first they import from a folder with ``other_code``."""
    imports = [str(other_code)] if other_code is not None else []
    command = [sys.executable, "-m", __name__, str(count), str(store_bytes), *imports]
    if hide is not None:
        mount = f"mount -t tmpfs none '{hide}' && exec \"$@\""
        command = ["unshare", "--mount", "sh", "-c", mount, "sh", *command]
    process = subprocess.Popen(
        command,
        env={**environment(), **SETTINGS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        address, *pids = process.stdout.readline().split()
        head, *raylets = map(int, pids)
        nodes = RayNodes(address, head, raylets)

        def add_node() -> None:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write("one more\n")
            process.stdin.flush()
            nodes.raylets.append(int(process.stdout.readline()))

        nodes.add_node = add_node
        yield nodes
    finally:
        process.communicate()  # the end of its standard input


def wait_until(holds: Callable[[], object], process: ForkedCommand | None = None, limit: float = 120.0) -> None:
    """Wait for what must come within so many seconds, and while this command runs."""
    deadline = time.monotonic() + limit
    while not holds():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def orphans(folder: Path) -> list[psutil.Process]:
    """Processes that still work in a folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()) == folder:
                found.append(process)
    return found


def _main(count: int, store_bytes: int, path: str | None = None) -> None:
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "object_store_memory": store_bytes}
    cluster = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
    imports = {"env_vars": {"PYTHONPATH": path}} if path is not None else {}
    nodes = [cluster.head_node, *(cluster.add_node(**size, **imports) for _ in range(count - 1))]
    cluster.wait_for_nodes()
    raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
    head = cluster.head_node.all_processes["gcs_server"][0].process.pid
    print(cluster.address, head, *raylets, flush=True)
    for _ in sys.stdin:
        print(cluster.add_node(**size).all_processes["raylet"][0].process.pid, flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
