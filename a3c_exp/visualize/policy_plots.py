"""A policy at one step as plots: probabilities of choices, densities of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.models import distributions
from a3c_exp.models.distributions import Distribution
from a3c_exp.spaces.flatten import leaf_spaces

_NUM_POINTS = 81
_AXIS_SIGMAS = 4.0
_MAX_BARS = 10  # with more choices than this, bars become a grid


@dataclass(frozen=True)
class BarPlot:
    """Named probabilities, a bar each: of one choice, or of several switches."""

    label: str  #: which part of the action this is; empty where there is only one
    names: Sequence[str]  #: of each choice
    probabilities: Sequence[float]
    selected: frozenset[int]  #: the indices of those that are taken


@dataclass(frozen=True)
class ProbabilityGrid:
    """As ``BarPlot`` for many choices or switches: a shade each, without names; ``start`` is the number of the first."""

    label: str
    probabilities: Sequence[float]
    selected: frozenset[int]
    start: int = 0


@dataclass(frozen=True)
class DensityPlot:
    """The density of one number."""

    label: str  #: the number's name
    low: float  #: the axis, the space's bounds if it has any
    high: float
    heights: Sequence[float]  #: of the density along the axis, the highest 1
    mean: float  #: of the density, also where it has several modes
    std: float
    action: float  #: the action that was taken, clipped to the axis


@dataclass(frozen=True)
class ActionText:
    """The action alone, for a distribution without a plot of its own."""

    label: str
    text: str


PolicyPlot = BarPlot | ProbabilityGrid | DensityPlot | ActionText
Names = Sequence[str] | None
_Bounded = distributions.SquashedNormal | distributions.Beta


def policy_plots(
    distribution: Distribution, parameters: Tensor, action: Tensor, space: Space[Any], names: Names = None
) -> list[PolicyPlot]:
    """The plots of a policy with these ``parameters [distribution.parameters_size]``, and of the ``action`` that it sampled
    from the action ``space``; ``names`` are of a Discrete space's choices or a Box's numbers, as the environment calls them."""
    parameters, action = parameters.detach().cpu().double(), action.detach().cpu()
    if not isinstance(distribution, distributions.ProductDistribution):
        return _component_plots(distribution, parameters, action, space, "", names)
    components, leaves = distribution.components, leaf_spaces(space)
    if len(leaves) != len(components):
        leaves = [(str(index), space) for index in range(len(components))]
    parts = torch.split(parameters, [component.parameters_size for component in components])
    actions = torch.split(action, [component.action_size for component in components])
    return [
        plot
        for component, part, taken, (path, leaf) in zip(components, parts, actions, leaves, strict=True)
        for plot in _component_plots(component, part, taken, leaf, path, None)
    ]


def _component_plots(
    distribution: Distribution, parameters: Tensor, action: Tensor, space: Space[Any], label: str, names: Names
) -> list[PolicyPlot]:
    match distribution:
        case distributions.Categorical():
            probabilities = torch.softmax(parameters, -1).tolist()
            return [_choice_plot(label, probabilities, [int(action)], names, _first_choice(space, 0))]
        case distributions.MultiCategorical():
            rows = [torch.softmax(row, -1).tolist() for row in torch.split(parameters, distribution.sizes)]
            if len(rows) == 1:
                return [_choice_plot(label, rows[0], [int(action[0])], None, _first_choice(space, 0))]
            label, taken = label or "choice", [frozenset([int(choice)]) for choice in action]
            return [ProbabilityGrid(f"{label} {i}", row, taken[i], _first_choice(space, i)) for i, row in enumerate(rows)]
        case distributions.Bernoulli():
            label = label or "switches" * (distribution.dimensions > _MAX_BARS)
            return [_choice_plot(label, torch.sigmoid(parameters).tolist(), action.nonzero().flatten().tolist(), names)]
        case distributions.Normal() | distributions.StateDependentNoise():
            if isinstance(distribution, distributions.StateDependentNoise):
                parameters = distribution.mean_and_std(parameters)
            mean, std = torch.split(parameters, distribution.dimensions)
            weight = torch.ones(distribution.dimensions, 1, dtype=parameters.dtype)
            return _density_plots(weight, mean.unsqueeze(-1), std.unsqueeze(-1), action, space, label, names)
        case distributions.NormalMixture():
            logits, means, stds = parameters.view(3, distribution.dimensions, distribution.components)
            return _density_plots(torch.softmax(logits, -1), means, stds, action, space, label, names)
        case distributions.SquashedNormal() | distributions.Beta():
            return _bounded_density_plots(distribution, parameters, action, space, label, names)
    numbers = action.double().flatten().tolist()
    return [ActionText(label or "action", " ".join(f"{number:.3g}" for number in numbers))]


def _choice_plot(label: str, probabilities: list[float], selected: list[int], names: Names, start: int = 0) -> PolicyPlot:
    if len(probabilities) > _MAX_BARS:
        return ProbabilityGrid(label, probabilities, frozenset(selected), start)
    if names is None or len(names) != len(probabilities):
        names = [str(start + i) for i in range(len(probabilities))]
    return BarPlot(label, names, probabilities, frozenset(selected))


def _first_choice(space: Space[Any], index: int) -> int:
    return int(np.ravel(space.start)[index]) if isinstance(space, Discrete | MultiDiscrete) else 0


def _density_plots(
    weights: Tensor, means: Tensor, stds: Tensor, action: Tensor, space: Space[Any], label: str, names: Names
) -> list[PolicyPlot]:
    """A plot for each number; ``weights``, ``means``, ``stds`` are ``[dimensions, components]``."""
    names = _number_names(names, len(means), label)
    mean = (weights * means).sum(-1)
    std = ((weights * (stds**2 + means**2)).sum(-1) - mean**2).clamp(min=0).sqrt()
    plots: list[PolicyPlot] = []
    for i, number in enumerate(action.double().flatten().tolist()):
        low, high = _axis_range(space, i, float((means[i].abs() + _AXIS_SIGMAS * stds[i]).max()))
        x = torch.linspace(low, high, _NUM_POINTS, dtype=means.dtype).unsqueeze(-1)
        heights = (weights[i] / stds[i] * torch.exp(-0.5 * ((x - means[i]) / stds[i]) ** 2)).sum(-1)
        # A mode between two points of the axis, or beyond its ends, must not divide by zero.
        highest = max(float(heights.max()), 1e-300)
        clipped = min(max(number, low), high)
        plots.append(DensityPlot(names[i], low, high, (heights / highest).tolist(), float(mean[i]), float(std[i]), clipped))
    return plots


def _bounded_density_plots(
    distribution: _Bounded, parameters: Tensor, action: Tensor, space: Space[Any], label: str, names: Names
) -> list[PolicyPlot]:
    """A plot for each number between its bounds; mean and std are sums over a finer axis."""
    names = _number_names(names, distribution.dimensions, label)
    points = distribution.mode(parameters).repeat(10 * (_NUM_POINTS - 1) + 1, 1)
    plots: list[PolicyPlot] = []
    for i, number in enumerate(action.double().flatten().tolist()):
        low, high = _axis_range(space, i, 1.0)
        x = torch.linspace(low, high, len(points), dtype=parameters.dtype)
        here = points.clone()  # the others, which are independent, stay where they are
        here[:, i] = x
        mass = torch.softmax(distribution.log_prob(parameters.expand(len(points), -1), here), 0)
        mean = float((mass * x).sum())
        std = float((mass * (x - mean) ** 2).sum().sqrt())
        heights = mass[::10] / mass[::10].max()
        plots.append(DensityPlot(names[i], low, high, heights.tolist(), mean, std, min(max(number, low), high)))
    return plots


def _number_names(names: Names, dimensions: int, label: str) -> Sequence[str]:
    if names is not None and len(names) == dimensions:
        return names
    return [f"{label or 'action'} {i}" if dimensions > 1 else label or "action" for i in range(dimensions)]


def _axis_range(space: Space[Any], index: int, extent: float) -> tuple[float, float]:
    if isinstance(space, Box):
        low: NDArray[Any] = space.low.reshape(-1)
        high: NDArray[Any] = space.high.reshape(-1)
        if index < low.size and np.isfinite(low[index]) and np.isfinite(high[index]):
            return float(low[index]), float(high[index])
    step = 1.0
    while step < extent and step < 1e12:
        step *= 2  # in powers of two, so that the axis seldom changes between frames
    return -step, step
