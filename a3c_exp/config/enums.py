"""Words that a configuration chooses from. No torch here, so that a mistake on the command line is answered at once."""

from enum import StrEnum


class Reduction(StrEnum):
    """How a loss term is gathered over the valid steps of a window."""

    mean = "mean"
    sum = "sum"


class ValueLoss(StrEnum):
    """Distance between value and target: ``(R - V)^2`` without a factor of one half, or Huber's with threshold 1."""

    mse = "mse"
    huber = "huber"


class Device(StrEnum):
    """Where networks run; ``auto`` is the fastest that is present."""

    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"
    auto = "auto"


class Truncation(StrEnum):
    """What a time limit does: it ends the episode, or environments step on past it as if there were none."""

    end = "end"
    ignore = "ignore"


class HyperparameterRangeKind(StrEnum):
    """How workers' own values are spread: not at all, drawn between two bounds, or listed and dealt out in turn."""

    none = "none"
    uniform = "uniform"
    loguniform = "loguniform"
    values = "values"


class LRSchedule(StrEnum):
    """What becomes of the learning rate over the budget."""

    none = "none"
    linear = "linear"
