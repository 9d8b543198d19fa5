"""Which pixels of its observation a network's outputs depend on."""

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
_MAX_PERCENTILE = 99.5  # which is drawn as 1; with the maximum a few pixels would leave all others dark


@dataclass(frozen=True)
class Saliency:
    """Sensitivity of two outputs to each pixel, ``[height, width]``: 0 for the median pixel and below, 1 for the highest."""

    policy: NDArray[np.float32]  #: of the log-probability of the action that was taken
    value: NDArray[np.float32]  #: of V(s)


def saliency(model: ActorCritic, policy_step: PolicyStep, channel_axis: int | None) -> Saliency:
    """The absolute gradient with respect to the image, its maximum over channels (Simonyan et al. 2014, arXiv:1312.6034).

    It is averaged over copies of the image with noise (SmoothGrad, Smilkov et al. 2017, arXiv:1706.03825), whose standard
    deviation is a share of the image's range. The papers differentiate the score before the softmax; the log-probability exists
    for every kind of policy, and in double precision a nearly certain one has a gradient. The observation is an image, with a
    ``channel_axis`` if it has channels; its recurrent state stays.
    """
    image = policy_step.observation
    generator = np.random.default_rng(0)  # the same noise for every frame, and no other generator is touched
    noise = torch.from_numpy(generator.standard_normal((_NUM_SAMPLES, *image.shape), np.float32)).to(image.device)
    batch = (image + noise * (_NOISE_SCALE * (image.max() - image.min()))).requires_grad_(True)
    state = policy_step.hidden_state.expand(_NUM_SAMPLES, *policy_step.hidden_state.shape)
    output = functional_forward(model, dict(policy_step.weights), batch, state)
    action = policy_step.action.expand(_NUM_SAMPLES, *policy_step.action.shape)
    parameters = output.parameters.detach().double().requires_grad_(True)
    (by_parameters,) = torch.autograd.grad(model.distribution.log_prob(parameters, action).sum(), parameters)
    # Scaled to what single precision can represent: only the gradients' proportions are shown.
    by_parameters = by_parameters / by_parameters.abs().max().clamp(min=1e-300)
    by_parameters = by_parameters.to(output.parameters.dtype)
    (of_policy,) = torch.autograd.grad(output.parameters, batch, by_parameters, retain_graph=True)
    (of_value,) = torch.autograd.grad(output.value.sum(), batch)
    return Saliency(_to_heatmap(of_policy, channel_axis), _to_heatmap(of_value, channel_axis))


def _to_heatmap(gradients: Tensor, channel_axis: int | None) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter  # a run that draws nothing need not load it

    sizes = gradients.abs().mean(0)
    flat = sizes if channel_axis is None else sizes.amax(channel_axis)
    sigma = max(flat.shape) / 50
    image: NDArray[np.float64] = gaussian_filter(flat.cpu().numpy().astype(np.float64), sigma, mode="nearest", truncate=3.0)
    # From the median up: a network that depends a little on every pixel would be bright all over.
    dark, bright = float(np.median(image)), float(np.percentile(image, _MAX_PERCENTILE))
    scaled = (image - dark) / (bright - dark) if bright > dark else np.zeros_like(image)
    return np.clip(scaled, 0.0, 1.0).astype(np.float32)
