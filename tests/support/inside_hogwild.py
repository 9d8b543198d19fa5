"""The inside of the only process of a hogwild training, driven here, in the process of the test."""

from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from a3c_exp.algorithm.training_stats import TrainingStats
from a3c_exp.parallelism.base import EpisodeEvent, StatsEvent, TrainingSetup
from a3c_exp.parallelism.hogwild.shared_parameters import SharedBuffer
from a3c_exp.parallelism.hogwild.worker import make_loop
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn, SharedCounters
from a3c_exp.parallelism.multiprocess.worker_process import WorkerAssignment
from a3c_exp.parallelism.worker_group import RoundResult
from tests.support.driving import initial


class Inside:
    """The inside of the only process of a training, driven a round or a burst at a time."""

    def __init__(self, setup: TrainingSetup, folder: Path) -> None:
        state = initial(setup)
        self.counters = SharedCounters.create(1, state.rounds, state.episodes_begun, setup.budget)
        buffer = SharedBuffer.create(state.weights, state.optimizer_state, folder / "lock", False, 5.0)
        self.pipe, theirs = Pipe()
        self.loop = make_loop(setup, WorkerAssignment(0, range(setup.workers), 5.0), buffer, self.counters, theirs)
        self.shared = buffer.copies[0]
        self.messages: list[Any] = []
        self.bursts = 0
        self._run_burst = self.loop._run_burst
        self.loop._run_burst = self._count_burst  # type: ignore[method-assign]
        self.loop.exchange.pull_all()

    def _count_burst(self) -> RoundResult | None:
        result = self._run_burst()
        self.bursts += result is not None
        return result

    def step(self) -> bool:
        """A round, or several; false if there is nothing left to do."""
        assert self.loop.control.poll_commands()
        went_on = self.loop.run_round()
        self.listen()
        return went_on

    def listen(self) -> None:
        while self.pipe.poll():
            self.messages.append(self.pipe.recv())
            if isinstance(self.messages[-1], EpisodeEvent):  # as the main process does
                self.counters.table[0, CounterColumn.tickets_finished] += 1

    def finish(self) -> "Inside":
        while self.step():
            pass
        self.loop.exchange.close()
        self.listen()
        return self

    @property
    def episodes(self) -> list[tuple[int, int, float, int, int]]:
        events = [message for message in self.messages if isinstance(message, EpisodeEvent)]
        return [
            (event.episode.worker, event.episode.length, event.episode.return_, event.env_step, event.update)
            for event in events
        ]

    @property
    def stats(self) -> TrainingStats:
        whole = TrainingStats()
        for event in self.messages:
            if isinstance(event, StatsEvent):
                whole.merge(event.stats)
        return whole
