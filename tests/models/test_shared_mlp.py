"""The notebook's network, number for number, and alone or stacked the same."""

import warnings

import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

from a3c_exp.algorithm.window_gradient import functional_forward
from a3c_exp.compile.vectorize import vectorize
from a3c_exp.config.compose import compose_jobs
from a3c_exp.models.distributions import Categorical, Normal
from a3c_exp.models.shared_mlp import SharedMLP
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run

CARTPOLE = Box(-5.0, 5.0, (4,)), Discrete(2)
NO_STATE = torch.zeros(0)
K = 6


def test_the_notebooks_network_has_the_notebooks_layers() -> None:
    model = SharedMLP(*CARTPOLE)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    assert {name: shape for name, shape in shapes.items() if name.endswith("weight")} == {
        "body.0.weight": (128, 4),
        "body.1.weight": (128, 128),
        "policy.logits.weight": (2, 128),
        "value.weight": (1, 128),
    }
    assert ParameterLayout.from_module(model).size == 128 * 5 + 128 * 129 + 3 * 129


@pytest.mark.parametrize(("name", "activation"), [("relu", nn.ReLU()), ("relu6", nn.ReLU6()), ("tanh", nn.Tanh())])
def test_the_network_is_the_one_that_is_written_in_the_notebook(name: str, activation: nn.Module) -> None:
    model = SharedMLP(*CARTPOLE, hidden=(8, 6), activation=name, weight_std=2.0, seed=3)
    body = nn.Sequential(nn.Linear(4, 8), activation, nn.Linear(8, 6), activation)
    logits, value = nn.Linear(6, 2), nn.Linear(6, 1)
    with torch.no_grad():
        layers = nn.ModuleList([body, logits, value])
        for theirs, ours in zip(layers.parameters(), model.parameters(), strict=True):
            theirs.copy_(ours)
    x = 3 * torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    output = model(x, NO_STATE)
    torch.testing.assert_close(output.parameters, logits(body(x)))
    torch.testing.assert_close(output.value, value(body(x)).squeeze(-1))


def test_policy_and_value_both_train_the_body() -> None:
    model = SharedMLP(*CARTPOLE, hidden=(8, 6))
    output = model(torch.ones(4), NO_STATE)
    parameters = dict(model.named_parameters())
    for loss, other in ((output.value, "policy."), (output.parameters[0], "value.")):
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True, retain_graph=True)
        missed = {name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None}
        assert missed == {name for name in parameters if name.startswith(other)}


@pytest.mark.parametrize("differentiate", [False, True], ids=["acting", "gradient"])
def test_six_stacked_workers_are_six_workers(differentiate: bool) -> None:
    model = SharedMLP(*CARTPOLE, hidden=(16, 16), seed=1)
    layout = ParameterLayout.from_module(model)
    weights = layout.flatten(model) + 0.3 * torch.randn(K, layout.size, generator=torch.Generator().manual_seed(2))
    observation = torch.randn(K, 5, 4, generator=torch.Generator().manual_seed(3))

    def score(flat: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        output = functional_forward(model, layout.unflatten(flat), observed, NO_STATE)
        return output.value.square().sum() - model.distribution.entropy(output.parameters).sum(), output.parameters.detach()

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        stacked = vectorize(score, weights, (observation,), model.stackable, differentiate)
    for _ in range(3):
        first, parameters = stacked(observation)
        for k in range(K):
            flat = weights[k].clone().requires_grad_(differentiate)
            want, said = score(flat, observation[k])
            if differentiate:
                (want,) = torch.autograd.grad(want, flat)
            torch.testing.assert_close(first[k], want, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(parameters[k], said, rtol=1e-4, atol=1e-5)
        weights.mul_(0.9)


def test_a_value_has_no_trailing_dimension_of_one() -> None:
    for leading in ((), (4,), (2, 4)):
        output = SharedMLP(*CARTPOLE)(torch.ones(*leading, 4), torch.zeros(*leading, 0))
        assert output.value.shape == leading
        assert output.parameters.shape == (*leading, 2)
        assert output.hidden_state.shape == (*leading, 0)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (2, 3, 2)])
def test_observations_are_flattened_and_batches_are_not(shape: tuple[int, ...]) -> None:
    model = SharedMLP(Box(-1.0, 1.0, shape), Discrete(4), hidden=(5,), seed=2)
    batch = torch.randn(5, *shape, generator=torch.Generator().manual_seed(1))
    together = model(batch, NO_STATE)
    assert together.parameters.shape == (5, 4)
    for one, value in zip(batch, together.value, strict=True):
        assert torch.allclose(model(one, NO_STATE).value, value, atol=1e-6)


def test_the_family_fits_the_action_space() -> None:
    categorical, normal = (SharedMLP(CARTPOLE[0], space).distribution for space in (Discrete(3), Box(-1.0, 1.0, (2, 2))))
    assert isinstance(categorical, Categorical)
    assert categorical.n == 3
    assert isinstance(normal, Normal)
    assert normal.dimensions == 4


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"activation": "rleu"}, "model.activation is rleu, but it is one of relu,"),
    ],
)
def test_an_impossible_network_is_refused_with_what_to_type(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        SharedMLP(*CARTPOLE, **arguments)
    assert "Try " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_on_cartpole_the_option_alone_is_the_notebooks_network() -> None:
    plain = ["normalize.observation=false", "normalize.reward=false"]
    (job,) = compose_jobs(["env=gymnasium", "env.id=CartPole-v1", "model=shared_mlp", *plain], multirun=False)
    made = build_run(job.config).initial_states[0].weights
    model = SharedMLP(*CARTPOLE, seed=job.config.seed)
    assert torch.equal(made, ParameterLayout.from_module(model).flatten(model))
