"""What the figures of a report show: one entry each. How they are drawn is in ``curve_figures``."""

from dataclasses import dataclass
from typing import Literal

from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.report.curves import Axis, CurveSource
from a3c_exp.runs.log_records import StatisticInfo

HEADINGS = {
    "learning": "Learning", "policy": "Policy", "confidence": "Overconfidence", "critic": "Critic", "gradients": "Gradients",
    "asynchrony": "Asynchrony", "speed": "Speed", "custom": "Further statistics",
}  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """What a figure shows."""

    name: str  #: of the file, and of its place on the page
    title: str  #: its own
    note: str  #: what a reader should know of it, one sentence
    source: CurveSource
    quantity: str
    axis: Axis
    section: str  #: which of ``HEADINGS`` it stands under; figures of ``learning`` are large, all others small
    #: Middle half of the seeds around the median; the mean over seeds with its 95 % interval; or ``within``: the median over
    #: seeds, and around it the ``edges`` that each run has within itself; ``steps``: one histogram a configuration.
    spread: Literal["quartiles", "interval", "within", "steps"] = "quartiles"
    #: Quantities that bound ``quantity`` in each run; with ``interval`` they are shaded where seeds are too few.
    edges: tuple[str, str] | None = None
    replaces: str = ""  #: a figure that is left out where this one says the same of every run
    hidden_if_equal_to: str = ""  #: a quantity that this figure would only repeat; left out where it does, in every run
    y_label: str = ""  #: the quantity on the upward axis, in words, where that is not the title
    max_points: int = 80  #: about how many a line has at most, means of neighbors; more only show noise
    #: ``log`` where a quantity runs over powers of ten; ``zero`` where the axis starts at 0; ``unit`` for shares of at most 1,
    #: cut off at -1; ``share`` for those between 0 and 1.
    scale: Literal["linear", "log", "zero", "unit", "share"] = "linear"

    @property
    def large(self) -> bool:
        """Whether it is one of the figures that a reader looks at first."""
        return self.section == "learning"


def statistic_plot(info: StatisticInfo) -> Plot:
    """The curve of a declared statistic."""
    section = info.section if info.section in HEADINGS else "custom"
    title = f"{info.title} ({info.unit})" if info.unit else info.title
    return Plot(info.name, title, info.help, "metrics", info.name, "env_step", section,
                replaces=info.replaces, hidden_if_equal_to=info.hidden_if_equal_to, scale=info.scale)  # fmt: skip


_REWARD, _AVERAGE = "Mean step reward, moving average", "moving_average"
_STEPS, _UPDATES = "worker_steps_per_second", "worker_updates_per_second"
PLOTS = (
    *(statistic_plot(info) for info in StatisticsTable().infos.values() if info.title),
    Plot("reward_by_episode", "Mean step reward by episode",
         "The published report's own curve: 0.99 old + 0.01 new with each training episode.",
         "episodes", _AVERAGE, "episode", "learning", max_points=300, y_label=_REWARD),
    Plot("reward_by_step", "Mean step reward by step",
         "The same curve against experience, so that episodes of different length compare.",
         "episodes", _AVERAGE, "env_step", "learning", max_points=300, y_label=_REWARD),
    Plot("reward_by_time", "Mean step reward by time",
         "The same curve against the clock: what more workers are for.",
         "episodes", _AVERAGE, "wall_time", "learning", max_points=300, y_label=_REWARD),
    Plot("training_return", "Return of training episodes",
         "The environment's own rewards summed over an episode, actions sampled; means of neighbors where there are many.",
         "episodes", "return", "env_step", "learning", max_points=60),
    Plot("evaluation", "Evaluation return", "Return of the shared weights on held-out seeds, without learning.",
         "evaluations", "mean", "env_step", "learning", max_points=300, spread="interval", edges=("ci_low", "ci_high")),
    Plot("value_excess", "Value less what was earned",
         "Mean V(s) less the discounted return that training episodes came to, as the learner sees rewards: above 0 the "
         "critic promises too much.",
         "metrics", "value.excess", "env_step", "confidence"),
    Plot("sampling_gap", "Evaluation less training return",
         "The policy's best guesses against what it tries, where both have the same time limit: below 0 its likeliest "
         "actions are not its best.",
         "evaluations", "sampling.gap", "env_step", "confidence"),
    Plot("value", "Value", "Mean of V(s) over steps; shaded: its standard deviation over steps, below and above.",
         "metrics", "value_mean", "env_step", "critic", spread="within", edges=("value.low", "value.high")),
    Plot("policy_lag_histogram", "Pushes at each policy lag",
         "Share of all pushes of a configuration's ended runs; a lag of 255 stands for that and more.",
         "lags", "share", "lag", "asynchrony", spread="steps", scale="zero", max_points=10_000),
    Plot("speed", "Steps a second", "Environment steps of all workers together.",
         "metrics", "steps_per_second", "env_step", "speed", scale="zero"),
    Plot("worker_steps", "Steps a second, of one worker", "Mean over workers; shaded: from the slowest to the fastest.",
         "metrics", f"{_STEPS}.mean", "env_step", "speed",
         spread="within", edges=(f"{_STEPS}.low", f"{_STEPS}.high"), scale="zero"),
    Plot("worker_updates", "Updates a second, of one worker",
         "Windows that a worker pushed, mean over workers; shaded: from the slowest to the fastest.",
         "metrics", f"{_UPDATES}.mean", "env_step", "speed",
         spread="within", edges=(f"{_UPDATES}.low", f"{_UPDATES}.high"), scale="zero"),
)  # fmt: skip
