"""Trial workers: processes that run one trial after another, through any of Hydra's launchers, until none is left."""

import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from a3c_exp.runs.tolerant_io import last_lines
from a3c_exp.sweep.study.config import read_study_config
from a3c_exp.sweep.study.overrides import EXIT_WITH_PARENT_VARIABLE, TRIAL_NUMBER_VARIABLE, TRIAL_WORKER_VARIABLE
from a3c_exp.sweep.study.search_space import read_search_space
from a3c_exp.sweep.trials.trial_queue import open_trial_queue
from a3c_exp.system.child_process import ChildCommand, describe_exit, end_all
from a3c_exp.system.cli import command_line
from a3c_exp.system.errors import A3CError, RunLost
from a3c_exp.system.signals import STOP_EXIT_CODES, exit_if_stopped

_LOCAL_LAUNCHER = "hydra_plugins.a3c_exp_launcher.LocalLauncher"
_BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
_STOP_TIMEOUT = 20.0  # seconds that trial workers have to leave a checkpoint when the study is stopped


@dataclass(frozen=True)
class WorkerExit:
    """A trial worker that has ended."""

    pid: int
    failure: str  # how, if it had not finished; else empty
    was_stopped: bool  # it was asked to stop


class TrialWorkerPool:
    """Trial workers of one study, whose output is appended to a file. They end with this process."""

    def __init__(self, log_path: Path) -> None:
        self.log_path = log_path
        self._processes: list[ChildCommand] = []

    def __len__(self) -> int:
        return len(self._processes)

    def start(self) -> None:
        """Start one more: the command of this process, with the environment variable that makes it a trial worker."""
        command = [sys.executable, "-m", "a3c_exp", *sys.argv[1:]]
        variables = {**os.environ, TRIAL_WORKER_VARIABLE: shlex.join(command_line()), EXIT_WITH_PARENT_VARIABLE: "1"}
        with self.log_path.open("ab") as log:
            # In a process group of its own: Ctrl-C comes to this process alone, which passes it on once.
            self._processes.append(ChildCommand(command, stdout=log, stderr=log, env=variables, process_group=0))

    def pop_exited(self) -> list[WorkerExit]:
        """Those that have ended since the last call."""
        exits = []
        for process in list(self._processes):
            if (code := process.exitcode) is not None:
                self._processes.remove(process)
                process.close()
                exits.append(WorkerExit(process.pid, self._describe_failure(code), code in STOP_EXIT_CODES))
        return exits

    def stop(self, signal_number: int = signal.SIGTERM) -> list[WorkerExit]:
        """Pass a signal on, and wait until all have ended; those that take too long are killed."""
        for process in self._processes:
            process.send_signal(signal_number)
        end_all(self._processes, _STOP_TIMEOUT)
        return self.pop_exited()

    def _describe_failure(self, exitcode: int) -> str:
        if exitcode == 0:
            return ""
        if exitcode in STOP_EXIT_CODES:
            return f"stopped by {STOP_EXIT_CODES[exitcode]}"
        said = [line for line in last_lines(self.log_path) if line.strip()] if exitcode > 0 else []
        last = f": {said[0].decode(errors='replace').strip().removeprefix('a3c_exp: ')}" if said else ""
        return f"its process {describe_exit(exitcode)}{last}"


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
        number, reason, is_lost = claim.number, "its job ended without reporting to the study", False
        hydra_overrides = [f"hydra.sweep.subdir='trial={number}'", f"++hydra.job.env_set.{TRIAL_NUMBER_VARIABLE}='{number}'"]
        try:
            (job_return,) = launcher.launch([[*claim.overrides, *hydra_overrides]], initial_job_idx=number)
            if job_return.status == JobStatus.FAILED:
                reason = f"{type(job_return._return_value).__name__}: {job_return._return_value}"
                is_lost = isinstance(job_return._return_value, RunLost)
        except A3CError as error:  # of the launcher, which has nowhere to run trials
            queue.fail(number, str(error), retry=True)
            raise
        except Exception as error:  # how launchers say that a job's process died
            reason = f"{type(error).__name__}: {error}"
        finally:
            claim.heartbeat.close()
        # Unless the job itself has recorded how it ended; a trial that was lost is repeated once.
        queue.fail(number, reason, retry=is_lost and queue.is_first_try(number))
        exit_if_stopped()


def _make_launcher(config: DictConfig, context: HydraContext, task_function: TaskFunction) -> Launcher:
    """The chosen one, except for ``local``: a trial worker is a process already, and its trials need no other."""
    if config.hydra.launcher._target_ == _LOCAL_LAUNCHER:
        config = config.copy()
        with open_dict(config):
            config.hydra.launcher = {"_target_": _BASIC_LAUNCHER}
    return Plugins.instance().instantiate_launcher(config=config, hydra_context=context, task_function=task_function)


def _exit_with_parent() -> None:
    """The study holds the other end of this process's standard input; at its end this one stops, leaving a checkpoint."""
    if EXIT_WITH_PARENT_VARIABLE not in os.environ:
        return

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="end of the study", daemon=True).start()
