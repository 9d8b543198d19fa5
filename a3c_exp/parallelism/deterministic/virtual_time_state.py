"""What one training in virtual time has in progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.parallelism.deterministic.fixed_lag import WeightHistory
from a3c_exp.parallelism.deterministic.worker_schedule import WorkerSchedule
from a3c_exp.parallelism.single_process.pending_gradients import PendingGradients


@dataclass
class VirtualTimeState:
    """What a training of N workers has in progress, besides its weights and counters."""

    schedule: WorkerSchedule  # whose window ends next
    pending: PendingGradients  # computed, waiting to be applied
    pulled_at: NDArray[np.int64]  # [N] the update that each worker's copy of the weights stands at
    fractions: NDArray[np.float64]  # [N] how much of the budget was used up then, for schedules of windows; 0 without any
    history: WeightHistory | None = None  # the newest weights and those before them, where lags are set

    @classmethod
    def begin(cls, schedule: WorkerSchedule, workers: int, num_stats: int) -> "VirtualTimeState":
        return cls(schedule, PendingGradients(workers, num_stats), np.zeros(workers, np.int64), np.zeros(workers))

    def pull_at_once(self, weights: Tensor, updates: int, fraction: float, max_lag: int | None) -> None:
        """All workers stand at the first ``weights [P]`` of a training; lags are set where there is a ``max_lag``."""
        self.pulled_at[:], self.fractions[:] = updates, fraction
        self.history = None if max_lag is None else WeightHistory(max_lag, [weights], updates, [fraction])

    def append_to_history(self, worker_weights: Tensor, order: NDArray[np.int64]) -> None:
        """Keep the weights after each of these updates, as its worker pulled them, for as far back as a lag goes."""
        if self.history is not None:
            self.history.append(worker_weights.index_select(0, torch.from_numpy(order)), self.fractions[order])

    def state_dict(self) -> dict[str, Any]:
        versions, fractions = ([], []) if self.history is None else (self.history.versions(), self.history.fractions())
        return {
            "pulled_at": self.pulled_at.tolist(),
            "fractions": self.fractions.tolist(),
            "pending_gradients": self.pending.state_dict(),
            "history": versions,
            "history_fractions": fractions,
            "schedule": self.schedule.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any], updates: int, max_lag: int | None, device: torch.device) -> None:
        """Go on after so many ``updates``."""
        self.pulled_at[:] = state_dict["pulled_at"]
        self.fractions[:] = state_dict.get("fractions", 0.0)  # checkpoints from before there were such schedules have none
        self.pending.load_state_dict(state_dict["pending_gradients"], device)
        versions: Sequence[Tensor] = [version.to(device) for version in state_dict["history"]]
        if max_lag is not None and versions:
            fractions = state_dict.get("history_fractions", [0.0] * len(versions))
            self.history = WeightHistory(max_lag, versions, updates, fractions)
        self.schedule.load_state_dict(state_dict["schedule"])
