"""Training in whole rounds and series of pushes: the same training, to rounding, and bit for bit the same again."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.compile.compiler import TensorFunction, _cache_key as name_of
from a3c_exp.compile.op_trace import OpGraph
from a3c_exp.config.budget import Budget
from a3c_exp.envs.classic_control import ClassicControlEnvs
from a3c_exp.models.normalization import Normalization
from a3c_exp.optimizers.adam import Adam
from a3c_exp.parallelism import worker_group as workers
from a3c_exp.parallelism.base import EpisodeEvent, TrainingSetup
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.single_process.base import SingleProcessStrategy
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from tests.support.single_process import FALLING, Driven, tiny_task
from tests.support.walker import Walker

KINDS: dict[str, Callable[[], SingleProcessStrategy]] = {
    "deterministic": Deterministic,
    "deterministic, fixed order": partial(Deterministic, order="fixed"),
    "deterministic, random speeds": partial(Deterministic, speeds="lognormal"),
    "deterministic, a set lag": partial(Deterministic, lag=4),
    "deterministic, lags that are drawn": partial(Deterministic, lag=(0, 5)),
    "synchronous": Synchronous,
}


SCHEDULED: dict[str, Any] = {"schedules": FALLING, "loss": LossConfig(entropy_coef=0.5), "max_grad_norm": 0.5}


@pytest.fixture(autouse=True)
def _walked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Compiler", Walker)


def fused(budget: Budget, num_seeds: int = 1, **learner: Any) -> TrainingSetup:
    make_envs = partial(ClassicControlEnvs, "CartPole-v1", backend="tensor")
    task = tiny_task("shared", budget=budget, make_envs=make_envs, num_seeds=num_seeds, **learner)
    return replace(task, compile=True)


def episodes(driven: Driven, index: int = 0) -> list[tuple[int, int, int, int]]:
    events = [event for event in driven.events if isinstance(event, EpisodeEvent) and event.index == index]
    return [(event.episode.worker, event.episode.length, event.env_step, event.update) for event in events]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("rolling", [False, True], ids=["ends", "rolls"])
def test_a_fused_training_is_no_other_training(kind: Callable[[], SingleProcessStrategy], rolling: bool) -> None:
    """Rates that fall, dates that cut rounds short, a budget that ends within one: all that depends on the order of pushes."""
    no_other(kind, Budget(max_env_steps=335, max_updates=110), rolling)


@pytest.mark.parametrize("kind", ["deterministic", "deterministic, lags that are drawn", "synchronous"])
def test_running_statistics_are_the_same_in_whole_rounds(kind: str) -> None:
    no_other(KINDS[kind], Budget(max_env_steps=335), rolling=True, normalization=Normalization(True, True))


@pytest.mark.parametrize("kind", ["deterministic", "deterministic, a set lag", "synchronous"])
@pytest.mark.parametrize("rolling", [False, True], ids=["ends", "rolls"])
def test_the_last_episodes_of_a_budget_are_dealt_out_alike(kind: str, rolling: bool) -> None:
    """Where few are left it matters whose window is settled before the next is reserved."""
    no_other(KINDS[kind], Budget(max_episodes=31), rolling)


def no_other(kind: Callable[[], SingleProcessStrategy], budget: Budget, rolling: bool, **settings: Any) -> None:
    task = fused(budget, window_ends_with_episode=not rolling, **SCHEDULED, **settings)
    ours = Driven(kind(), task).finish(every=37).stop()
    theirs = Driven(kind(), replace(task, compile=False)).finish(every=37).stop()
    assert ours.kind.worker_group._fused_rollout is not None
    assert ours.kind.counts() == theirs.kind.counts()
    assert episodes(ours) == episodes(theirs) != []
    torch.testing.assert_close(ours.kind.weights(), theirs.kind.weights(), rtol=1e-3, atol=1e-4)
    assert ours.stats().lag_histogram.tolist() == theirs.stats().lag_histogram.tolist()
    assert ours.stats().worker_steps.tolist() == theirs.stats().worker_steps.tolist()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_going_on_in_whole_rounds_is_to_have_never_stopped(kind: Callable[[], SingleProcessStrategy]) -> None:
    """Stopped in the midst of a round, with windows that wait for their push."""
    task, stops = fused(Budget(max_env_steps=200), window_ends_with_episode=False, **SCHEDULED), (61, 130, 200)

    def on(driven: Driven, stop: int) -> Driven:
        while driven.kind.counts().env_steps < stop:
            driven.kind.advance(30.0, [stop])
        return driven

    # The same halts for both, since evaluations and checkpoints halt there, too: a new process at each of them, or none.
    whole, parts = Driven(kind(), task), Driven(kind(), task)
    for stop in stops:
        on(whole, stop)
        parts = Driven(kind(), task, on(parts, stop).stop().save())
    assert torch.equal(whole.kind.weights(), parts.kind.weights())
    assert whole.kind.counts() == parts.kind.counts()
    whole.stop()
    parts.stop()


def test_two_seeds_side_by_side_are_each_their_own() -> None:
    budget = Budget(max_updates=40)
    both = Driven(Deterministic(), fused(budget, num_seeds=2)).finish().stop()
    for index in range(2):
        alone = Driven(Deterministic(), fused(budget, seed=index)).finish().stop()
        torch.testing.assert_close(both.kind.weights(index), alone.kind.weights(), rtol=1e-4, atol=1e-5)
        assert episodes(both, index) == episodes(alone)


@pytest.mark.parametrize("kind", [Deterministic, Synchronous])
@pytest.mark.parametrize(
    ("rolling", "limit", "normalization"),
    [(False, None, None), (True, 13, None), (True, 13, Normalization(True, True))],
    ids=["ends", "rolls, with a time limit", "normalized"],
)
def test_counting_after_a_burst_counts_the_same(
    kind: Callable[[], SingleProcessStrategy], rolling: bool, limit: int | None, normalization: Normalization | None
) -> None:
    """Several trainings in step, whose episodes end at different times; rates that fall; halts in the midst of a round."""
    task = fused(
        Budget(max_env_steps=200),
        num_seeds=2,
        n_step=2,
        window_ends_with_episode=not rolling,
        normalization=normalization,
        **SCHEDULED,
    )
    task = replace(task, max_episode_steps=limit)
    ours, theirs = Driven(kind(), task), Driven(kind(), task)
    assert ours.kind.burst_runner is not None
    runner, run = ours.kind.burst_runner, ours.kind.burst_runner._run_rounds
    done: list[int] = []
    ended_inside: list[int] = []  # rounds with others after them in their burst

    def counted(*given: Any) -> Any:
        done.append(len(rounds := run(*given)))
        ended_inside.extend(i for i, _ in runner._ended if i + 1 < len(rounds))
        return rounds

    ours.kind.burst_runner._run_rounds = counted  # type: ignore[method-assign]
    theirs.kind.burst_runner = None
    for driven in (ours, theirs):
        for stop in (61, 120):
            while (steps := [driven.kind.counts(i).env_steps for i in range(2)]) and min(steps) < stop:
                driven.events += driven.kind.advance(30.0, [stop if step < stop else 2**62 for step in steps])
        driven.finish().stop()
    assert sum(done) > 3, "hardly a round was done in step"
    assert bool(ended_inside) == rolling, "an episode's end cuts a burst short only where a window ends with its episode"
    for index in range(2):
        assert torch.equal(ours.kind.weights(index), theirs.kind.weights(index))
        assert ours.kind.counts(index) == theirs.kind.counts(index)
        assert episodes(ours, index) == episodes(theirs, index) != []
        mine, others = ours.stats(index), theirs.stats(index)
        for name in ("sums", "lag_histogram", "worker_windows", "worker_steps"):
            assert getattr(mine, name).tolist() == getattr(others, name).tolist(), name
        assert mine.truncated == others.truncated and (limit is None or mine.truncated > 0)


def test_what_a_study_tunes_is_no_part_of_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or every trial would compile its own, which takes longer than a trial."""
    programs: list[set[str]] = []

    class Naming(Walker):
        def compile(self, op_graph: OpGraph, weights: Tensor, examples: Sequence[Tensor]) -> TensorFunction | None:
            programs[-1].add(name_of(op_graph, weights))
            return super().compile(op_graph, weights, examples)

    monkeypatch.setattr(workers, "Compiler", Naming)
    for gamma, beta, lr in ((0.9, 0.0, 1e-3), (0.97, 0.02, 1e-2)):
        for kind in (Deterministic, Synchronous):
            for make_envs in (partial(ClassicControlEnvs, "CartPole-v1", backend="tensor"), None):
                programs.append(set())
                loss = LossConfig(entropy_coef=beta)
                task = tiny_task(
                    "shared", budget=Budget(max_updates=2), make_envs=make_envs, gamma=gamma, loss=loss, optimizer=Adam(lr)
                )
                Driven(kind(), replace(task, compile=True)).finish().stop()
    assert programs[:4] == programs[4:] and all(programs)
