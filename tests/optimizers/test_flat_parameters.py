"""All weights of a model as one vector: nothing is lost, moved or copied on the way."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from a3c_exp.optimizers.flat_parameters import ParameterLayout
from a3c_exp.system.errors import ConfigError
from tests.support.rounding import assert_equal_to_rounding
from tests.support.small_gru import SmallGRU

SUMMED = 9 + 18 + 3
"""Terms of the sums that follow each other in ``net``: under a kernel, of the linear layer, of the norm."""


def net() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.PReLU(), nn.Flatten(), nn.Linear(18, 3), nn.LayerNorm(3))


def test_a_layout_round_trips_every_parameter_under_its_name() -> None:
    for model in (net(), SmallGRU()):
        layout = ParameterLayout.from_module(model)
        flat = layout.flatten(model)
        assert flat.shape == (layout.size,) == (sum(p.numel() for p in model.parameters()),)
        back = layout.unflatten(flat)
        assert list(back) == [name for name, _ in model.named_parameters()]
        for name, parameter in model.named_parameters():
            assert torch.equal(back[name], parameter)


def test_the_model_with_flat_weights_says_what_the_model_says() -> None:
    model, images = net(), torch.randn(2, 1, 5, 5)
    layout = ParameterLayout.from_module(model)
    again = functional_call(net().requires_grad_(False), layout.unflatten(layout.flatten(model)), (images,))
    # To rounding, here and below: in the vector a layer's weights begin elsewhere, and a kernel may be chosen by that.
    assert_equal_to_rounding(again, model(images), terms=SUMMED)


def test_one_vector_shares_memory_with_its_views() -> None:
    """A pull or a push writes the vector; no parameter may be left behind."""
    layout = ParameterLayout.from_module(net())
    flat = torch.zeros(layout.size)
    views = layout.unflatten(flat)
    flat.copy_(torch.arange(layout.size))
    assert torch.equal(torch.cat([view.reshape(-1) for view in views.values()]), flat)
    for view in views.values():
        view.fill_(-1.0)
    assert torch.equal(flat, torch.full((layout.size,), -1.0))


def test_a_flattened_vector_is_a_copy_and_does_not_train_the_module() -> None:
    model = net()
    layout = ParameterLayout.from_module(model)
    flat = layout.flatten(model)
    assert not flat.requires_grad
    kept = layout.flatten(model)
    flat.zero_()
    assert torch.equal(layout.flatten(model), kept)


def test_gradients_flow_through_the_views_into_the_vector() -> None:
    model, images = net(), torch.randn(2, 1, 5, 5)
    layout = ParameterLayout.from_module(model)
    flat = layout.flatten(model).requires_grad_()
    (gradient,) = torch.autograd.grad(functional_call(model, layout.unflatten(flat), (images,)).square().sum(), flat)
    model(images).square().sum().backward()
    assert_equal_to_rounding(gradient, torch.cat([p.grad.reshape(-1) for p in model.parameters()]), terms=SUMMED)


@pytest.mark.parametrize("shape", [(7,), (1, 94), (2, 94)])
def test_a_vector_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    layout = ParameterLayout.from_module(net())
    with pytest.raises(AssertionError, match="expected"):
        layout.unflatten(torch.zeros(shape))


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nn.BatchNorm2d(3), nn.InstanceNorm1d(3, track_running_stats=True)])
def test_running_statistics_are_refused(layer: nn.Module) -> None:
    with pytest.raises(ConfigError, match=r"layer 1 \(.*Norm.*keeps running statistics") as caught:
        ParameterLayout.from_module(nn.Sequential(nn.Linear(2, 3), layer))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm1d(3, track_running_stats=False), nn.InstanceNorm1d(3), nn.GroupNorm(1, 3), nn.LayerNorm(3)]
)
def test_norms_without_running_statistics_are_welcome(layer: nn.Module) -> None:
    ParameterLayout.from_module(nn.Sequential(nn.Linear(2, 3), layer))


class Learned(nn.Module):
    """One parameter, as given."""

    def __init__(self, parameter: nn.Parameter) -> None:
        super().__init__()
        self.weight = parameter

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


@pytest.mark.parametrize(
    ("parameter", "says"),
    [
        (nn.Parameter(torch.zeros(2, dtype=torch.float64)), "weight is float64, but shared weights are float32"),
        (nn.Parameter(torch.zeros(2, dtype=torch.bfloat16)), "weight is bfloat16, but shared weights are float32"),
        (nn.Parameter(torch.zeros(2, dtype=torch.complex64)), "weight is complex64, but shared weights are float32"),
        (nn.Parameter(torch.zeros(2, dtype=torch.int64), requires_grad=False), "weight is int64"),
        (nn.Parameter(torch.zeros(2), requires_grad=False), r"weight is frozen \(requires_grad=False\)"),
        (nn.UninitializedParameter(), "weight has no values yet"),
        (nn.Parameter(torch.zeros(2, device="meta")), "weight has no values yet"),
    ],
    ids=str,
)
def test_a_parameter_that_the_vector_cannot_hold_is_refused_in_one_line(parameter: nn.Parameter, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        ParameterLayout.from_module(nn.Sequential(nn.Linear(2, 2), Learned(parameter)))
    assert "parameter 1.weight" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_lazy_layer_is_named_before_it_is_met() -> None:
    with pytest.raises(ConfigError, match=r"parameter 1\.weight has no values yet"):
        ParameterLayout.from_module(nn.Sequential(nn.Linear(2, 2), nn.LazyLinear(3)))


def test_a_model_without_parameters_has_nothing_to_train() -> None:
    with pytest.raises(ConfigError, match="has no parameters"):
        ParameterLayout.from_module(nn.Sequential(nn.ReLU()))


class Counting(nn.Module):
    """Keeps a number besides its parameters."""

    def __init__(self, persistent: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("seen", torch.zeros(()), persistent=persistent)


class Remembering(nn.Linear):
    """Keeps something that is no tensor."""

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": 3}

    def set_extra_state(self, state: dict[str, int]) -> None:
        pass


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        (Counting(persistent=True), "seen"),
        (Remembering(2, 2), "_extra_state"),
        (nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2)), "parametrizations.weight.0._u"),
    ],
    ids=["buffer", "extra state", "spectral norm"],
)
def test_state_that_would_be_lost_is_refused(model: nn.Module, kept: str) -> None:
    """Training changes it in each worker by itself, and a checkpoint has no place for it."""
    with pytest.raises(ConfigError, match=f"the model keeps {kept} besides its parameters") as caught:
        ParameterLayout.from_module(model)
    assert "\n" not in str(caught.value)


def test_constants_are_welcome() -> None:
    layout = ParameterLayout.from_module(Counting(persistent=False))
    assert layout.names == ("layer.weight", "layer.bias")


def test_parametrized_layers_are_trained_through_their_own_parameters() -> None:
    model = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    layout, x = ParameterLayout.from_module(model), torch.ones(3)
    assert layout.size == 2 + 2 + 6
    flat = (2 * layout.flatten(model)).requires_grad_()  # twice the direction is the same direction: twice the scale remains
    output = functional_call(model, layout.unflatten(flat), (x,))
    assert torch.allclose(output, 2 * model(x), rtol=1e-5)
    (gradient,) = torch.autograd.grad(output.sum(), flat)
    assert torch.count_nonzero(gradient[:4]) == 4


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.append(nn.Linear(3, 3)),
        lambda model: model.pop(4),
        lambda model: setattr(model[3], "weight", nn.Parameter(torch.zeros(5, 18))),
    ],
    ids=["came", "went", "changed"],
)
def test_a_model_that_changed_since_its_layout_was_taken_is_noticed(change: Callable[[nn.Sequential], None]) -> None:
    model = net()
    layout = ParameterLayout.from_module(model)
    change(model)
    with pytest.raises(AssertionError, match="other parameters than its layout"):
        layout.flatten(model)


def test_parameters_side_by_side_in_one_memory_are_no_tie() -> None:
    """As where a GRU's weights are packed for a GPU, or a module's are views of one vector."""
    flat, layout = torch.zeros(94), ParameterLayout.from_module(net())
    model = net()
    nn.utils.vector_to_parameters(flat, model.parameters())
    assert len({parameter.untyped_storage().data_ptr() for parameter in model.parameters()}) == 1
    assert ParameterLayout.from_module(model) == layout


@pytest.mark.parametrize("view", [lambda weight: weight.T, lambda weight: weight[1:], lambda weight: weight[:, 1:]])
def test_two_parameters_in_one_memory_are_refused(view: Callable[[Tensor], Tensor]) -> None:
    """Tied by their storage they would be torn apart in the vector without a word."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = nn.Parameter(view(model[0].weight.detach()))
    with pytest.raises(ConfigError, match=r"0\.weight and 1\.weight share memory") as caught:
        ParameterLayout.from_module(model)
    assert "\n" not in str(caught.value)


def test_a_shared_parameter_stands_in_the_vector_once() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    layout = ParameterLayout.from_module(model)
    assert layout.size == 9 + 3 + 3

    def double(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: 2 * weight for name, weight in weights.items()}

    flat = layout.flatten(model).requires_grad_()
    (gradient,) = torch.autograd.grad(functional_call(model, layout.unflatten(flat), (torch.ones(3),)).sum(), flat)
    model(torch.ones(3)).sum().backward()
    assert torch.allclose(gradient[:9], model[0].weight.grad.reshape(-1))  # of both uses

    tied = functional_call(model, double(layout.unflatten(layout.flatten(model))), (torch.ones(3),))
    twice = 2 * (model[0].weight @ (2 * (model[0].weight.sum(1) + model[0].bias)) + model[1].bias)
    assert torch.allclose(tied, twice, rtol=1e-5)
