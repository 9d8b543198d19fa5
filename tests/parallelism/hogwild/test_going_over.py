"""Workers go over to compiled code between two rounds, in the inside of one hogwild process: the same training, to rounding."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.algorithm.schedules import Schedule, Schedules
from a3c_exp.compile.compiler import NotCompiledYet
from a3c_exp.config.budget import Budget
from a3c_exp.config.enums import ScheduleKind
from a3c_exp.envs.classic_control import ClassicControlEnvs
from a3c_exp.models.normalization import Normalization
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.hogwild import worker as hogwild_worker
from a3c_exp.parallelism.multiprocess import worker_loop
from a3c_exp.parallelism.multiprocess.shared_counters import Command, CounterColumn
from tests.support.inside_hogwild import Inside
from tests.support.single_process import tiny_task
from tests.support.walker import Walker

LINEAR = Schedules(*(Schedule(f"{name}_schedule", ScheduleKind.linear) for name in ("lr", "beta", "max_grad_norm")))


@pytest.fixture(autouse=True)
def _walked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_loop, "Compiler", Walker)  # which finds whatever is looked for
    monkeypatch.setattr(hogwild_worker, "MAX_BURST", 4)  # of few steps there is plenty soon


def task(model: str, backend: str, **learner: Any) -> TrainingSetup:
    make_envs = partial(ClassicControlEnvs, "CartPole-v1", backend=backend)
    setup = tiny_task(model, workers=3, budget=Budget(max_env_steps=201), make_envs=make_envs, **learner)
    return replace(setup, compile_while_training=True)


@pytest.mark.parametrize(
    ("model", "backend", "options"),
    [
        ("shared", "tensor", {"window_ends_with_episode": True}),
        ("gru", "tensor", {"loss": LossConfig(entropy_coef=0.5), "max_grad_norm": 0.5, "schedules": LINEAR}),
        ("shared", "gymnasium", {"normalization": Normalization(observation=True, reward=True)}),
    ],
    ids=["rounds", "recurrent", "functions"],
)
def test_nothing_is_lost_or_broken_where_workers_go_over(
    model: str, backend: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """In the middle of episodes: lengths, returns, seeds, noise, counts and weights go on, and budgets stay exact."""
    setup = task(model, backend, **options)
    uncompiled, ours = Inside(setup, tmp_path), Inside(setup, tmp_path)
    for inside in (uncompiled, ours):
        while inside.counters.env_steps() < 70:
            inside.step()
    group, exchange = ours.loop.group, ours.loop.exchange
    length, place = group.episodes.length.copy(), group.weights.data_ptr()  # type: ignore[attr-defined]
    assert length.any(), "no episode would be broken"
    steps = ours.counters.env_steps()
    ours.loop.use_compiled()
    assert ours.counters.table[0, CounterColumn.compiled_at] == steps
    assert np.array_equal(group.episodes.length, length) and group.weights.data_ptr() == place  # type: ignore[attr-defined]
    assert group.has_fused_rounds == (backend == "tensor") and exchange.burst_rounds > 0
    for inside in (uncompiled, ours):
        inside.finish()
    assert ours.episodes == uncompiled.episodes != []
    assert ours.counters.workers.tolist() == uncompiled.counters.workers.tolist()
    assert ours.counters.env_steps() == uncompiled.counters.env_steps() == 201
    counted = [CounterColumn.pushes, CounterColumn.steps_done, CounterColumn.tickets_taken, CounterColumn.steps_reserved]
    assert ours.counters.table[0, counted].tolist() == uncompiled.counters.table[0, counted].tolist()
    assert ours.stats.windows == uncompiled.stats.windows
    torch.testing.assert_close(ours.shared, uncompiled.shared, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("missing", ["all", "pushing"])
def test_code_that_is_gone_leaves_the_workers_as_they_were(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loser(Walker):
        def compile(self, op_graph: Any, weights: Any, examples: Any) -> Any:
            if missing == "all" or not weights.any():  # the weights of pushes are none
                raise NotCompiledYet
            return super().compile(op_graph, weights, examples)

    monkeypatch.setattr(worker_loop, "Compiler", Loser)
    uncompiled, ours = (Inside(task("shared", "tensor"), tmp_path) for _ in range(2))
    for inside in (uncompiled, ours):
        inside.step()
    ours.loop.use_compiled()
    assert (ours.counters.table[0, CounterColumn.compiled_at] > 0) == (missing == "pushing")
    for inside in (uncompiled, ours):
        inside.finish()
    assert ours.episodes == uncompiled.episodes
    assert missing == "pushing" or torch.equal(ours.shared, uncompiled.shared)


def test_workers_go_over_by_themselves_when_there_is_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = Inside(task("shared", "tensor"), tmp_path)
    rounds, steps = 0, list[int]()
    run_round = inside.loop.run_round

    def announce_before_the_fifth() -> bool:
        nonlocal rounds
        rounds += 1
        if rounds == 5:
            inside.counters.announce_code()
        assert (inside.counters.table[0, CounterColumn.compiled_at] > 0) == (rounds > 5)
        went_on = run_round()
        if rounds == 5:
            steps.append(inside.counters.env_steps())
        inside.listen()
        if not went_on:
            inside.counters.send_command(Command.stop)
        return went_on

    monkeypatch.setattr(inside.loop, "run_round", announce_before_the_fifth)
    inside.loop.run()
    assert inside.counters.env_steps() == 201
    assert [inside.counters.table[0, CounterColumn.compiled_at]] == steps
