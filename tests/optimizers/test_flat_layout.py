"""All weights of a model as one vector: nothing is lost, moved or copied on the way."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from a3c_exp.core.errors import ConfigError
from a3c_exp.optimizers.flat import FlatLayout
from tests.models.small_gru import SmallGRU


def net() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.PReLU(), nn.Flatten(), nn.Linear(18, 3), nn.LayerNorm(3))


def test_a_layout_round_trips_every_parameter_under_its_name() -> None:
    for model in (net(), SmallGRU()):
        layout = FlatLayout.of(model)
        flat = layout.flatten(model)
        assert flat.shape == (layout.size,) == (sum(p.numel() for p in model.parameters()),)
        back = layout.unflatten(flat)
        assert list(back) == [name for name, _ in model.named_parameters()]
        for name, parameter in model.named_parameters():
            assert torch.equal(back[name], parameter)


def test_the_model_with_flat_weights_says_what_the_model_says() -> None:
    model, images = net(), torch.randn(2, 1, 5, 5)
    layout = FlatLayout.of(model)
    again = functional_call(net().requires_grad_(False), layout.unflatten(layout.flatten(model)), (images,))
    assert torch.equal(again, model(images))


def test_one_vector_shares_memory_with_its_views() -> None:
    """A pull or a push writes the vector; no parameter may be left behind."""
    layout = FlatLayout.of(net())
    flat = torch.zeros(layout.size)
    views = layout.unflatten(flat)
    flat.copy_(torch.arange(layout.size))
    assert torch.equal(torch.cat([view.reshape(-1) for view in views.values()]), flat)
    for view in views.values():
        view.fill_(-1.0)
    assert torch.equal(flat, torch.full((layout.size,), -1.0))


def test_a_flattened_vector_is_a_copy_and_does_not_train_the_module() -> None:
    model = net()
    layout = FlatLayout.of(model)
    flat = layout.flatten(model)
    assert not flat.requires_grad
    kept = layout.flatten(model)
    flat.zero_()
    assert torch.equal(layout.flatten(model), kept)


def test_gradients_flow_through_the_views_into_the_vector() -> None:
    model, images = net(), torch.randn(2, 1, 5, 5)
    layout = FlatLayout.of(model)
    flat = layout.flatten(model).requires_grad_()
    (gradient,) = torch.autograd.grad(functional_call(model, layout.unflatten(flat), (images,)).square().sum(), flat)
    model(images).square().sum().backward()
    assert torch.equal(gradient, torch.cat([parameter.grad.reshape(-1) for parameter in model.parameters()]))


@pytest.mark.parametrize("shape", [(7,), (1, 94), (2, 94)])
def test_a_vector_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    layout = FlatLayout.of(net())
    with pytest.raises(AssertionError, match="expected"):
        layout.unflatten(torch.zeros(shape))


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nn.BatchNorm2d(3), nn.InstanceNorm1d(3, track_running_stats=True)])
def test_running_statistics_are_refused(layer: nn.Module) -> None:
    with pytest.raises(ConfigError, match=r"layer 1 \(.*Norm.*keeps running statistics") as caught:
        FlatLayout.of(nn.Sequential(nn.Linear(2, 3), layer))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm1d(3, track_running_stats=False), nn.InstanceNorm1d(3), nn.GroupNorm(1, 3), nn.LayerNorm(3)]
)
def test_norms_without_running_statistics_are_welcome(layer: nn.Module) -> None:
    FlatLayout.of(nn.Sequential(nn.Linear(2, 3), layer))


def test_other_precisions_are_refused() -> None:
    with pytest.raises(AssertionError, match=r"float32: \['weight', 'bias'\]"):
        FlatLayout.of(nn.Linear(2, 3).double())


def test_a_shared_parameter_stands_in_the_vector_once() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    layout = FlatLayout.of(model)
    assert layout.size == 9 + 3 + 3

    def double(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: 2 * weight for name, weight in weights.items()}

    tied = functional_call(model, double(layout.unflatten(layout.flatten(model))), (torch.ones(3),))
    twice = 2 * (model[0].weight @ (2 * (model[0].weight.sum(1) + model[0].bias)) + model[1].bias)
    assert torch.allclose(tied, twice, rtol=1e-5)
