"""What a study maximizes or minimizes: a quantity of the run's summary."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from a3c_exp.runs.log_records import EvaluationRecord
from a3c_exp.system.errors import ConfigError, NonFiniteError
from a3c_exp.system.suggestions import closest_match

_SUMMARY_FIELDS = ("episodes", "env_steps", "updates", "wall_time", "steps_per_second", "moving_average", "recent_return")
_EVALUATION_FIELDS = tuple(
    field.name for field in fields(EvaluationRecord) if field.name not in ("deterministic", "returns", "best")
)
OBJECTIVE_NAMES = (
    *(f"evaluation.{name}" for name in _EVALUATION_FIELDS),
    *(f"best_evaluation.{name}" for name in _EVALUATION_FIELDS),
    *_SUMMARY_FIELDS,
    "policy_lag.mean",
    "policy_lag.max",
)
"""Every quantity that each run's summary has; ``parallelism.<name>`` are those of one kind of parallelism."""


@dataclass(frozen=True)
class Objective:
    """A quantity and its direction.

    Attributes:
        name: dotted, as in ``summary.json``.
        direction: ``maximize`` or ``minimize``.
    """

    name: str
    direction: str

    def __post_init__(self) -> None:
        if self.direction not in ("maximize", "minimize"):
            raise ConfigError(f"hydra.sweeper.direction is {self.direction!r}, but it is maximize or minimize")
        if self.name not in OBJECTIVE_NAMES and not self.name.startswith("parallelism."):
            guess = closest_match(self.name, list(OBJECTIVE_NAMES))
            hint = f"Did you mean {guess}?" if guess else f"There are {', '.join(OBJECTIVE_NAMES)}"
            raise ConfigError(f"hydra.sweeper.objective is {self.name}, which no run's summary has. {hint}")

    def final_value(self, summary: Mapping[str, Any]) -> float:
        """Its value in a finished run's summary.

        Raises:
            ConfigError: the summary does not have it.
            NonFiniteError: it is not a finite number.
        """
        value: Any = summary
        for part in self.name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ConfigError(f"the run's summary has no number {self.name}, which hydra.sweeper.objective asks for")
        if not math.isfinite(value):
            raise NonFiniteError(f"{self.name} is {value}, so this trial has no value")
        return float(value)

    @property
    def known_during_training(self) -> bool:
        """Whether evaluations during a run give a value, so that the run can be pruned."""
        return self.name.partition(".")[0] in ("evaluation", "best_evaluation")

    def intermediate_value(self, evaluation: EvaluationRecord, previous: float | None) -> float:
        """Its value at an evaluation in the middle of a run.

        Args:
            evaluation: the newest.
            previous: the value at the evaluation before; the best so far is kept.
        """
        value = float(getattr(evaluation, self.name.partition(".")[2]))
        if self.name.startswith("best_") and not evaluation.best and previous is not None:
            return previous
        return value

    def is_better(self, value: float, other: float) -> bool:
        return value > other if self.direction == "maximize" else value < other
