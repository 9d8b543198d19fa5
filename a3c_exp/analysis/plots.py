"""What the figures of a report show: one entry each. How they are drawn is in ``figures``."""

from dataclasses import dataclass
from typing import Literal

from a3c_exp.analysis.aggregate import Axis, Table


@dataclass(frozen=True)
class Plot:
    """What a figure shows.

    Attributes:
        name: of the file, and of its place on the page.
        title: the quantity on the upward axis, in words.
        note: what a reader should know of it, one sentence.
        table, quantity, axis: where the numbers come from.
        section: ``curves`` (large) or ``diagnostics`` (small).
        spread: middle half of the seeds around the median, or the mean with its 95 % interval.
        scale: ``log`` where a quantity runs over powers of ten; ``zero`` where the axis starts at 0; ``unit`` for
            shares of at most 1, cut off at -1.
    """

    name: str
    title: str
    note: str
    table: Table
    quantity: str
    axis: Axis
    section: Literal["curves", "diagnostics"] = "diagnostics"
    spread: Literal["quartiles", "interval"] = "quartiles"
    scale: Literal["linear", "log", "zero", "unit"] = "linear"


PLOTS = (
    Plot(
        name="reward_by_episode",
        title="Mean step reward, moving average",
        note="The published report's own curve: 0.99 old + 0.01 new with each training episode.",
        table="episodes",
        quantity="moving_average",
        axis="episode",
        section="curves",
    ),
    Plot(
        name="reward_by_step",
        title="Mean step reward, moving average",
        note="The same curve against experience, so that episodes of different length compare.",
        table="episodes",
        quantity="moving_average",
        axis="env_step",
        section="curves",
    ),
    Plot(
        name="reward_by_time",
        title="Mean step reward, moving average",
        note="The same curve against the clock: what more workers are for.",
        table="episodes",
        quantity="moving_average",
        axis="wall_time",
        section="curves",
    ),
    Plot(
        name="evaluation",
        title="Evaluation return",
        note="Return of the shared weights on held-out seeds, without learning.",
        table="evaluations",
        quantity="mean",
        axis="env_step",
        section="curves",
        spread="interval",
    ),
    Plot("entropy", "Entropy", "Of the policy, a step.", "metrics", "entropy", "env_step"),
    Plot("value_loss", "Value loss", "The critic's part of the loss.", "metrics", "value_loss", "env_step", scale="log"),
    Plot("gradient_norm", "Gradient norm", "Before clipping.", "metrics", "grad_norm", "env_step", scale="log"),
    Plot(
        name="explained_variance",
        title="Explained variance",
        note="Of the returns by the value: 1 is perfect, 0 no better than a constant; cut off at \N{MINUS SIGN}1.",
        table="metrics",
        quantity="explained_variance",
        axis="env_step",
        scale="unit",
    ),
    Plot(
        name="policy_lag",
        title="Policy lag",
        note="Updates of the shared weights between a worker's pull and its push.",
        table="metrics",
        quantity="policy_lag_mean",
        axis="env_step",
        scale="zero",
    ),
    Plot(
        name="speed",
        title="Steps a second",
        note="Environment steps of all workers together.",
        table="metrics",
        quantity="steps_per_second",
        axis="env_step",
        scale="zero",
    ),
)
