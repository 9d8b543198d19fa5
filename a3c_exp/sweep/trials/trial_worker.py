"""A trial worker: a process that runs one trial after another, through any of Hydra's launchers, until none is left."""

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from a3c_exp.sweep.study.config import read_study_config
from a3c_exp.sweep.study.overrides import EXIT_WITH_PARENT_VARIABLE, TRIAL_NUMBER_VARIABLE
from a3c_exp.sweep.study.search_space import read_search_space
from a3c_exp.sweep.trials.trial_queue import open_trial_queue
from a3c_exp.system.signals import exit_if_stopped

_LOCAL_LAUNCHER = "hydra_plugins.a3c_exp_launcher.LocalLauncher"
_BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


def run_trials(config: DictConfig, context: HydraContext, task_function: TaskFunction, arguments: Sequence[str]) -> None:
    """Run trials until none is left; the arguments are those of ``sweeper.sweep``."""
    _exit_with_parent()
    directory = Path(str(config.hydra.sweep.dir))
    base = config.copy()
    OmegaConf.set_struct(base, False)
    base.pop("hydra")
    settings = read_study_config(config.hydra.sweeper, base.seed)
    space = read_search_space(settings.params, arguments, settings.custom_search_space, base)
    queue = open_trial_queue(settings, directory)
    launcher = _make_launcher(config, context, task_function)
    while (claim := queue.claim(space, base)) is not None:
        number = claim.number
        hydra_overrides = [f"hydra.sweep.subdir='trial={number}'", f"++hydra.job.env_set.{TRIAL_NUMBER_VARIABLE}='{number}'"]
        try:
            (job_return,) = launcher.launch([[*claim.overrides, *hydra_overrides]], initial_job_idx=number)
            reason = _failure_reason(job_return)
        except Exception as error:  # how launchers say that a job's process died
            reason = f"{type(error).__name__}: {error}"
        finally:
            claim.heartbeat.close()
        queue.fail(number, reason)  # unless the job itself has recorded how it ended
        exit_if_stopped()


def _make_launcher(config: DictConfig, context: HydraContext, task_function: TaskFunction) -> Launcher:
    """The chosen one, except for ``local``: a trial worker is a process already, and its trials need no other."""
    if config.hydra.launcher._target_ == _LOCAL_LAUNCHER:
        config = config.copy()
        with open_dict(config):
            config.hydra.launcher = {"_target_": _BASIC_LAUNCHER}
    return Plugins.instance().instantiate_launcher(config=config, hydra_context=context, task_function=task_function)


def _failure_reason(job_return: JobReturn) -> str:
    if job_return.status == JobStatus.FAILED:
        return f"{type(job_return._return_value).__name__}: {job_return._return_value}"
    return "its job ended without reporting to the study"


def _exit_with_parent() -> None:
    """The study holds the other end of this process's standard input; at its end this one stops, leaving a checkpoint."""
    if EXIT_WITH_PARENT_VARIABLE not in os.environ:
        return

    def wait() -> Any:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="end of the study", daemon=True).start()
