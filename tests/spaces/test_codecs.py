"""Every action that a policy can sample is one that its task takes; every observation is one that a network was promised."""

from typing import Any

import gymnasium.spaces
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple
from numpy.typing import NDArray

from a3c_exp.models.base import network_input
from a3c_exp.models.distributions import draw_noise
from a3c_exp.models.heads import HeadConfig, make_head
from a3c_exp.spaces.codecs import action_decoder, observation_encoder
from a3c_exp.spaces.pictures import is_bytes
from tests.support.nested import Nested

LOPSIDED = Box(
    np.array([[-1.0, 0.0, -np.inf], [5.0, -np.inf, 1.0]], np.float32),
    np.array([[3.0, 0.25, 7.0], [np.inf] * 2 + [1.0]], np.float32),
)
SPACES: dict[str, Space[Any]] = {
    "discrete": Discrete(3),
    "discrete from 5": Discrete(3, start=5),
    "discrete of one": Discrete(1, start=-4),
    "discrete of small integers": Discrete(3, start=-1, dtype=np.int8),
    "box": Box(-2.0, 2.0, (1,)),
    "lopsided box": LOPSIDED,
    "box of doubles": Box(0.1, 0.7, (2,), np.float64),
    "box of halves": Box(-0.3, 0.1, (2,), np.float16),
    "box of bytes": Box(0, 255, (2, 2), np.uint8),
    "box of whole numbers": Box(np.array([-3, 0]), np.array([5, 1]), dtype=np.int64),
    "box of truths": Box(0, 1, (3,), np.bool_),
    "box of one number": Box(-1.0, 1.0, ()),
    "multi-discrete": MultiDiscrete([3, 1, 4]),
    "multi-discrete table": MultiDiscrete([[3, 2], [5, 2]], start=[[0, 7], [-2, 1]]),
    "multi-binary": MultiBinary(4),
    "multi-binary table": MultiBinary((2, 3)),
    "tuple": Tuple([Discrete(2, start=3), Box(-1.0, 1.0, (2,))]),
    "tuple of one": Tuple([Discrete(2, start=3)]),
    "discrete dict": Dict(b=Discrete(3), a=MultiBinary(2), c=MultiDiscrete([2, 2])),
    "dict of boxes": Dict(b=Box(-1.0, 1.0, ()), a=LOPSIDED, c=Box(0, 9, (2,), np.uint8)),
    "nested": Nested().action_space,
    "deep": Tuple([Dict(z=Tuple([Dict(y=Discrete(2), x=MultiBinary(1))]), w=Box(0.0, 1.0, (1, 1))), Discrete(4)]),
    "keys that are numbers": Dict({2: Discrete(2), 1: Box(-1.0, 1.0, (1,))}),
}  # fmt: skip


def sampled(space: Space[Any], kind: str, count: int) -> NDArray[Any]:
    """What a policy with wild parameters says, many times."""
    torch.manual_seed(1)
    head = make_head(4, space, HeadConfig(kind=kind))
    family = head.distribution
    noise = torch.from_numpy(draw_noise(family, np.random.default_rng(2), (count,)))
    with torch.no_grad():
        return family.sample(head(30 * torch.randn(count, 4)), noise).numpy()


@pytest.mark.parametrize("name", list(SPACES))
def test_every_sampled_action_is_in_its_space(name: str) -> None:
    space = SPACES[name]
    kinds = ["auto"] if not any(isinstance(leaf, Box) for leaf in parts(space)) else ["auto", "mixture"]
    for kind in kinds:
        action = sampled(space, kind, 200)
        kept = action.copy()
        decoded = action_decoder(space)(action)
        assert len(decoded) == 200
        for value in decoded:
            assert space.contains(value), value
        assert np.array_equal(action, kept)  # the window's own copy stays as it was sampled
        first = decoded[0]
        told = plain(first)
        action[:] = -action - 1
        assert plain(first) == told, "an environment may keep an action, and the next ones are written into this memory"


def parts(space: Space[Any]) -> list[Space[Any]]:
    """The simple spaces, found in a way of this test's own."""
    if isinstance(space, Dict | Tuple):
        inner = space.spaces.values() if isinstance(space, Dict) else space.spaces
        return [leaf for one in inner for leaf in parts(one)]
    return [space]


DISCRETE = [name for name, space in SPACES.items() if not any(isinstance(part, Box) for part in parts(space))]


@pytest.mark.parametrize("name", DISCRETE)
def test_every_element_of_a_discrete_space_is_reached_and_nothing_else(name: str) -> None:
    space = SPACES[name]
    space.seed(3)
    family = make_head(1, space, HeadConfig()).distribution
    noise = torch.from_numpy(draw_noise(family, np.random.default_rng(4), (3000,)))
    action = family.sample(torch.zeros(3000, family.parameters_size), noise).numpy()
    reached = {repr(plain(value)) for value in action_decoder(space)(action)}
    assert reached == {repr(plain(space.sample())) for _ in range(3000)}


def plain(element: Any) -> Any:
    """Without numpy types, in which equal elements look different."""
    if isinstance(element, dict):
        return {key: plain(value) for key, value in element.items()}
    if isinstance(element, tuple):
        return tuple(plain(value) for value in element)
    return np.asarray(element).tolist()


def test_an_actions_parts_go_where_they_belong() -> None:
    """By hand: the order is that of the space, a Dict's keys sorted by gymnasium."""
    row = np.array([[2.0, -7.0, 7.5, 0.0, 1.0, 1.0, 0.0, 2.0, 1.0]], np.float32)
    (action,) = action_decoder(Nested().action_space)(row)
    assert plain(action) == {"arm": (1, [-1.0, 7.5]), "lamps": [[0, 1], [1, 0]], "wheels": [7, 0]}


def test_a_box_of_whole_numbers_takes_the_nearest() -> None:
    decode = action_decoder(Box(np.array([-3, 0]), np.array([5, 255]), dtype=np.int64))
    assert decode(np.array([[1.6, 254.4], [-9.0, 999.0], [-1.6, 0.4]], np.float32)).tolist() == [[2, 254], [-3, 255], [-2, 0]]


BYTES = Box(0, 255, (4, 5, 3), np.uint8)


def encoded(space: Space[Any], observed: Any) -> NDArray[np.float32]:
    """As the environments do it: into an array that holds something else before."""
    box, encode = observation_encoder(space)
    out = np.full(box.shape, 77, np.uint8) if is_bytes(space) else np.full(box.shape, np.nan, np.float32)
    if encode is None:
        out[...] = observed
    else:
        encode(observed, out)
    return network_input(torch.from_numpy(out)).numpy()


@pytest.mark.parametrize("name", list(SPACES))
def test_what_a_network_sees_is_gymnasiums_own_flat_form_within_the_box_it_was_promised(name: str) -> None:
    space = SPACES[name]
    if any(isinstance(part, Box) and part.dtype == np.uint8 and part.high.max() == 255 for part in parts(space)):
        space = Tuple([space, Box(0, 7, (2,), np.uint8)])  # bytes are another matter; see below
    space.seed(5)
    box, _ = observation_encoder(space)
    assert box.dtype == np.float32
    for _ in range(20):
        observed = space.sample()
        seen = encoded(space, observed)
        expected = np.asarray(gymnasium.spaces.flatten(space, observed), np.float32)
        if name == "box of bytes":
            expected[:4] /= 255
        np.testing.assert_array_equal(seen.reshape(-1), expected)
        assert box.contains(seen)


def test_a_plain_box_costs_nothing() -> None:
    for space in (LOPSIDED, Box(-1.0, 1.0, (2,), np.float64), Box(0, 7, (2, 2), np.uint8)):
        box, encode = observation_encoder(space)
        assert encode is None and box.shape == space.shape
    assert observation_encoder(LOPSIDED)[0] is LOPSIDED
    wide = Box(-np.finfo(np.float64).max, np.finfo(np.float64).max, (1,), np.float64)
    assert observation_encoder(wide)[0] == Box(-np.inf, np.inf, (1,))


def test_bytes_are_seen_between_0_and_1_and_keep_their_shape() -> None:
    picture = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    picture[0, 0] = 0, 255, 51
    seen = encoded(BYTES, picture)
    assert seen.shape == (4, 5, 3) and seen[0, 0].tolist() == pytest.approx([0.0, 1.0, 0.2])
    np.testing.assert_allclose(seen, picture / 255, rtol=1e-6)
    np.testing.assert_array_equal(seen, np.divide(picture, np.float32(255)))
    assert observation_encoder(BYTES)[0] == Box(0.0, 1.0, (4, 5, 3))
    both = Dict(a=BYTES, b=Discrete(2, start=9))
    np.testing.assert_allclose(encoded(both, {"a": picture, "b": 10}), [*(picture.reshape(-1) / 255), 0, 1], rtol=1e-6)


@pytest.mark.parametrize("shape", [(9, 8, 3), (5, 6, 1), (4, 9, 8, 3), (20, 16), (4, 9, 8), (7,)])
def test_the_network_is_given_the_channels_of_a_picture_first_whichever_way_they_come(shape: tuple[int, ...]) -> None:
    space = Box(0, 255, shape, np.uint8)
    space.seed(3)
    picture = space.sample()
    seen = encoded(space, picture)
    match len(shape), shape[-1] <= 4:
        case 3, True:
            expected = np.stack([picture[:, :, channel] for channel in range(shape[2])])
        case 4, True:
            expected = np.stack([frame[:, :, channel] for frame in picture for channel in range(shape[3])])
        case 2, _:
            expected = picture[None]
        case _:
            expected = picture
    assert observation_encoder(space)[0].shape == expected.shape
    np.testing.assert_array_equal(seen, expected / np.float32(255))


def test_a_number_that_is_no_byte_is_refused_and_not_wrapped_around() -> None:
    with pytest.raises(ValueError, match="with numbers beyond 0 to 255"):
        encoded(BYTES, np.full((4, 5, 3), 256))
    assert encoded(BYTES, np.full((4, 5, 3), 255)).min() == 1.0
