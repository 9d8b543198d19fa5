"""Episodes of windows that are about to be sent: one counts if and only if the server settles its window's gradient.

A process announces them through its pipe before it sends the window, so whatever is settled was announced; and the main process
hands them on once they are settled. Who is killed in between takes along either both or neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from a3c_exp.parallelism.base import EpisodeEvent


@dataclass(frozen=True)
class Announcement:
    """Episodes that end in windows of a process's workers, each with the number that its worker's request will have."""

    episodes: Sequence[tuple[int, EpisodeEvent]]


class AnnouncedEpisodes:
    """What was announced to the main process, in order of arrival, and was not handed on yet."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, EpisodeEvent]] = []  # the process's row of the counters, request, event
        self.handed_on = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, slot: int, announcement: Announcement) -> None:
        """``slot``: the row of the counters of the process that announces them."""
        self._waiting += [(slot, number, event) for number, event in announcement.episodes]

    def take_settled(self, settled: NDArray[np.int64], updates: int) -> list[tuple[int, EpisodeEvent]]:
        """Those of requests up to number ``settled [N]``, each with its row. There were ``updates`` when these were read: an
        announcement takes its own gradients for updates, and some may have been dropped."""
        waiting, taken = [], []
        for slot, number, event in self._waiting:
            if number <= settled[event.episode.worker]:
                taken.append((slot, replace(event, update=min(event.update, updates))))
            else:
                waiting.append((slot, number, event))
        self._waiting = waiting
        self.handed_on += len(taken)
        return taken

    def forget_unsent(self, slot: int, sent: NDArray[np.int64]) -> int:
        """Forget what a dead process announced beyond requests up to number ``sent [N]``; how many are left of that row."""
        self._waiting = [
            (row, number, event) for row, number, event in self._waiting if row != slot or number <= sent[event.episode.worker]
        ]
        return sum(row == slot for row, _, _ in self._waiting)
