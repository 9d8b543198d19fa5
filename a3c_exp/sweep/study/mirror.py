"""A study shown by the service that its runs are logged to, where that shows runs below each other: MLflow."""

from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial

from a3c_exp.loggers.mlflow_logger.study import MlflowStudy, TrialRecord, mlflow_settings
from a3c_exp.runs.log_records import Status
from a3c_exp.runs.study_storage import BEST_FOLDER, REASON, RETRY_OF, STUDY_FILE
from a3c_exp.runs.tolerant_io import mapping
from a3c_exp.sweep.study.config import StudyConfig
from a3c_exp.sweep.study.search_space import SearchSpace, describe_distribution
from a3c_exp.sweep.study.study_snapshot import StudySnapshot
from a3c_exp.sweep.trials.trial_queue import STATE_NAMES


class StudyMirror:
    """Passes a study on to MLflow if the trials' ``config`` logs there, and else does nothing; nobody waits for it, except for
    ``finish`` a limited time. ``on_message`` gets what there is to say."""

    def __init__(
        self,
        config: DictConfig,
        directory: Path,
        study_config: StudyConfig,
        space: SearchSpace,
        on_message: Callable[[str], None],
    ) -> None:
        self._directory, self._on_message = directory.absolute(), on_message
        settings = mlflow_settings(mapping(OmegaConf.to_container(config.logger, resolve=True)))
        self._study: MlflowStudy | None = None
        if settings is not None:
            params = {name: describe_distribution(distribution) for name, distribution in space.distributions.items()}
            tags = {
                "goal": ", ".join(f"{objective.direction} {objective.name}" for objective in study_config.objectives),
                "n_trials": str(study_config.n_trials),
                "sampler": str(study_config.sampler.get("_target_")),
                "pruner": str((study_config.pruner or {}).get("_target_")),
            }
            self._study = MlflowStudy(settings, directory, str(study_config.study_name), params, tags)

    def update(self, snapshot: StudySnapshot) -> None:
        """Pass on what has changed."""
        if self._study is None:
            return
        names = [objective.name for objective in snapshot.objectives]
        ended = [_record(trial, names) for trial in snapshot.trials if trial.state.is_finished()]
        best = _record(snapshot.best[0], names) if len(names) == 1 and snapshot.best else None
        self._study.update(ended, best)
        self._study.forward_messages(self._on_message)

    def finish(self, status: Status) -> None:
        """The session of the study has ended; its files and its report, with the figures, go beside it."""
        if self._study is not None:
            paths = (self._directory / name for name in (STUDY_FILE, BEST_FOLDER, "report"))
            self._study.finish(status, [path for path in paths if path.exists()], self._on_message)
            self._study = None


def _record(trial: FrozenTrial, objectives: list[str]) -> TrialRecord:
    notes = {name: str(trial.user_attrs[name]) for name in (REASON, RETRY_OF) if trial.user_attrs.get(name) is not None}
    values = dict(zip(objectives, trial.values or (), strict=False))
    return TrialRecord(trial.number, STATE_NAMES[trial.state], trial.params, values, notes)
