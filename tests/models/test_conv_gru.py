"""The CarRacing article's network, against the article's own layers."""

import math

import pytest
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from torch import Tensor, nn

from a3c_exp.algorithm.types import LearnerConfig, Window
from a3c_exp.algorithm.window_gradient import functional_forward, replay, window_loss
from a3c_exp.compile.op_trace import OpRecorder
from a3c_exp.compile.vectorize import vectorize
from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.conv_gru import ConvGRU
from a3c_exp.models.conv_layers import Norm, NormedConv, NormKind
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from a3c_exp.system.errors import ConfigError
from tests.support.article_agent import Agent
from tests.support.rounding import assert_equal_to_rounding

PUBLISHED, SMALL = Box(0.0, 1.0, (4, 96, 96)), Box(0.0, 1.0, (2, 20, 18))
N = 5
FIRST = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0])


def small(**arguments: object) -> ConvGRU:
    return ConvGRU(SMALL, Discrete(4), **{"hidden_size": 8, "seed": 1, **arguments})


def shaken(model: ConvGRU, layout: ParameterLayout) -> Tensor:
    """Weights with which no norm is an identity, no slope its first, and no two biases are alike."""
    return layout.flatten(model) + 0.05 * torch.randn(layout.size, generator=torch.Generator().manual_seed(2))


def pictures(space: Box, *leading: int, seed: int = 3) -> Tensor:
    return torch.rand(*leading, *space.shape, generator=torch.Generator().manual_seed(seed))


def window(space: Box, state_size: int, *leading: int) -> Window:
    generator = torch.Generator().manual_seed(4)
    nothing = torch.zeros(*leading, N)
    last = nothing.clone()
    last[..., -1] = 1.0
    return Window(
        observation=pictures(space, *leading, N),
        action=torch.randint(0, 4, (*leading, N), generator=generator),
        reward=torch.randn(*leading, N, generator=generator),
        terminated=nothing.bool(),
        trajectory_end=last.bool(),
        next_value=nothing.clone(),
        valid=torch.ones(*leading, N),
        episode_start=FIRST.expand(*leading, N).clone(),
        hidden_state=torch.randn(*leading, state_size, generator=generator),
    )


@pytest.mark.parametrize("bptt", [None, 1, 2])
@pytest.mark.parametrize("space", [SMALL, PUBLISHED], ids=["small", "published"])
def test_a_window_says_and_teaches_what_the_articles_agent_does(space: Box, bptt: int | None) -> None:
    """With ``bptt`` 1 it is ``self.h = h.detach()`` after every step; each parameter's gradient is compared by itself."""
    model = ConvGRU(space, Discrete(4), hidden_size=16, seed=1)
    layout = ParameterLayout.from_module(model)
    flat, given = shaken(model, layout), window(space, 16)
    reference = Agent(model, layout.unflatten(flat))
    mark = torch.randn(N, 5, generator=torch.Generator().manual_seed(5))

    def score(output: PolicyValue) -> Tensor:
        return (mark[:, :4] * output.parameters).sum() + (mark[:, 4] * output.value).sum()

    leaf = flat.clone().requires_grad_()
    said, want = replay(model, layout.unflatten(leaf), given, bptt), reference.live(given, bptt)
    for one, same in zip(said, want, strict=True):
        torch.testing.assert_close(one, same, rtol=1e-4, atol=1e-4)
    (gradient,) = torch.autograd.grad(score(said), leaf)
    wanted = torch.autograd.grad(score(want), list(reference.parameters()))
    for (name, own), theirs in zip(layout.unflatten(gradient).items(), wanted, strict=True):
        scale = theirs.abs().max().item()
        assert scale > 0, name
        torch.testing.assert_close(own, theirs, rtol=1e-3, atol=1e-4 * scale, msg=lambda said, name=name: f"{name}: {said}")


def test_gradients_that_are_cut_are_others_than_those_that_are_not() -> None:
    """Or the comparison above would be blind to the cut."""
    model = small()
    layout = ParameterLayout.from_module(model)
    weights, given = layout.flatten(model).unsqueeze(0), tuple(window(SMALL, 8, 1))
    gradients = []
    for bptt in (None, 1, 2, N, 100):
        loss = window_loss(model, layout, LearnerConfig(n_step=N, bptt=bptt))
        gradients.append(vectorize(loss, weights, given, stackable=False, differentiate=True)(*given)[0][0])
    whole, step, two, window_long, longer = gradients
    assert min((one - other).abs().max() for one, other in ((whole, step), (whole, two), (step, two))) > 1e-4
    # From a window's start nothing reaches back anyway: as long as the window is as good as none.
    assert torch.equal(whole, window_long) and torch.equal(whole, longer)


@pytest.mark.parametrize("norm", list(NormKind))
def test_training_and_evaluation_are_one_function_and_change_nothing(norm: NormKind) -> None:
    model = small(norm=norm)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    seen, state = pictures(SMALL, 3), torch.randn(3, 8)
    trained = model.train()(seen, state)
    evaluated = model.eval()(seen, state)
    with torch.inference_mode():
        asked = model(seen, state)
    for one, same, third in zip(trained, evaluated, asked, strict=True):
        assert torch.equal(one, same), "train() and eval() are the same code"
        torch.testing.assert_close(third, same, rtol=1e-5, atol=1e-5)  # without a gradient the norm is fused otherwise
    assert not dict(model.named_buffers())
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


@pytest.mark.parametrize("norm", list(NormKind))
def test_what_it_says_of_a_picture_hangs_on_no_other_picture(norm: NormKind) -> None:
    """Other neighbors in a batch of the same size: to the bit. Another size takes other kernels: to rounding."""
    model = small(norm=norm)
    seen, state = pictures(SMALL, 8), torch.randn(8, 8, generator=torch.Generator().manual_seed(6))
    others = seen.clone()
    others[1:] = 100.0 * pictures(SMALL, 7, seed=7)
    together = model(seen, state)
    for one, same in zip(together, model(others, state), strict=True):
        assert torch.equal(one[0], same[0])
        assert not torch.equal(one[1:], same[1:])
    for size in (1, 3, 8):
        for one, same in zip(model(seen[:size], state[:size]), together, strict=True):
            torch.testing.assert_close(one, same[:size], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("leading", [(), (3,)])
def test_a_window_is_replayed_as_it_was_acted(leading: tuple[int, ...]) -> None:
    """One worker's, and that of three who share their weights."""
    model = small()
    layout = ParameterLayout.from_module(model)
    weights = layout.unflatten(shaken(model, layout))
    given = window(SMALL, 8, *leading)
    state, acted = given.hidden_state, []
    with torch.inference_mode():
        for t in range(N):
            state = state * (1.0 - given.episode_start[..., t]).unsqueeze(-1)
            acted.append(functional_forward(model, weights, given.observation[..., t, :, :, :], state))
            state = acted[-1].hidden_state
    for replayed, steps in zip(replay(model, weights, given), zip(*acted, strict=True), strict=True):
        torch.testing.assert_close(replayed, torch.stack(steps, dim=len(leading)), rtol=1e-4, atol=1e-5)


def test_workers_with_weights_of_their_own_learn_as_alone() -> None:
    """To rounding: their rows begin elsewhere in memory than alone, and which kernel a product takes may depend on that.

    The longest sums are those of the first kernel's gradient, over 10 x 9 places of 5 pictures.
    """
    model = small()
    layout = ParameterLayout.from_module(model)
    weights = torch.stack([layout.flatten(model), shaken(model, layout), -shaken(model, layout)])
    given = window(SMALL, 8, 3)
    loss = window_loss(model, layout, LearnerConfig(n_step=N))
    together = vectorize(loss, weights, tuple(given), model.stackable, differentiate=True)(*given)
    for k in range(3):
        own, row = tuple(field[k : k + 1] for field in given), weights[k : k + 1].clone()
        alone = vectorize(loss, row, own, model.stackable, differentiate=True)(*own)
        for one, same in zip(together, alone, strict=True):
            assert_equal_to_rounding(one[k], same[0], terms=10 * 9 * N)


@pytest.mark.parametrize("kind", list(NormKind))
def test_the_first_layers_gradient_is_autograds_without_the_pictures(kind: NormKind) -> None:
    """Where a picture's own gradient is asked for (to see what the network looks at), torch differentiates; both agree."""
    generator = torch.Generator().manual_seed(8)
    for kernel, stride, padding in ((4, 2, 1), (3, 1, 1), (5, 3, 2)):
        layer = NormedConv(Norm(3, kind), nn.Conv2d(3, 6, kernel, stride, padding))
        for parameter in layer.parameters():
            nn.init.normal_(parameter, 0.3, 0.7, generator)
        seen = torch.rand(4, 3, 11, 13, generator=generator)
        said = layer(seen)
        asked = layer(seen.requires_grad_())
        torch.testing.assert_close(said, asked, rtol=1e-4, atol=1e-4)
        mark = torch.randn(said.shape, generator=generator)
        own = torch.autograd.grad((mark * said).sum(), list(layer.parameters()))
        theirs = torch.autograd.grad((mark * asked).sum(), [*layer.parameters(), seen])
        assert theirs[-1].abs().max() > 0
        for (name, _), one, same in zip(layer.named_parameters(), own, theirs[:-1], strict=True):
            torch.testing.assert_close(one, same, rtol=1e-3, atol=1e-3, msg=lambda text, name=name: f"{name}: {text}")


def test_a_negative_slope_is_differentiated_like_any_other() -> None:
    model = small()
    layout = ParameterLayout.from_module(model)
    flat = shaken(model, layout)
    weights = layout.unflatten(flat)
    for i, slope in enumerate((-0.3, 0.0, 1.0, 2.0)):
        weights[f"activations.{i}.weight"].fill_(slope)
    given, leaf = window(SMALL, 8), flat.clone().requires_grad_()
    reference = Agent(model, weights)
    (own,) = torch.autograd.grad(replay(model, layout.unflatten(leaf), given).value.sum(), leaf)
    theirs = torch.autograd.grad(reference.live(given, None).value.sum(), list(reference.parameters()), materialize_grads=True)
    theirs_flat = torch.cat([tensor.reshape(-1) for tensor in theirs])
    torch.testing.assert_close(own, theirs_flat, rtol=1e-3, atol=1e-4 * theirs_flat.abs().max().item())


def test_nothing_in_it_reads_a_number_out_of_a_tensor() -> None:
    """A trace, and code compiled from it, would keep that number for ever, whatever became of the weights."""
    model = small()
    layout = ParameterLayout.from_module(model)
    weights, given = layout.flatten(model).unsqueeze(0), tuple(window(SMALL, 8, 1))
    gradient = vectorize(window_loss(model, layout, LearnerConfig()), weights, given, stackable=False, differentiate=True)
    with OpRecorder() as tape:
        gradient(*given)
    done = {str(operation[0]) for operation in tape.operations}
    assert "aten.convolution_backward.default" in done
    assert not [name for name in done if "_local_scalar_dense" in name or "is_nonzero" in name]


def test_weights_are_drawn_as_published() -> None:
    model = ConvGRU(PUBLISHED, Discrete(4), seed=1)
    assert model.hidden_state_size == 256 and model.cell.weight_ih.shape == (3 * 256, 1152)
    assert ParameterLayout.from_module(model).size == 1_114_065  # that of the article's listing, parameter by parameter
    gain = nn.init.calculate_gain("leaky_relu")
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert torch.equal(layer.bias, torch.full_like(layer.bias, 0.01))
            taps = layer.weight[0, 0].numel()
            bound = gain * math.sqrt(6 / (taps * (layer.weight.shape[0] + layer.weight.shape[1])))
            assert 0.95 * bound < layer.weight.abs().max().item() <= bound
            assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    assert torch.count_nonzero(model.cell.bias_ih) == torch.count_nonzero(model.cell.bias_hh) == 0
    assert 0.95 / 16 < model.cell.weight_hh.abs().max().item() <= 1 / 16  # torch's own
    assert all(layer.weight.item() == 0.25 for layer in model.modules() if isinstance(layer, nn.PReLU))
    norms = [layer for layer in model.modules() if isinstance(layer, Norm)]
    assert len(norms) == 2 and all(torch.equal(norm.weight, torch.ones_like(norm.weight)) for norm in norms)


def test_orthogonal_weights_are_orthogonal() -> None:
    model = small(orthogonal=True)
    kernel = model.convs[1].weight.flatten(1)
    torch.testing.assert_close(kernel @ kernel.T, 2.0 * torch.eye(32), rtol=1e-3, atol=1e-4)
    assert model.policy.logits.weight.norm(dim=1).max() < 0.011
    assert all(torch.count_nonzero(layer.bias) == 0 for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear))


@pytest.mark.parametrize(
    "actions",
    [Box(-1.0, 1.0, (3,)), MultiDiscrete([3, 2]), MultiBinary(2), Dict(turn=Discrete(3), gas=Box(0.0, 1.0, (1,)))],
    ids=["Box", "MultiDiscrete", "MultiBinary", "Dict"],
)
def test_it_acts_in_any_space(actions: Space) -> None:
    model: ActorCritic = ConvGRU(SMALL, actions, hidden_size=8)
    for leading in ((), (2,), (2, 3)):
        output = model(pictures(SMALL, *leading), torch.zeros(*leading, 8))
        noise = torch.rand(*leading, model.distribution.noise_size)
        action = model.distribution.sample(output.parameters, noise)
        assert model.distribution.log_prob(output.parameters, action).shape == output.value.shape == leading


@pytest.mark.parametrize(
    ("space", "arguments", "says"),
    [
        (
            Box(-1.0, 1.0, (3,)),
            {},
            r"model=conv_gru reads images \[channels, height, width\], but this environment observes Box",
        ),
        (Box(0.0, 1.0, (96, 96)), {}, "this environment observes Box"),
        (Discrete(3), {}, "this environment observes Discrete"),
        (Box(0.0, 1.0, (96, 96, 3)), {}, r"are \[96, 96, 3\], channels last"),
        (SMALL, {"kernels": (4, 3, 9, 3)}, "leave nothing of images of 20x18"),
        (Box(0.0, 1.0, (2, 10, 10)), {}, "model.norm=instance takes each channel's mean away"),
        (SMALL, {"channels": (8, 8)}, "have 2, 4 and 4 numbers"),
        (SMALL, {"channels": ()}, r"model.channels is \[\]"),
        (SMALL, {"strides": (2, 2, 0, 2)}, r"model.strides is \[2, 2, 0, 2\]"),
    ],
)
def test_an_impossible_network_is_refused_with_what_to_type(space: Space, arguments: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        ConvGRU(space, Discrete(4), **arguments)
    assert "Try " in str(caught.value)
    assert "\n" not in str(caught.value)
