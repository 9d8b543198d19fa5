"""The statistics of training. Each is declared once, here: how it is computed, how it is averaged, where it is shown.

``window_gradient`` packs what a window yields into one vector and ``TrainingStats`` adds the vectors up; ``metrics.jsonl``,
W&B, the live view and the report's curves take their names and words from the declarations. A new diagnostic is one more entry
of ``STATISTICS``, or, outside this package, one ``Statistic`` that ``metrics.extra=[my_module.my_statistic]`` names::

    advantage_size = Statistic("advantage_size", "Mean |R - V|.", compute=lambda window: window.error.abs())
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pkgutil import resolve_name
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a3c_exp.algorithm.training_stats import TrainingStats
from a3c_exp.runs.log_records import StatisticInfo
from a3c_exp.system.errors import ConfigError

if TYPE_CHECKING:  # views and reports read the declarations without torch
    from torch import Tensor

    from a3c_exp.algorithm.loss import LossTerms
    from a3c_exp.algorithm.types import Window
    from a3c_exp.models.distributions import Distribution


class WindowOutputs(NamedTuple):
    """What a statistic can be computed from, without gradients: one worker's window ``[n]``, or ``[G, n]`` of workers that
    share weights. Steps behind a window's end (``window.valid`` = 0) hold numbers without meaning, which sums omit."""

    window: "Window"
    terms: "LossTerms"  # scalars
    parameters: "Tensor"  # [..., n, parameters] of the policy's distribution
    value: "Tensor"  # [..., n] V(s_t)
    target: "Tensor"  # [..., n] n-step returns R_t
    error: "Tensor"  # [..., n] R_t - V(s_t)
    entropy: "Tensor"  # [..., n]
    max_probability: "Tensor"  # [..., n] of the most likely action; 0 for densities
    distribution: "Distribution"


@dataclass(frozen=True)
class Statistic(StatisticInfo):
    """A declared statistic.

    ``compute`` makes of a window ``[..., n]`` for ``mean_over_steps``, a scalar ``[]`` for the other reductions; ``None`` if
    it is derived only. It is pure and does not branch on values; one that is not finite stops the run, as a loss does.
    """

    compute: "Callable[[WindowOutputs], Tensor] | None" = None
    derive: "Callable[[Totals], float | None] | None" = None  # from sums over windows; None: the mean or maximum of ``compute``
    logged: bool = True  # whether it is a line of its own, or only serves those that are derived

    @property
    def info(self) -> StatisticInfo:
        """The words alone, which can be pickled and written to files."""
        return StatisticInfo(**{field.name: getattr(self, field.name) for field in fields(StatisticInfo)})


class Totals:
    """Sums over windows, by the names of statistics; ``max_entropy`` of the policy in nats, ``None`` without a maximum;
    ``scheduled`` the current values of hyperparameters that have a schedule, by their keys."""

    def __init__(
        self,
        table: "StatisticsTable",
        stats: TrainingStats,
        max_entropy: float | None = None,
        scheduled: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._table, self.stats, self.max_entropy, self.scheduled = table, stats, max_entropy, scheduled
        self.gradients = max(stats.windows + stats.dropped, 1)

    def sum(self, column: str) -> float:
        return float(self.stats.sums[self._table.columns[column]])

    def mean(self, name: str) -> float:
        """Over steps or over windows, as the statistic declares; NaN without any."""
        steps = f"{name}_sum" in self._table.columns
        count = self.sum("steps") if steps else self.stats.windows
        return self.sum(f"{name}_sum" if steps else name) / count if count else math.nan

    def max(self, name: str) -> float:
        return float(self.stats.maxima[self._table.columns[name]])


def _explained_variance(totals: Totals) -> float | None:
    """``1 - Var(R - V) / Var(R)``: 1 is a perfect critic, 0 is no better than a constant."""
    if totals.sum("steps") < 2:
        return None
    variance = totals.mean("target_square") - totals.mean("target") ** 2
    error = totals.mean("error_square") - totals.mean("error") ** 2
    return 1.0 - error / variance if variance > 1e-12 else None


def _value_std(totals: Totals) -> float:
    return math.sqrt(max(0.0, totals.mean("value_square") - totals.mean("value") ** 2))


# fmt: off
GRADIENT_NORM = Statistic(
    "grad_norm", "L2, mean over pushes, before clipping.", "mean_over_windows",
    label="gradient norm", title="Gradient norm", section="gradients", scale="log")
CLIPPED_NORM = Statistic(
    "grad_norm_clipped", "What the optimizer was given, mean over pushes: flat where nearly every gradient is clipped.",
    "mean_over_windows", label="clipped to", title="Gradient norm after clipping", section="gradients", scale="log",
    hidden_if_equal_to="grad_norm")
STATISTICS = (
    Statistic("loss", "The whole loss.", "mean_over_windows", compute=lambda window: window.terms.total),
    Statistic("policy_loss", "The policy's part.", "mean_over_windows", compute=lambda window: window.terms.policy),
    Statistic(
        "value_loss", "The critic's part of the loss.", "mean_over_windows", title="Value loss", section="critic", scale="log",
        compute=lambda window: window.terms.value),
    Statistic("entropy_term", "", "mean_over_windows", compute=lambda window: window.terms.entropy, logged=False),
    Statistic("target", "", compute=lambda window: window.target, logged=False),
    Statistic("target_square", "", compute=lambda window: window.target * window.target, logged=False),
    Statistic("error", "", compute=lambda window: window.error, logged=False),
    Statistic("error_square", "", compute=lambda window: window.error * window.error, logged=False),
    Statistic("value", "", compute=lambda window: window.value, logged=False),
    Statistic("value_square", "", compute=lambda window: window.value * window.value, logged=False),
    Statistic(
        "entropy", "Of the policy, a step, in nats.", unit="nats", label="entropy", title="Entropy", section="policy",
        compute=lambda window: window.entropy),
    Statistic(
        "entropy_normalized", "1 knows nothing yet; near 0 before returns are good, the policy has settled too early.",
        label="entropy/max", title="Entropy, of its maximum", section="policy", scale="share", replaces="entropy",
        derive=lambda totals: totals.mean("entropy") / totals.max_entropy if totals.max_entropy else None),
    Statistic(
        "max_probability", "Of the policy's actions, mean over steps: near 1 it is sure of itself, rightly or not.",
        label="max probability", title="Largest probability", section="confidence", scale="share",
        compute=lambda window: window.max_probability, derive=lambda totals: totals.mean("max_probability") or None),
    Statistic(
        "explained_variance",
        "Of the returns by the value: 1 is perfect, 0 no better than a constant; cut off at \N{MINUS SIGN}1.",
        label="explained variance", title="Explained variance", section="critic", scale="unit", derive=_explained_variance),
    Statistic("value_mean", "V(s), mean over steps.", derive=lambda totals: totals.mean("value")),
    Statistic("value_std", "Standard deviation of V(s) over steps.", derive=_value_std),
    GRADIENT_NORM,
    CLIPPED_NORM,
    Statistic(
        "grad_norm_max", "Of any push since the point before, before clipping: spikes that a mean hides.", "max",
        title="Largest gradient norm", section="gradients", scale="log", derive=lambda totals: totals.max("grad_norm")),
    Statistic(
        "lr", "Learning rate at this point of its schedule, mean over workers.", "mean_over_windows",
        label="learning rate", title="Learning rate", section="gradients", derive=lambda totals: totals.scheduled.get("lr")),
    Statistic(
        "beta", "Entropy coefficient at this point of its schedule, mean over workers.", "mean_over_windows",
        label="entropy coefficient", title="Entropy coefficient", section="policy",
        derive=lambda totals: totals.scheduled.get("beta")),
    Statistic(
        "max_grad_norm", "The norm that gradients are clipped to at this point of its schedule.", "mean_over_windows",
        label="clip", title="Norm that gradients are clipped to", section="gradients",
        derive=lambda totals: totals.scheduled.get("max_grad_norm")),
    Statistic(
        "policy_lag_mean", "Updates of the shared weights between a worker's pull and its push, mean over pushes.",
        unit="updates", title="Policy lag", section="asynchrony", scale="zero", derive=lambda totals: totals.stats.lag_mean),
    Statistic(
        "policy_lag_max", "Of any push since the point before.", "max", unit="updates", title="Largest policy lag",
        section="asynchrony", scale="zero", derive=lambda totals: totals.stats.lag_max),
    Statistic(
        "truncated_share",
        "Share of the workers' windows in which an episode was truncated, so that targets rest on V of its last state.",
        title="Windows that a time limit ended", section="critic", scale="zero",
        derive=lambda totals: totals.stats.truncated / max(int(totals.stats.worker_windows.sum()), 1)),
    Statistic(
        "dropped_share", "Share of gradients that were too stale to be applied.",
        derive=lambda totals: totals.stats.dropped / totals.gradients),
    Statistic(
        "downweighted_share", "Share of gradients that were applied with less weight because they were stale.",
        derive=lambda totals: totals.stats.downweighted / totals.gradients),
)
# fmt: on


class StatisticsTable:
    """The statistics of a run, and the place of each in the vector that comes with a gradient: numbers a window, the
    gradient's norm, how many steps, sums over steps, and the norm after clipping.

    ``extra`` are dotted names of further ``Statistic`` objects; each process imports them anew.

    Attributes:
        window_statistics, step_statistics: those that are computed from windows, in the vector's order.
        columns: each number's place, by name: a sum over steps ends in ``_sum``.

    Raises:
        ConfigError: an extra name is no ``Statistic``, or its own name is taken.
    """

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self.extra = tuple(extra)
        self.statistics = (*STATISTICS, *map(_load_statistic, self.extra))
        computed = [statistic for statistic in self.statistics if statistic.compute is not None]
        self.step_statistics = [each for each in computed if each.reduction == "mean_over_steps"]
        self.window_statistics = [each for each in computed if each.reduction != "mean_over_steps"]
        names = [*(each.name for each in self.window_statistics), GRADIENT_NORM.name, "steps"]
        names += [*(f"{each.name}_sum" for each in self.step_statistics), CLIPPED_NORM.name]
        self.columns = {name: place for place, name in enumerate(names)}
        taken = [each.name for each in self.statistics]
        for path, statistic in zip(self.extra, self.statistics[len(STATISTICS) :], strict=True):
            if taken.count(statistic.name) > 1 or len(self.columns) < len(names):
                raise ConfigError(f"metrics.extra: {path} is called {statistic.name}, but another statistic is. Rename it")

    def __reduce__(self) -> tuple[type["StatisticsTable"], tuple[tuple[str, ...]]]:
        return StatisticsTable, (self.extra,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StatisticsTable) and self.extra == other.extra

    def __hash__(self) -> int:
        return hash(self.extra)

    def __len__(self) -> int:
        """How many numbers come with each gradient."""
        return len(self.columns)

    @cached_property
    def infos(self) -> dict[str, StatisticInfo]:
        """What is logged, by name."""
        return {statistic.name: statistic.info for statistic in self.statistics if statistic.logged}

    @property
    def extra_infos(self) -> list[StatisticInfo]:
        return [statistic.info for statistic in self.statistics[len(STATISTICS) :]]

    def values(
        self, stats: TrainingStats, max_entropy: float | None = None, scheduled: Mapping[str, float] = MappingProxyType({})
    ) -> dict[str, float | None]:
        """What is logged of these windows, by name; ``None`` where a statistic has no value."""
        totals = Totals(self, stats, max_entropy, scheduled)
        return {each.name: _value(each, totals) for each in self.statistics if each.logged}

    def non_finite(self, window_stats: NDArray[np.float32]) -> tuple[str, ...]:
        """Which numbers of ``window_stats [len(self)]`` are NaN or infinite: losses and the gradient, if it is any of these."""
        names = [name for name, number in zip(self.columns, window_stats, strict=True) if not np.isfinite(number)]
        first = [name for name in names if self.columns[name] < self.columns["steps"]]
        return tuple(first or names)


def _value(statistic: Statistic, totals: Totals) -> float | None:
    if statistic.derive is not None:
        return statistic.derive(totals)
    return totals.max(statistic.name) if statistic.reduction == "max" else totals.mean(statistic.name)


def _load_statistic(path: str) -> Statistic:
    """Import ``module.name``; without words of its own it is shown under its name."""
    try:
        statistic = resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"metrics.extra names {path}, which cannot be imported: {error}. Try metrics.extra=[my_module.my_statistic]"
        ) from None
    if not isinstance(statistic, Statistic):
        raise ConfigError(
            f"metrics.extra names {path}, a {type(statistic).__name__}, but each entry is the dotted name of a "
            "Statistic. Try metrics.extra=[my_module.my_statistic], and see a3c_exp/algorithm/window_stats.py"
        )
    words = statistic.name.replace("_", " ")
    return replace(statistic, label=statistic.label or words, title=statistic.title or words.capitalize())
