"""What the figures of a report show: one entry each. How they are drawn is in ``figures``."""

from dataclasses import dataclass
from typing import Literal

from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.report.aggregate import Axis, CurveSource
from a3c_exp.runs.log_records import StatisticInfo

PlotSection = Literal["learning", "policy", "confidence", "critic", "gradients", "asynchrony", "speed", "custom"]
HEADINGS: dict[PlotSection, str] = {
    "learning": "Learning",
    "policy": "Policy",
    "confidence": "Overconfidence",
    "critic": "Critic",
    "gradients": "Gradients",
    "asynchrony": "Asynchrony",
    "speed": "Speed",
    "custom": "Further statistics",
}


@dataclass(frozen=True)
class Plot:
    """What a figure shows.

    Attributes:
        name: of the file, and of its place on the page.
        title: the quantity on the upward axis, in words.
        note: what a reader should know of it, one sentence.
        source, quantity, axis: where the numbers come from.
        section: the heading it stands under; figures of ``learning`` are large, all others small.
        spread: middle half of the seeds around the median; the mean over seeds with its 95 % interval; or ``within``: the
            median over seeds, and around it the ``edges`` that each run has within itself; ``steps``: one histogram a
            configuration.
        edges: quantities that bound ``quantity`` in each run; with ``interval`` they are shaded where seeds are too few.
        replaces: a figure that is left out where this one says the same of every run.
        hidden_if_equal_to: a quantity that this figure would only repeat; left out where it does, in every run.
        max_points: about how many a line has at most, means of neighbors; more only show noise.
        scale: ``log`` where a quantity runs over powers of ten; ``zero`` where the axis starts at 0; ``unit`` for
            shares of at most 1, cut off at -1; ``share`` for those between 0 and 1.
    """

    name: str
    title: str
    note: str
    source: CurveSource
    quantity: str
    axis: Axis
    section: PlotSection
    spread: Literal["quartiles", "interval", "within", "steps"] = "quartiles"
    edges: tuple[str, str] | None = None
    replaces: str = ""
    hidden_if_equal_to: str = ""
    max_points: int = 80
    scale: Literal["linear", "log", "zero", "unit", "share"] = "linear"

    @property
    def large(self) -> bool:
        """Whether it is one of the figures that a reader looks at first."""
        return self.section == "learning"


def statistic_plot(info: StatisticInfo) -> Plot:
    """The curve of a declared statistic."""
    section = info.section if info.section in HEADINGS else "custom"
    return Plot(
        name=info.name,
        title=f"{info.title} ({info.unit})" if info.unit else info.title,
        note=info.help,
        source="metrics",
        quantity=info.name,
        axis="env_step",
        section=section,
        replaces=info.replaces,
        hidden_if_equal_to=info.hidden_if_equal_to,
        scale=info.scale,
    )


PLOTS = (
    *(statistic_plot(info) for info in StatisticsTable().infos.values() if info.title),
    Plot(
        name="reward_by_episode",
        title="Mean step reward, moving average",
        note="The published report's own curve: 0.99 old + 0.01 new with each training episode.",
        source="episodes",
        quantity="moving_average",
        axis="episode",
        section="learning",
        max_points=300,
    ),
    Plot(
        name="reward_by_step",
        title="Mean step reward, moving average",
        note="The same curve against experience, so that episodes of different length compare.",
        source="episodes",
        quantity="moving_average",
        axis="env_step",
        section="learning",
        max_points=300,
    ),
    Plot(
        name="reward_by_time",
        title="Mean step reward, moving average",
        note="The same curve against the clock: what more workers are for.",
        source="episodes",
        quantity="moving_average",
        axis="wall_time",
        section="learning",
        max_points=300,
    ),
    Plot(
        name="training_return",
        title="Return of training episodes",
        note="The environment's own rewards summed over an episode, actions sampled; means of neighbors where there are many.",
        source="episodes",
        quantity="return",
        axis="env_step",
        section="learning",
        max_points=60,
    ),
    Plot(
        name="evaluation",
        title="Evaluation return",
        note="Return of the shared weights on held-out seeds, without learning.",
        source="evaluations",
        quantity="mean",
        axis="env_step",
        section="learning",
        max_points=300,
        spread="interval",
        edges=("ci_low", "ci_high"),
    ),
    Plot(
        name="value_excess",
        title="Value less what was earned",
        note="Mean V(s) less the discounted return that training episodes came to, as the learner sees rewards: above 0 the "
        "critic promises too much.",
        source="metrics",
        quantity="value.excess",
        axis="env_step",
        section="confidence",
    ),
    Plot(
        name="sampling_gap",
        title="Evaluation less training return",
        note="The policy's best guesses against what it tries, where both have the same time limit: below 0 its likeliest "
        "actions are not its best.",
        source="evaluations",
        quantity="sampling.gap",
        axis="env_step",
        section="confidence",
    ),
    Plot(
        name="value",
        title="Value",
        note="Mean of V(s) over steps; shaded: its standard deviation over steps, below and above.",
        source="metrics",
        quantity="value_mean",
        axis="env_step",
        section="critic",
        spread="within",
        edges=("value.low", "value.high"),
    ),
    Plot(
        name="policy_lag_histogram",
        title="Pushes at each policy lag",
        note="Share of all pushes of a configuration's ended runs; a lag of 255 stands for that and more.",
        source="lags",
        quantity="share",
        axis="lag",
        section="asynchrony",
        spread="steps",
        scale="zero",
    ),
    Plot(
        name="speed",
        title="Steps a second",
        note="Environment steps of all workers together.",
        source="metrics",
        quantity="steps_per_second",
        axis="env_step",
        section="speed",
        scale="zero",
    ),
    Plot(
        name="worker_steps",
        title="Steps a second, of one worker",
        note="Mean over workers; shaded: from the slowest to the fastest.",
        source="metrics",
        quantity="worker_steps_per_second.mean",
        axis="env_step",
        section="speed",
        spread="within",
        edges=("worker_steps_per_second.low", "worker_steps_per_second.high"),
        scale="zero",
    ),
    Plot(
        name="worker_updates",
        title="Updates a second, of one worker",
        note="Windows that a worker pushed, mean over workers; shaded: from the slowest to the fastest.",
        source="metrics",
        quantity="worker_updates_per_second.mean",
        axis="env_step",
        section="speed",
        spread="within",
        edges=("worker_updates_per_second.low", "worker_updates_per_second.high"),
        scale="zero",
    ),
)
