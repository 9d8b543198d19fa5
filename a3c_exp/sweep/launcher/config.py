"""The bounds of the keys of ``hydra.launcher`` with ``hydra/launcher=local``."""

from a3c_exp.system.errors import ConfigError


def check_launcher_config(n_jobs: int | None, heartbeat_timeout: float) -> None:
    """Refuse values out of range.

    Raises:
        ConfigError: a value is out of its range.
    """
    if n_jobs is not None and n_jobs < 1:
        raise ConfigError(
            f"hydra.launcher.n_jobs is {n_jobs}, but it is 1 or more, or null for as many as there are cores for. "
            "Try hydra.launcher.n_jobs=2"
        )
    if not heartbeat_timeout > 10:
        raise ConfigError(
            f"hydra.launcher.heartbeat_timeout is {heartbeat_timeout} seconds, but it is above 10: a job sends a heartbeat "
            "every five. Try hydra.launcher.heartbeat_timeout=120"
        )
