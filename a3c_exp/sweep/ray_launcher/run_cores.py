"""The cores that runs take of a Ray cluster, and whether it can ever have them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from omegaconf import DictConfig

from a3c_exp.sweep.launcher.job import required_cores, run_parallelism
from a3c_exp.sweep.ray_launcher.config import RayLauncherConfig
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.process_setup import usable_cores
from a3c_exp.system.ray.cluster import chosen_address
from a3c_exp.system.ray.driver import check_cluster
from a3c_exp.system.ray.nodes import cluster_cores

_USER, _KEY = "hydra/launcher=ray", "hydra.launcher.address"


@dataclass(frozen=True)
class RunCores:
    """Cores that a run takes: its own, and those of processes that it places on the cluster that it runs on."""

    own: int
    processes: int = 0  # how many these are
    of_process: int = 1
    instead: str = ""  # what to type for a run without them

    @property
    def all(self) -> int:
        return self.own + self.processes * self.of_process

    @classmethod
    def of(cls, config: DictConfig, keys: RayLauncherConfig) -> "RunCores":
        """Of a run as it is configured, launched by these ``keys``."""
        own = keys.cpus or required_cores(config)
        parallelism = run_parallelism(config)
        placed = parallelism.cluster_processes(config.workers, config.num_seeds) if parallelism else None
        addresses = {chosen_address(keys.address), placed.address} if placed else set()
        if placed is None or (len(addresses) == 2 and "auto" not in addresses):  # on another cluster
            return cls(own)
        return cls(own, placed.count, placed.cores, placed.instead)

    def fits(self, nodes: Sequence[int], runs: int) -> bool:
        """Whether ``nodes`` with so many cores have room for so many such runs and a process of one of them."""
        left = list(nodes)
        for _ in range(runs):
            left.sort()
            left[-1] -= min(self.own, max(nodes))
        return min(left) >= 0 and max(left) >= self.of_process


def check_room(keys: RayLauncherConfig, configs: Iterable[DictConfig], at_a_time: int = 1) -> None:
    """Raise ConfigError if there is no such cluster, or if runs would wait on it for cores that they take themselves.

    Args:
        configs: of the runs.
        at_a_time: how many of them will have their cores whatever others wait for.
    """
    check_cluster(keys.address, _USER, _KEY)
    address = chosen_address(keys.address)
    placing = dict.fromkeys(cores for config in configs if (cores := RunCores.of(config, keys)).processes)
    if not placing and address != "auto":
        return
    nodes = [usable_cores()] if address == "local" else cluster_cores(address, _KEY)
    for cores in placing:
        if not cores.fits(nodes, at_a_time):
            taken = f"{at_a_time} runs at a time take {cores.own} each" if at_a_time > 1 else f"a run takes {cores.own}"
            raise ConfigError(
                f"the nodes of the Ray cluster at {address} have {' and '.join(map(str, nodes))} cores. There {taken} for "
                f"{_USER}, and {cores.of_process} for each process that it places on the same cluster, which would wait for "
                f"ever. Start more nodes, or try {cores.instead}"
            )
