"""Normalization by running statistics: in every parallelism as plain averages over all that was seen have it."""

from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.algorithm.reference import A3C, Step, Worker
from a3c_exp.config.budget import Budget
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.models.base import ActorCritic
from a3c_exp.models.normalization import Moments, Normalization
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.parallelism.parameter_server.strategy import ParameterServer
from a3c_exp.parallelism.single_process.base import SingleProcessStrategy
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from tests.support.driving import Training, initial
from tests.support.reference_training import ReferenceTraining
from tests.support.single_process import FALLING, Driven, tiny_task

BOTH = Normalization(observation=True, reward=True, clip_observation=2.0, clip_reward=1.5)
CARTPOLE, PENDULUM = "CartPole-v1", "Pendulum-v1"


class PlainAverages(A3C):
    """The reference, with averages over lists of everything that was pushed: observations, and discounted returns."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen: list[np.ndarray] = []
        self.returns: list[float] = []
        self.latest = dict.fromkeys(range(len(self.workers)), 0.0)

    def push(self, learner: ActorCritic, windows: list[tuple[Worker, list[Step]]]) -> None:
        rows = []
        for worker, steps in windows:
            for step in steps:
                before = 0.0 if step.episode_start else self.latest[worker.index]
                self.latest[worker.index] = step.reward + self.config.gamma * before
                rows.append(np.append(step.observation.double().numpy(), self.latest[worker.index]))
        scale, bound = float(learner.running["statistics"][learner.features - 1].detach()), BOTH.clip_reward
        normalized = [
            (worker, [step._replace(reward=float(np.clip(step.reward * scale, -bound, bound))) for step in steps])
            for worker, steps in windows
        ]
        super().push(learner, normalized)
        self.seen += rows
        everything = torch.tensor(np.array(self.seen))
        moments = Moments(
            torch.tensor([float(len(everything))]), everything.mean(0), everything.var(0, correction=0) * len(everything)
        )
        with torch.no_grad():
            self.model.running["statistics"].copy_(moments.pack())


def agree(driven: Driven, reference: ReferenceTraining) -> None:
    """Weights, and with them the scales and means, after every update."""
    d = driven.task.statistics_size
    for update, (ours, theirs) in enumerate(zip(driven.weights, reference.weights, strict=True)):
        torch.testing.assert_close(
            ours[:-d], theirs[:-d], rtol=0, atol=3e-5, msg=lambda text, at=update: f"update {at}: {text}"
        )
        mine, plain = Moments.unpack(ours[-d:]), Moments.unpack(theirs[-d:])
        assert mine.steps == plain.steps
        torch.testing.assert_close(mine.mean, plain.mean, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(mine.m2, plain.m2, rtol=1e-5, atol=1e-5)
    assert Moments.unpack(driven.weights[-1][-d:]).steps == driven.kind.counts().env_steps


@pytest.mark.parametrize(("model", "env_id"), [("separate", PENDULUM), ("shared", CARTPOLE), ("gru", CARTPOLE)])
@pytest.mark.parametrize("lag", [None, (0, 5)], ids=["", "set lags"])
def test_a_worker_normalizes_by_what_it_pulled(model: str, env_id: str, lag: Any) -> None:
    task = tiny_task(model, env_id, normalization=BOTH, window_ends_with_episode=model == "gru", reward_shift=0.5)
    reference = ReferenceTraining(task, env_id, lag=lag, algorithm=PlainAverages)
    for _ in range(40):
        reference.update()
    agree(Driven(Deterministic(order="fixed", lag=lag), task).step(40).stop(), reference)


@pytest.mark.parametrize(("model", "env_id"), [("separate", PENDULUM), ("lstm", CARTPOLE)])
def test_synchronous_workers_share_one_estimate(model: str, env_id: str) -> None:
    scheduled = {"budget": Budget(max_updates=14), "schedules": FALLING, "loss": LossConfig(entropy_coef=0.5)}
    task = tiny_task(model, env_id, normalization=BOTH, max_grad_norm=0.5, **scheduled)
    reference = ReferenceTraining(task, env_id, algorithm=PlainAverages)
    for _ in range(12):
        reference.synchronous_update()
    agree(Driven(Synchronous(), task).step(12).stop(), reference)


@pytest.mark.parametrize("one", [Normalization(observation=True), Normalization(reward=True)], ids=["observations", "rewards"])
@pytest.mark.parametrize("kind", [Deterministic, Synchronous])
def test_one_without_the_other(one: Normalization, kind: type[SingleProcessStrategy]) -> None:
    task = tiny_task(normalization=one, budget=Budget(max_updates=20))
    driven = Driven(kind(), task).finish().stop()
    moments = Moments.unpack(driven.kind.weights()[-task.statistics_size :])
    assert len(moments.mean) == (4 if one.observation else 1)
    assert moments.steps == driven.kind.counts().env_steps


class Recorder(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Appends every observation that was acted upon to a file of its own."""

    def __init__(self, env: gymnasium.Env[Any, Any], folder: str) -> None:
        super().__init__(env)
        self._file = Path(folder) / f"{id(self)}"

    def reset(self, **options: Any) -> Any:
        self._latest, info = self.env.reset(**options)
        return self._latest, info

    def step(self, action: Any) -> Any:
        with self._file.open("ab") as file:
            file.write(np.asarray(self._latest, np.float32).tobytes())
        self._latest, *rest = self.env.step(action)
        return self._latest, *rest


@pytest.mark.parametrize(
    "kind",
    [partial(Hogwild, processes=2), partial(Hogwild, processes=2, lock=True), partial(ParameterServer, processes=2)],
    ids=["hogwild", "hogwild with a lock", "parameter server"],
)
def test_processes_lose_nothing(kind: Any, tmp_path: Path) -> None:
    wrappers = [{"_target_": f"{__name__}.Recorder", "folder": str(tmp_path)}]
    make_envs = partial(GymnasiumEnvs, CARTPOLE, wrappers=wrappers)
    task = tiny_task(normalization=BOTH, make_envs=make_envs, workers=4, budget=Budget(max_env_steps=1500))
    training = Training(kind(), task, initial(task)).finish()
    seen = np.concatenate([np.fromfile(file, np.float32).reshape(-1, 4) for file in tmp_path.iterdir()])
    moments = Moments.unpack(training.parallelism.weights()[-task.statistics_size :])
    assert moments.steps == len(seen) == training.parallelism.counts().env_steps == 1500
    np.testing.assert_allclose(moments.mean[:4], seen.mean(0, dtype=np.float64), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(moments.m2[:4], seen.var(0, dtype=np.float64) * len(seen), rtol=1e-6)


def test_a_run_begun_from_saved_statistics_continues_them() -> None:
    task = tiny_task(normalization=BOTH, budget=Budget(max_env_steps=300))
    first = Driven(Deterministic(), task).finish(every=150).stop()
    parts = Driven(Deterministic(), task)
    while parts.kind.counts().env_steps < 150:
        parts.events += parts.kind.advance(30.0, [150])
    parts = Driven(Deterministic(), task, parts.stop().save()).finish(every=150).stop()
    assert torch.equal(first.kind.weights(), parts.kind.weights())
