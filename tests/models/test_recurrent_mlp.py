"""A memory that is carried, cut, replayed and stacked as it was when acting."""

import itertools
import warnings
from collections.abc import Iterator

import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn
from torch.func import functional_call

from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.algorithm.types import LearnerConfig, Window
from a3c_exp.algorithm.window_gradient import functional_forward, replay, window_loss
from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.compile.vectorize import vectorize
from a3c_exp.config.compose import compose_jobs
from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.recurrent_mlp import RecurrentMLP
from a3c_exp.models.shared_mlp import SharedMLP
from a3c_exp.optimizers.adam import Adam
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run
from tests.support.rounding import assert_equal_to_rounding

STAT = StatisticsTable().columns

K, N = 3, 6
SUMMED = N * (2 + 5 + 4 + 4)
"""Terms of the sums that follow each other: of inputs, of the body's units, of what is remembered, at each step of a window."""
BOX, CHOICE = Box(-1.0, 1.0, (2,)), Discrete(3)
VARIANTS = [
    pytest.param(dict(zip(("cell", "hidden"), chosen, strict=True)), id=f"{chosen[0]}{chosen[1]}")
    for chosen in itertools.product(("gru", "lstm"), ((), (5, 4)))
]


def small(**arguments: object) -> RecurrentMLP:
    return RecurrentMLP(BOX, CHOICE, **{"hidden_size": 4, "seed": 1, **arguments})


class Reference(nn.Module):
    """The same network out of torch's own layers, for one worker, step by step."""

    def __init__(self, model: RecurrentMLP, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.body = nn.Sequential()
        for layer in model.body:
            self.body.extend([nn.Linear(layer.in_features, layer.out_features), nn.ReLU()])
        inputs, memory = model.cell.weight_ih.shape[1], model.cell.hidden_size
        self.lstm = model.hidden_state_size == 2 * memory
        self.cell = nn.LSTMCell(inputs, memory) if self.lstm else nn.GRUCell(inputs, memory)
        self.logits, self.value = nn.Linear(memory, 3), nn.Linear(memory, 1)
        with torch.no_grad():  # in the same order, so that gradients come in the same order
            for own, given in zip(self.parameters(), weights.values(), strict=True):
                own.copy_(given)

    def live(self, observation: Tensor, state: Tensor, first: Tensor) -> PolicyValue:
        outputs = []
        h, *c = (part.unsqueeze(0) for part in state.chunk(2 if self.lstm else 1))
        for t in range(len(observation)):
            if first[t]:
                h, *c = (torch.zeros_like(part) for part in (h, *c))
            seen = self.body(observation[t]).unsqueeze(0)
            if self.lstm:
                h, *c = self.cell(seen, (h, *c))[0], self.cell(seen, (h, *c))[1]
            else:
                h = self.cell(seen, h)
            outputs.append((self.logits(h[0]), self.value(h[0])[0], torch.cat([h, *c], dim=-1)[0]))
        return PolicyValue(*(torch.stack(parts) for parts in zip(*outputs, strict=True)))


def window(state_size: int, seed: int = 3) -> Window:
    """Worker 0 goes on and on, worker 1 begins an episode at once and again at step 3, worker 2 at steps 1 and 2."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.zeros(K, N)
    first[1, [0, 3]] = first[2, [1, 2]] = 1.0
    nothing = torch.zeros(K, N)
    return Window(
        observation=torch.randn(K, N, 2, generator=generator),
        action=torch.randint(0, 3, (K, N), generator=generator),
        reward=nothing,
        terminated=nothing.bool(),
        trajectory_end=nothing.bool(),
        next_value=nothing,
        valid=torch.ones(K, N),
        episode_start=first,
        hidden_state=torch.randn(K, state_size, generator=generator),
    )


def own_weights(layout: ParameterLayout, model: ActorCritic) -> Tensor:
    """``[K, P]``, another set for each worker."""
    return layout.flatten(model) + 0.3 * torch.randn(K, layout.size, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def no_fallback() -> Iterator[None]:
    """Neither vmap's loop over what it cannot stack nor a tape thrown away."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_layout_holds_every_weight(variant: dict[str, object]) -> None:
    model = small(**variant)
    layout = ParameterLayout.from_module(model)
    gates = {"gru": 3, "lstm": 4}[str(variant["cell"])]
    body, features = (0, 2) if variant["hidden"] == () else (2 * 5 + 5 + 5 * 4 + 4, 4)
    assert layout.size == body + gates * 4 * (features + 4 + 2) + 3 * 5 + 5
    assert {f"cell.{name}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")} <= set(layout.names)
    assert model.hidden_state_size == {"gru": 4, "lstm": 8}[str(variant["cell"])]
    given = torch.ones(2), torch.ones(model.hidden_state_size)
    again = functional_call(small(**variant, weight_std=1.0), layout.unflatten(layout.flatten(model)), given)
    for one, same in zip(again, model(*given), strict=True):
        assert_equal_to_rounding(one, same, terms=SUMMED)


@pytest.mark.parametrize("variant", VARIANTS)
def test_replay_is_the_network_of_torchs_own_layers_and_so_is_its_gradient(variant: dict[str, object]) -> None:
    """Through the whole window, for each worker with its own weights, all stacked in one."""
    model = small(**variant)
    layout = ParameterLayout.from_module(model)
    weights, given = own_weights(layout, model), window(model.hidden_state_size)
    mark = torch.randn(N, 4, generator=torch.Generator().manual_seed(4))

    def score(flat: Tensor, *fields: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        output = replay(model, layout.unflatten(flat), Window(*fields))
        total = (mark[:, :3] * output.parameters).sum() + (mark[:, 3] * output.value).sum()
        return total, output.parameters.detach(), output.hidden_state.detach()

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        stacked = vectorize(score, weights, tuple(given), differentiate=True)
    for _ in range(3):
        gradients, parameters, states = stacked(*given)
        for k in range(K):
            reference = Reference(model, layout.unflatten(weights[k]))
            want = reference.live(given.observation[k], given.hidden_state[k], given.episode_start[k])
            total = (mark[:, :3] * want.parameters).sum() + (mark[:, 3] * want.value).sum()
            wanted = torch.cat([gradient.reshape(-1) for gradient in torch.autograd.grad(total, list(reference.parameters()))])
            torch.testing.assert_close(gradients[k], wanted, rtol=1e-3, atol=1e-5)
            torch.testing.assert_close(parameters[k], want.parameters, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(states[k], want.hidden_state, rtol=1e-4, atol=1e-5)
        weights.add_(0.02)  # a pull of other weights, into the same memory


@pytest.mark.usefixtures("no_fallback")
@pytest.mark.parametrize("variant", VARIANTS)
def test_replay_says_what_acting_said(variant: dict[str, object]) -> None:
    """Step by step as a rollout acts, or the gradient would be of another policy than the one that acted.

    To rounding: a window's steps are the rows of one product, where acting has a product for each.
    """
    model = small(**variant)
    layout = ParameterLayout.from_module(model)
    weights, given = own_weights(layout, model), window(model.hidden_state_size)

    def act(flat: Tensor, observation: Tensor, state: Tensor) -> tuple[Tensor, ...]:
        return tuple(functional_forward(model, layout.unflatten(flat), observation, state))

    acting = vectorize(act, weights, (given.observation[:, 0], given.hidden_state))
    again = vectorize(
        lambda flat, *fields: tuple(replay(model, layout.unflatten(flat), Window(*fields))), weights, tuple(given)
    )
    state, acted = given.hidden_state, []
    for t in range(N):
        state = state * (given.episode_start[:, t] == 0).unsqueeze(-1)
        kept = state.clone()
        acting(given.observation[:, 0], state)  # asking about something else on the way changes nothing
        acted.append(acting(given.observation[:, t], state))
        assert torch.equal(state, kept)
        state = acted[-1][2]
    for replayed, steps in zip(again(*given), zip(*acted, strict=True), strict=True):
        assert_equal_to_rounding(replayed, torch.stack(steps, dim=1), terms=SUMMED)


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_episodes_beginning_cuts_memory_and_gradient(variant: dict[str, object]) -> None:
    model = small(**variant)
    weights = ParameterLayout.from_module(model).unflatten(ParameterLayout.from_module(model).flatten(model))
    first = torch.tensor([0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    observation, state = torch.randn(N, 2).requires_grad_(), torch.randn(model.hidden_state_size).requires_grad_()
    given = Window(*(field[0] for field in window(model.hidden_state_size)))._replace(
        observation=observation, hidden_state=state, episode_start=first
    )
    output = replay(model, weights, given)
    before, after = output.value[:3].sum(), output.value[3:].sum()
    seen, remembered = torch.autograd.grad(after, [observation, state], retain_graph=True)
    assert torch.count_nonzero(seen[:3]) == torch.count_nonzero(remembered) == 0
    assert torch.count_nonzero(seen[3:]) == 6
    seen, remembered = torch.autograd.grad(before, [observation, state])
    assert torch.count_nonzero(seen[:3]) == 6
    assert torch.count_nonzero(remembered) == model.hidden_state_size


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_state_is_there_whatever_the_leading_shape(variant: dict[str, object]) -> None:
    model = small(**variant)
    for leading in ((), (4,), (2, 4)):
        output = model(torch.ones(*leading, 2), torch.zeros(*leading, model.hidden_state_size))
        assert output.value.shape == leading
        assert output.parameters.shape == (*leading, 3)
        assert output.hidden_state.shape == (*leading, model.hidden_state_size)


def final_error(model: ActorCritic) -> float:
    """Mean square error of the values, after training, where the reward at the end is what was seen at the beginning."""
    k, n = 8, 4
    layout = ParameterLayout.from_module(model)
    adam, flat = Adam(2e-2), layout.flatten(model)
    state, weights = torch.zeros(2, layout.size), layout.flatten(model).repeat(k, 1)
    cue = torch.tensor([-1.0, 1.0]).repeat(k // 2)
    observation, reward, last, first = torch.zeros(k, n, 2), *torch.zeros(3, k, n)
    observation[:, 0, 0] = reward[:, -1] = cue
    last[:, -1] = first[:, 0] = 1.0
    given = Window(
        observation, torch.zeros(k, n, dtype=torch.int64), reward, last.bool(), last.bool(), torch.zeros(k, n),
        torch.ones(k, n), first, torch.zeros(k, model.hidden_state_size),
    )  # fmt: skip
    loss = window_loss(model, layout, LearnerConfig(gamma=1.0, n_step=n, loss=LossConfig(value_coef=1.0)))
    stacked = vectorize(loss, weights, tuple(given), differentiate=True)
    for update in range(150):
        gradients, figures = stacked(*given)
        adam.step(flat, gradients.mean(0), state, update, adam.lr)
        weights.copy_(flat)
    return float(figures[:, STAT["value_loss"]].mean())


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_memory_tells_what_the_observation_does_not(cell: str) -> None:
    """Behind the first step all observations are alike: without a memory three steps of four stay a coin toss."""
    assert final_error(small(cell=cell, hidden_size=8)) < 0.05
    assert final_error(SharedMLP(BOX, CHOICE, hidden=(8,))) > 0.7


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"activation": "rleu"}, "model.activation is rleu"),
        ({"orthogonal": True, "weight_std": 0.1}, "two ways to draw the same weights"),
    ],
)
def test_an_impossible_network_is_refused_with_what_to_type(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        small(**arguments)
    assert "Try " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "overrides", [["model.cell=lstm", "model.hidden_size=16"], ["model.hidden=[]", "model.orthogonal=true"]]
)
def test_the_command_line_reaches_every_option(overrides: list[str]) -> None:
    (job,) = compose_jobs(["model=recurrent_mlp", *overrides], multirun=False)
    made = build_run(job.config)
    keywords = made.setup.make_model.keywords
    assert (
        made.initial_states[0].weights.numel()
        == ParameterLayout.from_module(RecurrentMLP(Box(-1.0, 1.0, (3,)), Box(-2.0, 2.0, (1,)), **keywords)).size
    )
    assert keywords["cell"] == ("lstm" if "model.cell=lstm" in overrides else "gru")
