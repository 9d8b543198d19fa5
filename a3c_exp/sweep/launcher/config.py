"""Which values the keys of ``hydra.launcher`` may have with ``hydra/launcher=local``."""

from a3c_exp.system.errors import ConfigError


def check_launcher_config(n_jobs: int | None, heartbeat_timeout: float) -> None:
    """Refuse what makes no sense.

    Raises:
        ConfigError: a value is out of its range.
    """
    if n_jobs is not None and n_jobs < 1:
        raise ConfigError(
            f"hydra.launcher.n_jobs is {n_jobs}, but it is 1 or more, or null for as many as find cores. Try hydra.launcher.n_jobs=2"
        )
    if not heartbeat_timeout > 10:
        raise ConfigError(
            f"hydra.launcher.heartbeat_timeout is {heartbeat_timeout} seconds, but a job shows life every five. Try hydra.launcher.heartbeat_timeout=120"
        )
