"""The server applies every reported gradient exactly once, whole and in order of arrival, even if processes are killed."""

from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
import torch

from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn
from a3c_exp.parallelism.parameter_server.double_buffer import StateField
from a3c_exp.parallelism.parameter_server.gradient_slots import SlotField
from a3c_exp.parallelism.parameter_server.server import OnStale, StalenessPolicy
from tests.support.faulty import Deadly
from tests.support.pushing import KILLED, ended
from tests.support.reporting import FIGURES, RecordingOptimizer, SendPoint, ServerHarness, Sum, value


def test_under_load_no_gradient_is_lost_doubled_torn_or_out_of_its_workers_order(tmp_path: Path) -> None:
    times, recording = 150, RecordingOptimizer(tmp_path / "gradients")
    harness = ServerHarness([[0, 1, 2], [3, 4], [5]], 3000, recording)
    agent = harness.start_agent()
    reporters = [harness.start(share, times) for share in range(3)]
    assert [ended(process) for process in reporters] == [0, 0, 0]
    harness.close(agent)

    came = recording.read()
    for worker in range(6):
        assert [number for whose, number in came if whose == worker] == list(range(1, times + 1))
    weights, state, state_counters = harness.double_buffer.read()
    total = sum(value(worker, number) for worker in range(6) for number in range(1, times + 1))
    assert torch.equal(weights, torch.full_like(weights, total))
    assert torch.equal(state, torch.full_like(state, 6 * times))
    assert state_counters[: len(StateField)].tolist()[StateField.updates] == state_counters[StateField.env_steps] == 6 * times
    assert state_counters[len(StateField) :].tolist() == [times] * 6
    assert 1 <= harness.counters.table[3, CounterColumn.max_queue_length] <= 6, "a queue is bounded by one a worker"


@pytest.mark.parametrize("point", get_args(SendPoint))
def test_a_gradient_whose_sender_is_killed_while_writing_it_is_never_applied(tmp_path: Path, point: SendPoint) -> None:
    """The sender kills itself within ``send``, so each kill hits its point; then the server looks at what lies there."""
    recording = RecordingOptimizer(tmp_path / "gradients")
    harness = ServerHarness([[0]], 1000, recording)
    agent = harness.start_agent()
    slot_fields, gradient = harness.gradient_slots.fields.numpy()[0], harness.gradient_slots.gradients[0]
    for killed in (1, 2):
        assert ended(harness.start(0, times=2, dies=point)) == KILLED
        assert gradient.unique().tolist() == {
            "before_write": [value(0, killed)],
            "half_written": [value(0, killed), value(0, killed + 1)],
        }.get(point, [value(0, killed + 1)]), "it was killed at another point"
        assert slot_fields[SlotField.sent] == slot_fields[SlotField.answered] == killed, (
            "a gradient that was not handed over counts"
        )
        harness.wait_for_a_poll()
        assert len(recording.read()) == killed, "it was applied"
    assert ended(harness.start(0, times=2)) == 0, "a replacement goes on where its predecessor was killed"
    harness.close(agent)

    numbers = [number for _, number in recording.read()]
    assert numbers == [1, 2, 3, 4]
    weights, _, state_counters = harness.double_buffer.read()
    assert state_counters[StateField.updates] == len(numbers) == slot_fields[SlotField.sent]
    assert torch.equal(weights, torch.full_like(weights, sum(value(0, number) for number in numbers)))


@pytest.mark.parametrize("point", ["before_write", "half_written", "all_written"])
def test_a_server_that_is_killed_has_applied_each_gradient_once_all_the_same(tmp_path: Path, point) -> None:
    deadly = Deadly(Sum(), tmp_path / "died", at_update=40, point=point)
    harness = ServerHarness([[0, 1, 2], [3]], 1000, deadly)
    agent, reporters = harness.start_agent(), [harness.start(share, 60) for share in range(2)]
    assert ended(agent) == KILLED
    assert harness.double_buffer.read_counters()[StateField.updates] <= 40
    weights = harness.double_buffer.read()[0]
    assert (weights == weights[0]).all(), "half of an update counts"
    agent = harness.start_agent()
    assert [ended(process) for process in reporters] == [0, 0], "workers do not die of the server's death"
    harness.close(agent)
    weights, _, state_counters = harness.double_buffer.read()
    total = sum(value(worker, number) for worker in range(4) for number in range(1, 61))
    assert torch.equal(weights, torch.full_like(weights, total))
    assert state_counters[StateField.updates] == state_counters[StateField.env_steps] == 240


def test_a_commit_without_its_answer_is_answered_and_not_repeated(tmp_path: Path) -> None:
    """Killed between the two: the gradient is in the weights, and its sender does not know."""
    harness = ServerHarness([[0]], 10, RecordingOptimizer(tmp_path / "gradients"))
    send(harness, 0, pulled_at=0)
    harness.agent()._serve([0])
    slot_fields = harness.gradient_slots.fields.numpy()[0]
    slot_fields[SlotField.answered] = 0
    harness.gradient_slots.weights[0] = -1.0
    harness.agent()._serve([0])
    assert slot_fields[SlotField.answered] == slot_fields[SlotField.sent] == 1
    assert harness.double_buffer.read_counters()[StateField.updates] == 1
    assert torch.equal(harness.gradient_slots.weights[0], torch.full((10,), value(0, 1)))


def send(harness: ServerHarness, worker: int, pulled_at: int, steps: int = 1) -> None:
    """A request with this worker's next gradient."""
    number = int(harness.gradient_slots.fields[worker, SlotField.sent]) + 1
    gradient = torch.full_like(harness.gradient_slots.gradients[worker], value(worker, number))
    harness.gradient_slots.send(worker, gradient, FIGURES, pulled_at, steps, False)


def test_gradients_are_applied_in_order_of_arrival_and_each_answered_with_the_weights_behind_it(tmp_path: Path) -> None:
    recording = RecordingOptimizer(tmp_path / "gradients")
    harness = ServerHarness([[0, 1], [2, 3]], 10, recording)
    agent = harness.agent()
    for worker in (2, 0, 3, 1):
        send(harness, worker, pulled_at=0)
    assert harness.gradient_slots.pending().tolist() == [2, 0, 3, 1]
    for worker in (2, 0, 3, 1):
        agent._serve([worker])
    assert [worker for worker, _ in recording.read()] == [2, 0, 3, 1]
    assert harness.gradient_slots.weights[[2, 0, 3, 1], 0].tolist() == [18.0, 34.0, 53.0, 70.0]
    assert harness.gradient_slots.fields[[2, 0, 3, 1], SlotField.answered_at].tolist() == [1, 2, 3, 4]
    assert harness.gradient_slots.pending().tolist() == []

    for worker in (1, 0):
        send(harness, worker, pulled_at=4)
    agent._serve([1, 0])
    assert harness.gradient_slots.weights[[1, 0], 0].tolist() == [103.0, 135.0], "one transaction, but answers in between"
    assert harness.gradient_slots.fields[[1, 0], SlotField.answered_at].tolist() == [5, 6]


def test_a_worker_cannot_have_two_pending_requests(tmp_path: Path) -> None:
    harness = ServerHarness([[0]], 10, RecordingOptimizer(tmp_path / "gradients"))
    send(harness, 0, pulled_at=0)
    with pytest.raises(AssertionError, match="one pending request"):
        send(harness, 0, pulled_at=0)
    with pytest.raises(AssertionError, match="one pending request"):
        harness.gradient_slots.request_weights(0)


def test_who_asks_for_weights_changes_nothing(tmp_path: Path) -> None:
    harness = ServerHarness([[0, 1]], 10, RecordingOptimizer(tmp_path / "gradients"))
    agent = harness.agent()
    send(harness, 0, pulled_at=0, steps=7)
    agent._serve([0])
    harness.gradient_slots.request_weights(1)
    agent._serve([1])
    assert harness.gradient_slots.weights[1, 0] == value(0, 1)
    assert harness.gradient_slots.fields[1, SlotField.answered_at] == 1
    state_counters = harness.double_buffer.read_counters()
    assert (state_counters[StateField.updates], state_counters[StateField.env_steps]) == (1, 7)


def test_stale_gradients_are_dropped_and_counted_but_their_steps_were_lived(tmp_path: Path) -> None:
    recording = RecordingOptimizer(tmp_path / "gradients")
    harness = ServerHarness([[0, 1, 2, 3]], 10, recording, StalenessPolicy(max_lag=1))
    for worker in range(4):
        send(harness, worker, pulled_at=0, steps=5)
    agent = harness.agent()
    agent._serve([0, 1, 2, 3])
    # Lags 0, 1, then 2 for both others: who is dropped makes nobody older.
    assert recording.read() == [(0, 1), (1, 1)]
    state_counters = harness.double_buffer.read_counters()
    assert state_counters[StateField.dropped] == 2
    assert (state_counters[StateField.updates], state_counters[StateField.env_steps]) == (2, 20)
    assert harness.gradient_slots.weights[:, 0].tolist() == [16.0, 33.0, 33.0, 33.0], "who was dropped gets new weights too"
    assert harness.gradient_slots.fields[:, SlotField.answered_at].tolist() == [1, 2, 2, 2]
    stats = agent._stats
    assert (stats.windows, stats.dropped, stats.downweighted) == (2, 2, 0)
    assert stats.lag_histogram[:3].tolist() == [1, 1, 0], "what was not applied has no place among the lags"
    assert stats.worker_steps.tolist() == [5, 5, 5, 5]

    transactions = int(harness.double_buffer.transaction_count)
    place = harness.double_buffer.read_counters()[StateField.active_copy]
    send(harness, 0, pulled_at=0)
    agent._serve([0])
    assert int(harness.double_buffer.transaction_count) == transactions + 1
    assert harness.double_buffer.read_counters()[StateField.active_copy] == place, (
        "weights that stay as they are need not be copied"
    )


def test_stale_gradients_weigh_less_the_staler_they_are() -> None:
    harness = ServerHarness([[0, 1, 2, 3]], 10, Sum(), StalenessPolicy(2, OnStale.downweight))
    agent = harness.agent()
    for worker in range(4):
        harness.gradient_slots.send(worker, torch.full((10,), 12.0), FIGURES, -worker, 1, False)  # pulled that much earlier
    agent._serve([0, 1, 2, 3])
    # Lags 0, 2, 4, 6 at a bound of 2: whole, whole, a half, a third.
    assert harness.gradient_slots.weights[:, 0].tolist() == [12.0, 24.0, 30.0, 34.0]
    assert torch.equal(harness.gradient_slots.gradients, torch.full((4, 10), 12.0)), "letters stay as they were sent"
    stats = agent._stats
    assert (stats.windows, stats.dropped, stats.downweighted) == (4, 0, 2)
    assert stats.lag_histogram[[0, 2, 4, 6]].tolist() == [1, 1, 1, 1]
    assert Counter(harness.double_buffer.read_counters()[[StateField.updates, StateField.downweighted]].tolist()) == Counter(
        [4, 2]
    )


def test_a_worker_with_an_old_policy_is_asked_to_begin_anew(tmp_path: Path) -> None:
    harness = ServerHarness([[0, 1, 2]], 10, RecordingOptimizer(tmp_path / "gradients"), StalenessPolicy(reset_after_lag=1))
    for worker in range(3):
        send(harness, worker, pulled_at=0)
    harness.agent()._serve([0, 1, 2])
    assert harness.gradient_slots.fields[:, SlotField.resets_requested].tolist() == [0, 0, 1]
    assert harness.double_buffer.read_counters()[StateField.updates] == 3, "it is applied all the same"
