"""Every policy over real numbers is trained by every parallelism as the reference trains it with torch's own distribution."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, distributions

from a3c_exp.algorithm import reference as reference_module
from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.config.budget import Budget
from a3c_exp.envs.classic_control import ClassicControlEnvs
from a3c_exp.models.heads import HeadConfig
from a3c_exp.parallelism import worker_group
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.parallelism.parameter_server.strategy import ParameterServer
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from tests.support.driving import Training, initial
from tests.support.reference_training import ReferenceTraining
from tests.support.single_process import Driven, tiny_task
from tests.support.walker import Walker

PENDULUM, TORQUE = "Pendulum-v1", 2.0
NODES, NODE_WEIGHTS = (torch.from_numpy(part).float() for part in np.polynomial.hermite_e.hermegauss(32))
HEADS = {kind: HeadConfig(kind=kind) for kind in ("squashed_gaussian", "beta")}
DRIFT = 1e-5


class Squashed:
    """By torch's own transforms, and an entropy by Gauss and Hermite's points."""

    def __init__(self, parameters: Tensor) -> None:
        self.mean, self.std = parameters.chunk(2, -1)
        transforms = [distributions.TanhTransform(), distributions.AffineTransform(0.0, TORQUE)]
        self.law = distributions.TransformedDistribution(distributions.Normal(self.mean, self.std), transforms)

    def log_prob(self, action: Tensor) -> Tensor:
        return self.law.log_prob(action).sum(-1)

    def entropy(self) -> Tensor:
        u = self.mean.unsqueeze(-1) + self.std.unsqueeze(-1) * NODES
        derivative = np.log(TORQUE) + 2 * (np.log(2) - u - torch.nn.functional.softplus(-2 * u))
        stretch = derivative @ (NODE_WEIGHTS / NODE_WEIGHTS.sum())
        return (distributions.Normal(self.mean, self.std).entropy() + stretch).sum(-1)


class Beta:
    """Torch's own, stretched over the bounds."""

    def __init__(self, parameters: Tensor) -> None:
        self.law = distributions.Beta(*parameters.chunk(2, -1))

    def log_prob(self, action: Tensor) -> Tensor:
        return (self.law.log_prob((action + TORQUE) / (2 * TORQUE)) - np.log(2 * TORQUE)).sum(-1)

    def entropy(self) -> Tensor:
        return (self.law.entropy() + np.log(2 * TORQUE)).sum(-1)


POLICIES: dict[str, Callable[[Tensor], Any]] = {"squashed_gaussian": Squashed, "beta": Beta}


def task(kind: str, model: str, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> TrainingSetup:
    """A small training on Pendulum with this head, and the reference made to use torch's distribution for it."""
    setup = tiny_task(model, PENDULUM, loss=LossConfig(entropy_coef=0.1), max_grad_norm=0.5, reward_scale=8.0, **settings)
    setup = replace(setup, make_model=partial(setup.make_model, head=HEADS[kind]))
    envs = setup.make_envs(num_envs=1)
    ours = setup.model(envs)[0].distribution
    envs.close()

    def sample(parameters: Tensor, space: Any, noise: Tensor) -> tuple[Tensor, Any]:
        action = ours.sample(parameters, noise)
        return action, np.clip(action.numpy(), space.low, space.high)

    monkeypatch.setattr(reference_module, "sample", sample)
    monkeypatch.setattr(reference_module, "distribution", lambda parameters, space: POLICIES[kind](parameters))
    return setup


@pytest.mark.parametrize("model", ["separate", "gru"])
@pytest.mark.parametrize("kind", list(POLICIES))
def test_workers_of_this_process_learn_as_the_reference_does(kind: str, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asynchronously in virtual time, with weights of their own, and all with the same weights."""
    setup = task(kind, model, monkeypatch, window_ends_with_episode=model == "gru")
    for strategy, update, updates in (
        (Deterministic(order="fixed"), ReferenceTraining.update, 30),
        (Synchronous(), ReferenceTraining.synchronous_update, 10),
    ):
        reference = ReferenceTraining(setup, PENDULUM)
        for _ in range(updates):
            update(reference)
        driven = Driven(strategy, setup).step(updates).stop()
        for ours, theirs in zip(driven.weights, reference.weights, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=DRIFT)
        assert (driven.weights[-1] - driven.weights[0]).abs().max() > 1e3 * DRIFT


@pytest.mark.parametrize(("kind", "parallelism"), [("squashed_gaussian", Hogwild), ("beta", ParameterServer)])
def test_worker_processes_learn_as_the_reference_does(kind: str, parallelism: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    updates = 21
    setup = task(kind, "separate", monkeypatch, budget=Budget(max_updates=updates))
    reference = ReferenceTraining(setup, PENDULUM)
    for _ in range(updates):
        reference.update()
    training = Training(parallelism(processes=1), setup, initial(setup)).finish()
    final, _ = training.parallelism.snapshot()
    torch.testing.assert_close(final.weights, reference.weights[-1], rtol=0, atol=DRIFT)


@pytest.mark.parametrize("kind", list(POLICIES))
def test_compiled_rounds_learn_as_the_reference_does(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph of a compiled round, run op by op: native code of the same graph is checked against it when it is compiled."""
    monkeypatch.setattr(worker_group, "Compiler", Walker)
    updates = 15
    make_envs = partial(ClassicControlEnvs, PENDULUM, backend="tensor")
    setup = task(kind, "separate", monkeypatch, budget=Budget(max_updates=updates), make_envs=make_envs)
    reference = ReferenceTraining(setup, PENDULUM)
    for _ in range(updates):
        reference.update()
    driven = Driven(Deterministic(order="fixed"), replace(setup, compile=True)).finish().stop()
    assert driven.kind.worker_group._fused_rollout is not None
    torch.testing.assert_close(driven.kind.weights(), reference.weights[-1], rtol=0, atol=10 * DRIFT)
