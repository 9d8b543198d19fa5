"""Weights as they were asked for, from the seed alone, and networks that share nothing."""

import math

import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import nn
from torch.nn import functional

from a3c_exp.core.distributions import Categorical, Normal
from a3c_exp.core.errors import ConfigError
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.optimizers.flat import FlatLayout

PENDULUM = Box(-8.0, 8.0, (3,)), Box(-2.0, 2.0, (1,))
NO_STATE = torch.zeros(0)


def flat(seed: int = 0, weight_std: float | None = 0.1) -> torch.Tensor:
    model = SeparateMLP(*PENDULUM, seed=seed, weight_std=weight_std)
    return FlatLayout.of(model).flatten(model)


def test_the_reports_network_has_the_reports_layers() -> None:
    shapes = {name: tuple(parameter.shape) for name, parameter in SeparateMLP(*PENDULUM).named_parameters()}
    assert {name: shape for name, shape in shapes.items() if name.endswith("weight")} == {
        "actor.0.weight": (200, 3),
        "critic.0.weight": (100, 3),
        "policy.mean.weight": (1, 200),
        "policy.std.weight": (1, 200),
        "value.weight": (1, 100),
    }
    assert FlatLayout.of(SeparateMLP(*PENDULUM)).size == 200 * 4 + 100 * 4 + 2 * 201 + 101


def test_weights_are_drawn_with_the_std_that_was_asked_for_and_biases_are_zero() -> None:
    for std in (0.1, 0.5):
        model = SeparateMLP(*PENDULUM, actor_hidden=(200, 200), critic_hidden=(200, 200), weight_std=std, seed=1)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                assert torch.count_nonzero(parameter) == 0, name
                continue
            count = parameter.numel()  # a bound of five standard errors
            assert parameter.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * count)), name
            assert abs(parameter.mean().item()) < 5 * std / math.sqrt(count), name


def test_without_a_std_each_layer_keeps_torchs_own_initialisation() -> None:
    """Uniform within 1 / sqrt(inputs), biases too: not a Gaussian and not zero."""
    model = SeparateMLP(*PENDULUM, actor_hidden=(200, 200), critic_hidden=(200, 200), weight_std=None, seed=1)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            bound = 1 / math.sqrt(layer.in_features)
            assert 0.5 * bound < layer.bias.abs().max().item() <= bound or layer.bias.numel() < 10
            assert 0.9 * bound < layer.weight.abs().max().item() <= bound
            assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.15)


@pytest.mark.parametrize("weight_std", [0.1, None])
def test_the_seed_alone_decides_the_weights(weight_std: float | None) -> None:
    """Whatever was drawn before in this process: every worker process must begin with the same network."""
    torch.manual_seed(1)
    first = flat(seed=5, weight_std=weight_std)
    torch.manual_seed(2)
    torch.rand(3)
    assert torch.equal(flat(seed=5, weight_std=weight_std), first)
    assert not torch.isclose(flat(seed=6, weight_std=weight_std), first).all()


@pytest.mark.parametrize("weight_std", [0.1, None])
def test_making_a_network_leaves_the_global_random_state_alone(weight_std: float | None) -> None:
    before = torch.get_rng_state()
    SeparateMLP(*PENDULUM, weight_std=weight_std, seed=5)
    assert torch.equal(torch.get_rng_state(), before)


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
        assert output.state.shape == (*leading, 0)


def test_observations_of_several_dimensions_are_flattened_and_batches_are_not() -> None:
    model = SeparateMLP(Box(-1.0, 1.0, (2, 3)), Discrete(4), seed=2)
    batch = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(1))
    together = model(batch, NO_STATE)
    assert together.parameters.shape == (5, 4)
    assert torch.allclose(together.value[3], model(batch[3], NO_STATE).value, atol=1e-6)


def test_the_family_fits_the_action_space() -> None:
    categorical, normal = (SeparateMLP(PENDULUM[0], space).family for space in (Discrete(4), Box(-1.0, 1.0, (2, 2))))
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
        ({"actor_hidden": ()}, "model.actor_hidden is \\[\\]"),
        ({"critic_hidden": (100, 0)}, "model.critic_hidden is \\[100, 0\\]"),
        ({"weight_std": 0.0}, "model.weight_std is 0.0"),
    ],
)
def test_an_impossible_network_is_refused_with_what_to_type(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        SeparateMLP(*PENDULUM, **arguments)
    assert "Try " in str(caught.value)
    assert "\n" not in str(caught.value)
