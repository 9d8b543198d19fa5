"""Policy heads that reach what the action space allows, and refuse what they do not fit."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, Space

from a3c_exp.core.errors import ConfigError
from a3c_exp.models.heads import CategoricalHead, GaussianHead, HeadKind, HeadSpec, MeanKind, make_head

LOPSIDED = Box(np.array([-1.0, 0.0], np.float32), np.array([3.0, 0.25], np.float32))


def extremes(space: Box, mean: MeanKind) -> tuple[list[float], list[float]]:
    """The means where the last layer is driven as far down and as far up as it goes."""
    head = make_head(1, space, HeadSpec(mean=mean))
    assert isinstance(head, GaussianHead)
    with torch.no_grad():
        head.mean.weight.fill_(1.0)
        head.mean.bias.zero_()
        low, high = (head(torch.tensor([x]))[: head.family.noise_size].tolist() for x in (-100.0, 100.0))
    return low, high


def test_a_scaled_mean_reaches_both_bounds_of_a_lopsided_box() -> None:
    low, high = extremes(LOPSIDED, MeanKind.scaled)
    assert low == pytest.approx([-1.0, 0.0])
    assert high == pytest.approx([3.0, 0.25])


def test_a_scaled_mean_is_in_the_middle_where_the_layer_says_nothing() -> None:
    head = make_head(1, LOPSIDED, HeadSpec())
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
    head = make_head(1, LOPSIDED, HeadSpec(mean=mean, min_std=min_std))
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


def test_both_bounds_of_a_categorical_head_are_every_action() -> None:
    head = make_head(3, Discrete(4, start=2), HeadSpec())
    assert isinstance(head, CategoricalHead)
    assert head(torch.ones(5, 3)).shape == (5, 4)


@pytest.mark.parametrize(
    ("space", "kind", "says"),
    [
        (Discrete(3), HeadKind.gaussian, "gaussian needs a Box action space"),
        (LOPSIDED, HeadKind.categorical, "categorical needs a Discrete action space"),
        (MultiBinary(3), HeadKind.auto, "no policy head fits the action space"),
        (MultiBinary(3), HeadKind.categorical, "no policy head fits the action space"),
        (Box(-np.inf, np.inf, (1,)), HeadKind.auto, "this Box has none. Try model.head.mean=linear"),
        (Box(0.0, np.inf, (1,)), HeadKind.gaussian, "this Box has none. Try model.head.mean=linear"),
    ],
)
def test_a_head_that_does_not_fit_the_space_is_refused_in_one_line(space: Space, kind: HeadKind, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        make_head(8, space, HeadSpec(kind=kind))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"kind": "gausian"}, "model.head.kind is gausian, but it is one of auto, categorical, gaussian"),
        ({"mean": "clip"}, "model.head.mean is clip, but it is one of scaled, tanh, linear"),
        ({"min_std": 0.0}, "model.head.min_std is 0.0, but it is above 0"),
        ({"min_std": float("nan")}, "model.head.min_std is nan"),
    ],
)
def test_an_unknown_word_is_answered_with_those_that_are_known(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        HeadSpec(**arguments)


def test_words_from_the_command_line_become_what_they_name() -> None:
    spec = HeadSpec(kind="gaussian", mean="tanh")
    assert spec.kind is HeadKind.gaussian
    assert spec.mean is MeanKind.tanh
