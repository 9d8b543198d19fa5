"""The inside of a job's process: one run of a sweep, which reports to the launcher and does not outlive it."""

import importlib
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from io import TextIOWrapper
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict
from omegaconf.basecontainer import BaseContainer

from a3c_exp.loggers.console import forward_to
from a3c_exp.runs.run_directories import register_resolvers
from a3c_exp.system.child_process import HEARTBEAT_SECONDS, Heartbeat, ParentPipe
from a3c_exp.system.cli import record_command_line
from a3c_exp.system.errors import A3CError, ConfigError, RunFailed, explain_os_error, refused_by_system
from a3c_exp.system.process_setup import share_fork_server
from a3c_exp.system.signals import STOP_EXIT_CODES, StopSignals

if TYPE_CHECKING:
    from a3c_exp.parallelism.base import Parallelism


@dataclass(frozen=True)
class JobSpec:
    """What a job's process is given."""

    number: int  # hydra.job.num
    overrides: Sequence[str]  # of this job, sweeps resolved
    hydra_state: bytes  # of pickle_hydra_state, once for all jobs
    task_function: tuple[str, str]  # module and name of the function that Hydra calls
    command_line: Sequence[str]  # as typed, for run.json
    environment_variables: Mapping[str, str]  # the launcher's own, as the folder is; those of the fork server are older
    working_directory: str
    silence_timeout: float | None = None  # seconds without a message, of a launcher that sends heartbeats; None: it sends none


@dataclass(frozen=True)
class JobReport:
    """How a job gets on: a call of the run's console logger, by a method of ``Logger`` and its arguments; or ``ready`` to
    start, with the cores that it will keep busy; or ``started``, with the directory of its run."""

    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class JobEnded:
    """The job has ended: what Hydra's ``run_job`` returned, and the traceback of an unforeseen error."""

    result: JobReturn
    traceback_text: str


def pickle_hydra_state(context: HydraContext, config: DictConfig) -> bytes:
    """The launcher's context, base configuration and Hydra's singletons. Raises ConfigError if one cannot be pickled."""
    try:
        return pickle.dumps((context, config, Singleton.get_state()["instances"]))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"this launcher sends Hydra's callbacks to the jobs' processes, and one of them cannot be sent ({error}). "
            "Try hydra/launcher=basic, which runs one job after another in this process"
        ) from None


def main(spec: JobSpec, output: Connection, pipe: Connection) -> None:
    """The process's entry. ``output`` takes what it prints; ``pipe`` has one message, to start, and ends with the launcher."""
    # A terminal's Ctrl-C reaches a whole group. Here it comes from the launcher: once, and not to the workers.
    os.setpgid(0, 0)
    StopSignals().__enter__()  # for the life of the process; before a run has started, the launcher kills it
    for standard in (1, 2):
        os.dup2(output.fileno(), standard)
    output.close()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # the launcher shows lines
    os.environ.clear()
    os.environ.update(spec.environment_variables)
    os.chdir(spec.working_directory)
    share_fork_server()
    record_command_line(spec.command_line)
    _JobRunner(spec, pipe).run()


class _JobRunner:
    def __init__(self, spec: JobSpec, pipe: Connection) -> None:
        self._spec = spec
        self._pipe = pipe
        self._send = ParentPipe(pipe).send
        self._directory = ""  # of the run, once it has started
        self._ended = False

    def run(self) -> None:
        try:
            context, config = self._compose()
            self._report("ready", required_cores(config))
            while isinstance(self._pipe.recv(), Heartbeat):  # the message to start is the first that is none
                pass
            threading.Thread(target=self._send_heartbeats, daemon=True).start()
            forward_to(self._report)
            result = run_job(self._task_function(), config, "hydra.sweep.dir", "hydra.sweep.subdir", context)
        except SystemExit as error:  # a signal asked the run to stop, and it has, with a checkpoint
            code = error.code if isinstance(error.code, int) else 1
            reason = f"stopped by {STOP_EXIT_CODES.get(code, f'exit code {code}')}"
            result = self._failed(RunFailed(f"{self._directory}: {reason}" if self._directory else reason))
        except (ConnectionError, EOFError):
            return  # the launcher is gone
        except Exception as error:  # outside of what run_job catches: Hydra's own
            result = self._failed(error)
        self._report_end(result)

    def _report(self, method: str, *arguments: Any) -> None:
        self._send(JobReport(method, arguments))

    def _failed(self, error: Exception) -> JobReturn:
        return JobReturn(overrides=list(self._spec.overrides), status=JobStatus.FAILED, _return_value=error)

    def _compose(self) -> tuple[HydraContext, DictConfig]:
        """As Hydra's basic launcher does."""
        # First, because looking for plugins runs their modules, and classes in the pickle must be those that come of it. The
        # fork server has done it already.
        plugins = {Plugins: Plugins.instance()}
        context, base, singletons = pickle.loads(self._spec.hydra_state)
        # Hydra itself passes on resolvers as well, which cannot be pickled; plugins and these calls register them anew.
        Singleton.set_state({"instances": {**singletons, **plugins}, "omegaconf_resolvers": BaseContainer._resolvers})
        setup_globals()
        register_resolvers()
        config = context.config_loader.load_sweep_config(base, list(self._spec.overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = self._spec.number
        return context, config

    def _task_function(self) -> Callable[[DictConfig], Any]:
        module, name = self._spec.task_function
        function = getattr(importlib.import_module(module), name)

        @wraps(function)
        def report_start_and_run(config: DictConfig) -> Any:
            self._directory = HydraConfig.get().runtime.output_dir
            self._report("started", self._directory)
            return function(config)

        return report_start_and_run

    def _report_end(self, result: JobReturn) -> None:
        self._ended = True
        error, trace = result._return_value, ""
        if result.status is JobStatus.FAILED:
            refused = error if isinstance(error, OSError) and error.errno else refused_by_system(error)
            if refused:  # as a command alone says it
                result.return_value = error = RunFailed(explain_os_error(refused))
            if not isinstance(error, A3CError):
                trace = "".join(traceback.format_exception(error))
            try:
                pickle.loads(pickle.dumps(error))
            except Exception:
                result.return_value = RunFailed(f"{type(error).__name__}: {error}")
        with suppress(OSError):  # the launcher is gone
            self._send(JobEnded(result, trace))

    def _send_heartbeats(self) -> None:
        """Send heartbeats, and stop the run as SIGTERM would when the launcher is gone."""
        limit, heard = self._spec.silence_timeout, time.monotonic()
        with suppress(OSError, EOFError):
            while limit is None or time.monotonic() - heard < limit:
                if self._pipe.poll(HEARTBEAT_SECONDS):
                    self._pipe.recv()  # a heartbeat; at its end an EOFError
                    heard = time.monotonic()
                if self._ended:
                    return  # a job that hangs while it exits must be noticed
                self._send(Heartbeat())
        if not self._ended:
            os.kill(os.getpid(), signal.SIGTERM)


def required_cores(config: DictConfig) -> int:
    """How many cores a run keeps busy according to its parallelism; one, if that does not say."""
    parallelism = run_parallelism(config)
    return 1 if parallelism is None else max(1, parallelism.cores(config.workers, config.num_seeds))


def run_parallelism(config: DictConfig) -> "Parallelism | None":
    """The parallelism of a run; ``None`` if there can be none, as the run itself will say."""
    from a3c_exp.config.instantiate import checked_partial
    from a3c_exp.parallelism.base import Parallelism

    try:
        parallelism: Parallelism = checked_partial(config.parallelism, "parallelism", expected=Parallelism)()
    except ConfigError:
        return None
    return parallelism
