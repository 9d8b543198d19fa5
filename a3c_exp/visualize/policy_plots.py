"""A policy at one moment, in parts that can be drawn: chances of choices, densities of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.models.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Joint,
    MultiCategorical,
    Normal,
    NormalMixture,
)
from a3c_exp.spaces.flatten import leaves

_POINTS = 81
_SIGMAS = 4.0


@dataclass(frozen=True)
class Bars:
    """Named chances, a bar each: of one choice, or of several switches.

    Attributes:
        label: which part of the action this is; empty where there is only one.
        names, probabilities: of each choice.
        taken: the places of those that are taken.
    """

    label: str
    names: Sequence[str]
    probabilities: Sequence[float]
    taken: frozenset[int]


@dataclass(frozen=True)
class Cells:
    """Chances of many choices or switches, without names, a shade each.

    Attributes:
        label: which part of the action this is; empty where there is only one.
        probabilities: of each choice.
        taken: the places of those that are taken.
        start: what the task calls the first.
    """

    label: str
    probabilities: Sequence[float]
    taken: frozenset[int]
    start: int = 0


@dataclass(frozen=True)
class Curve:
    """The density of one number.

    Attributes:
        label: the number's name.
        low, high: the axis, the space's bounds if it has any.
        heights: of the density along the axis, the highest 1.
        mean, std: of the whole density, also where it has several hills.
        action: what was taken, within the axis.
    """

    label: str
    low: float
    high: float
    heights: Sequence[float]
    mean: float
    std: float
    action: float


@dataclass(frozen=True)
class Taken:
    """Of a policy of an unknown kind: only what it did."""

    label: str
    text: str


Part = Bars | Cells | Curve | Taken

_MOST_BARS = 10
"""With more choices than this, bars become cells."""


def parts(
    family: Distribution, parameters: Tensor, action: Tensor, space: Space[Any], names: Sequence[str] | None = None
) -> list[Part]:
    """Describe a policy.

    Args:
        family: of the model.
        parameters: ``[family.parameters_size]``.
        action: as the family gave it.
        space: the action space.
        names: of a Discrete space's choices or a Box's numbers, as the environment calls them.
    """
    parameters, action = parameters.detach().cpu().double(), action.detach().cpu()
    if not isinstance(family, Joint):
        return _part(family, parameters, action, space, "", names)
    found: list[Part] = []
    places = leaves(space)
    p = a = 0
    for number, one in enumerate(family.components):
        path, leaf = places[number] if len(places) == len(family.components) else (str(number), space)
        its = parameters[p : p + one.parameters_size]
        found += _part(one, its, action[a : a + one.action_size], leaf, path, None)
        p, a = p + one.parameters_size, a + one.action_size
    return found


def _part(
    family: Distribution, parameters: Tensor, action: Tensor, space: Space[Any], label: str, names: Sequence[str] | None
) -> list[Part]:
    match family:
        case Categorical():
            return [_choice(label, torch.softmax(parameters, -1).tolist(), int(action), _start(space, 0), names)]
        case MultiCategorical():
            rows = [torch.softmax(row, -1).tolist() for row in torch.split(parameters, family.sizes)]
            if len(rows) == 1:
                return [_choice(label, rows[0], int(action[0]), _start(space, 0))]
            labels = _numbered(label or "choice", len(rows))
            return [Cells(labels[i], row, frozenset([int(action[i])]), _start(space, i)) for i, row in enumerate(rows)]
        case Bernoulli():
            on = frozenset(action.nonzero().flatten().tolist())
            if family.dimensions > _MOST_BARS:
                return [Cells(label or "switches", torch.sigmoid(parameters).tolist(), on)]
            own = names if names is not None and len(names) == family.dimensions else _numbered("", family.dimensions)
            return [Bars(label, own, torch.sigmoid(parameters).tolist(), on)]
        case Normal():
            mean, std = torch.split(parameters, family.dimensions)
            weight = torch.ones(family.dimensions, 1, dtype=parameters.dtype)
            return _curves(weight, mean.unsqueeze(-1), std.unsqueeze(-1), action, space, label, names)
        case NormalMixture():
            logits, means, stds = parameters.view(3, family.dimensions, family.components)
            return _curves(torch.softmax(logits, -1), means, stds, action, space, label, names)
    numbers = action.double().flatten().tolist()
    return [Taken(label or "action", " ".join(f"{number:.3g}" for number in numbers))]


def _choice(
    label: str, probabilities: Sequence[float], taken: int, start: int, names: Sequence[str] | None = None
) -> Bars | Cells:
    if len(probabilities) > _MOST_BARS:
        return Cells(label, probabilities, frozenset([taken]), start)
    if names is None or len(names) != len(probabilities):
        names = [str(start + i) for i in range(len(probabilities))]
    return Bars(label, names, probabilities, frozenset([taken]))


def _start(space: Space[Any], place: int) -> int:
    if isinstance(space, Discrete):
        return int(space.start)
    return int(np.asarray(space.start).flat[place]) if isinstance(space, MultiDiscrete) else 0


def _curves(
    weight: Tensor, mean: Tensor, std: Tensor, action: Tensor, space: Space[Any], label: str, names: Sequence[str] | None
) -> list[Part]:
    """One for each number; ``weight``, ``mean``, ``std`` are ``[dimensions, components]``."""
    dimensions = len(mean)
    if names is None or len(names) != dimensions:
        names = [label or "action"] if dimensions == 1 else _numbered(label or "action", dimensions)
    whole = (weight * mean).sum(-1)
    spread = ((weight * (std**2 + mean**2)).sum(-1) - whole**2).clamp(min=0).sqrt()
    found: list[Part] = []
    for i, number in enumerate(action.double().flatten().tolist()):
        reach = float((mean[i].abs() + _SIGMAS * std[i]).max())
        low, high = _axis(space, i, reach)
        x = torch.linspace(low, high, _POINTS, dtype=mean.dtype).unsqueeze(-1)
        heights = (weight[i] / std[i] * torch.exp(-0.5 * ((x - mean[i]) / std[i]) ** 2)).sum(-1)
        # A hill between two points of the axis, or beyond its ends, must not vanish.
        highest = max(float(heights.max()), 1e-300)
        at = min(max(number, low), high)
        found.append(Curve(names[i], low, high, (heights / highest).tolist(), float(whole[i]), float(spread[i]), at))
    return found


def _axis(space: Space[Any], place: int, reach: float) -> tuple[float, float]:
    if isinstance(space, Box):
        low: NDArray[Any] = space.low.reshape(-1)
        high: NDArray[Any] = space.high.reshape(-1)
        if place < low.size and np.isfinite(low[place]) and np.isfinite(high[place]):
            return float(low[place]), float(high[place])
    step = 1.0
    while step < reach and step < 1e12:
        step *= 2  # in leaps, so that the axis stands still from one picture to the next
    return -step, step


def _numbered(label: str, count: int) -> list[str]:
    return [f"{label} {i}".lstrip() for i in range(count)]
