"""Policy heads that reach what the action space allows, and refuse what they do not fit."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Sequence, Space, Text, Tuple

from a3c_exp.models.distributions import Bernoulli, MultiCategorical, Normal, NormalMixture, ProductDistribution
from a3c_exp.models.heads import (
    BetaHead,
    GaussianHead,
    HeadConfig,
    HeadKind,
    JointHead,
    LogitsHead,
    MeanKind,
    MixtureHead,
    SquashedGaussianHead,
    StdKind,
    make_head,
)
from a3c_exp.models.shared_mlp import SharedMLP
from a3c_exp.system.errors import ConfigError

HALF_OPEN = Box(np.array([-1.0, 0.0], np.float32), np.array([3.0, np.inf], np.float32))
LOPSIDED = Box(np.array([-1.0, 0.0], np.float32), np.array([3.0, 0.25], np.float32))


def extremes(space: Box, mean: MeanKind) -> tuple[list[float], list[float]]:
    """The means where the last layer is driven as far down and as far up as it goes."""
    head = make_head(1, space, HeadConfig(mean=mean))
    assert isinstance(head, GaussianHead)
    with torch.no_grad():
        head.mean.weight.fill_(1.0)
        head.mean.bias.zero_()
        low, high = (head(torch.tensor([x]))[: head.distribution.noise_size].tolist() for x in (-100.0, 100.0))
    return low, high


def test_a_scaled_mean_reaches_both_bounds_of_a_lopsided_box() -> None:
    low, high = extremes(LOPSIDED, MeanKind.scaled)
    assert low == pytest.approx([-1.0, 0.0])
    assert high == pytest.approx([3.0, 0.25])


def test_a_scaled_mean_is_in_the_middle_where_the_layer_says_nothing() -> None:
    head = make_head(1, LOPSIDED, HeadConfig())
    with torch.no_grad():
        head.mean.bias.zero_()
        assert head(torch.zeros(1))[:2].tolist() == pytest.approx([1.0, 0.125])


def test_the_listings_own_mean_stays_within_one_whatever_the_box() -> None:
    """Half of Pendulum's torque is out of its reach."""
    assert extremes(Box(-2.0, 2.0, (1,)), MeanKind.tanh) == ([-1.0], [1.0])
    assert extremes(LOPSIDED, MeanKind.tanh) == ([-1.0, -1.0], [1.0, 1.0])


def test_a_linear_mean_has_no_bound() -> None:
    assert extremes(Box(-2.0, 2.0, (1,)), MeanKind.linear) == ([-100.0], [100.0])
    unbounded = Box(-np.inf, np.inf, (1,))
    assert extremes(unbounded, MeanKind.linear) == ([-100.0], [100.0])


@pytest.mark.parametrize("mean", list(MeanKind))
@pytest.mark.parametrize("min_std", [1e-4, 0.3])
def test_sigma_is_above_its_floor_and_never_zero(mean: MeanKind, min_std: float) -> None:
    head = make_head(1, LOPSIDED, HeadConfig(mean=mean, min_std=min_std))
    with torch.no_grad():
        head.std.weight.fill_(1.0)
        head.std.bias.zero_()
        sigmas = head(torch.linspace(-12.0, 12.0, 25).unsqueeze(-1))[:, 2:]
        driven_down = head(torch.tensor([-1000.0]))[2:]
    assert (sigmas > min_std).all()
    assert (sigmas.diff(dim=0) > 0).all()
    assert driven_down.tolist() == pytest.approx([min_std, min_std])
    assert (driven_down > 0).all()
    assert sigmas[-1].tolist() == pytest.approx([12.0 + min_std] * 2, rel=1e-4)


def test_a_sigma_of_its_own_is_the_same_in_every_state_and_is_learned() -> None:
    head = make_head(3, LOPSIDED, HeadConfig(std=StdKind.parameter, log_std_init=-1.0, min_std=1e-3))
    output = head(torch.randn(5, 3))
    torch.testing.assert_close(output[:, 2:], torch.full((5, 2), math.exp(-1.0) + 1e-3))
    head.distribution.entropy(output).sum().backward()
    assert head.log_std.grad is not None and (head.log_std.grad > 0).all()


@pytest.mark.parametrize("draw", [{"weight_std": 0.1}, {"orthogonal": True}, {}], ids=str)
def test_a_sigma_of_its_own_begins_where_it_was_asked_to_however_weights_are_drawn(draw: dict[str, Any]) -> None:
    config = HeadConfig(std=StdKind.parameter, log_std_init=-1.5)
    model = SharedMLP(Box(-1, 1, (3,)), LOPSIDED, (4,), head=config, seed=1, **draw)
    parameters = model(torch.randn(3), torch.zeros(0)).parameters
    assert parameters[2:].tolist() == pytest.approx([math.exp(-1.5) + 1e-4] * 2)


def test_a_mixture_has_no_sigma_of_its_own() -> None:
    with pytest.raises(ConfigError, match=r"model.head.std is parameter.*Try model.head.std=state"):
        make_head(3, LOPSIDED, HeadConfig(kind=HeadKind.mixture, std=StdKind.parameter))


def test_both_bounds_of_a_categorical_head_are_every_action() -> None:
    head = make_head(3, Discrete(4, start=2), HeadConfig())
    assert isinstance(head, LogitsHead)
    assert head(torch.ones(5, 3)).shape == (5, 4)


@pytest.mark.parametrize(
    ("space", "kind", "says"),
    [
        (Discrete(3), HeadKind.gaussian, "gaussian needs a Box action space"),
        (
            LOPSIDED,
            HeadKind.categorical,
            "categorical needs a Discrete or MultiDiscrete.*Try model.head.kind=gaussian",
        ),
        (Discrete(3), HeadKind.mixture, "mixture needs a Box action space.*Try model.head.kind=categorical"),
        (MultiBinary(3), HeadKind.categorical, "needs a Discrete or MultiDiscrete action space.*Try model.head.kind=bernoulli"),
        (MultiDiscrete([2, 2]), HeadKind.bernoulli, "bernoulli needs a MultiBinary.*Try model.head.kind=categorical"),
        (Tuple([Discrete(2), MultiBinary(2)]), HeadKind.mixture, "mixture needs a Box action space"),
        (Discrete(3), HeadKind.beta, "beta needs a Box action space.*Try model.head.kind=categorical"),
        (MultiBinary(3), HeadKind.squashed_gaussian, "squashed_gaussian needs a Box.*Try model.head.kind=bernoulli"),
        (HALF_OPEN, HeadKind.beta, r"number 1 of this Box lies in \[0, inf\]. Try model.head.kind=gaussian"),
        (HALF_OPEN, HeadKind.squashed_gaussian, r"number 1 of this Box lies in \[0, inf\]"),
        (Box(-1.0, np.array([1.0, -1.0])), HeadKind.beta, r"number 1 of this Box lies in \[-1, -1\]"),
        (Text(3), HeadKind.auto, "no policy head fits a Text space"),
        (Dict(a=Discrete(2), b=Dict(c=Sequence(Discrete(2)))), HeadKind.auto, r"a Sequence space \(under b.c\)"),
        (Tuple([]), HeadKind.auto, "an empty Tuple space"),
        (Box(-1.0, 1.0, (0, 2)), HeadKind.auto, "a Box space without any number"),
    ],
)
def test_a_head_that_does_not_fit_the_space_is_refused_in_one_line(space: Space, kind: HeadKind, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        make_head(8, space, HeadConfig(kind=kind))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "space", [Box(-np.inf, np.inf, (1,)), Box(0.0, np.inf, (1,)), Box(np.float32(-3e38), np.float32(3e38), (1,))]
)
def test_bounds_that_are_not_there_cannot_be_scaled_over(space: Box) -> None:
    with pytest.raises(ConfigError, match=r"this Box has none. Try model.head.mean=auto"):
        make_head(8, space, HeadConfig(mean="scaled"))
    assert extremes(space, MeanKind.auto) == ([-100.0], [100.0])


def test_an_auto_mean_is_scaled_where_it_can_be_and_linear_elsewhere() -> None:
    low, high = np.array([-1.0, -np.inf, 0.0, 5.0], np.float32), np.array([3.0, 1.0, np.inf, 6.0], np.float32)
    assert extremes(Box(low, high), MeanKind.auto) == ([-1.0, -100.0, -100.0, 5.0], [3.0, 100.0, 100.0, 6.0])
    assert extremes(LOPSIDED, MeanKind.auto) == extremes(LOPSIDED, MeanKind.scaled)
    whole = Box(np.array([0, -4]), np.array([255, 4]), dtype=np.int64)
    assert extremes(whole, MeanKind.auto) == ([0.0, -4.0], [255.0, 4.0])
    assert extremes(Box(-np.inf, np.inf, (1,), np.int64), MeanKind.auto) == ([-100.0], [100.0])  # its bounds are int64's own


def test_gradients_stay_finite_beside_a_dimension_without_bounds() -> None:
    head = make_head(1, Box(np.array([-1.0, -np.inf]), np.array([3.0, np.inf]), dtype=np.float64), HeadConfig())
    head(torch.tensor([0.5])).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_every_gaussian_of_a_mixture_reaches_its_own_dimensions_bounds() -> None:
    head = make_head(1, LOPSIDED, HeadConfig(kind="mixture", components=2, min_std=0.3))
    assert isinstance(head, MixtureHead)
    with torch.no_grad():
        head.mixture.weight.fill_(1.0)
        head.mixture.bias.zero_()
        for x, means in ((-100.0, [-1.0, -1.0, 0.0, 0.0]), (100.0, [3.0, 3.0, 0.25, 0.25])):
            parameters = head(torch.tensor([x]))
            assert parameters[4:8].tolist() == pytest.approx(means)
            assert (parameters[8:] >= 0.3).all()
            assert head.distribution.mode(parameters).tolist() == pytest.approx(means[::2], abs=1e-5)


def test_auto_gives_every_part_of_a_nested_space_its_own_family() -> None:
    arm = Tuple([Discrete(4, start=2), Box(-1.0, 1.0, (2, 2))])
    space = Dict(a=arm, b=MultiBinary((2, 3)), c=MultiDiscrete([[2, 3], [4, 5]]))
    for kind, of_the_box in (("auto", Normal), ("gaussian", Normal), ("mixture", NormalMixture), ("categorical", Normal)):
        head = make_head(3, space, HeadConfig(kind=kind))
        assert isinstance(head, JointHead) and isinstance(head.distribution, ProductDistribution)
        assert [type(component) for component in head.distribution.components] == [
            MultiCategorical,
            of_the_box,
            Bernoulli,
            MultiCategorical,
        ]
        assert [component.action_size for component in head.distribution.components] == [1, 4, 6, 4]
        assert head.distribution.components[3].sizes == [2, 3, 4, 5]
        assert head(torch.ones(5, 3)).shape == (5, head.distribution.parameters_size)


def test_words_from_the_command_line_become_what_they_name() -> None:
    spec = HeadConfig(kind="gaussian", mean="tanh")
    assert spec.kind is HeadKind.gaussian
    assert spec.mean is MeanKind.tanh


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"kind": "beta", "std": "parameter"},
            "a Beta distribution's two parameters follow the state.*Try model.head.std=state",
        ),
        ({"kind": "beta", "mean": "linear"}, "kind=beta always keeps to the action bounds. Try model.head.mean=auto"),
        ({"kind": "squashed_gaussian", "mean": "tanh"}, "kind=squashed_gaussian always keeps to the action bounds"),
        ({"kind": "beta", "use_sde": True}, "use_sde=true makes a Gaussian's noise, but model.head.kind is beta. Try"),
        ({"std": "parameter", "use_sde": True}, "sigma of its own for each feature, but model.head.std is parameter. Try"),
    ],
)
def test_what_a_head_over_a_box_does_not_have_is_refused_in_one_line(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        make_head(3, LOPSIDED, HeadConfig(**settings))
    assert "\n" not in str(caught.value)


def test_bounded_heads_keep_their_parameters_where_densities_are_exact() -> None:
    """Whatever the last layer says: a mean of 4 before the tanh, which reaches the bounds; alpha and beta above 1."""
    squashed, beta = (make_head(1, LOPSIDED, HeadConfig(kind=kind)) for kind in ("squashed_gaussian", "beta"))
    assert isinstance(squashed, SquashedGaussianHead) and isinstance(beta, BetaHead)
    for head, layer in ((squashed, squashed.mean), (beta, beta.shape)):
        with torch.no_grad():
            for weight in head.parameters():
                weight.zero_()
            layer.weight.fill_(1.0)
    low, high = (squashed(torch.tensor([x])) for x in (-100.0, 100.0))
    assert low[:2].tolist() == [-4.0, -4.0] and high[:2].tolist() == [4.0, 4.0]
    assert squashed.distribution.mode(low).tolist() == pytest.approx([-1.0, 0.0], abs=2e-3)
    assert squashed.distribution.mode(high).tolist() == pytest.approx([3.0, 0.25], abs=2e-3)
    assert beta(torch.tensor([-100.0])).tolist() == [1.0] * 4
    assert beta(torch.tensor([0.0])).tolist() == pytest.approx([1.0 + math.log(2)] * 4)
    shared = make_head(3, LOPSIDED, HeadConfig(kind="squashed_gaussian", std="parameter", log_std_init=-1.0, min_std=1e-3))
    assert shared(torch.randn(4, 3))[:, 2:].unique().item() == pytest.approx(math.exp(-1.0) + 1e-3)


@pytest.mark.parametrize("space", [Discrete(3), Tuple([Discrete(2), MultiBinary(2)])])
def test_noise_that_depends_on_the_state_needs_real_valued_actions(space: Space) -> None:
    with pytest.raises(ConfigError, match=r"explores with real-valued actions, but.*Try model.head.use_sde=false") as caught:
        make_head(3, space, HeadConfig(use_sde=True))
    assert "\n" not in str(caught.value)
    mixed = make_head(3, Tuple([space, LOPSIDED]), HeadConfig(use_sde=True, sde_sample_freq=8)).distribution
    assert (mixed.sde_noise, mixed.sde_sample_freq, mixed.normal_noise) == (6, 8, 0)
