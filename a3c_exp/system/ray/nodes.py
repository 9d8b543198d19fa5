"""Program: print the cores of each node of a Ray cluster, by ``cluster_cores``. Arguments: address, key of the address."""

import json
import subprocess
import sys

from a3c_exp.system.errors import A3CError, ConfigError
from a3c_exp.system.ray.cluster import connect

_LIMIT_SECONDS = 60.0


def cluster_cores(address: str, key: str) -> list[int]:
    """The cores of each node of a cluster, in a process of its own, because Ray stays with the process that has joined.

    Args:
        address: as ``connect`` takes it.
        key: the key of the address, for messages.

    Raises:
        ConfigError: there is no cluster, or it does not answer.
    """
    command = [sys.executable, "-m", __spec__.name, address, key]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise ConfigError(f"the Ray cluster at {address} has not answered for {_LIMIT_SECONDS:g} s. Try ray status") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ConfigError(lines[-1] if done.returncode == ConfigError.exit_code else f"Ray failed at {address}: {lines[-1]}")
    cores: list[int] = json.loads(done.stdout)
    return cores


def _main(address: str, key: str) -> None:
    try:
        connect(address, "Ray", key)
    except A3CError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    import ray

    print(json.dumps([int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
