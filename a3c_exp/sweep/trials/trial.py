"""One trial, in the process that runs it: all its seeds, and the report to the study of how it ended."""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from omegaconf import DictConfig

from a3c_exp.runs.study_storage import REASON, RETRY_OF, SEED_STD, SEEDS
from a3c_exp.sweep.study.config import StudyConfig, read_study_config
from a3c_exp.sweep.study.sampler_pruner import can_prune
from a3c_exp.sweep.study.study_snapshot import STATE_NAMES
from a3c_exp.sweep.trials.heartbeat import TrialHeartbeat
from a3c_exp.sweep.trials.pruning_callback import PruningCallback
from a3c_exp.sweep.trials.trial_queue import TrialQueue, open_trial_queue
from a3c_exp.system.atomic_write import write_json
from a3c_exp.system.errors import A3CError, NonFiniteError
from a3c_exp.training.run import RunIdentity, run


def run_trial(config: DictConfig, sweeper: DictConfig, directory: Path, identity: RunIdentity, number: int) -> float:
    """Run a trial and tell its study how it ended, also by an exception, which passes on.

    Args:
        config: of the trial, checked.
        sweeper: ``hydra.sweeper`` as the study has it.
        directory: of the study.
        identity: of the trial; its directory holds one run, or one a seed.
        number: of the trial.

    Returns:
        The (first) objective's value; of a pruned trial the last one.
    """
    settings = read_study_config(sweeper, config.seed)
    queue = open_trial_queue(settings, directory)
    trial = optuna.Trial(queue.study, queue.trials()[number]._trial_id)
    try:
        with _heartbeat(queue, number, settings):
            return _TrialRunner(config, settings, queue, trial, identity).run()
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
        _write_trial_file(identity.directory, queue, number)


def _heartbeat(queue: TrialQueue, number: int, settings: StudyConfig) -> AbstractContextManager[object]:
    """Heartbeats of this process, unless it is the one that claimed the trial and sends them already."""
    trial = queue.trials()[number]
    if any(running.number == number for running in queue.running_trials_of(os.getpid())):
        return nullcontext()
    return closing(TrialHeartbeat(queue.study._storage, trial._trial_id, f"job {os.getpid()}", settings.heartbeat_timeout))


class _TrialRunner:
    def __init__(
        self, config: DictConfig, settings: StudyConfig, queue: TrialQueue, trial: optuna.Trial, identity: RunIdentity
    ) -> None:
        self._config = config
        self._settings = settings
        self._queue = queue
        self._trial = trial
        self._identity = identity
        self._values: dict[str, list[float]] = {}
        self._intermediate_values: list[list[float]] = []

    def run(self) -> float:
        seed_runs = self._seed_runs()
        for index, (config, identity) in enumerate(seed_runs):
            callback = self._pruning_callback()
            last_return = run(config, identity, callback)
            self._intermediate_values.append(callback.intermediate_values)
            is_last = index == len(seed_runs) - 1
            if callback.status == "pruned" or (callback.stop_reason is not None and not is_last):
                return self._end_pruned(callback, last_return)
            self._record_values(callback.summary, config.seed)
        return self._end_complete()

    def _seed_runs(self) -> list[tuple[DictConfig, RunIdentity]]:
        if not self._settings.seeds:
            return [(self._config, self._identity)]
        seed_runs = []
        for seed in self._settings.seeds:
            config = self._config.copy()
            config.seed = seed
            folder, name = f"seed={seed}", self._identity.name
            identity = replace(self._identity, directory=self._identity.directory / folder, name=f"{name}/{folder}")
            seed_runs.append((config, identity))
        return seed_runs

    def _pruning_callback(self) -> PruningCallback:
        objective = self._settings.objectives[0] if len(self._settings.objectives) == 1 else None
        reported = objective if objective is not None and objective.known_during_training else None
        return PruningCallback(self._trial, reported, can_prune(self._settings), list(self._intermediate_values))

    def _record_values(self, summary: Mapping[str, Any], seed: int) -> None:
        """Save each seed's values as soon as they are known."""
        seeds: Mapping[str, Any] = summary.get("seeds") or {f"seed={seed}": summary}
        for name, seed_summary in seeds.items():
            self._values[name] = [objective.final_value(seed_summary) for objective in self._settings.objectives]
        self._trial.set_user_attr(SEEDS, self._values)
        if len(self._values) > 1:
            self._trial.set_user_attr(SEED_STD, np.std(list(self._values.values()), axis=0, ddof=1).tolist())

    def _end_pruned(self, callback: PruningCallback, last_return: float) -> float:
        assert callback.stop_reason is not None
        self._queue.prune(self._trial.number, callback.stop_reason)
        return callback.intermediate_values[-1] if callback.intermediate_values else last_return

    def _end_complete(self) -> float:
        values: Sequence[float] = np.mean(list(self._values.values()), axis=0).tolist()
        if not np.isfinite(values).all():
            raise NonFiniteError(f"the trial's value is {values}")
        self._queue.complete(self._trial.number, values)
        return values[0]


def _write_trial_file(directory: Path, queue: TrialQueue, number: int) -> None:
    """Write what the study knows of this trial into its directory."""
    trial = queue.trials()[number]
    content = {
        "number": number,
        "state": STATE_NAMES[trial.state],
        "params": trial.params,
        "values": trial.values,
        "seeds": trial.user_attrs.get(SEEDS),
        "spread": trial.user_attrs.get(SEED_STD),
        "reason": trial.user_attrs.get(REASON),
        "retry_of": trial.user_attrs.get(RETRY_OF),
    }
    if directory.is_dir():
        write_json(directory / "trial.json", content)
