"""The keys of ``hydra.launcher`` with ``hydra/launcher=local``."""

from dataclasses import asdict, dataclass
from typing import Annotated

from annotated_types import Gt

from a3c_exp.config.type_checks import Example, PositiveInt, field_problems
from a3c_exp.system.errors import ConfigError


@dataclass
class LocalLauncherConfig:
    """Values of the keys."""

    _target_: str = "hydra_plugins.a3c_exp_launcher.LocalLauncher"
    n_jobs: Annotated[PositiveInt, Example(2)] | None = None  # at a time; None: as many as there are cores for
    heartbeat_timeout: Annotated[float, Gt(10)] = 120.0  # seconds of silence after which a job is dead; there is one every 5

    def check(self) -> None:
        """Raises ConfigError for values out of bounds, with what is allowed for each."""
        if problems := list(field_problems(LocalLauncherConfig, asdict(self), "hydra.launcher.")):
            raise ConfigError("\n".join(problems))
