"""The keys of ``hydra.launcher`` with ``hydra/launcher=ray``."""

from dataclasses import asdict, dataclass
from typing import Annotated

from annotated_types import Ge, Gt

from a3c_exp.config.type_checks import Example, PositiveInt, field_problems
from a3c_exp.system.errors import ConfigError


@dataclass
class RayLauncherConfig:
    """Values of the keys."""

    _target_: str = "hydra_plugins.a3c_exp_ray_launcher.RayLauncher"
    address: str | None = None  # HOST:PORT or auto; None: RAY_ADDRESS, else a cluster of this machine alone for the command
    n_jobs: Annotated[PositiveInt, Example(8)] | None = None  # at a time; None: as many as the cluster has cores for
    cpus: Annotated[PositiveInt, Example(4)] | None = None  # cores of a job; None: as many as its parallelism keeps busy
    resource: str | None = None  # only on nodes that declare this resource, of which a job takes 1
    shared: bool = True  # all nodes see the run directories under the same path; False: they are brought back
    max_restarts: Annotated[int, Ge(0)] = 3  # how often a job goes on elsewhere after its node was lost
    silence_timeout: Annotated[float, Gt(10)] = 60.0  # seconds without an answer after which a node counts as lost
    heartbeat_timeout: Annotated[float, Gt(10)] = 120.0  # seconds of silence after which a job's process counts as dead

    def check(self) -> None:
        """Raises ConfigError for values out of bounds, with what is allowed for each."""
        if problems := list(field_problems(RayLauncherConfig, asdict(self), "hydra.launcher.")):
            raise ConfigError("\n".join(problems))
