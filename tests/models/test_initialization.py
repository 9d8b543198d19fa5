"""Weights as they were asked for, in every model, from the seed alone."""

import math
from collections.abc import Callable

import pytest
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from a3c_exp.models.base import ActorCritic
from a3c_exp.models.cells import Cell
from a3c_exp.models.recurrent_mlp import RecurrentMLP
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.models.shared_mlp import SharedMLP
from a3c_exp.optimizers.flat_parameters import ParameterLayout

SPACES = Box(-1.0, 1.0, (60,)), Box(-1.0, 1.0, (2,))
MODELS: dict[str, Callable[..., ActorCritic]] = {
    "separate": lambda **how: SeparateMLP(*SPACES, actor_hidden=(80, 40), critic_hidden=(50,), **how),
    "shared": lambda **how: SharedMLP(*SPACES, hidden=(80, 40), **how),
    "gru": lambda **how: RecurrentMLP(*SPACES, hidden=(50,), hidden_size=40, **how),
    "lstm": lambda **how: RecurrentMLP(*SPACES, hidden=(50,), hidden_size=40, cell="lstm", **how),
}
WAYS = [
    pytest.param({"weight_std": 0.1}, id="normal"),
    pytest.param({"weight_std": None}, id="own"),
    pytest.param({"weight_std": None, "orthogonal": True}, id="orthogonal"),
]
every_model = pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in MODELS.items()])


def flat(model: ActorCritic) -> Tensor:
    return ParameterLayout.from_module(model).flatten(model)


@every_model
@pytest.mark.parametrize("way", WAYS)
def test_the_seed_alone_decides_the_weights(make: Callable[..., ActorCritic], way: dict[str, object]) -> None:
    """Whatever was drawn before in this process: every worker process must begin with the same network."""
    torch.manual_seed(1)
    first = flat(make(seed=5, **way))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again = make(seed=5, **way)
    assert torch.equal(torch.get_rng_state(), before), "making a network draws from nobody else's stream"
    assert torch.equal(flat(again), first)
    for (name, one), (_, other) in zip(again.named_parameters(), make(seed=6, **way).named_parameters(), strict=True):
        assert torch.equal(one, other) == bool(torch.count_nonzero(one) == 0), name


@every_model
@pytest.mark.parametrize("std", [0.1, 0.5])
def test_normal_weights_have_the_std_that_was_asked_for_and_all_biases_are_zero(
    make: Callable[..., ActorCritic], std: float
) -> None:
    for name, parameter in make(weight_std=std, seed=1).named_parameters():
        if parameter.dim() == 1:
            assert torch.count_nonzero(parameter) == 0, name
            continue
        count = parameter.numel()  # a bound of five standard errors
        assert parameter.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * count)), name
        assert abs(parameter.mean().item()) < 5 * std / math.sqrt(count), name


@every_model
def test_each_layers_own_initialization_is_torchs(make: Callable[..., ActorCritic]) -> None:
    """Uniform within 1 / sqrt(inputs), biases too; a cell's within 1 / sqrt(memory)."""
    for layer in make(weight_std=None, seed=1).modules():
        if isinstance(layer, nn.Linear | Cell):
            bound = 1 / math.sqrt(layer.in_features if isinstance(layer, nn.Linear) else layer.hidden_size)
            for parameter in layer.parameters():
                assert parameter.abs().max().item() <= bound
                if parameter.numel() > 60:
                    assert parameter.abs().max().item() > 0.9 * bound
                    assert parameter.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.25)


def singular_values(weight: Tensor) -> Tensor:
    return torch.linalg.svdvals(weight.detach())


@every_model
def test_orthogonal_weights_stretch_every_direction_by_their_gain(make: Callable[..., ActorCritic]) -> None:
    seen = set()
    for name, parameter in make(weight_std=None, orthogonal=True, seed=1).named_parameters():
        part = name.split(".")[0]
        seen.add(part)
        if parameter.dim() == 1:
            assert torch.count_nonzero(parameter) == 0, name
            continue
        gain = {"policy": 0.01, "value": 1.0, "cell": 1.0}.get(part, math.sqrt(2))
        stretched = singular_values(parameter)
        torch.testing.assert_close(stretched, torch.full_like(stretched, gain), rtol=1e-4, atol=1e-6)
    assert {"policy", "value"} < seen
