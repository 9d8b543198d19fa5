"""A study from its first trial to its last: keeps lanes at work, accounts for them, shows how it stands, ends in a page."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import optuna
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial

from a3c_exp.runs.study_storage import STUDY_SIGNATURE, open_storage
from a3c_exp.sweep.study.best_config import BestConfigWriter
from a3c_exp.sweep.study.config import read_settings
from a3c_exp.sweep.study.live_table import StudyTable
from a3c_exp.sweep.study.overrides import TRIAL_WORKER_VARIABLE
from a3c_exp.sweep.study.sampler_pruner import can_prune
from a3c_exp.sweep.study.search_space import read_search_space
from a3c_exp.sweep.study.study_file import write_study_file
from a3c_exp.sweep.study.study_signature import check_same_study, study_signature
from a3c_exp.sweep.study.study_snapshot import StudySnapshot, format_params, format_value
from a3c_exp.sweep.trials.failure_rate import study_stop_reason
from a3c_exp.sweep.trials.trial_queue import TrialQueue, open_trial_queue
from a3c_exp.sweep.trials.trial_worker import run_trials
from a3c_exp.sweep.trials.trial_worker_pool import TrialWorkerPool, WorkerExit
from a3c_exp.system.cli import command
from a3c_exp.system.errors import RunFailed
from a3c_exp.system.signals import StopSignals

_POLL_SECONDS = 0.25
_REFRESH_SECONDS = 1.0
_STALE_CHECK_SECONDS = 5.0
_REPORT_TIMEOUT = 300


def sweep(config: DictConfig, context: HydraContext, task_function: TaskFunction, arguments: Sequence[str]) -> None:
    """What Hydra calls: run the study, or, in a lane's process, its trials.

    Args:
        config: composed for the sweep, ``hydra`` included.
        context, task_function: for the launcher.
        arguments: the overrides that were typed, but Hydra's own.

    Raises:
        RunFailed: too many trials failed.
        SystemExit: someone stopped it; 130 after Ctrl-C, 143 after SIGTERM.
    """
    if TRIAL_WORKER_VARIABLE in os.environ:
        run_trials(config, context, task_function, arguments)
    else:
        _StudyRunner(config, arguments).run()


class _StudyRunner:
    def __init__(self, config: DictConfig, arguments: Sequence[str]) -> None:
        base = config.copy()
        OmegaConf.set_struct(base, False)
        base.pop("hydra")
        self._config, self._base = config, base
        self._directory = Path(str(config.hydra.sweep.dir))
        settings = read_settings(config.hydra.sweeper, base.seed)
        self._has_given_name = settings.study_name is not None
        self._name = settings.study_name or self._directory.name
        self._settings = replace(settings, study_name=self._name)
        self._space = read_search_space(settings.params, arguments, settings.custom_search_space, base)
        self._table = StudyTable()
        self._worker_pool = TrialWorkerPool(self._directory / "lanes.log")
        self._best_config_writer = BestConfigWriter(self._directory, self._name, settings.objectives, config)
        self._ended_before: set[int] = set()

    def run(self) -> None:
        ledger = self._open_study()
        view = self._snapshot(ledger)
        self._table.start(view)
        with StopSignals() as stop:
            try:
                for line in self._opening_lines(view):
                    self._table.print_line(line)
                self._run_until_done(ledger, stop)
            finally:
                for gone in self._worker_pool.stop(stop.received or signal.SIGTERM):
                    self._record_worker_exit(ledger, gone, retry=True)  # it was us who stopped them
                view = self._snapshot(ledger)
                self._table.update(view)
                self._table.close()
                self._best_config_writer.write_if_changed(view)
            if stop.requested():
                self._table.print_line(f"stopped by {stop.name}. Go on with: {self._resume_command()}")
                raise SystemExit(stop.exit_code)
        self._print_results(view)

    def _open_study(self) -> TrialQueue:
        """Take the study up, or begin it; two processes may do so in the same moment."""
        self._directory.mkdir(parents=True, exist_ok=True)
        settings, given = self._settings, study_signature(self._settings, self._space, self._base)
        storage = open_storage(settings.storage, self._directory)
        study = optuna.create_study(storage=storage, study_name=self._name, directions=settings.directions, load_if_exists=True)
        if (kept := study.user_attrs.get(STUDY_SIGNATURE)) is None:
            study.set_user_attr(STUDY_SIGNATURE, given)
        else:
            check_same_study(self._name, str(self._directory), kept, given)
        if not (multirun := self._directory / "multirun.yaml").exists():
            OmegaConf.save(self._config, multirun)
        write_study_file(self._directory, self._name, settings, self._config.hydra.sweeper, given)
        ledger = open_trial_queue(settings, self._directory)
        ledger.fail_stale_trials()
        self._ended_before = {trial.number for trial in ledger.trials() if trial.state.is_finished()}
        return ledger

    def _opening_lines(self, snapshot: StudySnapshot) -> list[str]:
        settings = self._settings
        goal = ", ".join(f"{objective.direction} {objective.name}" for objective in settings.objectives)
        lines = [f"study {self._name} in {self._directory}: {goal}, {settings.n_trials} trials in all"]
        if snapshot.trials:
            lines.append(f"goes on: {snapshot.format_counts()}")
        if len(snapshot.ended) >= settings.n_trials:
            lines.append(f"all its trials are there. For more: study.n_trials={2 * settings.n_trials}")
        if settings.pruner is None:
            return lines
        if len(settings.objectives) > 1:
            lines.append("several objectives: Optuna cannot prune such a study, so every trial runs to its end")
        elif not can_prune(settings):
            lines.append(f"{settings.objectives[0].name} is known at a run's end only, so no trial is pruned")
        elif self._base.evaluation.every_env_steps is None:
            lines.append("evaluation.every_env_steps=null: nothing is evaluated before a run's end, so no trial is pruned")
        return lines

    def _run_until_done(self, queue: TrialQueue, stop: StopSignals) -> None:
        look_at = settle_at = 0.0
        while not stop.requested():
            gone = self._worker_pool.pop_exited()
            for one in gone:
                if not self._record_worker_exit(queue, one) and one.failure and not one.was_stopped:
                    raise RunFailed(
                        f"study {self._name}: no trial could be begun: {one.failure}. More: {self._worker_pool.log_path}"
                    )
            now = time.monotonic()
            if now >= settle_at:
                settle_at = now + min(_STALE_CHECK_SECONDS, self._settings.heartbeat_timeout / 4)
                queue.fail_stale_trials()
            if gone or now >= look_at:
                look_at = now + _REFRESH_SECONDS
                if self._update(queue):
                    return
            time.sleep(_POLL_SECONDS)

    def _update(self, queue: TrialQueue) -> bool:
        """See how the study stands, and that there are as many lanes as it needs; whether it is over."""
        view = self._snapshot(queue)
        self._table.update(view)
        self._best_config_writer.write_if_changed(view)
        here = [trial for trial in view.trials if trial.number not in self._ended_before]
        settings = self._settings
        if why := study_stop_reason(here, settings.max_failure_rate, settings.n_jobs, settings.n_trials):
            raise RunFailed(f"study {self._name} was stopped: {why}")
        left = queue.num_remaining()
        for _ in range(min(settings.n_jobs - len(self._worker_pool), left)):
            self._worker_pool.start()
        return not self._worker_pool and not left and not queue.has_unconfirmed_trials()

    def _record_worker_exit(self, queue: TrialQueue, worker_exit: WorkerExit, retry: bool = False) -> bool:
        """Record what became of the trial that a lane took with it; whether there was one."""
        held: Sequence[FrozenTrial] = queue.running_trials_of(worker_exit.pid)
        for trial in held:
            queue.fail(trial.number, worker_exit.failure or "its lane ended without a word", retry or worker_exit.was_stopped)
        return bool(held)

    def _print_results(self, snapshot: StudySnapshot) -> None:
        say = self._table.print_line
        say(f"study {self._name}: {snapshot.format_counts()}")
        for trial in snapshot.best[:5]:
            say(f"best: {format_value(trial)}, trial {trial.number}: {format_params(trial)}")
        for line in self._best_config_writer.commands:
            say(f"  {line}")
        say(self._make_report())

    def _make_report(self) -> str:
        """Make the page in a process of its own: a figure that cannot be drawn must not cost a study its good end."""
        done = subprocess.run(
            [sys.executable, "-m", "a3c_exp.report", str(self._directory)],
            capture_output=True,
            text=True,
            timeout=_REPORT_TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
        words = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
        return words[-1] if words else "the report could not be made"

    def _resume_command(self) -> str:
        typed = command()
        if self._has_given_name or "hydra.sweep.dir=" in typed:
            return typed
        return " ".join([*(word for word in typed.split() if word != "-m"), f"study.study_name={self._name}", "-m"])

    def _snapshot(self, queue: TrialQueue) -> StudySnapshot:
        settings = self._settings
        return StudySnapshot(
            self._name, settings.objectives, settings.n_trials, settings.n_jobs, queue.trials(), self._ended_before
        )
