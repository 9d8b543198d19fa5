"""What the figures of a report show: one entry each. How they are drawn is in ``figures``."""

from dataclasses import dataclass
from typing import Literal

from a3c_exp.report.aggregate import Axis, CurveSource

PlotSection = Literal["learning", "policy", "confidence", "critic", "gradients", "asynchrony", "speed"]
HEADINGS: dict[PlotSection, str] = {
    "learning": "Learning",
    "policy": "Policy",
    "confidence": "Overconfidence",
    "critic": "Critic",
    "gradients": "Gradients",
    "asynchrony": "Asynchrony",
    "speed": "Speed",
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
        max_points: about how many a line has at most, means of neighbours; more only show noise.
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


PLOTS = (
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
        note="The environment's own rewards summed over an episode, actions sampled; means of neighbours where there are many.",
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
        name="entropy_normalized",
        title="Entropy, of its maximum",
        note="1 knows nothing yet; near 0 before returns are good, the policy has settled too early.",
        source="metrics",
        quantity="entropy_normalized",
        axis="env_step",
        section="policy",
        replaces="entropy",
        scale="share",
    ),
    Plot("entropy", "Entropy", "Of the policy, a step, in nats.", "metrics", "entropy", "env_step", "policy"),
    Plot(
        name="max_probability",
        title="Largest probability",
        note="Of the policy's actions, mean over steps: near 1 it is sure of itself, rightly or not.",
        source="metrics",
        quantity="max_probability",
        axis="env_step",
        section="confidence",
        scale="share",
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
        name="value_loss",
        title="Value loss",
        note="The critic's part of the loss.",
        source="metrics",
        quantity="value_loss",
        axis="env_step",
        section="critic",
        scale="log",
    ),
    Plot(
        name="explained_variance",
        title="Explained variance",
        note="Of the returns by the value: 1 is perfect, 0 no better than a constant; cut off at \N{MINUS SIGN}1.",
        source="metrics",
        quantity="explained_variance",
        axis="env_step",
        section="critic",
        scale="unit",
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
        name="truncated_share",
        title="Windows that a time limit ended",
        note="Share of the workers' windows in which an episode was truncated, so that targets rest on V of its last state.",
        source="metrics",
        quantity="truncated_share",
        axis="env_step",
        section="critic",
        scale="zero",
    ),
    Plot(
        name="gradient_norm",
        title="Gradient norm",
        note="L2, mean over pushes, before clipping.",
        source="metrics",
        quantity="grad_norm",
        axis="env_step",
        section="gradients",
        scale="log",
    ),
    Plot(
        name="gradient_norm_clipped",
        title="Gradient norm after clipping",
        note="What the optimiser was given, mean over pushes: flat where nearly every gradient is clipped.",
        source="metrics",
        quantity="grad_norm_clipped",
        axis="env_step",
        section="gradients",
        hidden_if_equal_to="grad_norm",
        scale="log",
    ),
    Plot(
        name="gradient_norm_max",
        title="Largest gradient norm",
        note="Of any push since the point before, before clipping: spikes that a mean hides.",
        source="metrics",
        quantity="grad_norm_max",
        axis="env_step",
        section="gradients",
        scale="log",
    ),
    Plot(
        name="policy_lag",
        title="Policy lag",
        note="Updates of the shared weights between a worker's pull and its push, mean over pushes.",
        source="metrics",
        quantity="policy_lag_mean",
        axis="env_step",
        section="asynchrony",
        scale="zero",
    ),
    Plot(
        name="policy_lag_max",
        title="Largest policy lag",
        note="Of any push since the point before.",
        source="metrics",
        quantity="policy_lag_max",
        axis="env_step",
        section="asynchrony",
        scale="zero",
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
