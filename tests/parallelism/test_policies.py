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
HEADS = {
    "squashed_gaussian": HeadConfig(kind="squashed_gaussian"),
    "beta": HeadConfig(kind="beta"),
    "sde": HeadConfig(use_sde=True, sde_sample_freq=3, log_std_init=-1.0),
    "sde, long": HeadConfig(use_sde=True, sde_sample_freq=9, full_std=False, learn_features=True),
}
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


class StateDependentNoise:
    """The Gaussian whose variance is that of the features times sigma, summed."""

    def __init__(self, parameters: Tensor) -> None:
        mean, scaled = parameters[..., :1], parameters[..., 1:]
        self.law = distributions.Normal(mean, torch.sqrt((scaled**2).sum(-1, keepdim=True) + 1e-6))

    def log_prob(self, action: Tensor) -> Tensor:
        return self.law.log_prob(action).sum(-1)

    def entropy(self) -> Tensor:
        return self.law.entropy().sum(-1)


POLICIES: dict[str, Callable[[Tensor], Any]] = {
    "squashed_gaussian": Squashed,
    "beta": Beta,
    "sde": StateDependentNoise,
    "sde, long": StateDependentNoise,
}


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


@pytest.mark.parametrize(
    ("kind", "parallelism"),
    [
        ("squashed_gaussian", Hogwild),
        ("beta", ParameterServer),
        ("sde, long", Hogwild),
        ("sde", ParameterServer),
    ],
)
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


@pytest.mark.parametrize("strategy", [Deterministic, Synchronous])
def test_an_exploration_that_outlives_a_window_is_resumed_exactly(
    strategy: type[Deterministic] | type[Synchronous], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between two windows that share their noise; a worker's count of windows tells all of it."""
    setup = task("sde, long", "gru", monkeypatch, budget=Budget(max_updates=14))
    whole = Driven(strategy(), setup).finish().save()[0]
    saved = Driven(strategy(), setup).step(7).stop().save()
    assert any(count % 2 for count in saved[0].rounds.tolist())
    again = Driven(strategy(), setup, saved).finish().save()[0]
    assert torch.equal(whole.weights, again.weights)
    assert whole.env_steps == again.env_steps
