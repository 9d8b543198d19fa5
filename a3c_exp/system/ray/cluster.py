"""A Ray cluster: how it is joined, whether its head still answers, and whether a node runs the same versions as this one."""

import logging
import os
import socket
import time
from collections.abc import Mapping
from functools import partial

from a3c_exp.system.errors import ConfigError
from a3c_exp.system.extras import import_extra
from a3c_exp.system.machine import package_versions
from a3c_exp.system.process_setup import usable_cores

HEAD_SECONDS = 20.0
"""After so long without an answer the head counts as lost: after 40 to 85 Ray would end this process without a word."""
PACKAGES = ("a3c_exp", "torch", "numpy", "gymnasium")
"""What must be of the same version on all nodes: what is computed is then the same wherever it goes on."""
_LOOK_SECONDS = 5.0  # between two looks at the head
_KNOCK_SECONDS = 5.0
STORE_BYTES = 100 * 2**20
"""Of Ray's object store, where little goes through it."""


def connect(address: str | None, user: str, key: str, store_bytes: int = STORE_BYTES) -> str:
    """Join a cluster, or begin one of this machine's own.

    Args:
        address: HOST:PORT of the head, or ``auto``; ``None``: what ``RAY_ADDRESS`` says, else a cluster of this machine alone,
            which ends with this process.
        user: what is typed to use Ray, for messages.
        key: the key of the address, for messages.
        store_bytes: how much memory Ray's object store of a cluster of this machine's own may take.

    Returns:
        The head's HOST:PORT.

    Raises:
        ConfigError: there is no such cluster, or Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # by default workers yield to everything else
    ray = import_extra(user, "ray")
    address = chosen_address(address)
    start = partial(ray.init, address=address, log_to_driver=False, logging_level=logging.ERROR)
    if address == "local":
        start = partial(start, num_cpus=usable_cores(), object_store_memory=store_bytes, include_dashboard=False)
    try:
        if not ray.is_initialized():
            if address not in ("local", "auto"):
                knock(address)  # Ray itself would try for minutes
            start()
    except (OSError, RuntimeError, ValueError) as error:
        raise _no_cluster(address, key, error) from None
    except SystemExit:  # Ray's own, where the head does not understand what it is told
        raise ConfigError(
            f"what answers at {address} is no Ray cluster that this command can join. Start the command with the "
            "RAY_AUTH_MODE, RAY_USE_TLS and RAY_TLS_... that its nodes were started with, or with another address"
        ) from None
    return str(ray.get_runtime_context().gcs_address)


def chosen_address(address: str | None) -> str:
    """The address that ``connect`` takes: ``local`` for a cluster of this machine alone."""
    return address or os.environ.get("RAY_ADDRESS") or "local"


def check_reachable(address: str, key: str) -> None:
    """Raise the ConfigError of ``connect`` if nobody answers at HOST:PORT."""
    try:
        knock(address)
    except (OSError, ValueError) as error:
        raise _no_cluster(address, key, error) from None


def _no_cluster(address: str, key: str, error: Exception) -> ConfigError:
    said = str(error).strip().splitlines()[0]
    return ConfigError(
        f"there is no Ray cluster at {address} ({said}). Start one with ray start --head, or leave {key} and RAY_ADDRESS "
        "out, for one of this machine alone"
    )


def knock(address: str) -> None:
    """Raise OSError if nobody answers at HOST:PORT, and ValueError if it is none."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS).close()


class HeadWatch:
    """Whether the head of a cluster still answers at its ``address``; ``is_lost`` once it has not for ``HEAD_SECONDS``."""

    def __init__(self, address: str) -> None:
        self.address, self.is_lost = address, False
        self._answered = time.monotonic()
        self._looked = 0.0

    def look(self) -> bool:
        """Knock if that is due again; true if the head has answered just now."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        try:
            knock(self.address)
        except OSError:
            self.is_lost = now - self._answered > HEAD_SECONDS
            return False
        self._answered = now
        return True


def other_version(versions: Mapping[str, str | None]) -> str | None:
    """What this machine has in another version than ``versions`` says, as ``package_versions`` does, in words; ``None`` if
    nothing."""
    here = package_versions([package for package in versions if package != "python"])
    for package, version in versions.items():
        if _release(package, here[package]) != _release(package, version):
            return (
                f"{socket.gethostname()} has {package} {here[package]}, and not {version} as where the command runs. Install "
                "the same versions on all nodes"
            )
    return None


def _release(package: str, version: str | None) -> str | None:
    """What must be the same: of this package the release alone, since a checkout has the version of its installation."""
    return version.partition(".dev")[0] if version and package == "a3c_exp" else version
