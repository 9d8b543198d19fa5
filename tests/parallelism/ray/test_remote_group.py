"""Whatever a network does to orders and replies, and whichever host dies when: each window is applied once or never, and
budgets are exact."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from a3c_exp.config.budget import Budget
from a3c_exp.parallelism.base import Counts
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn
from a3c_exp.parallelism.parameter_server.double_buffer import StateField
from a3c_exp.parallelism.parameter_server.gradient_slots import SlotField
from a3c_exp.parallelism.ray import remote_group
from a3c_exp.parallelism.ray.gradient_dtype import GradientDtype, unpack
from a3c_exp.parallelism.ray.group_host import GroupHost
from a3c_exp.parallelism.ray.messages import GroupSpec, Order, Prepared, Reply, Window
from a3c_exp.system.ray.node import NodeDescription
from tests.support.driving import small_task
from tests.support.lossy import EPISODE, FATES, Fate, LossyNetwork

BUDGETS = {"steps": Budget(max_env_steps=43), "updates": Budget(max_updates=9), "episodes": Budget(max_episodes=5)}


@pytest.mark.parametrize("kind", BUDGETS)
def test_in_every_order_of_losses_each_window_counts_once_and_the_budget_is_exact(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_group, "_PAUSE_SECONDS", 0.0)
    for fates in list(product(FATES, repeat=3))[list(BUDGETS).index(kind) :: len(BUDGETS)]:
        dtype: GradientDtype = "bfloat16" if kind == "episodes" else "float32"  # which has each number that a window is here
        network = LossyNetwork(fates, BUDGETS[kind], tmp_path, pull_together=kind == "updates", gradient_dtype=dtype)
        network.run()
        applied, counts = network.optimizer.values, network.double_buffer.read_counters()
        assert len(set(applied)) == len(applied) == counts[StateField.updates], (fates, "a window was applied twice")
        assert set(applied) <= set(network.executed)
        deaths = sum(fate in ("dead before", "dead after", "silent") for fate in fates)
        assert len(network.deaths) == deaths
        assert len(network.executed) - len(applied) <= 2 * deaths, (fates, "more was lost than hosts were at when they died")
        assert float(network.double_buffer.read()[0][0]) == len(applied)
        steps, episodes = int(counts[StateField.env_steps]), network.episodes
        match kind:
            case "steps":
                assert steps == 43, fates
            case "updates":
                assert len(applied) == 9, fates
            case "episodes":
                assert len(episodes) == 5 == network.counters.tickets_in_use(), fates
        assert {event.episode.length for event in episodes} <= {EPISODE}
        numbers = [(event.episode.worker, event.episode.env_seed) for event in episodes]
        assert len(set(numbers)) == len(numbers), (fates, "an episode was reported twice")
        row = network.counters.table[0]
        assert row[CounterColumn.steps_reserved] == row[CounterColumn.updates_reserved] == 0


@pytest.mark.parametrize(("fate", "second"), [("ok", 1), ("reply lost", 4), ("dead after", 1000)])
@pytest.mark.parametrize("budget", [Budget(max_env_steps=23), Budget(max_updates=5), Budget(max_episodes=3)], ids=list(BUDGETS))
def test_wherever_a_gateway_is_killed_an_episode_is_told_once_if_its_window_counts(
    budget: Budget, fate: Fate, second: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_group, "_PAUSE_SECONDS", 0.0)
    first, passed = 0, 1
    while first < passed:
        first += 1
        network = LossyNetwork(["ok", fate], budget, tmp_path, kills=(first, first + second))
        network.run()
        passed = network.points
        told = sorted((event.episode.worker, event.episode.env_seed) for event in network.episodes)
        assert told == sorted(network.ends[value] for value in network.optimizer.values if value in network.ends), first
        counts = network.double_buffer.read_counters()
        assert len(network.optimizer.values) == counts[StateField.updates] and counts[StateField.episodes] == len(told)
        ended = Counts(int(counts[StateField.env_steps]), int(counts[StateField.updates]), len(told))
        assert budget.fraction(ended.episodes, ended.env_steps, ended.updates) == 1.0, (first, ended)
        assert budget.max_episodes in (None, network.counters.tickets_in_use()), first


def test_an_order_to_end_episodes_that_comes_twice_ends_them_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_group, "_PAUSE_SECONDS", 0.0)
    network = LossyNetwork(["ok", "reply lost", "twice"], Budget(max_episodes=5), tmp_path)
    serve = network.server._serve

    def serve_and_ask(workers: list[int]) -> None:
        serve(workers)
        if len(network.executed) == 2:
            network.slots.fields[:, SlotField.resets_requested] += 1

    monkeypatch.setattr(network.server, "_serve", serve_and_ask)
    network.run()
    ends = [(event.episode.end, event.episode.length) for event in network.episodes]
    assert ends[:2] == [("truncated", 5)] * 2 and len(ends) == 5 == network.counters.tickets_in_use()
    assert network.slots.fields[:, SlotField.resets].tolist() == [1, 1]


def test_a_host_refuses_orders_for_another_one_and_out_of_turn() -> None:
    task, none = small_task(Budget(), workers=1, lengths=(5,)), np.zeros(1, np.int64)
    host = GroupHost(GroupSpec(task, 0, 2, [0], none, none, None, 60.0))
    assert host.prepare() == Prepared()
    window = Window(np.zeros(host._group.weights.shape, np.float32), np.array([5]), None, None)
    first = host.execute(Order(2, 1, window))
    assert isinstance(first, Reply) and first.window is not None and first.window.steps.tolist() == [5]
    assert (len(first.ended), first.rounds.tolist(), first.episodes_begun.tolist()) == (1, [1], [1])
    assert host.execute(Order(2, 1, window)) is first, "an order was executed twice"
    for order, said in ((Order(1, 2, window), "this is host 2 of group 0"), (Order(2, 3, window), "cannot follow order 1")):
        with pytest.raises(ValueError, match=said):
            host.execute(order)
    assert host._rounds.tolist() == [1] and none.tolist() == [0]


def test_gradients_that_travel_as_bfloat16_are_rounded_and_nothing_else() -> None:
    task, none = small_task(Budget(), workers=2), np.zeros(2, np.int64)
    replies = []
    for dtype in ("float32", "bfloat16"):
        host = GroupHost(GroupSpec(task, 0, 1, [0, 1], none, none, None, 60.0, gradient_dtype=dtype))
        host.prepare()
        replies.append(
            host.execute(Order(1, 1, Window(np.ones(host._group.weights.shape, np.float32), np.array([5, 5]), None, None)))
        )
    exact, rounded = (reply.window.gradients for reply in replies)
    assert 2 * rounded.nbytes == exact.nbytes and exact.any()
    arrived = torch.zeros(exact.shape)
    unpack(rounded, arrived)
    assert np.allclose(arrived, exact, rtol=2**-8, atol=0) and not np.array_equal(arrived, exact)
    assert np.array_equal(replies[0].window.window_stats, replies[1].window.window_stats)


def test_a_node_with_other_versions_is_refused_in_words() -> None:
    task, none = small_task(Budget(), workers=1), np.zeros(1, np.int64)
    node = replace(NodeDescription.of_this_machine(), versions={"numpy": "0.1"})
    prepared = GroupHost(GroupSpec(task, 0, 1, [0], none, none, node, 60.0)).prepare()
    assert isinstance(prepared, Prepared) and "and not 0.1" in str(prepared.refusal)
