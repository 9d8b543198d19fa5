"""Reports each evaluation of a running trial to its study, and stops the run if the trial is pruned."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError

from a3c_exp.loggers.base import RunInfo
from a3c_exp.runs.log_records import EvaluationRecord, JsonObject, Status
from a3c_exp.sweep.study.objective import Objective
from a3c_exp.system.number_format import format_number
from a3c_exp.training.run import StopCallback


class PruningCallback(StopCallback):
    """Reports a run's evaluations to its trial, and asks whether it should be pruned.

    Of several seeds that train together it is given the mean. Of seeds that train one after another, each evaluation is
    reported as the mean with those of the earlier seeds at the same point of their training, so that later seeds only make
    the value more precise.

    Args:
        trial: of the study.
        objective: the value to report; ``None`` reports nothing, as with several objectives.
        can_prune: whether to ask.
        earlier_seeds: the values of earlier seeds at each evaluation.

    Attributes:
        stop_reason: why the run should stop; ``None`` if it should go on.
        intermediate_values: the objective at each evaluation of this run.
        status, summary: of the run, once it has ended.
    """

    def __init__(
        self, trial: optuna.Trial, objective: Objective | None, can_prune: bool, earlier_seeds: Sequence[Sequence[float]] = ()
    ) -> None:
        self._trial = trial
        self._objective = objective
        self._can_prune = can_prune
        self._earlier_seeds = earlier_seeds
        self.stop_reason = None
        self.intermediate_values: list[float] = []
        self.status: Status = "running"
        self.summary: Mapping[str, Any] = {}

    def start(self, run: RunInfo) -> None:
        self.status = "running"

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        if self._objective is None:
            return
        self.intermediate_values.append(
            self._objective.intermediate_value(evaluation, self.intermediate_values[-1] if self.intermediate_values else None)
        )
        at = len(self.intermediate_values) - 1
        earlier = [values[min(at, len(values) - 1)] for values in self._earlier_seeds if values]
        value = sum([*earlier, self.intermediate_values[-1]]) / (len(earlier) + 1)
        if not math.isfinite(value):
            return
        try:
            self._trial.report(value, step=sum(map(len, self._earlier_seeds)) + at + 1)
            if self._can_prune and self._trial.should_prune():
                pruner = type(self._trial.study.pruner).__name__
                self.stop_reason = f"{pruner} at evaluation {at + 1}: {self._objective.name} is {format_number(value)}"
        except UpdateFinishedTrialError:
            self.stop_reason = "another process took this trial for stale and ended it"
        except Exception as error:  # a storage that is away for a moment is no reason to lose a run
            print(f"evaluation {at + 1} could not be reported to the study: {error}", file=sys.stderr, flush=True)

    def finish(self, status: Status, summary: JsonObject) -> None:
        self.status, self.summary = status, summary
