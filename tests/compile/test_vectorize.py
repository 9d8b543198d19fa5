"""K workers at once against the same workers one by one, and the trace against what was traced."""

import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from gymnasium.spaces import Box, Discrete, Space
from torch import Tensor
from torch.func import vmap

from a3c_exp.algorithm.window_gradient import functional_forward
from a3c_exp.compile.vectorize import PerWorkerFunction, equal_to_rounding, outputs_match, same_bits, vectorize
from a3c_exp.models.base import ActorCritic
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from tests.support.rounding import assert_equal_to_rounding
from tests.support.small_gru import SmallGRU

K = 4
CALLS = 5  # the executor optimizes after a few calls; what it then gives must be the same


def mlp(space: Space) -> SeparateMLP:
    return SeparateMLP(Box(-1.0, 1.0, (2,)), space, actor_hidden=(5,), critic_hidden=(3,), seed=1)


MODELS: dict[str, Callable[[], ActorCritic]] = {
    "normal": lambda: mlp(Box(-2.0, 2.0, (2,))),
    "categorical": lambda: mlp(Discrete(3)),
    "recurrent": SmallGRU,
}


def acting(model: ActorCritic, layout: ParameterLayout) -> PerWorkerFunction:
    def act(flat: Tensor, observation: Tensor, state: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        output = functional_forward(model, layout.unflatten(flat), observation, state)
        return model.distribution.sample(output.parameters, noise), output.value

    return act


def scoring(model: ActorCritic, layout: ParameterLayout) -> PerWorkerFunction:
    def score(flat: Tensor, observation: Tensor, state: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        output = functional_forward(model, layout.unflatten(flat), observation, state)
        loss = (output.value**2).sum() + (output.hidden_state * 0.3).sum() - model.distribution.entropy(output.parameters).sum()
        return loss, output.parameters.detach() + noise.mean()

    return score


def inputs(model: ActorCritic, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(K, 2, generator=generator),
        torch.randn(K, model.hidden_state_size, generator=generator),
        torch.rand(K, model.distribution.noise_size, generator=generator),
    )


def own_weights(layout: ParameterLayout, model: ActorCritic, seed: int) -> Tensor:
    """``[K, P]``, another set for each worker."""
    return layout.flatten(model) + 0.3 * torch.randn(K, layout.size, generator=torch.Generator().manual_seed(seed))


def one_by_one(function: PerWorkerFunction, weights: Tensor, given: tuple[Tensor, ...], differentiate: bool) -> list[Tensor]:
    rows = []
    for k in range(weights.shape[0]):
        flat = weights[k].clone().requires_grad_(differentiate)
        first, *rest = function(flat, *(tensor[k] for tensor in given))
        if differentiate:
            (first,) = torch.autograd.grad(first, flat)
        rows.append((first.detach(), *rest))
    return [torch.stack(column) for column in zip(*rows, strict=True)]


def untraced(function: PerWorkerFunction, weights: Tensor, given: tuple[Tensor, ...], differentiate: bool) -> list[Tensor]:
    """Plain vmap over the workers, in plain autograd."""
    leaf = weights.clone().requires_grad_(differentiate)
    first, *rest = vmap(function)(leaf, *given)
    if differentiate:
        (first,) = torch.autograd.grad(first.sum(), leaf)
    return [result.detach() for result in (first, *rest)]


@pytest.fixture
def no_fallback() -> Iterator[None]:
    """A tape that is not used would make these tests pass for the wrong reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


@pytest.mark.usefixtures("no_fallback")
@pytest.mark.parametrize("differentiate", [False, True], ids=["forward", "gradient"])
@pytest.mark.parametrize("name", list(MODELS))
def test_stacked_is_worker_by_worker_and_traced_is_untraced_to_the_bit(name: str, differentiate: bool) -> None:
    model = MODELS[name]()
    layout = ParameterLayout.from_module(model)
    weights = own_weights(layout, model, seed=2)
    before = weights.clone()
    function = (scoring if differentiate else acting)(model, layout)
    stacked = vectorize(function, weights, inputs(model, seed=3), differentiate=differentiate)
    assert torch.equal(weights, before)  # proving the tape disturbs nothing

    for step in range(CALLS):
        given = inputs(model, seed=10 + step)
        with torch.no_grad():
            got = stacked(*given)
        for ours, plain in zip(got, untraced(function, weights, given, differentiate), strict=True):
            assert torch.equal(ours, plain)
            assert not ours.requires_grad
        for ours, plain in zip(got, one_by_one(function, weights, given, differentiate), strict=True):
            assert torch.allclose(ours, plain, rtol=1e-4, atol=1e-6)
        weights.copy_(own_weights(layout, model, seed=20 + step))  # a pull: in place


@pytest.mark.parametrize(("error", "accepted"), [(3e-4, True), (1e-2, False)])
def test_compiled_code_may_round_but_not_be_wrong(error: float, accepted: bool) -> None:
    def reference(x: Tensor) -> tuple[Tensor, ...]:
        return (4.0 * x - 1.0,)

    def candidate(x: Tensor) -> tuple[Tensor, ...]:
        (result,) = reference(x)
        return (result + error * result.abs().max(),)

    assert outputs_match(candidate, reference, torch.zeros(2, 3), [torch.zeros(50)], equal_to_rounding) is accepted
    assert not outputs_match(candidate, reference, torch.zeros(2, 3), [torch.zeros(50)], same_bits)


@pytest.mark.parametrize("differentiate", [False, True], ids=["forward", "gradient"])
@pytest.mark.parametrize("name", ["normal", "recurrent"])
def test_the_loop_for_models_that_do_not_stack_agrees(name: str, differentiate: bool) -> None:
    """To rounding: a row begins elsewhere in memory than its copy, and which kernel a product takes may depend on that."""
    model = MODELS[name]()
    layout = ParameterLayout.from_module(model)
    weights = own_weights(layout, model, seed=4)
    function = (scoring if differentiate else acting)(model, layout)
    looped = vectorize(function, weights, inputs(model, seed=5), stackable=False, differentiate=differentiate)
    for step in range(2):
        given = inputs(model, seed=30 + step)
        for one, plain in zip(looped(*given), one_by_one(function, weights, given, differentiate), strict=True):
            assert_equal_to_rounding(one, plain, terms=2 + 5 + 4)  # of inputs, of hidden units, of what is remembered
            assert not one.requires_grad
        weights.mul_(0.5)


@pytest.mark.usefixtures("no_fallback")
def test_results_are_new_tensors_and_do_not_change_behind_the_back() -> None:
    weights, ones = torch.ones(K, 3), torch.ones(K, 3)
    stacked = vectorize(lambda flat, x: (flat * x, x + 1), weights, (ones,))
    first, second = stacked(ones)
    stacked(5 * ones)
    weights.fill_(9.0)
    assert torch.equal(first, ones)
    assert torch.equal(second, 2 * ones)


@pytest.mark.usefixtures("no_fallback")
def test_each_gradient_is_of_its_own_workers_loss_alone() -> None:
    weights = torch.arange(K * 2, dtype=torch.float32).reshape(K, 2)
    scale = torch.tensor([1.0, 10.0, 100.0, 1000.0])
    stacked = vectorize(lambda flat, x: ((flat**2).sum() * x,), weights, (torch.ones(K),), differentiate=True)
    assert torch.equal(stacked(scale)[0], 2 * weights * scale.unsqueeze(-1))


@pytest.mark.usefixtures("no_fallback")
@pytest.mark.parametrize(("bias", "inner"), [((3, 5), 15), ((5,), 700)], ids=["matrix", "vector"])
def test_a_product_that_begins_with_a_bias_is_traced_as_one(bias: tuple[int, ...], inner: int) -> None:
    """The executor makes a product and a sum of it, which round otherwise: the whole loss of a GRU ran untraced for that."""
    generator = torch.Generator().manual_seed(7)
    weights = torch.randn(1, 5 * inner, generator=generator)

    def product(flat: Tensor, start: Tensor, left: Tensor) -> tuple[Tensor]:
        return (torch.addmm(start, left, flat.view(inner, 5)),)

    def given() -> tuple[Tensor, Tensor]:
        return torch.randn(1, *bias, generator=generator), torch.randn(1, 3, inner, generator=generator)

    traced = vectorize(product, weights, given())
    for _ in range(CALLS):
        start, left = given()
        (expected,) = product(weights[0], start[0], left[0])
        assert torch.equal(traced(start, left)[0][0], expected)


# Functions that a trace would get wrong. Each must be refused, or run untraced with a warning; never be silently wrong.

_calls = 0


def counts_its_calls(flat: Tensor, x: Tensor) -> tuple[Tensor]:
    global _calls
    _calls += 1
    return (flat * (x if _calls % 2 else -x),)


def escaped(batched: Tensor) -> float:
    """A number out of all workers' values, past the guard of vmap; it depends on their order too."""
    values = torch._C._functorch.get_unwrapped(batched).flatten()
    return sum(place * float(value) for place, value in enumerate(values, start=1))


def bakes_in_a_number_from_its_input(flat: Tensor, x: Tensor) -> tuple[Tensor]:
    return (flat * escaped(x),)


def bakes_in_a_number_from_its_weights(flat: Tensor, x: Tensor) -> tuple[Tensor]:
    return (x * escaped(flat),)


def mixes_up_an_input_given_twice(flat: Tensor, x: Tensor, same: Tensor) -> tuple[Tensor]:
    return (flat * x - same,)


@pytest.mark.parametrize(
    ("function", "examples"),
    [
        (bakes_in_a_number_from_its_input, (torch.ones(K, 3),)),
        (bakes_in_a_number_from_its_input, (torch.tensor([[0], [1], [2], [3]]),)),
        (bakes_in_a_number_from_its_input, (torch.eye(K, 3, dtype=torch.bool),)),
        (bakes_in_a_number_from_its_weights, (torch.ones(K, 3),)),
        (mixes_up_an_input_given_twice, (torch.ones(K, 3),) * 2),
    ],
    ids=["float input", "integer input", "bool input", "weights", "one input twice"],
)
def test_a_wrong_trace_is_discarded_with_a_warning(function: PerWorkerFunction, examples: tuple[Tensor, ...]) -> None:
    weights = torch.rand(K, 3, generator=torch.Generator().manual_seed(6))
    before = weights.clone()
    with pytest.warns(UserWarning, match="untraced"):
        stacked = vectorize(function, weights, examples)
    assert torch.equal(weights, before)
    for step in range(2):
        given = tuple(example.roll(step + 1, dims=0) for example in examples)
        assert torch.equal(stacked(*given)[0], vmap(function)(weights, *given)[0])
        weights.add_(1.0)


def test_a_function_that_remembers_is_found_out() -> None:
    with pytest.warns(UserWarning, match="counts_its_calls gives other values when traced"):
        vectorize(counts_its_calls, torch.ones(K, 3), (torch.ones(K, 3),))


def draws(flat: Tensor, x: Tensor) -> tuple[Tensor]:
    return (flat * x + torch.rand(3),)


def asks_for_an_item(flat: Tensor, x: Tensor) -> tuple[Tensor]:
    return (flat * x.sum().item(),)


def branches_on_data(flat: Tensor, x: Tensor) -> tuple[Tensor]:
    return (flat if x.sum() > 0 else -flat,)


@pytest.mark.parametrize("function", [draws, asks_for_an_item, branches_on_data])
def test_what_cannot_be_stacked_is_refused(function: PerWorkerFunction) -> None:
    weights = torch.ones(K, 3)
    with pytest.raises(RuntimeError, match="vmap"):
        vectorize(function, weights, (torch.ones(K, 3),))
    assert torch.equal(weights, torch.ones(K, 3))


def test_weights_whose_views_could_not_be_kept_are_refused() -> None:
    with pytest.raises(AssertionError, match="contiguous"):
        vectorize(lambda flat, x: (flat * x,), torch.ones(3, K).T, (torch.ones(K, 3),))
