"""What a fault is injected into on a Ray cluster of this machine: sweeps, and runs with their seeds or workers there."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Self

import psutil

from tests.faults.cluster_subject import BUDGET, RUN, SEEDS, OnCluster
from tests.support.command import lines, summary
from tests.support.ray_cluster import SETTINGS, RayNodes, ray_nodes


class OnRay(OnCluster):
    """On two nodes of a Ray cluster, each of processes of its own."""

    engine = "ray"

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        self.nodes: RayNodes = self._stack.enter_context(ray_nodes())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def variables(self) -> dict[str, str]:
        return SETTINGS

    @property
    def options(self) -> tuple[str, ...]:
        return ("hydra/launcher=ray", f"hydra.launcher.address={self.nodes.address}", "hydra.launcher.silence_timeout=15")

    def actors(self) -> list[psutil.Process]:
        """Processes of actors, on both nodes."""
        children = [child for raylet in self.nodes.raylets for child in self.node_processes(raylet)[1:]]
        names = {}
        for child in children:
            with contextlib.suppress(psutil.Error):
                names[child] = " ".join(child.cmdline())
        return [child for child, name in names.items() if re.match("ray::(?!IDLE|[A-Za-z]+Agent)", name)]

    def node_processes(self, raylet: int) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(raylet)
            return [process, *process.children(recursive=True)]
        return []

    def at_work(self) -> list[psutil.Process]:
        return [*super().at_work(), *self.actors()]

    def lose_node(self, chance: Random) -> None:
        for process in self.node_processes(self.nodes.raylets[1]):
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.broken = True

    def restore(self) -> None:
        if self.broken:
            self._stack.close()
            self.nodes = self._stack.enter_context(ray_nodes())
            self.broken = False


class SeedsOnRay(OnRay):
    """One run whose seeds train on the nodes."""

    engine = "seeds on ray"
    command = SEEDS
    local = ("parallelism.processes=2",)

    @property
    def options(self) -> tuple[str, ...]:
        return "parallelism.on=ray", "parallelism.processes=2", f"parallelism.address={self.nodes.address}"


class WorkersOnRay(OnRay):
    """One run whose workers are on the nodes; it does not repeat, so its counts are what must hold."""

    engine = "workers on ray"
    command = (*RUN, "parallelism=ray", "parallelism.processes=2", "hydra.run.dir=here")

    @property
    def options(self) -> tuple[str, ...]:
        return f"parallelism.address={self.nodes.address}", "parallelism.worker_timeout=15"

    def make_reference(self) -> None:
        return

    def run_directories(self) -> list[Path]:
        return [self.folder / "here"]

    def violations(self) -> Iterator[str]:
        (directory,) = self.run_directories()
        ended, episodes = summary(directory), lines(directory / "episodes.jsonl")
        if (ended["status"], ended["env_steps"]) != ("finished", BUDGET):
            yield f"ended as {ended['status']} after {ended['env_steps']} steps"
        if [line["episode"] for line in episodes] != list(range(1, ended["episodes"] + 1)):
            yield "episodes are missing or doubled"
        if unapplied := ended["parallelism"]["unapplied"]:
            yield f"{unapplied} gradients were not applied"
        if unlogged := ended["parallelism"]["unlogged"]:
            yield f"{unlogged} episodes of windows that count are not in the log"
