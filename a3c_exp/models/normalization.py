"""Observations and rewards scaled by running statistics, which are kept among the model's weights.

A worker pulls them with the weights and acts and learns with what it pulled, so they are frozen within a window, in
evaluations, videos and exports, and are saved and resumed with the weights. What a window adds to them travels in its gradient,
in the places of the statistics, and is merged where the optimizer makes its step: see ``algorithm.normalization``.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from a3c_exp.models.base import ActorCritic, PolicyValue

_EPSILON = 1e-8  # added to variances


@dataclass(frozen=True)
class Normalization:
    """What is normalized, and the bounds to which normalized numbers are clipped; ``None`` does not clip."""

    observation: bool = False
    reward: bool = False
    clip_observation: float | None = 10.0
    clip_reward: float | None = 10.0

    def __bool__(self) -> bool:
        return self.observation or self.reward


class Moments(NamedTuple):
    """Of vectors seen at steps ``[..., 1]``: their mean ``[..., D]`` and the sums of squared deviations from it, float64."""

    steps: Tensor
    mean: Tensor
    m2: Tensor

    @classmethod
    def of(cls, vectors: Tensor, valid: Tensor) -> "Moments":
        """Those of the ``vectors [..., D]`` where ``valid [...]`` is not 0; the others may be NaN."""
        mask = (valid > 0).reshape(-1, 1)
        vectors = torch.where(mask, vectors.reshape(-1, vectors.shape[-1]), 0.0).to(_wide(vectors))
        steps = mask.sum(0).to(vectors.dtype)
        mean = vectors.sum(0) / steps.clamp(min=1.0)
        return cls(steps, mean, torch.where(mask, vectors - mean, 0.0).square().sum(0))

    def merge(self, other: "Moments") -> "Moments":
        """Those of both samples together: Chan, Golub & LeVeque 1979, equation 2.1. Merging none changes no bit."""
        steps, delta = self.steps + other.steps, other.mean - self.mean
        share = other.steps / steps.clamp(min=1.0)
        return Moments(steps, self.mean + delta * share, self.m2 + other.m2 + delta * delta * (self.steps * share))

    def together(self) -> "Moments":
        """Those of all rows ``[R, ...]`` as one sample."""
        steps = self.steps.sum(0)
        mean = (self.steps * self.mean).sum(0) / steps.clamp(min=1.0)
        return Moments(steps, mean, (self.m2 + self.steps * (self.mean - mean).square()).sum(0))

    @property
    def scale(self) -> Tensor:
        """``[..., D]`` what deviations are multiplied by to have variance 1; 1 before anything was seen."""
        steps = self.steps.clamp(min=1.0)
        return torch.where(self.steps > 0, (steps / (self.m2 + _EPSILON * steps)).sqrt(), 1.0)

    def rounded(self) -> "Moments":
        """What is left of them once they are packed."""
        return Moments(*((high := part.float()) + (part - high).float().to(part.dtype) for part in self))

    def pack(self) -> Tensor:
        """``[..., packed_size(D)]`` float32: the scale, then every number as a float32 and what that leaves of it."""
        numbers = torch.cat(self, dim=-1)
        high = numbers.float()
        return torch.cat([self.scale.float(), high, (numbers - high).float()], dim=-1)

    @classmethod
    def unpack(cls, packed: Tensor) -> "Moments":
        """What was packed, to about 14 digits."""
        d = (packed.shape[-1] - 2) // 5
        _, high, low = torch.split(packed, [d, 2 * d + 1, 2 * d + 1], dim=-1)
        return cls(*torch.split(high.to(_wide(packed)) + low, [1, d, d], dim=-1))


def packed_size(features: int) -> int:
    """How many float32 the packed moments of vectors of D ``features`` take."""
    return 5 * features + 2


def _wide(like: Tensor) -> torch.dtype:
    return torch.float32 if like.device.type == "mps" else torch.float64  # which Apple's devices do not have


class NormalizedModel(ActorCritic):
    """A model that sees normalized observations. Its last ``packed_size(features)`` weights are the running statistics: of the
    observation's numbers, if they are normalized, and of the discounted return, if rewards are.

    Args:
        observation_shape: of one observation.
    """

    def __init__(self, model: ActorCritic, observation_shape: tuple[int, ...], normalization: Normalization) -> None:
        super().__init__()
        self.model, self.normalization, self._shape = model, normalization, observation_shape
        self.distribution, self.hidden_state_size, self.stackable = model.distribution, model.hidden_state_size, model.stackable
        self._observed = math.prod(observation_shape) if normalization.observation else 0
        self.features = self._observed + normalization.reward
        none = Moments(*(torch.zeros(size, dtype=torch.float64) for size in (1, self.features, self.features)))
        self.running = nn.ParameterDict({"statistics": nn.Parameter(none.pack())})  # a child, so that it comes last

    def forward(self, observation: Tensor, hidden_state: Tensor) -> PolicyValue:
        output: PolicyValue = self.model(self._normalize(observation), hidden_state)
        return output

    def unroll(self, observation: Tensor, episode_start: Tensor, hidden_state: Tensor, bptt: int | None = None) -> PolicyValue:
        return self.model.unroll(self._normalize(observation), episode_start, hidden_state, bptt)

    def _normalize(self, observation: Tensor) -> Tensor:
        if not self._observed:
            return observation
        statistics, n, d = self.running["statistics"].detach(), self._observed, self.features
        mean, scale = statistics[d + 1 : d + 1 + n].view(self._shape), statistics[:n].view(self._shape)
        normalized: Tensor = (observation - mean) * scale
        bound = self.normalization.clip_observation
        return normalized if bound is None else normalized.clamp(-bound, bound)

    def normalize_reward(self, reward: Tensor, statistics: Tensor) -> Tensor:
        """Rewards divided by the standard deviation of the discounted return, as the ``statistics [packed_size(features)]`` of
        a worker's weights have it."""
        normalized, bound = reward * statistics[self.features - 1].detach(), self.normalization.clip_reward
        return normalized if bound is None else normalized.clamp(-bound, bound)

    def window_moments(self, observation: Tensor, discounted_return: Tensor | None, valid: Tensor) -> Moments:
        """What a window adds to the statistics: of ``observation [..., n, *observation]`` and ``discounted_return [..., n]``
        where ``valid [..., n]``."""
        parts = [observation.reshape(*valid.shape, -1)] if self._observed else []
        if discounted_return is not None:
            parts.append(discounted_return.unsqueeze(-1))
        return Moments.of(torch.cat(parts, dim=-1), valid)


def describe_statistics(statistics: Tensor, normalization: Normalization) -> dict[str, float | list[float]]:
    """What a model's running ``statistics [packed_size(features)]`` say, for a run's summary."""
    moments = Moments.unpack(statistics)
    deviation, observed = (moments.m2 / moments.steps.clamp(min=1.0)).sqrt(), moments.mean.numel() - normalization.reward
    description: dict[str, float | list[float]] = {"steps": float(moments.steps)}
    if observed:
        description |= {"observation_mean": moments.mean[:observed].tolist(), "observation_std": deviation[:observed].tolist()}
    if normalization.reward:
        description["return_std"] = float(deviation[-1])
    return description
