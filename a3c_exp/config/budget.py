"""The bounds of a run."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Budget:
    """What ends training: any of these bounds, whichever comes first; ``None`` is no bound."""

    max_episodes: int | None = None
    max_env_steps: int | None = None
    max_updates: int | None = None

    def fractions(self, episodes: int, env_steps: NDArray[np.int64], updates: NDArray[np.int64]) -> NDArray[np.float64]:
        """``fraction`` at several points between which no episode ended."""
        most = np.zeros(len(updates))
        for done, limit in zip((episodes, env_steps, updates), vars(self).values(), strict=True):
            if limit:
                most = np.maximum(most, done / limit)
        return np.minimum(1.0, most)

    def fraction(self, episodes: int, env_steps: int, updates: int) -> float:
        """How much of the bound that is nearest is used up, in [0, 1]; 0 without any bound."""
        pairs = ((episodes, self.max_episodes), (env_steps, self.max_env_steps), (updates, self.max_updates))
        return min(1.0, max((done / limit for done, limit in pairs if limit), default=0.0))
