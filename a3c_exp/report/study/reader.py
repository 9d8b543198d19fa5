"""Reading a study: its trials, and what mattered. Optuna is imported only when one is read."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from a3c_exp.runs.log_records import JsonObject
from a3c_exp.runs.status import require_format
from a3c_exp.runs.study_storage import (
    BEST_FOLDER,
    COMMAND,
    DIRECTORY,
    REASON,
    RETRY_OF,
    SEED_STD,
    SEEDS,
    STUDY_FILE,
    journal_path,
    open_storage,
)
from a3c_exp.runs.tolerant_io import mapping, number, read_json_object, read_text, strings
from a3c_exp.system.errors import A3CError, RunDirectoryError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

_STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}
_MIN_COMPLETE_TRIALS = 4
"""Complete trials from which on the importance of parameters is worth a figure."""


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        number: in order of beginning, from 0.
        state: ``complete``, ``pruned``, ``failed``, ``running`` or ``waiting``.
        values: of the objectives; empty unless complete.
        params: what was tried.
        intermediate: ``(step, value)`` as reported while it ran.
        seeds: each seed's values.
        spread: standard deviation over seeds, one an objective; empty for a single seed.
        reason: why it failed or was pruned.
        command: that runs it again.
        directory: below the study's.
        retry_of: the number of the trial that it repeats, or ``None``.
        seconds: how long it took, or has taken so far; NaN if it has not begun.
        started, ended: local times in words, empty where unknown.
    """

    number: int
    state: str
    values: tuple[float, ...]
    params: Mapping[str, Any]
    intermediate: tuple[tuple[int, float], ...]
    seeds: Mapping[str, Sequence[float]]
    spread: tuple[float, ...]
    reason: str
    command: str
    directory: str
    retry_of: int | None
    seconds: float
    started: str
    ended: str


@dataclass(frozen=True)
class Parameter:
    """One axis of the search space.

    Attributes:
        name: the configuration's key.
        range_text: its range as typed.
        log: whether its scale is logarithmic.
        choices: of a categorical one, in order; empty for numbers.
        low, high: the ends of its range; NaN for choices.
        importance: share of what varied in each objective, in [0, 1]; NaN where it is unknown.
    """

    name: str
    range_text: str
    log: bool
    choices: tuple[Any, ...]
    low: float
    high: float
    importance: tuple[float, ...]


@dataclass(frozen=True)
class StudyRecord:
    """A study, read.

    Attributes:
        path: its directory.
        name: of the study.
        objectives: ``(quantity, direction)``.
        n_trials: asked for in all.
        trials: by number.
        parameters: the most important first.
        study_json: of ``study.json``.
        best_files: name and text of the files that ``+experiment=`` loads.
    """

    path: Path
    name: str
    objectives: tuple[tuple[str, str], ...]
    n_trials: int
    trials: tuple[Trial, ...]
    parameters: tuple[Parameter, ...]
    study_json: JsonObject
    best_files: Mapping[str, str]

    @property
    def counted_trials(self) -> list[Trial]:
        """All trials but those that were tried again."""
        repeated = {trial.retry_of for trial in self.trials}
        return [trial for trial in self.trials if trial.number not in repeated]

    def trials_in_state(self, *states: str) -> list[Trial]:
        return [trial for trial in self.counted_trials if trial.state in states]

    @property
    def best(self) -> list[Trial]:
        """The best complete trial; with several objectives those that none beats in everything, by the first objective."""
        complete = self.trials_in_state("complete")
        front = [trial for trial in complete if not any(self._dominates(other, trial) for other in complete)]
        front.sort(key=lambda trial: (self._values_to_maximize(trial)[0], -trial.number), reverse=True)
        return front[:1] if len(self.objectives) == 1 else front

    def _values_to_maximize(self, trial: Trial) -> list[float]:
        ways = [1.0 if way == "maximize" else -1.0 for _, way in self.objectives]
        return [way * value for way, value in zip(ways, trial.values, strict=True)]

    def _dominates(self, trial: Trial, other: Trial) -> bool:
        values, others = self._values_to_maximize(trial), self._values_to_maximize(other)
        return values != others and all(a >= b for a, b in zip(values, others, strict=True))


def is_study(path: Path) -> bool:
    """Whether a directory is a study's."""
    return (path / STUDY_FILE).is_file()


def read_study(path: Path) -> StudyRecord:
    """Read a study's directory and its storage.

    Raises:
        RunDirectoryError: its files cannot be read, or its storage cannot be had.
    """
    problems: list[str] = []
    content = read_json_object(path / STUDY_FILE, problems)
    if content is None:
        raise RunDirectoryError(f"{path}: {problems[0] if problems else f'{STUDY_FILE} is missing'}")
    require_format(path, content)
    name = str(content.get("study_name") or path.resolve().name)
    study = _load_study(path, content, name)
    trials = [_read_trial(trial) for trial in study.get_trials(deepcopy=False)]
    listed = content.get("objectives")
    objectives = [(str(one[0]), str(one[1])) for one in listed] if isinstance(listed, list) else []
    folder = path / BEST_FOLDER / "experiment"
    files = {one.stem: read_text(one, problems) for one in sorted(folder.glob("*.yaml"))} if folder.is_dir() else {}
    return StudyRecord(
        path=path,
        name=name,
        objectives=tuple(objectives),
        n_trials=int(number(content.get("n_trials", len(trials)))),
        trials=tuple(trials),
        parameters=_read_parameters(study, content, len(objectives)),
        study_json=content,
        best_files=files,
    )


def _load_study(path: Path, study_json: JsonObject, name: str) -> "Study":
    import optuna

    storage = study_json.get("storage")
    if isinstance(storage, str):
        storage = str(OmegaConf.create({"storage": storage}).storage)  # ${oc.env:NAME}, so that no password is written down
    journal = journal_path(storage, path)
    if journal is not None and not journal.is_file():
        raise RunDirectoryError(f"{path}: the study's journal {journal} is missing")
    try:
        return optuna.load_study(study_name=name, storage=open_storage(storage, path))
    except KeyError:
        raise RunDirectoryError(f"{path}: its storage knows no study {name}") from None
    except A3CError as error:
        raise RunDirectoryError(f"{path}: {error}") from None


def _read_trial(trial: "FrozenTrial") -> Trial:
    known = trial.user_attrs
    state = _STATES[trial.state.name]
    retry = known.get(RETRY_OF)
    return Trial(
        number=trial.number,
        state=state,
        values=tuple(trial.values or ()) if state == "complete" else (),
        params=dict(trial.params),
        intermediate=tuple(sorted(trial.intermediate_values.items())),
        seeds=mapping(known.get(SEEDS)),
        spread=tuple(map(number, known.get(SEED_STD) or ())),
        reason=str(known.get(REASON, "")),
        command=str(known.get(COMMAND, "")),
        directory=str(known.get(DIRECTORY, "")),
        retry_of=retry if isinstance(retry, int) else None,
        seconds=trial.duration.total_seconds() if trial.duration else math.nan,
        started=f"{trial.datetime_start:%Y-%m-%d %H:%M:%S}" if trial.datetime_start else "",
        ended=f"{trial.datetime_complete:%Y-%m-%d %H:%M:%S}" if trial.datetime_complete else "",
    )


def _read_parameters(study: "Study", study_json: JsonObject, num_objectives: int) -> tuple[Parameter, ...]:
    from optuna.distributions import BaseDistribution, CategoricalDistribution

    found: dict[str, BaseDistribution] = {}
    for trial in study.get_trials(deepcopy=False):
        found |= trial.distributions
    shares = [_parameter_importances(study, index) for index in range(num_objectives)]
    texts = mapping(study_json.get("space"))
    parameters = [
        Parameter(
            name,
            str(texts.get(name, "chosen by a function")),
            bool(getattr(distribution, "log", False)),
            tuple(distribution.choices) if isinstance(distribution, CategoricalDistribution) else (),
            number(getattr(distribution, "low", math.nan)),
            number(getattr(distribution, "high", math.nan)),
            tuple(share.get(name, math.nan) for share in shares),
        )
        for name, distribution in found.items()
    ]
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
