"""Where in a picture the network looks."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.window_gradient import functional_forward
from a3c_exp.evaluate.evaluator import PolicyStep
from a3c_exp.models.base import ActorCritic

_NUM_SAMPLES = 8
_NOISE_SCALE = 0.08
_MAX_PERCENTILE = 99.5
"""Percentile that is drawn as 1: a few pixels would else leave all others dark."""


@dataclass(frozen=True)
class Saliency:
    """How much a change at a place would change what the network says, ``[height, width]``: 0 as much as usual, 1 most.

    Attributes:
        policy: the log-probability of the action that was taken.
        value: V(s).
    """

    policy: NDArray[np.float32]
    value: NDArray[np.float32]


def saliency(model: ActorCritic, policy_step: PolicyStep, channel_axis: int | None) -> Saliency:
    """The absolute gradient with respect to the picture, its largest over channels (Simonyan et al. 2014, arXiv:1312.6034).

    Averaged over copies of the picture with a little noise (SmoothGrad, Smilkov et al. 2017, arXiv:1706.03825), whose spread
    is a share of the picture's own range. They took the score before the softmax; the log-probability is there for every kind
    of policy. Its gradient is taken in double precision, where it has one even if the policy is all but certain.

    Args:
        policy_step: whose observation is a picture ``[*observation]`` and whose recurrent state is held fixed.
        channel_axis: of the observation; ``None`` if it has no channels.
    """
    seen = policy_step.observation
    generator = np.random.default_rng(0)  # always the same, and nobody else's
    noise = torch.from_numpy(generator.standard_normal((_NUM_SAMPLES, *seen.shape), np.float32)).to(seen.device)
    noisy = seen + noise * (_NOISE_SCALE * (seen.max() - seen.min()))
    batch = noisy.requires_grad_(True)
    state = policy_step.hidden_state.expand(_NUM_SAMPLES, *policy_step.hidden_state.shape)
    output = functional_forward(model, dict(policy_step.weights), batch, state)
    action = policy_step.action.expand(_NUM_SAMPLES, *policy_step.action.shape)
    parameters = output.parameters.detach().double().requires_grad_(True)
    (by_parameters,) = torch.autograd.grad(model.distribution.log_prob(parameters, action).sum(), parameters)
    # To a size that single precision can carry on: only the gradients' relations show.
    by_parameters = by_parameters / by_parameters.abs().max().clamp(min=1e-300)
    passed_on = by_parameters.to(output.parameters.dtype)
    (of_policy,) = torch.autograd.grad(output.parameters, batch, passed_on, retain_graph=True)
    (of_value,) = torch.autograd.grad(output.value.sum(), batch)
    return Saliency(_to_heatmap(of_policy, channel_axis), _to_heatmap(of_value, channel_axis))


def _to_heatmap(gradients: Tensor, channel_axis: int | None) -> NDArray[np.float32]:
    sizes = gradients.abs().mean(0)
    flat = sizes if channel_axis is None else sizes.amax(channel_axis)
    image = _gaussian_blur(flat.cpu().numpy().astype(np.float64))
    # From the usual to the highest: a network that looks at everything a little would else glow all over.
    dark, bright = float(np.median(image)), float(np.percentile(image, _MAX_PERCENTILE))
    scaled = (image - dark) / (bright - dark) if bright > dark else np.zeros_like(image)
    return np.clip(scaled, 0, 1).astype(np.float32)


def _gaussian_blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian, its width a fiftieth of the picture's."""
    sigma = max(image.shape) / 50
    reach = int(3 * sigma) + 1
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        padded = np.pad(image, [(reach, reach) if one == axis else (0, 0) for one in (0, 1)], mode="edge")
        image = np.apply_along_axis(lambda row: np.convolve(row, kernel, "valid"), axis, padded)
    return image
