"""No order of events and no death at any line lets workers take more than the budget, or keeps a part of it from them."""

import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from a3c_exp.config.budget import Budget
from a3c_exp.parallelism.multiprocess import shared_counters as ledger_module
from a3c_exp.parallelism.multiprocess.shared_counters import Command, CounterColumn, SharedCounters
from a3c_exp.system.errors import A3CError

PROCESSES = 3
WINDOW = 5


class Died(BaseException):
    """The process was killed here."""


def die() -> None:
    raise Died


@contextmanager
def at_line(line: int, happens: Callable[[], None] = die) -> Iterator[None]:
    """Something happens before the code inside runs its ``line``-th line of the counters; kill -9 by default."""
    seen = 0

    def watch(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal seen
        if frame.f_code.co_filename != ledger_module.__file__:
            return None
        if event == "line":
            seen += 1
            if seen == line:
                happens()
        return watch

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        yield
    finally:
        sys.settrace(before)


class BudgetModel:
    """A counters, and what its processes and the main process know; every check is against what they know."""

    def __init__(self, budget: Budget, base: tuple[int, int, int]) -> None:
        zeros = np.zeros(PROCESSES, np.int64)
        self.counters = SharedCounters.create(PROCESSES, zeros, zeros, budget, base)
        self.budget = budget
        self.base = base
        self.playing = [0] * PROCESSES  # episodes that each process is in
        self.reserved = [0] * PROCESSES
        self.finished = 0

    def act(self, slot: int, wanted: int, taken: int, ends: bool) -> None:
        """One window of one process, as hogwild has it: reserve, begin an episode, step, settle, report."""
        from_plenty = self.counters.try_reserve_lock_free(slot, wanted, 1, (wanted, 1))
        self.reserved[slot] = wanted if from_plenty else self.counters.reserve_steps(slot, wanted)
        assert 0 <= self.reserved[slot] <= wanted
        if self.playing[slot] == 0 and self.counters.take_ticket(slot):
            self.playing[slot] = 1
        steps = min(taken, self.reserved[slot]) if self.playing[slot] else 0
        part = steps // 2 if from_plenty else 0
        if part:  # as several windows at once are settled one by one
            self.counters.settle_part(self.counters.table[slot], part, 0)
            self.reserved[slot] -= part
        self.counters.settle_steps(slot, steps - part)
        self.reserved[slot] = 0
        if ends and steps and self.playing[slot]:
            self.receive(slot)

    def receive(self, slot: int) -> None:
        """What the main process does on an episode's record."""
        self.counters.table[slot, CounterColumn.tickets_finished] += 1
        self.playing[slot] -= 1
        self.finished += 1

    def die(self, slot: int) -> None:
        self.counters.release_dead(slot)
        self.playing[slot] = self.reserved[slot] = 0

    def check(self) -> None:
        table = self.counters.table
        held = int((table[:, CounterColumn.tickets_taken] - table[:, CounterColumn.tickets_returned]).sum())
        steps = self.counters.env_steps() + int(table[:, CounterColumn.steps_reserved].sum())
        if self.budget.max_episodes is not None:
            assert self.base[1] + held <= max(self.budget.max_episodes, self.base[1])
        if self.budget.max_env_steps is not None:
            assert steps <= max(self.budget.max_env_steps, self.base[0])
        assert self.counters.episodes() == self.base[1] + self.finished
        assert held == self.finished + sum(self.playing), "a ticket is neither finished nor held by anyone alive"

    def use_up(self) -> None:
        """Everyone plays on until nobody may."""
        for _ in range(10_000):
            before = self.counters.env_steps(), self.finished
            for slot in range(PROCESSES):
                self.act(slot, WINDOW, WINDOW, ends=True)
            self.check()
            if (self.counters.env_steps(), self.finished) == before:
                return
        raise AssertionError("the budget never ends")


budgets = st.builds(
    Budget,
    max_episodes=st.none() | st.integers(1, 12),
    max_env_steps=st.none() | st.integers(1, 97) | st.integers(1, 400),
).filter(lambda budget: budget.max_episodes is not None or budget.max_env_steps is not None)
windows = st.tuples(
    st.integers(0, PROCESSES - 1),
    st.integers(1, 2 * WINDOW),
    st.integers(0, 2 * WINDOW),
    st.booleans(),
    st.none() | st.integers(1, 60),
)


@settings(max_examples=200, deadline=None)
@given(
    budget=budgets, base=st.tuples(st.integers(0, 20), st.integers(0, 4), st.just(0)), history=st.lists(windows, max_size=30)
)
def test_no_death_spends_a_budget_twice_or_loses_a_part_of_it(
    budget: Budget, base: tuple[int, int, int], history: list[tuple[int, int, int, bool, int | None]]
) -> None:
    model = BudgetModel(budget, base)
    for slot, wanted, taken, ends, dies_at in history:
        if dies_at is None:
            model.act(slot, wanted, taken, ends)
        else:
            finished = model.finished
            try:
                with at_line(dies_at):
                    model.act(slot, wanted, taken, ends)
            except Died:
                assert model.finished == finished, "only the worker's side dies here"
                # Between the death and the burial the others go on, and must not get what may still be the dead one's.
                neighbor = (slot + 1) % PROCESSES
                granted = model.counters.reserve_steps(neighbor, 1000)
                if budget.max_env_steps is not None:
                    assert model.counters.env_steps() + granted <= max(budget.max_env_steps, base[0])
                model.counters.settle_steps(neighbor, 0)
                model.die(slot)
        model.check()
    for slot in range(PROCESSES):
        model.die(slot)
    model.check()
    model.use_up()
    spent = [
        budget.max_episodes is not None and model.counters.episodes() == max(budget.max_episodes, base[1]),
        budget.max_env_steps is not None and model.counters.env_steps() == max(budget.max_env_steps, base[0]),
    ]
    assert any(spent), "a part of the budget was lost with the dead"


def test_a_death_at_every_single_line_of_a_window_is_survived() -> None:
    """The same without chance: the budget of one episode is with the dying process, and comes back each time."""
    lines = 0
    while True:
        lines += 1
        model = BudgetModel(Budget(max_episodes=1, max_env_steps=7), (0, 0, 0))
        try:
            with at_line(lines):
                model.act(0, WINDOW, 3, ends=False)
            break
        except Died:
            model.die(0)
        model.check()
        done = model.counters.env_steps()
        assert done in (0, 3), "steps count as a window's worth or not at all"
        model.use_up()
        assert (model.counters.episodes(), model.counters.env_steps()) == (1, min(7, done + WINDOW))
    assert lines > 15, "this test meant to die at many lines"


def test_a_neighbor_at_any_line_of_a_settlement_gets_only_what_is_left() -> None:
    """Settling takes no lock, so another process may reserve, step and settle between any two of its lines."""
    lines = 0
    reached = True
    while reached:
        lines += 1
        model = BudgetModel(Budget(max_env_steps=8), (0, 0, 0))
        counters = model.counters
        reached = False

        def neighbor(counters: SharedCounters = counters) -> None:
            nonlocal reached
            reached = True
            counters.settle_steps(1, counters.reserve_steps(1, 10))

        assert counters.reserve_steps(0, WINDOW) == WINDOW
        with at_line(lines, neighbor):
            counters.settle_steps(0, WINDOW)
        assert counters.env_steps() <= 8, "steps were taken twice"
        model.use_up()
        assert counters.env_steps() == 8
    assert lines > 2


def test_the_dead_do_not_hold_up_a_barrier_nor_pass_it() -> None:
    model = BudgetModel(Budget(max_episodes=1), (0, 0, 0))
    counters = model.counters
    first = counters.start_barrier()
    assert counters.command is Command.pause
    counters.wait_at_barrier(0)
    counters.release_dead(0)
    assert counters.table[0, CounterColumn.paused] != first, "its replacement has not arrived there"
    counters.wait_at_barrier(1)
    counters.send_command(Command.run)
    second = counters.start_barrier()
    assert counters.table[1, CounterColumn.paused] == first != second, (
        "who is on its way from the last barrier is not at the next"
    )


def test_too_little_shared_memory_is_said_in_a_line_with_how_much_is_needed() -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # the system refuses it, as a small /dev/shm does
    try:
        with pytest.raises(A3CError, match=r"another 79 KiB: File too large .*docker run --shm-size.*deterministic") as caught:
            SharedCounters.create(1, np.zeros(5000, np.int64), np.zeros(5000, np.int64), Budget(max_updates=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
