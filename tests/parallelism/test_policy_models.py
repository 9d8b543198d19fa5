"""Policies over real numbers with networks that are not stacked, or have a memory: trained, compiled, resumed and evaluated."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.config.budget import Budget
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.evaluate.evaluator import Evaluator, EvaluatorConfig
from a3c_exp.models.conv_gru import ConvGRU
from a3c_exp.models.conv_net import ConvNet, RecurrentConvNet
from a3c_exp.models.heads import HeadConfig
from a3c_exp.models.multi_input import MultiInputNet
from a3c_exp.optimizers.sgd import SGD
from a3c_exp.parallelism import worker_group
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.parallelism.parameter_server.strategy import ParameterServer
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from tests.support.driving import Training, initial
from tests.support.single_process import MODELS, Driven, tiny_task
from tests.support.walker import Walker

UPDATES = 8
SMALL: dict[str, Any] = {"channels": (3, 5), "kernels": (4, 3), "strides": (2, 1)}
PICTURES = "tests.support.pictures:BytePictures-v0"
SDE = HeadConfig(use_sde=True, sde_sample_freq=3, log_std_init=-1.0)
LONG_SDE = HeadConfig(use_sde=True, sde_sample_freq=9, full_std=False, learn_features=True)
TASKS: dict[str, tuple[str, Any, HeadConfig]] = {
    "conv_gru, sde": (PICTURES, partial(ConvGRU, hidden_size=6, **SMALL), LONG_SDE),
    "nature_cnn, beta": (PICTURES, partial(ConvNet, hidden=(7,), **SMALL), HeadConfig(kind="beta")),
    "a3c_lstm, mixture": (PICTURES, partial(RecurrentConvNet, hidden=(7,), hidden_size=5, **SMALL), HeadConfig(kind="mixture")),
    "multi_input, sde": (
        "tests.support.pictures:PictureAndNumbers-v0",
        partial(MultiInputNet, picture_hidden=(7,), hidden=(6,), **SMALL),
        SDE,
    ),
    "lstm, sde": ("Pendulum-v1", MODELS["lstm"], LONG_SDE),
}


def task(name: str) -> TrainingSetup:
    env_id, model, head = TASKS[name]
    wrappers = [] if env_id == "Pendulum-v1" else ["tests.support.pictures.RealActions"]
    make_envs = partial(GymnasiumEnvs, env_id, wrappers=wrappers)
    # A convolution's bias before a norm has no gradient but rounding, of which Adam would make whole steps.
    settings: dict[str, Any] = {"optimizer": SGD(lr=0.05), "loss": LossConfig(entropy_coef=0.01), "max_grad_norm": 1.0}
    setup = tiny_task(workers=2, make_envs=make_envs, budget=Budget(max_updates=UPDATES), **settings)
    return replace(setup, make_model=partial(model, head=head))


@pytest.mark.parametrize("name", list(TASKS))
@pytest.mark.parametrize("strategy", [Deterministic, Synchronous])
def test_they_are_trained_resumed_compiled_and_evaluated(name: str, strategy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = task(name)
    whole = Driven(strategy(), setup).finish().stop().save()[0]
    assert whole.weights.isfinite().all() and (whole.weights - initial(setup).weights).abs().max() > 1e-3

    half = Driven(strategy(), setup).step(UPDATES // 2).stop().save()
    resumed = Driven(strategy(), setup, half).finish().stop().save()[0]
    assert torch.equal(resumed.weights, whole.weights) and resumed.env_steps == whole.env_steps

    monkeypatch.setattr(worker_group, "Compiler", Walker)
    compiled = Driven(strategy(), replace(setup, compile=True)).finish().stop()
    torch.testing.assert_close(compiled.kind.weights(), whole.weights, rtol=0, atol=1e-4)

    envs = setup.make_envs(num_envs=2)
    evaluator = Evaluator(*setup.model(envs), envs, EvaluatorConfig(3, deterministic=False, max_episode_steps=12), seed=0)
    once, again = (evaluator.evaluate(whole.weights, 0, 0, 0.0).returns for _ in range(2))
    assert once == again and len(once) == 3
    envs.close()


@pytest.mark.parametrize(
    ("name", "parallelism"), [("conv_gru, sde", Hogwild), ("multi_input, sde", ParameterServer), ("lstm, sde", Hogwild)]
)
def test_one_worker_process_trains_them_as_virtual_time_does(name: str, parallelism: Any) -> None:
    setup = task(name)
    ours = Training(parallelism(processes=1, pull_together=False), setup, initial(setup)).finish().parallelism.weights()
    theirs = Driven(Deterministic(order="fixed"), setup).finish().stop().kind.weights()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
