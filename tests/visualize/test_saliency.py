"""Saliency is high where the network's outputs depend on the image, and low elsewhere."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from a3c_exp.evaluate.evaluator import PolicyStep
from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.conv_gru import ConvGRU
from a3c_exp.models.distributions import Categorical
from a3c_exp.visualize.episode_frames import FrameInfo
from a3c_exp.visualize.frame import FrameComposer, observation_images
from a3c_exp.visualize.saliency import saliency

POLICY, VALUE = (slice(8, 12), slice(30, 34)), (slice(26, 30), slice(6, 10))


class TwoPatches(ActorCritic):
    """Its policy depends on one patch of the image and its value on another."""

    def __init__(self, sharpness: float = 1.0) -> None:
        super().__init__()
        self.distribution = Categorical(2)
        self.sharpness = nn.Parameter(torch.tensor(sharpness))

    def forward(self, observation: Tensor, hidden_state: Tensor) -> PolicyValue:
        policy = observation[(..., *POLICY)].sum((-1, -2, -3)) * self.sharpness
        return PolicyValue(torch.stack([policy, -policy], -1), observation[(..., *VALUE)].sum((-1, -2, -3)), hidden_state)


def policy_step_of(model: ActorCritic, shape: tuple[int, ...] = (4, 40, 40)) -> PolicyStep:
    observation = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    state = torch.zeros(model.hidden_state_size)
    with torch.inference_mode():
        output = PolicyValue(*(part[0] for part in model(observation[None], state[None])))
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    return PolicyStep(observation, state, output, model.distribution.mode(output.parameters).clone(), weights)


@pytest.mark.parametrize("sharpness", [0.01, 1.0, 5.0])
def test_saliency_is_high_only_where_the_output_depends_on_the_image_even_if_nearly_certain(sharpness: float) -> None:
    """At the sharpest the other action's probability is about e^-320: in single precision its gradient would be zero."""
    model = TwoPatches(sharpness)
    maps = saliency(model, policy_step_of(model), channel_axis=0)
    for heat, patch in ((maps.policy, POLICY), (maps.value, VALUE)):
        assert heat.shape == (40, 40) and heat.min() == 0 and heat.max() == 1
        assert heat[patch].min() > 0.5
        far = heat.copy()
        far[tuple(slice(side.start - 4, side.stop + 4) for side in patch)] = 0
        assert far.max() == 0


def test_saliency_changes_neither_the_network_nor_any_random_generator() -> None:
    model = TwoPatches()
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, second = (saliency(model, policy_step_of(model), 0) for _ in range(2))
    assert (first.policy == second.policy).all() and (first.value == second.value).all()
    assert model.sharpness.grad is None
    assert (torch.get_rng_state() == before).all() and (np.random.get_state()[1] == numpys).all()


def test_a_frame_of_a_recurrent_network_shows_its_input_frames_in_order() -> None:
    from gymnasium.spaces import Box, Discrete

    model = ConvGRU(Box(0, 1, (4, 96, 96), np.float32), Discrete(4), seed=0)
    seen = policy_step_of(model, (4, 96, 96))
    picture = np.zeros((400, 600, 3), np.uint8)
    shown = FrameComposer(model)(picture, FrameInfo((), (0.0,)), seen)
    assert shown.shape[0] > 400 and shown.shape[1] > 600
    # The four input frames are below in order, the newest on the right.
    newest = (255 * seen.observation[-1].numpy()).astype(np.uint8)
    assert newest[48, 48] in shown[432:573, 471:612]


@pytest.mark.parametrize(
    ("shape", "frames", "frame"),
    [
        ((4, 96, 96), 4, (96, 96)),
        ((96, 96, 3), 1, (96, 96, 3)),
        ((3, 64, 80), 1, (64, 80, 3)),
        ((84, 84, 4), 1, (84, 84, 3)),
        ((1, 84, 84), 1, (84, 84)),
        ((40, 50), 1, (40, 50)),
    ],
)
def test_images_are_recognized_as_images(shape: tuple[int, ...], frames: int, frame: tuple[int, ...]) -> None:
    seen = observation_images(np.random.default_rng(0).random(shape, np.float32))
    assert seen is not None and len(seen.frames) == frames and seen.frames[0].shape == frame


@pytest.mark.parametrize("shape", [(4,), (3, 4), (96,), (2, 3, 4)])
def test_numbers_are_not_shown_as_images(shape: tuple[int, ...]) -> None:
    model = TwoPatches()
    assert observation_images(np.zeros(shape, np.float32)) is None
    numbers = PolicyStep(torch.zeros(shape), torch.zeros(0), PolicyValue(*[torch.zeros(2)] * 3), torch.tensor(0), {})
    assert FrameComposer(model)(np.zeros((400, 600, 3), np.uint8), FrameInfo((), (0.0,)), numbers).shape == (400, 600, 3)
