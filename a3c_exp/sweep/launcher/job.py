"""The inside of a job's process: one run of a sweep, told to the launcher, obedient to it, and gone when it is."""

import importlib
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from io import TextIOWrapper
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict
from omegaconf.basecontainer import BaseContainer

from a3c_exp.loggers.forwarding import relay_to
from a3c_exp.runs.record import remember_command
from a3c_exp.runs.run_directories import register_resolvers
from a3c_exp.system.errors import A3CError, ConfigError, RunFailed
from a3c_exp.system.process_setup import share_fork_server

BEAT_SECONDS = 5.0
"""How often a job shows that it is alive."""


@dataclass(frozen=True)
class JobOrder:
    """What a job's process is given.

    Attributes:
        number: hydra.job.num.
        overrides: of this job, sweeps resolved.
        sweep: the launcher's ``HydraContext``, base configuration and Hydra's singletons, pickled once for all jobs.
        task: module and name of the function that Hydra calls.
        command: as typed, for run.json.
        environment, folder: the launcher's own, at the time of the order; the fork server's are older.
    """

    number: int
    overrides: Sequence[str]
    sweep: bytes
    task: tuple[str, str]
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: str


@dataclass(frozen=True)
class Ready:
    """Composed; waits for the word to begin, and will keep so many cores busy."""

    cores: int


@dataclass(frozen=True)
class Begun:
    """Runs now, in this directory."""

    directory: str


@dataclass(frozen=True)
class Alive:
    """A sign of life."""


@dataclass(frozen=True)
class Shown:
    """What the run's console logger was told: a method of ``Logger`` and its arguments."""

    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Ended:
    """It is over: what Hydra's ``run_job`` returned, and the traceback of an error that nobody foresaw."""

    result: JobReturn
    trace: str


@dataclass(frozen=True)
class Stopped:
    """Someone asked this run to stop, and it has, with a checkpoint; the exit code says who."""

    code: int


def pack(context: HydraContext, config: DictConfig) -> bytes:
    """What all jobs of a sweep share of Hydra.

    Raises:
        ConfigError: it cannot travel to another process.
    """
    try:
        return pickle.dumps((context, config, Singleton.get_state()["instances"]))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"hydra/launcher=local sends Hydra's callbacks to the jobs' processes, and one of them cannot be sent ({error}). "
            "Try hydra/launcher=basic, which runs one job after another in this process"
        ) from None


def main(order: JobOrder, output: Connection, pipe: Connection) -> None:
    """The process's entry.

    Args:
        order: what to run.
        output: takes what the process writes to standard output and standard error.
        pipe: to the launcher, which says one word, to begin; its end means that the launcher is gone.
    """
    # A terminal's Ctrl-C reaches a whole group. Here it comes from the launcher: once, and not to the workers.
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    for standard in (1, 2):
        os.dup2(output.fileno(), standard)
    output.close()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # whoever shows it shows lines
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.folder)
    share_fork_server()
    remember_command(order.command)
    _Job(order, pipe).run()


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """Before a run has begun there is nothing to save."""
    raise SystemExit(128 + number)


class _Job:
    def __init__(self, order: JobOrder, pipe: Connection) -> None:
        self._order = order
        self._pipe = pipe
        self._sending = threading.Lock()
        self._over = False

    def run(self) -> None:
        try:
            context, config = self._compose()
            self._send(Ready(cores_of(config)))
            self._pipe.recv()  # the word to begin
            threading.Thread(target=self._attend, daemon=True).start()
            relay_to(lambda method, *arguments: self._send(Shown(method, arguments)))
            result = run_job(
                hydra_context=context,
                task_function=self._task(),
                config=config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
            self._end(result)
        except SystemExit as error:
            self._over = True
            self._send(Stopped(error.code if isinstance(error.code, int) else 1))
        except (ConnectionError, EOFError):
            pass  # the launcher is gone, and so is everyone who could be told
        except Exception as error:  # outside of what run_job catches: Hydra's own
            failed = JobReturn(overrides=list(self._order.overrides), status=JobStatus.FAILED)
            failed.return_value = error
            self._end(failed)

    def _compose(self) -> tuple[HydraContext, DictConfig]:
        """As Hydra's basic launcher does."""
        # First, because looking for plugins runs their modules, and classes in the pickle must be those that come of it. The
        # fork server has done it already.
        plugins = {Plugins: Plugins.instance()}
        context, base, singletons = pickle.loads(self._order.sweep)
        # Hydra's own way hands over resolvers as well, which no pickle takes; plugins and these calls make them anew.
        Singleton.set_state({"instances": {**singletons, **plugins}, "omegaconf_resolvers": BaseContainer._resolvers})
        setup_globals()
        register_resolvers()
        config = context.config_loader.load_sweep_config(base, list(self._order.overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = self._order.number
        return context, config

    def _task(self) -> Callable[[DictConfig], Any]:
        module, name = self._order.task
        task = getattr(importlib.import_module(module), name)

        @wraps(task)
        def told(config: DictConfig) -> Any:
            self._send(Begun(HydraConfig.get().runtime.output_dir))
            return task(config)

        return told

    def _end(self, result: JobReturn) -> None:
        self._over = True
        error, trace = result._return_value, ""
        if result.status is JobStatus.FAILED:
            if not isinstance(error, A3CError):
                trace = "".join(traceback.format_exception(error))
            try:
                pickle.loads(pickle.dumps(error))
            except Exception:
                result.return_value = RunFailed(f"{type(error).__name__}: {error}")
        self._send(Ended(result, trace))

    def _send(self, message: Any) -> None:
        with self._sending:
            self._pipe.send(message)

    def _attend(self) -> None:
        """Show life, and stop the run as SIGTERM would when the launcher is gone."""
        try:
            while not self._pipe.poll(BEAT_SECONDS):  # the launcher writes no second word: this is its end
                if self._over:
                    return  # one that hangs on its way out must be seen to
                self._send(Alive())
        except OSError:
            pass
        if not self._over:
            os.kill(os.getpid(), signal.SIGTERM)


def cores_of(config: DictConfig) -> int:
    """How many cores a run keeps busy, as its parallelism says; one, where it does not say."""
    from a3c_exp.config.instantiate import blueprint

    try:
        parallelism = blueprint(config.parallelism, "parallelism")()
    except ConfigError:
        return 1  # the run itself will say what is wrong
    asked = getattr(parallelism, "cores", None)
    return 1 if asked is None else max(1, int(asked(config.workers, config.num_seeds)))
