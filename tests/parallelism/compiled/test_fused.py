"""Whole rounds in tensors against the rollout and the learner step by step: equal episodes, gradients and counters."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from a3c_exp.algorithm.per_worker import HyperparameterRange, PerWorkerHyperparameters
from a3c_exp.algorithm.types import LearnerConfig
from a3c_exp.config.budget import Budget
from a3c_exp.config.enums import HyperparameterRangeKind
from a3c_exp.envs.classic_control import ClassicControlEnvs
from a3c_exp.models.normalization import Moments, Normalization
from a3c_exp.optimizers.adam import Adam
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.worker_group import WorkerGroup, WorkerId
from tests.support.single_process import MODELS
from tests.support.walker import Walker

WORKERS, ROUNDS = 4, 24
ROLLS = {"window_ends_with_episode": False}


@dataclass
class Case:
    env: str = "Pendulum-v1"
    model: str = "separate"
    limit: int | None = 7
    share: bool = False
    tickets: int | None = None
    per_worker: PerWorkerHyperparameters = field(default_factory=PerWorkerHyperparameters)
    learner: dict[str, Any] = field(default_factory=dict)
    normalization: Normalization = field(default_factory=Normalization)


CASES = {
    "Pendulum, windows end with episodes": Case(),
    "no limit": Case(limit=None),
    "a time limit taken for an end": Case(learner={"bootstrap_on_truncation": False, **ROLLS}),
    "several time limits in a window": Case(limit=2, learner={"n_step": 7, **ROLLS}),
    "windows of one step": Case(limit=3, learner={"n_step": 1, **ROLLS}),
    "CartPole rolls on": Case("CartPole-v1", "shared", limit=11, learner=ROLLS),
    "CartPole, windows end with episodes": Case("CartPole-v1", "shared", limit=11),
    "one set of weights for all": Case("CartPole-v1", "shared", limit=11, share=True, learner=ROLLS),
    "few episodes left": Case("CartPole-v1", "shared", limit=9, tickets=3, learner={"n_step": 12, **ROLLS}),
    "a memory": Case("CartPole-v1", "gru", limit=11, learner=ROLLS),
    "a memory, one set of weights": Case("Pendulum-v1", "lstm", limit=11, share=True, learner={"bptt": 2, **ROLLS}),
    "clipped, shifted and scaled": Case(
        learner={"reward_shift": 8.0, "reward_scale": 8.0, "reward_clip": 0.7, "max_grad_norm": 0.05}
    ),
    "normalized": Case("CartPole-v1", "shared", limit=11, learner=ROLLS, normalization=Normalization(True, True)),
    "a memory, normalized, one set of weights": Case(
        model="lstm", share=True, learner={"reward_shift": 8.0}, normalization=Normalization(True, True, 2.0, 0.5)
    ),
    "each its own entropy": Case(
        per_worker=PerWorkerHyperparameters(beta=HyperparameterRange("beta", HyperparameterRangeKind.loguniform, 1e-3, 1e-1))
    ),
}


class Side:
    """One of the ways, with its counters and its tickets."""

    def __init__(self, case: Case, compiled: bool, backend: str = "tensor") -> None:
        budget = Budget(max_episodes=None if case.tickets is None else 10**6)
        make_envs = partial(ClassicControlEnvs, case.env, backend=backend)
        spec = LearnerConfig(**{"n_step": 5, **case.learner})
        task = TrainingSetup(make_envs, MODELS[case.model], Adam(1e-2), spec, WORKERS, budget, case.limit, seed=3)
        task = replace(task, per_worker=case.per_worker, compile=compiled)
        task = task.with_normalization(case.normalization, make_envs(num_envs=1))
        self.case, self.task, self.n = case, task, spec.n_step
        self.tickets = np.full(WORKERS, 10**6)
        self.begun = np.zeros(WORKERS, np.int64)
        members = [WorkerId(3, worker) for worker in range(WORKERS)]
        walker = Walker() if compiled else None
        own = members, np.zeros(WORKERS, np.int64), self.begun, self._take, case.share
        self.workers = WorkerGroup(task, *own, keep_actions=True, compiler=walker, tickets=lambda: self.tickets)
        assert (self.workers._fused_rollout is not None) == (compiled and backend == "tensor")

    def _take(self, k: int) -> bool:
        self.tickets[k] -= 1
        return bool(self.tickets[k] >= 0)

    def round(self, allowed: NDArray[np.int64]) -> Any:
        if self.case.tickets is not None:
            self.tickets[:] = self.case.tickets
        return self.workers.round(allowed)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_fused_round_is_no_other_round(case: Case) -> None:
    agree(Side(case, compiled=True), Side(case, compiled=False))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_acting_and_learning_compiled_is_no_other_round(case: Case) -> None:
    agree(Side(case, compiled=True, backend="gymnasium"), Side(case, compiled=False, backend="gymnasium"))


def agree(ours: Side, theirs: Side) -> None:
    """Round after round the same episodes, gradients and counters."""
    case = ours.case
    choices = np.random.default_rng(0)
    ends = 0
    for number in range(ROUNDS):
        n = ours.n
        allowed = np.full(WORKERS, n) if number % 3 else choices.integers(0, n + 1, WORKERS)
        mine, other = ours.round(allowed), theirs.round(allowed)
        assert mine.steps.tolist() == other.steps.tolist()
        assert [(e.worker, e.length, e.end, e.env_seed) for e in mine.ended] == [
            (e.worker, e.length, e.end, e.env_seed) for e in other.ended
        ]
        assert [e.return_ for e in mine.ended] == pytest.approx([e.return_ for e in other.ended], rel=1e-4)
        acted = mine.steps.reshape(len(mine.gradients), -1).sum(axis=1) > 0
        size = ours.task.statistics_size  # moments, of which some places hold what rounding others left
        if size:
            moments = (Moments.unpack(gradients[acted, -size:]) for gradients in (mine.gradients, other.gradients))
            torch.testing.assert_close(*moments, rtol=2e-3, atol=2e-4)
        end = mine.gradients.shape[1] - size
        torch.testing.assert_close(mine.gradients[acted, :end], other.gradients[acted, :end], rtol=2e-3, atol=2e-4)
        np.testing.assert_allclose(mine.window_stats[acted], other.window_stats[acted], rtol=2e-3, atol=2e-3)
        for name in ("in_episode", "return_", "discounted_return"):
            np.testing.assert_allclose(getattr(ours.workers.episodes, name), getattr(theirs.workers.episodes, name), rtol=1e-4)
        within = ours.workers.episodes.in_episode
        np.testing.assert_array_equal(ours.workers.episodes.length[within], theirs.workers.episodes.length[within])
        np.testing.assert_allclose(
            ours.workers.envs.observation[within], theirs.workers.envs.observation[within], rtol=1e-3, atol=1e-4
        )
        np.testing.assert_allclose(
            ours.workers.episodes.hidden_state[within], theirs.workers.episodes.hidden_state[within], rtol=1e-3, atol=1e-4
        )
        assert ours.begun.tolist() == theirs.begun.tolist()
        ends += len(mine.ended)
        # The next round is no judge of this one's rounding.
        if ours.workers._fused_rollout is not None:
            ours.workers.envs.env_state[:] = theirs.workers.envs.env_state
        for side in (ours, theirs):
            side.workers.weights.add_(
                0.01 * torch.sin(torch.arange(side.workers.weights.numel()).view_as(side.workers.weights))
            )
    assert ends > 6 or case.limit is None


def test_a_worker_whose_last_ticket_is_gone_rests_within_the_round() -> None:
    side = Side(replace(CASES["few episodes left"], tickets=1, limit=2), compiled=True)
    done = side.round(np.full(WORKERS, side.n))
    assert done.steps.tolist() == [2] * WORKERS, "one episode of two steps, and no other could be begun"
    assert len(done.ended) == WORKERS
    assert not side.workers.episodes.in_episode.any()


def test_an_episode_is_put_back_as_it_stood() -> None:
    """Compiled code may differ from what replays an episode in the last bits: its state is written down, not replayed."""
    side = Side(CASES["CartPole rolls on"], compiled=True)
    for _ in range(7):
        side.round(np.full(WORKERS, side.n))
    episodes, envs = side.workers.episodes, side.workers.envs
    saved = [episodes.episode_state(k) for k in range(WORKERS)]
    stood = envs.env_state.copy(), envs.observation.copy(), episodes.length.copy()
    fresh = Side(CASES["CartPole rolls on"], compiled=True)
    assert fresh.workers.episodes.load_episode_states(saved) == []
    for now, then in zip(
        (fresh.workers.envs.env_state, fresh.workers.envs.observation, fresh.workers.episodes.length), stood, strict=True
    ):
        np.testing.assert_array_equal(now, then)
