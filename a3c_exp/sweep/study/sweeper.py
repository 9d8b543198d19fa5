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

from a3c_exp.runs.record import command
from a3c_exp.runs.study_storage import CONTRACT, open_storage
from a3c_exp.sweep.study.best_config import BestKeeper
from a3c_exp.sweep.study.config import read_settings
from a3c_exp.sweep.study.live_table import StudyTable
from a3c_exp.sweep.study.overrides import LANE
from a3c_exp.sweep.study.sampler_pruner import prunes
from a3c_exp.sweep.study.search_space import read_space
from a3c_exp.sweep.study.study_file import write_study_file
from a3c_exp.sweep.study.study_signature import contract, refuse_another
from a3c_exp.sweep.study.study_snapshot import StudyView, params_of, value_of
from a3c_exp.sweep.trials.failure_rate import reason_to_stop
from a3c_exp.sweep.trials.trial_queue import Ledger, open_ledger
from a3c_exp.sweep.trials.trial_worker import work
from a3c_exp.sweep.trials.trial_worker_pool import Gone, Lanes
from a3c_exp.system.errors import RunFailed
from a3c_exp.system.signals import StopSignals

_TICK = 0.25
_LOOK_EVERY = 1.0
_SETTLE_EVERY = 5.0
_REPORT_SECONDS = 300


def sweep(config: DictConfig, context: HydraContext, task: TaskFunction, arguments: Sequence[str]) -> None:
    """What Hydra calls: run the study, or, in a lane's process, its trials.

    Args:
        config: composed for the sweep, ``hydra`` included.
        context, task: for the launcher.
        arguments: the overrides that were typed, but Hydra's own.

    Raises:
        RunFailed: too many trials failed.
        SystemExit: someone stopped it; 130 after Ctrl-C, 143 after SIGTERM.
    """
    if LANE in os.environ:
        work(config, context, task, arguments)
    else:
        _Sweeper(config, arguments).run()


class _Sweeper:
    def __init__(self, config: DictConfig, arguments: Sequence[str]) -> None:
        base = config.copy()
        OmegaConf.set_struct(base, False)
        base.pop("hydra")
        self._config, self._base = config, base
        self._directory = Path(str(config.hydra.sweep.dir))
        settings = read_settings(config.hydra.sweeper, base.seed)
        self._named = settings.study_name is not None
        self._name = settings.study_name or self._directory.name
        self._settings = replace(settings, study_name=self._name)
        self._space = read_space(settings.params, arguments, settings.custom_search_space, base)
        self._table = StudyTable()
        self._lanes = Lanes(self._directory / "lanes.log")
        self._best = BestKeeper(self._directory, self._name, settings.objectives, config)
        self._ended_before: set[int] = set()

    def run(self) -> None:
        ledger = self._begin()
        view = self._view(ledger)
        self._table.start(view)
        with StopSignals() as stop:
            try:
                for line in self._opening(view):
                    self._table.say(line)
                self._work(ledger, stop)
            finally:
                for gone in self._lanes.stop(stop.received or signal.SIGTERM):
                    self._account(ledger, gone, try_again=True)  # it was us who stopped them
                view = self._view(ledger)
                self._table.show(view)
                self._table.close()
                self._best.keep(view)
            if stop.requested():
                self._table.say(f"stopped by {stop.name}. Go on with: {self._again()}")
                raise SystemExit(stop.exit_code)
        self._conclude(view)

    def _begin(self) -> Ledger:
        """Take the study up, or begin it; two processes may do so in the same moment."""
        self._directory.mkdir(parents=True, exist_ok=True)
        settings, given = self._settings, contract(self._settings, self._space, self._base)
        storage = open_storage(settings.storage, self._directory)
        study = optuna.create_study(storage=storage, study_name=self._name, directions=settings.directions, load_if_exists=True)
        if (kept := study.user_attrs.get(CONTRACT)) is None:
            study.set_user_attr(CONTRACT, given)
        else:
            refuse_another(self._name, str(self._directory), kept, given)
        if not (multirun := self._directory / "multirun.yaml").exists():
            OmegaConf.save(self._config, multirun)
        write_study_file(self._directory, self._name, settings, self._config.hydra.sweeper, given)
        ledger = open_ledger(settings, self._directory)
        ledger.settle()
        self._ended_before = {trial.number for trial in ledger.trials() if trial.state.is_finished()}
        return ledger

    def _opening(self, view: StudyView) -> list[str]:
        settings = self._settings
        goal = ", ".join(f"{objective.direction} {objective.name}" for objective in settings.objectives)
        lines = [f"study {self._name} in {self._directory}: {goal}, {settings.n_trials} trials in all"]
        if view.trials:
            lines.append(f"goes on: {view.counts()}")
        if len(view.ended) >= settings.n_trials:
            lines.append(f"all its trials are there. For more: study.n_trials={2 * settings.n_trials}")
        if settings.pruner is None:
            return lines
        if len(settings.objectives) > 1:
            lines.append("several objectives: Optuna cannot prune such a study, so every trial runs to its end")
        elif not prunes(settings):
            lines.append(f"{settings.objectives[0].name} is known at a run's end only, so no trial is pruned")
        elif self._base.evaluation.every_env_steps is None:
            lines.append("evaluation.every_env_steps=null: nothing is evaluated before a run's end, so no trial is pruned")
        return lines

    def _work(self, ledger: Ledger, stop: StopSignals) -> None:
        look_at = settle_at = 0.0
        while not stop.requested():
            gone = self._lanes.gone()
            for one in gone:
                if not self._account(ledger, one) and one.trouble and not one.told:
                    raise RunFailed(f"study {self._name}: no trial could be begun: {one.trouble}. More: {self._lanes.log}")
            now = time.monotonic()
            if now >= settle_at:
                settle_at = now + min(_SETTLE_EVERY, self._settings.lease / 4)
                ledger.settle()
            if gone or now >= look_at:
                look_at = now + _LOOK_EVERY
                if self._look(ledger):
                    return
            time.sleep(_TICK)

    def _look(self, ledger: Ledger) -> bool:
        """See how the study stands, and that there are as many lanes as it needs; whether it is over."""
        view = self._view(ledger)
        self._table.show(view)
        self._best.keep(view)
        here = [trial for trial in view.trials if trial.number not in self._ended_before]
        settings = self._settings
        if why := reason_to_stop(here, settings.max_failure_rate, settings.n_jobs, settings.n_trials):
            raise RunFailed(f"study {self._name} was stopped: {why}")
        left = ledger.left()
        for _ in range(min(settings.n_jobs - len(self._lanes), left)):
            self._lanes.start()
        return not self._lanes and not left and not ledger.unclear()

    def _account(self, ledger: Ledger, gone: Gone, try_again: bool = False) -> bool:
        """Record what became of the trial that a lane took with it; whether there was one."""
        held: Sequence[FrozenTrial] = ledger.held_by(gone.pid)
        for trial in held:
            ledger.fail(trial.number, gone.trouble or "its lane ended without a word", try_again or gone.told)
        return bool(held)

    def _conclude(self, view: StudyView) -> None:
        say = self._table.say
        say(f"study {self._name}: {view.counts()}")
        for trial in view.best[:5]:
            say(f"best: {value_of(trial)}, trial {trial.number}: {params_of(trial)}")
        for line in self._best.told:
            say(f"  {line}")
        say(self._report())

    def _report(self) -> str:
        """Make the page in a process of its own: a figure that cannot be drawn must not cost a study its good end."""
        done = subprocess.run(
            [sys.executable, "-m", "a3c_exp.report", str(self._directory)],
            capture_output=True,
            text=True,
            timeout=_REPORT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        words = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
        return words[-1] if words else "the report could not be made"

    def _again(self) -> str:
        typed = command()
        if self._named or "hydra.sweep.dir=" in typed:
            return typed
        return " ".join([*(word for word in typed.split() if word != "-m"), f"study.study_name={self._name}", "-m"])

    def _view(self, ledger: Ledger) -> StudyView:
        settings = self._settings
        return StudyView(
            self._name, settings.objectives, settings.n_trials, settings.n_jobs, ledger.trials(), self._ended_before
        )
