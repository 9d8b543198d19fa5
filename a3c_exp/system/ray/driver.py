"""A command as a driver of a Ray cluster: joining it, what nodes it has, and leaving it."""

import signal
import threading
from contextlib import suppress
from typing import Any

from a3c_exp.system.extras import require_extra
from a3c_exp.system.ray.cluster import check_reachable, chosen_address, connect


def check_cluster(address: str | None, user: str, key: str) -> None:
    """Raise the ConfigError of ``connect`` where it is certain to come, without starting anything."""
    require_extra(user, "ray")
    chosen = chosen_address(address)
    if chosen not in ("local", "auto"):
        check_reachable(chosen, key)


def join(address: str | None, user: str, key: str) -> str:
    """``connect``, after which signals do what they did before: Ray has SIGTERM end the program."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        return connect(address, user, key)
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def is_connected() -> bool:
    """Whether this process has joined a cluster."""
    import ray

    return bool(ray.is_initialized())


def leave() -> None:
    """Leave the cluster, which ends if it was begun here; so do this process's actors."""
    import ray

    ray.shutdown()


def alive_nodes() -> list[dict[str, Any]]:
    """What ``ray.nodes`` says of each node that is alive; empty where it does not say. Only for a moment in which the head
    answers: Ray itself waits for one that is gone."""
    import ray

    with suppress(ray.exceptions.RayError):
        return [node for node in ray.nodes() if node["Alive"]]
    return []
