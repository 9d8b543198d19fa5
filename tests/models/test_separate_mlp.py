"""The report's networks, number for number, and nothing shared between them."""

import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch.nn import functional

from a3c_exp.models.distributions import Categorical, Normal
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from a3c_exp.system.errors import ConfigError

PENDULUM = Box(-8.0, 8.0, (3,)), Box(-2.0, 2.0, (1,))
NO_STATE = torch.zeros(0)


def test_the_reports_network_has_the_reports_layers() -> None:
    shapes = {name: tuple(parameter.shape) for name, parameter in SeparateMLP(*PENDULUM).named_parameters()}
    assert {name: shape for name, shape in shapes.items() if name.endswith("weight")} == {
        "actor.0.weight": (200, 3),
        "critic.0.weight": (100, 3),
        "policy.mean.weight": (1, 200),
        "policy.std.weight": (1, 200),
        "value.weight": (1, 100),
    }
    assert ParameterLayout.from_module(SeparateMLP(*PENDULUM)).size == 200 * 4 + 100 * 4 + 2 * 201 + 101


def test_actor_and_critic_share_no_weight() -> None:
    model = SeparateMLP(*PENDULUM)
    output = model(torch.ones(3), NO_STATE)
    parameters = dict(model.named_parameters())
    for loss, mine in ((output.value, ("critic.", "value.")), (output.parameters.sum(), ("actor.", "policy."))):
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        reached = {name for name, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
        assert reached == {name for name in parameters if name.startswith(mine)}


def test_the_network_is_the_one_that_is_written_in_the_report() -> None:
    model = SeparateMLP(*PENDULUM, seed=3)
    x = torch.tensor([7.0, -8.0, 5.0])  # far enough for relu6 to be told from relu
    actor, critic = (functional.relu6(layers[0](x)) for layers in (model.actor, model.critic))
    output = model(x, NO_STATE)
    mean = 2.0 * torch.tanh(model.policy.mean(actor))
    sigma = functional.softplus(model.policy.std(actor)) + 1e-4
    assert torch.allclose(output.parameters, torch.cat([mean, sigma]))
    assert torch.allclose(output.value, model.value(critic).squeeze(-1))


def test_a_value_has_no_trailing_dimension_of_one() -> None:
    for leading in ((), (4,), (2, 4)):
        output = SeparateMLP(*PENDULUM)(torch.ones(*leading, 3), torch.zeros(*leading, 0))
        assert output.value.shape == leading
        assert output.parameters.shape == (*leading, 2)
        assert output.hidden_state.shape == (*leading, 0)


def test_observations_of_several_dimensions_are_flattened_and_batches_are_not() -> None:
    model = SeparateMLP(Box(-1.0, 1.0, (2, 3)), Discrete(4), seed=2)
    batch = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(1))
    together = model(batch, NO_STATE)
    assert together.parameters.shape == (5, 4)
    assert torch.allclose(together.value[3], model(batch[3], NO_STATE).value, atol=1e-6)


def test_without_hidden_layers_the_network_is_linear() -> None:
    model = SeparateMLP(PENDULUM[0], Discrete(4), actor_hidden=(), critic_hidden=(), seed=2)
    x, y = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
    middle = model((x + y) / 2, NO_STATE)
    assert torch.allclose(middle.value, (model(x, NO_STATE).value + model(y, NO_STATE).value) / 2, atol=1e-6)
    assert ParameterLayout.from_module(model).size == 4 * 4 + 4


def test_the_family_fits_the_action_space() -> None:
    categorical, normal = (SeparateMLP(PENDULUM[0], space).distribution for space in (Discrete(4), Box(-1.0, 1.0, (2, 2))))
    assert isinstance(categorical, Categorical)
    assert categorical.n == 4
    assert isinstance(normal, Normal)
    assert normal.dimensions == 4


def test_training_and_evaluation_see_the_same_network() -> None:
    model, x = SeparateMLP(*PENDULUM), torch.ones(3)
    training = model.train()(x, NO_STATE)
    for one, same in zip(training, model.eval()(x, NO_STATE), strict=True):
        assert torch.equal(one, same)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"activation": "rleu"}, "model.activation is rleu"),
        ({"orthogonal": True}, "model.orthogonal=true and model.weight_std=0.1 are two ways"),
    ],
)
def test_an_impossible_network_is_refused_with_what_to_type(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        SeparateMLP(*PENDULUM, **arguments)
    assert "Try " in str(caught.value)
    assert "\n" not in str(caught.value)
