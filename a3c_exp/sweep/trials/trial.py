"""One trial, in the process that runs it: all its seeds, and how it ended told to the study."""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from omegaconf import DictConfig

from a3c_exp.runs.record import write_json
from a3c_exp.runs.study_storage import REASON, RETRY_OF, SEEDS, SPREAD
from a3c_exp.sweep.study.config import StudySettings, read_settings
from a3c_exp.sweep.study.sampler_pruner import prunes
from a3c_exp.sweep.study.study_snapshot import WORDS
from a3c_exp.sweep.trials.heartbeat import Lease
from a3c_exp.sweep.trials.pruning_callback import TrialJudge
from a3c_exp.sweep.trials.trial_queue import Ledger, open_ledger
from a3c_exp.system.errors import A3CError, NonFiniteError
from a3c_exp.training.run import Identity, run


def run_trial(config: DictConfig, sweeper: DictConfig, directory: Path, identity: Identity, number: int) -> float:
    """Run a trial and tell its study how it ended; an exception is told too, and passes on.

    Args:
        config: of the trial, checked.
        sweeper: ``hydra.sweeper`` as the study has it.
        directory: of the study.
        identity: of the trial; its directory holds one run, or one a seed.
        number: of the trial.

    Returns:
        The (first) objective's value; of a pruned trial the last that was known.
    """
    settings = read_settings(sweeper, config.seed)
    ledger = open_ledger(settings, directory)
    trial = optuna.Trial(ledger.study, ledger.trials()[number]._trial_id)
    try:
        with _lease(ledger, number, settings):
            return _Trial(config, settings, ledger, trial, identity).run()
    except SystemExit:
        ledger.fail(number, "stopped by Ctrl-C or SIGTERM", try_again=True)
        raise
    except A3CError as error:
        ledger.fail(number, str(error).removeprefix(f"{identity.directory}: "))
        raise
    except BaseException as error:
        ledger.fail(number, f"{type(error).__name__}: {error}")
        raise
    finally:
        _keep(identity.directory, ledger, number)


def _lease(ledger: Ledger, number: int, settings: StudySettings) -> AbstractContextManager[object]:
    """A lease of this process's own, unless it is the one that took the trial."""
    trial = ledger.trials()[number]
    if any(held.number == number for held in ledger.held_by(os.getpid())):
        return nullcontext()
    return Lease(ledger.study._storage, trial._trial_id, f"job {os.getpid()}", settings.lease)


class _Trial:
    def __init__(
        self, config: DictConfig, settings: StudySettings, ledger: Ledger, trial: optuna.Trial, identity: Identity
    ) -> None:
        self._config = config
        self._settings = settings
        self._ledger = ledger
        self._trial = trial
        self._identity = identity
        self._values: dict[str, list[float]] = {}
        self._curves: list[list[float]] = []

    def run(self) -> float:
        parts = self._parts()
        for index, (config, identity) in enumerate(parts):
            judge = self._judge()
            last = run(config, identity, judge)
            self._curves.append(judge.curve)
            over = index == len(parts) - 1
            if judge.status == "pruned" or (judge.verdict is not None and not over):
                return self._pruned(judge, last)
            self._note(judge.summary, config.seed)
        return self._completed()

    def _parts(self) -> list[tuple[DictConfig, Identity]]:
        if not self._settings.seeds:
            return [(self._config, self._identity)]
        found = []
        for seed in self._settings.seeds:
            own = self._config.copy()
            own.seed = seed
            part, name = f"seed={seed}", self._identity.name
            found.append((own, replace(self._identity, directory=self._identity.directory / part, name=f"{name}/{part}")))
        return found

    def _judge(self) -> TrialJudge:
        objective = self._settings.objectives[0] if len(self._settings.objectives) == 1 else None
        watched = objective if objective is not None and objective.seen_while_training else None
        return TrialJudge(self._trial, watched, prunes(self._settings), list(self._curves))

    def _note(self, summary: Mapping[str, Any], seed: int) -> None:
        """Keep each seed's values, as soon as they are known."""
        seeds: Mapping[str, Any] = summary.get("seeds") or {f"seed={seed}": summary}
        for name, own in seeds.items():
            self._values[name] = [objective.of(own) for objective in self._settings.objectives]
        self._trial.set_user_attr(SEEDS, self._values)
        if len(self._values) > 1:
            self._trial.set_user_attr(SPREAD, np.std(list(self._values.values()), axis=0, ddof=1).tolist())

    def _pruned(self, judge: TrialJudge, last: float) -> float:
        assert judge.verdict is not None
        self._ledger.prune(self._trial.number, judge.verdict)
        return judge.curve[-1] if judge.curve else last

    def _completed(self) -> float:
        values: Sequence[float] = np.mean(list(self._values.values()), axis=0).tolist()
        if not np.isfinite(values).all():
            raise NonFiniteError(f"the trial's value is {values}")
        self._ledger.complete(self._trial.number, values)
        return values[0]


def _keep(directory: Path, ledger: Ledger, number: int) -> None:
    """Write beside the runs what the study knows of this trial."""
    trial = ledger.trials()[number]
    content = {
        "number": number,
        "state": WORDS[trial.state],
        "params": trial.params,
        "values": trial.values,
        "seeds": trial.user_attrs.get(SEEDS),
        "spread": trial.user_attrs.get(SPREAD),
        "reason": trial.user_attrs.get(REASON),
        "retry_of": trial.user_attrs.get(RETRY_OF),
    }
    if directory.is_dir():
        write_json(directory / "trial.json", content)
