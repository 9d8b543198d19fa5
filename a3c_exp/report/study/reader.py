"""Reading a study: its trials, and what mattered. Optuna is imported only when one is read."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import OmegaConf

from a3c_exp.runs import study_storage
from a3c_exp.runs.log_records import JsonObject
from a3c_exp.runs.status import require_format
from a3c_exp.runs.tolerant_io import mapping, number, read_json_object, read_text, strings
from a3c_exp.system.errors import A3CError, RunDirectoryError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}
_MIN_COMPLETE_TRIALS = 4  # from which on the importance of parameters is worth a figure


class Trial:
    """One trial, as Optuna's storage has it and the sweeper's attributes describe it."""

    def __init__(self, trial: "FrozenTrial") -> None:
        known, duration, retry = trial.user_attrs, trial.duration, trial.user_attrs.get(study_storage.RETRY_OF)
        self.number = trial.number  # in order of beginning, from 0
        self.state = _STATES[trial.state.name]
        self.values = tuple(trial.values or ()) if self.state == "complete" else ()  # of the objectives
        self.params = dict(trial.params)
        self.intermediate = sorted(trial.intermediate_values.items())  # (step, value), as reported while it ran
        self.seeds: Mapping[str, Sequence[float]] = mapping(known.get(study_storage.SEEDS))  # each seed's values
        self.spread = tuple(map(number, known.get(study_storage.SEED_STD) or ()))  # their standard deviation, one an objective
        self.reason = str(known.get(study_storage.REASON, ""))  # why it failed or was pruned
        self.command = str(known.get(study_storage.COMMAND, ""))  # that runs it again
        self.directory = str(known.get(study_storage.DIRECTORY, ""))  # below the study's
        self.retry_of = retry if isinstance(retry, int) else None  # the number of the trial that it repeats
        self.seconds = duration.total_seconds() if duration else math.nan  # that it took, or has taken so far
        self.started = f"{trial.datetime_start:%Y-%m-%d %H:%M:%S}" if trial.datetime_start else ""
        self.ended = f"{trial.datetime_complete:%Y-%m-%d %H:%M:%S}" if trial.datetime_complete else ""


class Parameter:
    """One axis of the search space."""

    def __init__(self, name: str, range_text: str, distribution: "BaseDistribution", importance: tuple[float, ...]) -> None:
        self.name, self.range_text = name, range_text  # the configuration's key, and its range as typed
        self.importance = importance  # share of what varied in each objective, in [0, 1]; NaN where it is unknown
        self.log = bool(getattr(distribution, "log", False))  # whether its scale is logarithmic
        self.choices: tuple[Any, ...] = tuple(getattr(distribution, "choices", ()))  # of a categorical one, in order
        self.low, self.high = (number(getattr(distribution, end, math.nan)) for end in ("low", "high"))

    def position(self, value: Any) -> float:
        """Where a value stands on its axis: a number as it is, a choice by its order."""
        return float(self.choices.index(value) if self.choices else value)

    def share_of_range(self, value: Any) -> float:
        """Where a value stands between the ends of the range, 0 and 1, on the parameter's scale."""
        ends = (0.0, len(self.choices) - 1.0) if self.choices else (self.low, self.high)
        low, at, high = (math.log(x) if self.log else x for x in (ends[0], self.position(value), ends[1]))
        return (at - low) / max(high - low, 1e-12)


@dataclass(frozen=True)
class StudyRecord:
    """A study, read."""

    path: Path  #: its directory
    name: str  #: of the study
    objectives: tuple[tuple[str, str], ...]  #: ``(quantity, direction)``
    n_trials: int  #: asked for in all
    trials: tuple[Trial, ...]  #: by number
    parameters: tuple[Parameter, ...]  #: the most important first
    study_json: JsonObject  #: of ``study.json``
    best_files: Mapping[str, str]  #: name and text of the files that ``+experiment=`` loads

    @cached_property
    def counted_trials(self) -> list[Trial]:
        """All trials but those that were tried again."""
        repeated = {trial.retry_of for trial in self.trials}
        return [trial for trial in self.trials if trial.number not in repeated]

    def trials_in_state(self, *states: str) -> list[Trial]:
        return [trial for trial in self.counted_trials if trial.state in states]

    @cached_property
    def best(self) -> list[Trial]:
        """The best complete trial; with several objectives those that none beats in everything, by the first objective."""
        complete, signs = self.trials_in_state("complete"), [1.0 if way == "maximize" else -1.0 for _, way in self.objectives]
        table = np.array([trial.values for trial in complete]).reshape(len(complete), len(signs)) * signs  # larger is better
        front = [trial for trial, own in zip(complete, table, strict=True)
                 if not ((table >= own).all(axis=1) & (table > own).any(axis=1)).any()]  # fmt: skip
        front.sort(key=lambda trial: (-signs[0] * trial.values[0], trial.number))
        return front[:1] if len(self.objectives) == 1 else front


def is_study(path: Path) -> bool:
    """Whether a directory is a study's."""
    return (path / study_storage.STUDY_FILE).is_file()


def read_study(path: Path) -> StudyRecord:
    """Read a study's directory and its storage. Raises RunDirectoryError if either cannot be read."""
    problems: list[str] = []
    if (content := read_json_object(path / study_storage.STUDY_FILE, problems)) is None:
        problem = problems[0] if problems else f"{study_storage.STUDY_FILE} is missing"
        raise RunDirectoryError(f"{path}: {problem}. Name the runs of its trials instead: {path}/*")
    require_format(path, content)
    name = str(content.get("study_name") or path.resolve().name)
    study = _load_study(path, content, name)
    trials = tuple(map(Trial, study.get_trials(deepcopy=False)))
    listed = content.get("objectives")
    objectives = tuple((str(one[0]), str(one[1])) for one in listed) if isinstance(listed, list) else ()
    folder = path / study_storage.BEST_FOLDER / "experiment"
    files = {one.stem: read_text(one, problems) for one in sorted(folder.glob("*.yaml"))} if folder.is_dir() else {}
    n_trials, parameters = int(number(content.get("n_trials", len(trials)))), _read_parameters(study, content, len(objectives))
    return StudyRecord(path, name, objectives, n_trials, trials, parameters, content, files)


def _load_study(path: Path, study_json: JsonObject, name: str) -> "Study":
    import optuna

    storage = study_json.get("storage")
    if isinstance(storage, str):
        storage = str(OmegaConf.create({"storage": storage}).storage)  # ${oc.env:NAME}, so that no password is written down
    journal = study_storage.journal_path(storage, path)
    if journal is not None and not journal.is_file():
        raise RunDirectoryError(f"{path}: the study's journal {journal} is missing. Move it back there")
    try:
        return optuna.load_study(study_name=name, storage=study_storage.open_storage(storage, path))
    except KeyError:
        raise RunDirectoryError(
            f"{path}: its storage knows no study {name}. Name the runs of its trials instead: {path}/*"
        ) from None
    except A3CError as error:
        raise RunDirectoryError(f"{path}: {error}") from None


def _read_parameters(study: "Study", study_json: JsonObject, num_objectives: int) -> tuple[Parameter, ...]:
    found: dict[str, BaseDistribution] = {}
    for trial in study.get_trials(deepcopy=False):
        found |= trial.distributions
    shares = [_parameter_importances(study, index) for index in range(num_objectives)]
    texts = mapping(study_json.get("space"))
    parameters = []
    for name, distribution in found.items():
        importance = tuple(share.get(name, math.nan) for share in shares)
        parameters.append(Parameter(name, str(texts.get(name, "chosen by a function")), distribution, importance))
    return tuple(sorted(parameters, key=lambda one: -max((s for s in one.importance if math.isfinite(s)), default=-1.0)))


def _parameter_importances(study: "Study", index: int) -> Mapping[str, float]:
    """By PED-ANOVA (Watanabe et al. 2023); nothing where trials are too few or all alike."""
    import optuna

    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len(complete) < _MIN_COMPLETE_TRIALS or len({trial.values[index] for trial in complete}) < 2:
        return {}
    # With a target it looks for what makes the target small.
    sign = -1.0 if study.directions[index] is optuna.study.StudyDirection.MAXIMIZE else 1.0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return optuna.importance.get_param_importances(study, target=lambda trial: sign * float(trial.values[index]))
    except (ValueError, RuntimeError):  # parameters that only some trials have, or that never varied
        return {}


def session_commands(record: StudyRecord) -> tuple[str, ...]:
    """The commands that worked on a study, each once."""
    sessions = record.study_json.get("sessions")
    listed = [str(mapping(one).get("command", "")) for one in sessions] if isinstance(sessions, list) else []
    return tuple(dict.fromkeys(filter(None, listed))) or strings(record.study_json.get("command"))
