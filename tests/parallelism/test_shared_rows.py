"""Workers with equal weights: one row serves them all, and what they do and learn is what each does and learns alone."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from a3c_exp.config.budget import Budget
from a3c_exp.config.compose import compose_jobs
from a3c_exp.models.base import PolicyValue
from a3c_exp.models.conv_net import ConvNet
from a3c_exp.optimizers.adam import Adam
from a3c_exp.optimizers.base import Optimizer
from a3c_exp.optimizers.rmsprop import RMSprop
from a3c_exp.optimizers.sgd import SGD
from a3c_exp.parallelism import group_gradient
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.group_gradient import SharedRowGradient
from a3c_exp.parallelism.hogwild.shared_parameters import _PART, SharedWeights
from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.parallelism.multiprocess.base import MultiprocessStrategy
from a3c_exp.parallelism.parameter_server.strategy import ParameterServer
from a3c_exp.parallelism.worker_group import WorkerGroup, WorkerId
from a3c_exp.training.build import build_run
from tests.support.driving import Training, initial
from tests.support.pushing import block_for, ledger_for

PICTURES = ("env=gymnasium", "env.id=tests.support.pictures:Pictures-v0", "n_step=4", "max_grad_norm=0.5")
SMALL = ("model.channels=[4,6]", "model.kernels=[4,3]", "model.strides=[2,1]")
CONV_NET = ("model=nature_cnn", *SMALL, "model.hidden=[300]")
MODELS = {
    "conv_gru": ("model=conv_gru", *SMALL, "model.hidden_size=8", "bptt=2"),
    "lstm": ("model=a3c_lstm", *SMALL, "model.hidden=[9]"),
    "conv_net": (
        *CONV_NET,
        "normalize.reward=true",
        "gae_lambda=0.9",
        "per_worker.beta={kind: values, values: [0.1, 0, 0.2]}",
    ),
    "multi_input": ("env.id=tests.support.pictures:PictureAndNumbers-v0", "model=multi_input"),
}


def setup_of(*overrides: str) -> TrainingSetup:
    (job,) = compose_jobs([*PICTURES, "workers=3", "compile=false", *overrides], multirun=False)
    return build_run(job.config).setup


def group(setup: TrainingSetup, equal_weights: bool, share_weights: bool = False) -> WorkerGroup:
    ids = [WorkerId(0, worker) for worker in range(3)]
    return WorkerGroup(setup, ids, *np.zeros((2, 3), np.int64), lambda _: True, share_weights, equal_weights)


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Gradients that were computed for all windows at once."""
    names: list[str] = []
    original = group_gradient.replayed

    def spy(*arguments: Any) -> Any:
        names.append(arguments[3])
        return original(*arguments)

    monkeypatch.setattr(group_gradient, "replayed", spy)
    return names


@pytest.mark.parametrize("model", MODELS)
def test_one_row_gives_what_rows_of_the_same_weights_give(model: str, replayed: list[str]) -> None:
    setup = setup_of(*MODELS[model])
    own, shared = group(setup, False), group(setup, True)
    assert len(own.weights) == 3 and len(shared.weights) == 1
    assert shared._kept_layers
    for allowed in ([4, 4, 4], [4, 2, 0]):
        alone, together = own.round(np.array(allowed)), shared.round(np.array(allowed))
        acted = np.array(allowed) > 0
        assert alone.steps.tolist() == together.steps.tolist() and alone.ended == together.ended
        torch.testing.assert_close(together.gradients[acted], alone.gradients[acted], rtol=1e-3, atol=2e-5)
        np.testing.assert_allclose(together.window_stats[acted], alone.window_stats[acted], rtol=1e-3, atol=1e-4)
        assert [together.row(worker) for worker in range(3)] == [0, 1, 2]
    assert replayed, "windows went through the network one by one"


@pytest.mark.parametrize("model", ["conv_gru", "conv_net"])
def test_one_update_of_all_windows_is_the_same_with_what_acting_left(model: str, replayed: list[str]) -> None:
    setup = setup_of(*MODELS[model])
    plain, keeping = group(setup, False, share_weights=True), group(setup, True, share_weights=True)
    assert len(plain.weights) == len(keeping.weights) == 1
    for allowed in ([4, 4, 4], [4, 2, 0]):
        one, other = plain.round(np.array(allowed)), keeping.round(np.array(allowed))
        torch.testing.assert_close(other.gradients, one.gradients, rtol=1e-3, atol=2e-5)
        np.testing.assert_allclose(other.window_stats, one.window_stats, rtol=1e-3, atol=1e-4)
    assert replayed


@pytest.mark.parametrize(("error", "is_shared"), [(3e-4, True), (1e-2, False)])
def test_windows_are_computed_together_where_that_rounds_and_not_where_it_is_wrong(
    error: float, is_shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = SharedRowGradient._together

    def off(self: SharedRowGradient, *inputs: Tensor) -> tuple[Tensor, ...]:
        gradients, *rest = together(self, *inputs)
        return gradients + error * gradients.abs().max(), *rest

    monkeypatch.setattr(SharedRowGradient, "_together", off)
    workers = group(setup_of(*MODELS["conv_gru"]), True)
    workers.round(np.array([4, 4, 4]))
    assert workers._shared_gradient is not None and workers._shared_gradient.is_shared is is_shared


class Tied(ConvNet):
    """Uses a layer's weights outside that layer, too."""

    def forward(self, observation: Tensor, hidden_state: Tensor) -> PolicyValue:
        output = super().forward(observation, hidden_state)
        return output._replace(value=output.value + self.value.weight.square().sum())


def test_a_network_that_cannot_be_shared_sees_windows_one_by_one(replayed: list[str]) -> None:
    small = {"channels": (4, 6), "kernels": (4, 3), "strides": (2, 1), "hidden": (9,)}
    setup = replace(setup_of(*CONV_NET), make_model=partial(Tied, **small))
    own, shared = group(setup, False), group(setup, True)
    alone, together = own.round(np.full(3, 4)), shared.round(np.full(3, 4))
    assert len(shared.weights) == 1 and not replayed
    torch.testing.assert_close(together.gradients, alone.gradients, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("parallelism", [Hogwild(processes=1), ParameterServer(processes=1)])
def test_who_pulls_together_has_the_lag_of_those_before_it(parallelism: MultiprocessStrategy) -> None:
    setup = replace(setup_of(*CONV_NET), budget=Budget(max_env_steps=60))
    training = Training(parallelism, setup, initial(setup)).finish()
    state, _ = training.parallelism.snapshot()
    assert state.updates == training.stats.windows == 15
    assert training.stats.lag_histogram[:4].tolist() == [5, 5, 5, 0]
    assert state.weights.isfinite().all()


@pytest.mark.parametrize("optimizer", [SGD(1e-2, momentum=0.5), RMSprop(1e-2, eps=1e-5), Adam(1e-2)])
def test_pushes_in_parts_of_the_weights_are_pushes_one_after_another(optimizer: Optimizer, tmp_path: Path) -> None:
    size = 2 * _PART + 24
    weights, gradients = torch.randn(size), torch.randn(3, size)
    state, into, rates = torch.zeros(optimizer.state_rows, size), torch.zeros(2, size), np.array([1e-2, 2e-2, 1e-3])
    shared = SharedWeights(block_for(weights, state, tmp_path, locked=False), ledger_for(1), 0, optimizer)
    lags, pulled_at = shared.push_each_then_pull(list(gradients), into, np.array([0, 0, -2]), rates)
    for i, (gradient, rate) in enumerate(zip(gradients, rates.tolist(), strict=True)):
        optimizer.step(weights, gradient, state, i, rate)
    assert torch.equal(into[0], weights) and torch.equal(into[1], weights)
    assert torch.equal(shared.read()[1], state)
    assert (lags.tolist(), pulled_at, shared.updates()) == ([0, 1, 4], 3, 3)
