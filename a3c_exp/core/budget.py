"""What ends a run. No torch here, so that loggers stay light."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """What ends training: any of these bounds, whichever comes first; ``None`` is no bound."""

    max_episodes: int | None = None
    max_env_steps: int | None = None
    max_updates: int | None = None

    def fraction(self, episodes: int, env_steps: int, updates: int) -> float:
        """How much of the bound that is nearest is used up, in [0, 1]; 0 without any bound."""
        pairs = ((episodes, self.max_episodes), (env_steps, self.max_env_steps), (updates, self.max_updates))
        return min(1.0, max((done / limit for done, limit in pairs if limit), default=0.0))
