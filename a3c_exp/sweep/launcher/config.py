"""Which values the keys of ``hydra.launcher`` may have with ``hydra/launcher=local``."""

from a3c_exp.system.errors import ConfigError


def check(jobs: int | None, silence: float) -> None:
    """Refuse what makes no sense.

    Raises:
        ConfigError: a value is out of its range.
    """
    if jobs is not None and jobs < 1:
        raise ConfigError(
            f"hydra.launcher.jobs is {jobs}, but it is 1 or more, or null for as many as find cores. Try hydra.launcher.jobs=2"
        )
    if not silence > 10:
        raise ConfigError(
            f"hydra.launcher.silence is {silence} seconds, but a job shows life every five. Try hydra.launcher.silence=120"
        )
