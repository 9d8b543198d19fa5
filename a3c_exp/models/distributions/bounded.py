"""Distributions over numbers between two bounds: what is sampled lies within them, so that no environment clips it."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from a3c_exp.compile.stable_ops import softplus
from a3c_exp.models.distributions.base import Distribution
from a3c_exp.models.distributions.continuous import Normal

_LOG_2 = math.log(2)
_FLOAT_EPS = 2.0**-23
_QUADRATURE_POINTS, _QUADRATURE_SIGMAS = 41, 6.0
_INTERVALS = 64  # of the density that Beta's samples are made from
_NEWTON_STEPS = 4
_TINY = 1e-30


class _Bounded(Distribution):
    """``dimensions`` independent numbers, each between bounds of its own; parameters are two numbers for each of them."""

    max_entropy = None

    def __init__(self, low: Sequence[float], high: Sequence[float]) -> None:
        assert len(low) == len(high) >= 1 and all(a < b for a, b in zip(low, high, strict=True)), (low, high)
        self.dimensions = self.action_size = len(low)
        self.parameters_size = 2 * self.dimensions
        self._low, self._high = (torch.tensor(bound, dtype=torch.float32) for bound in (low, high))
        self._range = self._high - self._low

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        first, second = torch.split(parameters, self.dimensions, dim=-1)
        return first, second

    def _scaled(self, share: Tensor) -> Tensor:
        """Actions that are so large a share in [0, 1] of the way from the lower bound to the upper one."""
        low, high = self._low.to(share), self._high.to(share)
        return torch.clamp(low + self._range.to(share) * share, low, high)  # rounding may lead beyond

    def _share(self, action: Tensor) -> Tensor:
        return (action - self._low.to(action)) / self._range.to(action)


class SquashedNormal(_Bounded):
    """Gaussians ``u`` whose tanh is stretched over the bounds: ``a = center + half_range * tanh(u)``, as in Haarnoja et al.
    2018 (arXiv:1801.01290), appendix C. Parameters are the means of ``u``, then its standard deviations.

    ``log p(a) = sum_i [ log N(u_i; mu_i, sigma_i^2) - log half_range_i - log(1 - tanh(u_i)^2) ]``, where
    ``log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u))`` neither overflows nor cancels. ``u`` is found again from the action,
    in single precision to 1e-4 up to ``|u| = 4`` and to 1e-2 up to 6, and is at most 8.3.

    The entropy ``sum_i [ log sigma_i + (1 + log(2 pi)) / 2 + log half_range_i + E log(1 - tanh(u_i)^2) ]`` has no closed form.
    Its expectation is taken by the trapezoidal rule over 6 standard deviations, which is exact to 1e-6 for sigma up to 2 and to
    1e-3 up to 5. A sample's ``-log p`` would not do: with the action given, the gradient of its mean is zero.
    """

    uniform_noise = 0

    def __init__(self, low: Sequence[float], high: Sequence[float]) -> None:
        super().__init__(low, high)
        self.normal_noise = self.dimensions
        self._normal = Normal(self.dimensions)
        # The largest |tanh| that an action in single precision tells from 1.
        spacing = _FLOAT_EPS * torch.maximum(self._low.abs(), self._high.abs()) / (0.5 * self._range)
        self._limit = 1.0 - spacing.clamp(min=_FLOAT_EPS, max=0.5)
        self._log_half_range = torch.log(0.5 * self._range)
        self._points = torch.linspace(-_QUADRATURE_SIGMAS, _QUADRATURE_SIGMAS, _QUADRATURE_POINTS)
        self._point_weights = torch.softmax(-0.5 * self._points**2, dim=0)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        return self._squash(self._normal.sample(parameters, noise))

    def mode(self, parameters: Tensor) -> Tensor:
        """The median, where ``u`` is its mean. The density itself can be highest at both bounds."""
        return self._squash(self._normal.mode(parameters))

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        limit = self._limit.to(action)
        squashed = torch.clamp(2 * self._share(action) - 1, -limit, limit)
        u = 0.5 * (torch.log1p(squashed) - torch.log1p(-squashed))
        log_derivative = _log_derivative_of_tanh(u) + self._log_half_range.to(action)
        return self._normal.log_prob(parameters, u) - log_derivative.sum(dim=-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        mean, std = self._split(parameters)
        u = mean.unsqueeze(-1) + std.unsqueeze(-1) * self._points.to(parameters)  # [..., dimensions, points]
        expected = (_log_derivative_of_tanh(u) * self._point_weights.to(parameters)).sum(dim=-1)
        return self._normal.entropy(parameters) + (expected + self._log_half_range.to(parameters)).sum(dim=-1)

    def _squash(self, u: Tensor) -> Tensor:
        return self._scaled(0.5 * torch.tanh(u) + 0.5)


def _log_derivative_of_tanh(u: Tensor) -> Tensor:
    return 2 * (_LOG_2 - u - softplus(-2 * u))


class Beta(_Bounded):
    """Beta distributions stretched over the bounds: Chou et al. 2017, "Improving stochastic policy gradients in continuous
    control with deep reinforcement learning using the Beta distribution". Parameters are the alphas, then the betas, at least 1
    each: one mode and a density that is finite at the bounds.

    With ``x`` an action's share of the way from the lower bound to the upper one,
    ``log p(a) = sum_i [ (alpha_i - 1) log x_i + (beta_i - 1) log(1 - x_i) - log B(alpha_i, beta_i) - log range_i ]``.
    """

    normal_noise = 0

    def __init__(self, low: Sequence[float], high: Sequence[float]) -> None:
        super().__init__(low, high)
        self.uniform_noise = self.dimensions
        self._log_range = torch.log(self._range)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """The inverse of the cumulative distribution at a uniform number in [0, 1) for each dimension."""
        return self._scaled(_beta_quantile(*self._split(parameters), noise))

    def mode(self, parameters: Tensor) -> Tensor:
        above, below = (each - 1.0 for each in self._split(parameters))
        total = above + below
        return self._scaled(torch.where(total > 0, above / total.clamp(min=_TINY), 0.5))

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        alpha, beta = self._split(parameters)
        share = self._share(action).clamp(0.5 * _FLOAT_EPS, 1.0 - 0.5 * _FLOAT_EPS)  # log 0 times 0 would be NaN
        density = (alpha - 1.0) * torch.log(share) + (beta - 1.0) * torch.log1p(-share)
        return (density - _log_beta_function(alpha, beta) - self._log_range.to(action)).sum(dim=-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        alpha, beta = self._split(parameters)
        total = alpha + beta
        slopes = (total - 2.0) * torch.digamma(total)
        slopes = slopes - (alpha - 1.0) * torch.digamma(alpha) - (beta - 1.0) * torch.digamma(beta)
        return (_log_beta_function(alpha, beta) + slopes + self._log_range.to(parameters)).sum(dim=-1)


def _log_beta_function(alpha: Tensor, beta: Tensor) -> Tensor:
    return torch.lgamma(alpha) + torch.lgamma(beta) - torch.lgamma(alpha + beta)


def _beta_quantile(alpha: Tensor, beta: Tensor, probability: Tensor) -> Tensor:
    """The number ``[...]`` in [0, 1] below which a Beta-distributed one lies with this probability, for ``alpha, beta >= 1``.

    A fixed number of operations without branches, so that it runs under vmap and compiled, which rejection does not. Over
    ``t = log(x / (1 - x))`` the density ``x^alpha (1 - x)^beta`` is smooth and log-concave. It is integrated by Simpson's rule
    over intervals from its mode outward to where less than 1e-7 is left, and within the interval that holds the probability the
    integral of the same parabola is inverted. The result's true cumulative probability is off by less than 1e-4.
    """
    flipped = alpha > beta  # the smaller share's rounding is relative to itself: 1 - p would lose it
    small, large = torch.minimum(alpha, beta), torch.maximum(alpha, beta)
    probability = torch.where(flipped, 1.0 - probability, probability)
    total = small + large
    p = small / total  # the mode over t is at log(p / (1 - p))
    core = 36.0 * total / (small * large)  # six standard deviations of a Gaussian that is as curved at the mode, squared
    left, right = torch.sqrt(core + (18.0 / small) ** 2), torch.sqrt(core + (18.0 / large) ** 2)
    points = torch.linspace(0.0, 1.0, 2 * _INTERVALS + 1, dtype=alpha.dtype, device=alpha.device)
    t = (left + right).unsqueeze(-1) * points - left.unsqueeze(-1)  # from the mode
    exponent = total.unsqueeze(-1) * torch.log1p(p.unsqueeze(-1) * torch.expm1(t)) - small.unsqueeze(-1) * t
    density = torch.exp(-exponent)
    start, middle, end = density[..., :-1:2], density[..., 1::2], density[..., 2::2]
    cumulative = ((start + 4.0 * middle + end) / 6.0).cumsum(dim=-1)
    target = probability.unsqueeze(-1) * cumulative[..., -1:]
    interval = (cumulative < target).sum(dim=-1, keepdim=True).clamp(max=_INTERVALS - 1)
    before = torch.where(interval > 0, cumulative.gather(-1, (interval - 1).clamp(min=0)), 0.0)
    start, middle, end = (each.gather(-1, interval) for each in (start, middle, end))
    missing = target - before
    slope, curvature = 4.0 * middle - 3.0 * start - end, 2.0 * (start + end) - 4.0 * middle
    inside = (6.0 * missing / (start + 4.0 * middle + end).clamp(min=_TINY)).clamp(0.0, 1.0)
    for _ in range(_NEWTON_STEPS):
        integral = inside * (start + inside * (slope / 2.0 + inside * (curvature / 3.0)))
        height = start + inside * (slope + inside * curvature)
        inside = (inside - (integral - missing) / height.clamp(min=_TINY)).clamp(0.0, 1.0)
    t = (left + right) * ((interval + inside) / _INTERVALS).squeeze(-1) - left
    share = p / (p + (1.0 - p) * torch.exp(-t))
    return torch.where(flipped, 1.0 - share, share)
