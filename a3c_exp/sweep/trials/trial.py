"""One trial, in the process that runs it: all its seeds, each evaluation reported to its study, and how it ended."""

import math
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial

from a3c_exp.loggers.base import RunInfo
from a3c_exp.runs.log_records import EvaluationRecord, JsonObject, Status
from a3c_exp.runs.study_storage import REASON, RETRY_OF, SEED_STD, SEEDS
from a3c_exp.sweep.study.config import Objective, StudyConfig, read_study_config
from a3c_exp.sweep.study.sampler_pruner import can_prune
from a3c_exp.sweep.trials.heartbeat import TrialHeartbeat
from a3c_exp.sweep.trials.trial_queue import STATE_NAMES, TrialQueue, open_trial_queue
from a3c_exp.system.atomic_write import write_json
from a3c_exp.system.errors import A3CError, NonFiniteError
from a3c_exp.system.number_format import format_number
from a3c_exp.training.run import RunIdentity, StopCallback, run


def run_trial(config: DictConfig, sweeper: DictConfig, directory: Path, identity: RunIdentity, number: int) -> float:
    """Run a trial and tell its study how it ended, also by an exception, which passes on. ``config`` is the trial's, checked,
    ``sweeper`` the study's ``hydra.sweeper``, ``directory`` the study's; that of ``identity`` holds one run, or one a seed.
    Returns the (first) objective's value; of a pruned trial the last one."""
    settings = read_study_config(sweeper, config.seed)
    queue = open_trial_queue(settings, directory)
    trial_id = queue.trials()[number]._trial_id
    # The process that claimed the trial sends heartbeats already; another one, in which a launcher runs it, does so itself.
    claimed_here = any(running.number == number for running in queue.running_trials_of(os.getpid()))
    role, timeout = f"job {os.getpid()}", settings.heartbeat_timeout
    try:
        with nullcontext() if claimed_here else closing(TrialHeartbeat(queue.study._storage, trial_id, role, timeout)):
            return _run_seeds(config, settings, queue, Trial(queue.study, trial_id), identity)
    except SystemExit:
        queue.fail(number, "stopped by Ctrl-C or SIGTERM", retry=True)
        raise
    except A3CError as error:
        queue.fail(number, str(error).removeprefix(f"{identity.directory}: "))
        raise
    except BaseException as error:
        queue.fail(number, f"{type(error).__name__}: {error}")
        raise
    finally:
        trial = queue.trials()[number]
        known = {"number": number, "state": STATE_NAMES[trial.state], "params": trial.params, "values": trial.values}
        known |= {name: trial.user_attrs.get(name) for name in (SEEDS, SEED_STD, REASON, RETRY_OF)}
        if identity.directory.is_dir():
            write_json(identity.directory / "trial.json", known)


def _run_seeds(config: DictConfig, settings: StudyConfig, queue: TrialQueue, trial: Trial, identity: RunIdentity) -> float:
    objectives, values = settings.objectives, dict[str, list[float]]()
    reported = objectives[0] if len(objectives) == 1 and objectives[0].known_during_training else None
    intermediate_values: list[list[float]] = []
    seed_runs = _seed_runs(config, settings, identity)
    for index, (seed_config, seed_identity) in enumerate(seed_runs):
        callback = PruningCallback(trial, reported, can_prune(settings), list(intermediate_values))
        last_return = run(seed_config, seed_identity, callback)
        intermediate_values.append(callback.intermediate_values)
        is_last = index == len(seed_runs) - 1
        if callback.status == "pruned" or (callback.stop_reason is not None and not is_last):
            assert callback.stop_reason is not None
            queue.prune(trial.number, callback.stop_reason)
            return callback.intermediate_values[-1] if callback.intermediate_values else last_return
        # Each seed's values are saved as soon as they are known; seeds that train together end together.
        seeds: Mapping[str, Any] = callback.summary.get("seeds") or {f"seed={seed_config.seed}": callback.summary}
        values |= {name: [objective.final_value(summary) for objective in objectives] for name, summary in seeds.items()}
        trial.set_user_attr(SEEDS, values)
        if len(values) > 1:
            trial.set_user_attr(SEED_STD, np.std(list(values.values()), axis=0, ddof=1).tolist())
    means: list[float] = np.mean(list(values.values()), axis=0).tolist()
    if not np.isfinite(means).all():
        raise NonFiniteError(f"the trial's value is {means}")
    queue.complete(trial.number, means)
    return means[0]


def _seed_runs(config: DictConfig, settings: StudyConfig, identity: RunIdentity) -> list[tuple[DictConfig, RunIdentity]]:
    if not settings.seeds:
        return [(config, identity)]
    seed_runs = []
    for seed in settings.seeds:
        seed_config, folder = config.copy(), f"seed={seed}"
        seed_config.seed = seed
        seed_identity = replace(identity, directory=identity.directory / folder, name=f"{identity.name}/{folder}")
        seed_runs.append((seed_config, seed_identity))
    return seed_runs


class PruningCallback(StopCallback):
    """Reports a run's evaluations to its trial, and asks whether it should be pruned: of seeds that train together the mean; of
    seeds that train in turn the mean with ``earlier_seeds`` at the same point of training, so that later seeds only make the
    value more precise. Without an ``objective``, as with several, nothing is reported; without ``can_prune`` nothing is
    asked."""

    def __init__(
        self, trial: Trial, objective: Objective | None, can_prune: bool, earlier_seeds: Sequence[Sequence[float]] = ()
    ) -> None:
        self._trial = trial
        self._objective = objective
        self._can_prune = can_prune
        self._earlier_seeds = earlier_seeds
        self.stop_reason = None
        self.intermediate_values: list[float] = []  # the objective at each evaluation of this run
        self.status: Status = "running"
        self.summary: JsonObject = {}

    def start(self, run: RunInfo) -> None:
        self.status = "running"

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        if self._objective is None:
            return
        at, previous = len(self.intermediate_values), self.intermediate_values[-1] if self.intermediate_values else None
        self.intermediate_values.append(self._objective.intermediate_value(evaluation, previous))
        earlier = [values[min(at, len(values) - 1)] for values in self._earlier_seeds if values]
        value = sum([*earlier, self.intermediate_values[-1]]) / (len(earlier) + 1)
        if not math.isfinite(value):
            return
        try:
            self._trial.report(value, step=sum(map(len, self._earlier_seeds)) + at + 1)
            if self._can_prune and self._trial.should_prune():
                pruner = type(self._trial.study.pruner).__name__
                self.stop_reason = f"{pruner} at evaluation {at + 1}: {self._objective.name} is {format_number(value)}"
        except UpdateFinishedTrialError:
            self.stop_reason = "another process took this trial for stale and ended it"
        except Exception as error:  # a storage that is away for a moment is no reason to lose a run
            print(f"evaluation {at + 1} could not be reported to the study: {error}", file=sys.stderr, flush=True)

    def finish(self, status: Status, summary: JsonObject) -> None:
        self.status, self.summary = status, summary
