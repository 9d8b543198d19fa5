"""What ends a run. No torch here, so that loggers stay light."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """What ends training: either bound, or whichever comes first. Both are kept exactly."""

    max_episodes: int | None = None
    max_env_steps: int | None = None
