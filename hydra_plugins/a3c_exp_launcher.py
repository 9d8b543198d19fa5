"""``hydra/launcher=local``: several jobs of a sweep at a time. Hydra imports this at every start, so it stays light."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from a3c_exp.sweep.launcher.config import check


@dataclass
class LocalLauncherConf:
    """Keys of hydra.launcher."""

    _target_: str = "hydra_plugins.a3c_exp_launcher.LocalLauncher"
    jobs: int | None = None  # at a time; null: as many as find cores
    silence: float = 120.0  # seconds without a sign of life after which a job counts as dead


ConfigStore.instance().store(group="hydra/launcher", name="local", node=LocalLauncherConf, provider="a3c_exp")


class LocalLauncher(Launcher):
    """Runs jobs in processes on this machine; what it does stands in a3c_exp/launch/.

    Args:
        jobs: how many at a time; ``None`` counts each with the cores that it keeps busy and fills the machine.
        silence: seconds without a sign of life after which a job's process counts as dead and is killed.

    Raises:
        ConfigError: a value is out of its range.
    """

    def __init__(self, jobs: int | None = None, silence: float = 120.0) -> None:
        check(jobs, silence)
        self._jobs = jobs
        self._silence = silence
        self._given: tuple[HydraContext, TaskFunction, DictConfig] | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._given = (hydra_context, task_function, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from a3c_exp.sweep.launcher.local import launch

        assert self._given is not None
        results: Sequence[Any] = launch(*self._given, job_overrides, initial_job_idx, self._jobs, self._silence)
        return results
