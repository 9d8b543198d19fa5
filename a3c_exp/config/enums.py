"""Words that a configuration chooses from."""

from enum import StrEnum


class Reduction(StrEnum):
    """How a loss term is reduced over the valid steps of a window."""

    mean = "mean"
    sum = "sum"


class ValueLoss(StrEnum):
    """Distance between value and target: ``(R - V)^2`` without a factor of one half, or Huber's with threshold 1."""

    mse = "mse"
    huber = "huber"


class Device(StrEnum):
    """Where networks run; ``auto`` is the fastest that is available."""

    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"
    auto = "auto"


class Truncation(StrEnum):
    """What a time limit does: it ends the episode, or environments step past it as if there were none."""

    end = "end"
    ignore = "ignore"


class HyperparameterRangeKind(StrEnum):
    """How hyperparameters differ between workers: not at all, drawn from a range, or assigned from a list in turn."""

    none = "none"
    uniform = "uniform"
    loguniform = "loguniform"
    values = "values"


class LRSchedule(StrEnum):
    """The learning rate over the budget."""

    constant = "constant"
    linear = "linear"
    cosine = "cosine"
