"""Words that a configuration chooses from."""

from enum import StrEnum

Reduction = StrEnum("Reduction", ["mean", "sum"])
"""How a loss term is reduced over the valid steps of a window."""

ValueLoss = StrEnum("ValueLoss", ["mse", "huber"])
"""Distance between value and target: ``(R - V)^2`` without a factor of one half, or Huber's with threshold 1."""

Device = StrEnum("Device", ["cpu", "cuda", "mps", "auto"])
"""Where networks run; ``auto`` is the fastest that is available."""

Precision = StrEnum("Precision", ["float32", "bfloat16"])
"""How compiled convolutions are computed: in float32, or mixed, of bfloat16 copies of their inputs. Weights are float32."""

Truncation = StrEnum("Truncation", ["end", "ignore"])
"""What a time limit does: it ends the episode, or environments step past it as if there were none."""

HyperparameterRangeKind = StrEnum("HyperparameterRangeKind", ["none", "uniform", "loguniform", "values"])
"""How hyperparameters differ between workers: not at all, drawn from a range, or assigned from a list in turn."""

ScheduleKind = StrEnum("ScheduleKind", ["constant", "linear", "cosine"])
"""A hyperparameter over the budget: as it is, or falling to zero along a line or half a cosine."""
