"""A pruner that can be aimed."""

from optuna import Study
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial


class PruneAt(BasePruner):
    """Gives every trial up as soon as ``step`` is reported."""

    def __init__(self, step: int) -> None:
        self._step = step

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        return (trial.last_step or 0) >= self._step
