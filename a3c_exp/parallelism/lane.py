"""What one training in virtual time has under way."""

import numpy as np

from a3c_exp.parallelism.lags import PastWeights
from a3c_exp.parallelism.turns import Turns
from a3c_exp.parallelism.windows import Windows


class Lane:
    """Beside its weights and counters.

    Args:
        turns: whose window ends next.
        workers: N.

    Attributes:
        windows: those that are computed and wait for their turn.
        pulled_at: ``[N]`` the update that each worker's copy of the weights stands at.
        past: the newest weights and those before them, where lags are set.
    """

    def __init__(self, turns: Turns, workers: int) -> None:
        self.turns = turns
        self.windows = Windows(workers)
        self.pulled_at = np.zeros(workers, np.int64)
        self.past: PastWeights | None = None
