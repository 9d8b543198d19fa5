"""Worker groups that wait for one server, as a closed queue: how many calls a second go through, and what is busy then."""

import heapq
import math
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stage:
    """A part of a call that takes a place of each of these resources for so many seconds; without any it only takes time."""

    seconds: float
    resources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flow:
    """Calls per second of all groups, and which share of their places resources were in use."""

    calls_per_second: float
    busy: Mapping[str, float]


@dataclass
class _Resource:
    places: int
    slowdown: float
    taken: int = 0
    seconds: float = 0.0  # of all places
    waiting: deque[int] = field(default_factory=deque)

    def stretch(self) -> float:
        """How many times as long a stage takes beside the others that have a place now."""
        others = max(self.places - 1, 1)
        return 1.0 + (self.slowdown - 1.0) * (self.taken - 1) / others


class ClosedQueue:
    """Each group goes through its stages in a circle; whoever finds no place free waits in line (first come, first served).

    Args:
        stages: of each group.
        places: of each resource.
        slowdown: how many times as long a stage takes that begins while all other places of a resource are taken, as cores
            share caches and memory; in between, in proportion to the places taken. 1 for a resource that is not named.
        exponential: times are drawn from exponential distributions with the stages' seconds as means; else they are these.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[Stage]],
        places: Mapping[str, int],
        slowdown: Mapping[str, float] | None = None,
        exponential: bool = False,
        seed: int = 0,
    ) -> None:
        self._stages = stages
        self._resources = {name: _Resource(count, (slowdown or {}).get(name, 1.0)) for name, count in places.items()}
        self._stage, self._held = [0] * len(stages), [0] * len(stages)
        self._random = random.Random(seed) if exponential else None
        self._ends: list[tuple[float, int, int]] = []  # time, order, group
        self._now, self._order = 0.0, 0

    def run(self, calls: int) -> Flow:
        """So many calls, after as many for a warm-up."""
        for group in range(len(self._stages)):
            self._begin(group)
        done, measured_from = 0, 0.0
        while done < 2 * calls:
            self._now, _, group = heapq.heappop(self._ends)
            for name in self._stages[group][self._stage[group]].resources:
                self._release(name)
            self._stage[group] = (self._stage[group] + 1) % len(self._stages[group])
            self._held[group] = 0
            if self._stage[group] == 0:
                done += 1
                if done == calls:
                    measured_from = self._now
                    for resource in self._resources.values():
                        resource.seconds = 0.0
            self._begin(group)
        seconds = self._now - measured_from
        busy = {name: min(1.0, resource.seconds / seconds / resource.places) for name, resource in self._resources.items()}
        return Flow(calls / seconds, busy)

    def _begin(self, group: int) -> None:
        """Take what the group's stage needs, in order; it waits at the first resource without a place."""
        stage = self._stages[group][self._stage[group]]
        while self._held[group] < len(stage.resources):
            resource = self._resources[stage.resources[self._held[group]]]
            if resource.taken == resource.places:
                resource.waiting.append(group)
                return
            resource.taken += 1
            self._held[group] += 1
        seconds = self._random.expovariate(1.0 / stage.seconds) if self._random and stage.seconds else stage.seconds
        seconds *= math.prod(self._resources[name].stretch() for name in stage.resources)
        for name in stage.resources:
            self._resources[name].seconds += seconds
        self._order += 1
        heapq.heappush(self._ends, (self._now + seconds, self._order, group))

    def _release(self, name: str) -> None:
        resource = self._resources[name]
        resource.taken -= 1
        if resource.waiting:
            group = resource.waiting.popleft()
            resource.taken += 1
            self._held[group] += 1
            self._begin(group)
