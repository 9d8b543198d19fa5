"""A study from its first trial to its last: starts workers, handles their exits, shows progress, makes the report."""

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
from optuna.trial import TrialState

from a3c_exp.runs.log_records import Status
from a3c_exp.runs.study_storage import REASON, RETRY_OF, STUDY_SIGNATURE, open_storage
from a3c_exp.sweep.study.config import read_study_config
from a3c_exp.sweep.study.mirror import StudyMirror
from a3c_exp.sweep.study.overrides import TRIAL_WORKER_VARIABLE
from a3c_exp.sweep.study.sampler_pruner import can_prune
from a3c_exp.sweep.study.search_space import read_search_space
from a3c_exp.sweep.study.study_files import BestConfigWriter, check_same_study, study_signature, write_study_file
from a3c_exp.sweep.study.study_snapshot import StudySnapshot, StudyTable, format_params, format_value
from a3c_exp.sweep.trials.trial_queue import TrialQueue, open_trial_queue, study_stop_reason
from a3c_exp.sweep.trials.trial_worker import TrialWorkerPool, WorkerExit, run_trials
from a3c_exp.system.cli import command, outcomes
from a3c_exp.system.errors import RunFailed, explain_os_error
from a3c_exp.system.signals import StopSignals

_POLL_SECONDS = 0.25
_REFRESH_SECONDS = 1.0
_STALE_CHECK_SECONDS = 5.0
_REPORT_TIMEOUT = 300


def sweep(config: DictConfig, context: HydraContext, task_function: TaskFunction, arguments: Sequence[str]) -> None:
    """Hydra's sweep: runs the study or, in the process of a trial worker, its trials, by ``config``, composed for the sweep,
    and the overrides as typed, without Hydra's own. Raises RunFailed if too many trials failed; SystemExit if the study was
    stopped, 130 after Ctrl-C, 143 after SIGTERM."""
    if TRIAL_WORKER_VARIABLE in os.environ:
        run_trials(config, context, task_function, arguments)
        return
    runner = _StudyRunner(config, arguments)
    try:
        runner.run()
    except OSError as error:  # such as a full disk
        raise RunFailed(f"the study was stopped: {explain_os_error(error)}. The same command goes on with it") from error


class _StudyRunner:
    def __init__(self, config: DictConfig, arguments: Sequence[str]) -> None:
        base = config.copy()
        OmegaConf.set_struct(base, False)
        base.pop("hydra")
        self._config, self._base = config, base
        self._directory = Path(str(config.hydra.sweep.dir))
        study_config = read_study_config(config.hydra.sweeper, base.seed)
        self._was_named = study_config.study_name is not None
        self._name = study_config.study_name or self._directory.name
        self._study_config = replace(study_config, study_name=self._name)
        self._space = read_search_space(study_config.params, arguments, study_config.custom_search_space, base)
        self._worker_pool = TrialWorkerPool(self._directory / "workers.log")
        self._best_config_writer = BestConfigWriter(self._directory, config)
        self._ended_before: set[int] = set()

    def run(self) -> None:
        queue = self._open_study()
        table = StudyTable(self._snapshot(queue))
        self._mirror = StudyMirror(self._base, self._directory, self._study_config, self._space, table.print)
        status: Status = "failed"
        try:
            status = self._run(queue, table)
        except SystemExit:
            status = "interrupted"
            raise
        finally:
            self._mirror.finish(status)

    def _run(self, queue: TrialQueue, table: StudyTable) -> Status:
        snapshot = self._snapshot(queue)
        table.start()
        with StopSignals() as stop:
            try:
                for line in self._opening_lines(snapshot):
                    table.print(line)
                self._run_until_done(queue, table, stop)
            finally:
                for worker_exit in self._worker_pool.stop(stop.received or signal.SIGTERM):
                    self._record_worker_exit(queue, worker_exit, retry=True)  # it was stopped from here
                snapshot = self._snapshot(queue)
                table.update(snapshot)
                table.close()
                self._best_config_writer.write_if_changed(snapshot)
                self._mirror.update(snapshot)
            if stop.requested():
                table.print(f"stopped by {stop.name}. Go on with: {self._resume_command()}")
                raise SystemExit(stop.exit_code)
        best = [f"best: {format_value(trial)}, trial {trial.number}: {format_params(trial)}" for trial in snapshot.best[:5]]
        commands = [f"  {line}" for line in self._best_config_writer.commands]
        for line in [f"study {self._name}: {snapshot.format_counts()}", *best, *commands, self._make_report()]:
            table.print(line)
        for trial in snapshot.ended:
            if trial.state is TrialState.FAIL and trial.number not in self._ended_before:
                error = RunFailed(f"trial {trial.number} failed: {trial.user_attrs.get(REASON)}")
                outcomes.add_failure(str(error), error)
        return "running" if snapshot.running else "finished"  # elsewhere

    def _open_study(self) -> TrialQueue:
        """Create the study or load it; two processes may do so in the same moment."""
        self._directory.mkdir(parents=True, exist_ok=True)
        settings = self._study_config
        signature = study_signature(settings, self._space, self._base)
        storage = open_storage(settings.storage, self._directory)
        study = optuna.create_study(storage=storage, study_name=self._name, directions=settings.directions, load_if_exists=True)
        if (stored := study.user_attrs.get(STUDY_SIGNATURE)) is None:
            study.set_user_attr(STUDY_SIGNATURE, signature)
        else:
            check_same_study(self._name, str(self._directory), stored, signature)
        if not (multirun := self._directory / "multirun.yaml").exists():
            OmegaConf.save(self._config, multirun)
        write_study_file(self._directory, settings, self._config.hydra.sweeper, signature)
        queue = open_trial_queue(settings, self._directory)
        queue.fail_stale_trials()
        self._ended_before = {trial.number for trial in queue.trials() if trial.state.is_finished()}
        return queue

    def _opening_lines(self, snapshot: StudySnapshot) -> list[str]:
        study_config = self._study_config
        lines = [f"study {self._name} in {self._directory}: {snapshot.goal}, {study_config.n_trials} trials in all"]
        if snapshot.trials:
            lines.append(f"continues: {snapshot.format_counts()}")
        if len(snapshot.ended) >= study_config.n_trials:
            lines.append(f"all its trials have ended. For more: study.n_trials={2 * study_config.n_trials}")
        if study_config.pruner is None:
            return lines
        if len(study_config.objectives) > 1:
            lines.append("several objectives: Optuna cannot prune such a study, so every trial runs to its end")
        elif not can_prune(study_config):
            lines.append(f"{study_config.objectives[0].name} is known only when a run ends, so no trial is pruned")
        elif self._base.evaluation.every_env_steps is None:
            lines.append("evaluation.every_env_steps=null: nothing is evaluated before a run ends, so no trial is pruned")
        return lines

    def _run_until_done(self, queue: TrialQueue, table: StudyTable, stop: StopSignals) -> None:
        next_update = next_stale_check = 0.0
        failed_starts = 0  # of workers, one after another
        while not stop.requested():
            exits = self._worker_pool.pop_exited()
            for worker_exit in exits:
                had_trial = self._record_worker_exit(queue, worker_exit)
                failed_starts = failed_starts + 1 if worker_exit.failure and not had_trial else 0
                if failed_starts > self._study_config.n_jobs:  # one can be killed between two trials, or stopped
                    log_path = self._worker_pool.log_path
                    raise RunFailed(f"study {self._name}: no trial could be started: {worker_exit.failure}. More: {log_path}")
            now = time.monotonic()
            if now >= next_stale_check:
                next_stale_check = now + min(_STALE_CHECK_SECONDS, self._study_config.heartbeat_timeout / 4)
                queue.fail_stale_trials()
            if exits or now >= next_update:
                next_update = now + _REFRESH_SECONDS
                if self._update(queue, table):
                    return
            time.sleep(_POLL_SECONDS)

    def _update(self, queue: TrialQueue, table: StudyTable) -> bool:
        """Show the study, and start as many workers as it needs; whether it is done."""
        snapshot = self._snapshot(queue)
        table.update(snapshot)
        self._best_config_writer.write_if_changed(snapshot)
        self._mirror.update(snapshot)
        of_session = [trial for trial in snapshot.trials if trial.number not in self._ended_before]
        if reason := study_stop_reason(of_session, self._study_config):
            raise RunFailed(f"study {self._name} was stopped: {reason}")
        remaining = queue.num_remaining()
        for _ in range(min(self._study_config.n_jobs - len(self._worker_pool), remaining)):
            self._worker_pool.start()
        return not self._worker_pool and not remaining and not queue.has_unconfirmed_trials()

    def _record_worker_exit(self, queue: TrialQueue, worker_exit: WorkerExit, retry: bool = False) -> bool:
        """Fail the trial that a worker was running when it exited; whether there was one."""
        trials = queue.running_trials_of(worker_exit.pid)
        reason = worker_exit.failure or "its worker process ended without reporting a result"
        for trial in trials:
            queue.fail(trial.number, reason, retry or (worker_exit.was_stopped and RETRY_OF not in trial.user_attrs))
        return bool(trials)

    def _make_report(self) -> str:
        """Make the report in a child process, so that a figure that cannot be drawn does not fail the study."""
        command = [sys.executable, "-m", "a3c_exp.report", str(self._directory)]
        process = subprocess.run(command, capture_output=True, text=True, timeout=_REPORT_TIMEOUT, stdin=subprocess.DEVNULL)
        lines = (process.stdout if process.returncode == 0 else process.stderr).strip().splitlines()
        return lines[-1] if lines else "the report could not be made"

    def _resume_command(self) -> str:
        typed = command()
        if self._was_named or "hydra.sweep.dir=" in typed:
            return typed
        return " ".join([*(word for word in typed.split() if word != "-m"), f"study.study_name={self._name}", "-m"])

    def _snapshot(self, queue: TrialQueue) -> StudySnapshot:
        return StudySnapshot(self._study_config, queue.trials(), self._ended_before)
