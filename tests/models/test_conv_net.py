"""DQN's network and those of the A3C paper, against torch's own layers."""

import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

from a3c_exp.algorithm.types import LearnerConfig, Window
from a3c_exp.algorithm.window_gradient import functional_forward, replay, window_loss
from a3c_exp.compile.compiler import Compiler
from a3c_exp.compile.vectorize import vectorize
from a3c_exp.config.compose import compose_jobs
from a3c_exp.models.base import ActorCritic
from a3c_exp.models.conv_net import ConvNet, RecurrentConvNet
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run
from tests.support.rounding import assert_equal_to_rounding

ATARI, SMALL = Box(0.0, 1.0, (4, 84, 84)), Box(0.0, 1.0, (2, 20, 18))
TINY = {"channels": (3, 5), "kernels": (4, 3), "strides": (2, 1), "hidden": (7,), "seed": 1}
N = 5


def bytes_of(space: Box, *leading: int, seed: int = 3) -> Tensor:
    return torch.randint(0, 256, (*leading, *space.shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def tiny(recurrent: bool) -> ActorCritic:
    return RecurrentConvNet(SMALL, Discrete(4), hidden_size=6, **TINY) if recurrent else ConvNet(SMALL, Discrete(4), **TINY)


def window(model: ActorCritic, *leading: int) -> Window:
    generator = torch.Generator().manual_seed(4)
    nothing = torch.zeros(*leading, N)
    last, first = nothing.clone(), nothing.clone()
    last[..., -1] = 1.0
    first[..., 2] = 1.0
    return Window(
        observation=bytes_of(SMALL, *leading, N),
        action=torch.randint(0, 4, (*leading, N), generator=generator),
        reward=torch.randn(*leading, N, generator=generator),
        terminated=nothing.bool(),
        trajectory_end=last.bool(),
        next_value=nothing.clone(),
        valid=torch.ones(*leading, N),
        episode_start=first,
        hidden_state=torch.randn(*leading, model.hidden_state_size, generator=generator),
    )


@pytest.mark.parametrize(
    ("name", "layers", "features"),
    [
        ("nature_cnn", [nn.Conv2d(4, 32, 8, 4), nn.Conv2d(32, 64, 4, 2), nn.Conv2d(64, 64, 3, 1), nn.Linear(3136, 512)], 512),
        ("a3c_ff", [nn.Conv2d(4, 16, 8, 4), nn.Conv2d(16, 32, 4, 2), nn.Linear(2592, 256)], 256),
        ("a3c_lstm", [nn.Conv2d(4, 16, 8, 4), nn.Conv2d(16, 32, 4, 2), nn.Linear(2592, 256)], 256),
    ],
)
def test_the_named_networks_are_the_published_ones(name: str, layers: list[nn.Module], features: int) -> None:
    """The same numbers as torch's layers with the same weights, for bytes and for what the bytes stand for."""
    pytest.importorskip("ale_py")
    (job,) = compose_jobs(["env=atari", f"model={name}", "compile=false"], multirun=False)
    setup = build_run(job.config).setup
    envs = setup.make_envs(num_envs=1)
    model, _ = setup.model(envs)
    envs.close()
    parameters = list(model.parameters())
    theirs = nn.Sequential()
    for layer in layers:
        theirs.extend([layer, nn.ReLU()] if isinstance(layer, nn.Conv2d) else [nn.Flatten(), layer, nn.ReLU()])
    cell = nn.LSTMCell(features, 256) if name == "a3c_lstm" else None
    policy, value = nn.Linear(features, 6), nn.Linear(features, 1)
    modules = [theirs, *([cell] if cell else []), policy, value]
    own = [parameter for module in modules for parameter in module.parameters()]
    assert [parameter.shape for parameter in parameters] == [parameter.shape for parameter in own]
    with torch.no_grad():
        for ours, other in zip(parameters, own, strict=True):
            other.copy_(ours)
        observed, state = bytes_of(ATARI, 3), torch.randn(3, model.hidden_state_size)
        output = functional_forward(model, dict(model.named_parameters()), observed, state)
        assert torch.equal(output.parameters, functional_forward(model, {}, observed.float() / 255, state).parameters)
        hidden = theirs(observed.float() / 255)
        if cell is not None:
            hidden, memory = cell(hidden, tuple(state.chunk(2, dim=-1)))
            assert_equal_to_rounding(output.hidden_state, torch.cat([hidden, memory], dim=-1), 2600)
        assert_equal_to_rounding(output.parameters, policy(hidden), 3200)
        assert_equal_to_rounding(output.value, value(hidden).squeeze(-1), 3200)


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("leading", [(), (3,)])
def test_a_window_is_replayed_as_it_was_acted(recurrent: bool, leading: tuple[int, ...]) -> None:
    model = tiny(recurrent)
    given = window(model, *leading)
    weights = dict(model.named_parameters())
    replayed = replay(model, weights, given)
    state = given.hidden_state
    for t in range(N):
        state = state * (1.0 - given.episode_start[..., t : t + 1])
        output = functional_forward(model, weights, given.observation.select(len(leading), t), state)
        state = output.hidden_state
        assert torch.allclose(output.value, replayed.value[..., t], rtol=1e-4, atol=1e-6)
        assert torch.allclose(output.parameters, replayed.parameters.select(len(leading), t), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_workers_with_weights_of_their_own_learn_from_bytes_as_alone_from_numbers(recurrent: bool, compiled: bool) -> None:
    model = tiny(recurrent)
    layout = ParameterLayout.from_module(model)
    weights = layout.flatten(model) + 0.1 * torch.randn(2, layout.size, generator=torch.Generator().manual_seed(2))
    loss = window_loss(model, layout, LearnerConfig(n_step=N))
    given = window(model, 2)
    compiler = Compiler() if compiled else None
    gradients, _ = vectorize(loss, weights, tuple(given), stackable=False, differentiate=True, compiler=compiler)(*given)
    assert compiler is None or compiler.num_compiled == 1
    for row, gradient in enumerate(gradients):
        leaf = weights[row].clone().requires_grad_()
        own = Window(*(field[row] for field in given))
        alone = loss(leaf, *own._replace(observation=own.observation.float() / 255))[0]
        (expected,) = torch.autograd.grad(alone, leaf)
        assert torch.allclose(gradient, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


def test_orthogonal_weights_are_orthogonal() -> None:
    model = RecurrentConvNet(SMALL, Discrete(4), hidden_size=6, orthogonal=True, **TINY)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            rows = parameter.detach().flatten(1)
            smaller = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
            gain = 0.01 if "policy" in name else 1.0 if "cell" in name or "value" in name else 2**0.5
            assert torch.allclose(smaller, gain**2 * torch.eye(len(smaller)), atol=1e-5), name
        else:
            assert not parameter.any(), name


@pytest.mark.parametrize(
    ("space", "arguments", "says"),
    [
        (
            Box(-1.0, 1.0, (3,)),
            {},
            r"model=nature_cnn reads images \[channels, height, width\], but this environment observes Box",
        ),
        (Box(0.0, 1.0, (84, 84, 3)), {}, "channels last"),
        (Box(0.0, 1.0, (4, 30, 84)), {}, "leave nothing of images of 30x84"),
        (ATARI, {"channels": (3,)}, "have 1, 3 and 3 numbers"),
        (ATARI, {"strides": (4, 0, 1)}, "each number is at least 1"),
    ],
)
def test_an_impossible_network_is_refused_with_what_to_type(space: Box, arguments: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ConvNet(space, Discrete(4), **arguments)
