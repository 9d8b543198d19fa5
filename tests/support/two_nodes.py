"""Two nodes of a Ray cluster on this machine, with a core each, for as long as a command runs.

python -m tests.support.two_nodes two python -m benchmarks cluster       each of processes of its own
python -m tests.support.two_nodes linked python -m benchmarks cluster    one behind a link; as root only
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path

from tests.support.ray_cluster import SETTINGS, RayNodes, ray_nodes
from tests.support.ray_link import LinkedNodes, linked_nodes

_STORE_BYTES = 500 * 2**20  # far more than is on its way at a time, as on machines of their own
_SECOND_NODE = 8.0  # seconds in which a node behind a link has joined


def main() -> int:
    """Returns what the command returned."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.two_nodes", description=__doc__)
    parser.add_argument("kind", choices=("two", "linked"))
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="r_", dir="/tmp", ignore_cleanup_errors=True) as folder:
        cluster: AbstractContextManager[RayNodes | LinkedNodes] = (
            ray_nodes(store_bytes=_STORE_BYTES) if arguments.kind == "two" else linked_nodes(Path(folder), _STORE_BYTES)
        )
        with cluster as nodes:
            if arguments.kind == "linked":
                time.sleep(_SECOND_NODE)
            return subprocess.run(arguments.command, env={**os.environ, **SETTINGS, "RAY_ADDRESS": nodes.address}).returncode


if __name__ == "__main__":
    sys.exit(main())
