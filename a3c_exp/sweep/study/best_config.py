"""The best configuration of a study, as a command and as a file that ``+experiment=`` loads."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial

from a3c_exp.config.compose import jobs
from a3c_exp.runs.study_storage import AS_COMMAND, BEST_FOLDER, COMMAND
from a3c_exp.sweep.study.objective import Objective
from a3c_exp.sweep.study.study_snapshot import StudyView, value_of
from a3c_exp.system.errors import ConfigError

_GROUPS = ("env", "model", "optimizer", "parallelism")
_NOT_KEPT = ("logger", "name", "tags")
_ABSENT = object()


@dataclass(frozen=True)
class Best:
    """A configuration that stands for itself, without the study.

    Attributes:
        command: that runs it.
        text: of the YAML file.
    """

    command: str
    text: str


class BestKeeper:
    """Keeps the best configuration of a study in its directory, anew whenever it changes: a study that is killed leaves it.

    Args:
        directory: of the study.
        name: of the study.
        objectives: of the study; with several there is a file for each trial that none beats in everything.
        config: of the sweep; says where configuration files were looked for.

    Attributes:
        told: how to run what was kept, for a person.
    """

    def __init__(self, directory: Path, name: str, objectives: Sequence[Objective], config: DictConfig) -> None:
        self._directory = directory
        self._name = name
        self._objectives = objectives
        sources = config.hydra.runtime.config_sources
        self._folders = [source.path for source in sources if source.provider == "command-line"]
        self._searched = [text for text in config.hydra.overrides.hydra if text.startswith("hydra.searchpath")]
        self._kept: list[int] = []
        self.told: list[str] = []

    def keep(self, view: StudyView) -> None:
        """Write what is best now, if it is not what was."""
        best = view.best
        if [trial.number for trial in best] == self._kept:
            return
        self._kept = [trial.number for trial in best]
        folder = shlex.quote(str(self._directory / BEST_FOLDER))
        if len(self._objectives) > 1:
            for trial in best:
                self._write(trial, f"{self._name}_{trial.number}")
            self.told = [f"python -m a3c_exp --config-dir {folder} +experiment={self._name}_{best[0].number}"]
            return
        command = self._write(best[0], self._name)
        self.told = [command, f"python -m a3c_exp --config-dir {folder} +experiment={self._name}"]

    def _write(self, trial: FrozenTrial, name: str) -> str:
        overrides = [*shlex.split(str(trial.user_attrs[COMMAND]))[3:], *self._searched]
        goal = f"{', '.join(objective.name for objective in self._objectives)} {value_of(trial)}"
        note = f"Trial {trial.number} of study {self._name}: {goal}"
        try:
            best = best_of(overrides, name, [note], self._folders)
            keep_best(self._directory, name, best)
        except (ConfigError, OSError) as error:  # configuration files that were changed meanwhile, a full disk
            return f"trial {trial.number} could not be written as a file: {error}"
        return best.command


def best_of(overrides: Sequence[str], name: str, notes: Sequence[str], search: Sequence[str] = ()) -> Best:
    """What a trial's overrides come to, told by what differs from the chosen groups' own values.

    Args:
        overrides: of the trial, those that all share included.
        name: of the experiment.
        notes: comment lines for the file.
        search: further config folders.
    """
    (job,) = jobs(list(overrides), False, search)
    choices = {group: str(job.hydra.runtime.choices[group]) for group in _GROUPS}
    chosen = [f"{group}={choice}" for group, choice in choices.items()]
    changed = _changed(_values(job.config), plain := _plain(chosen, search))
    known = dict(_flat(plain))
    values = [f"{'' if _is_there(key, known) else '++'}{key}={_typed(value)}" for key, value in _flat(changed)]
    command = ["python", "-m", "a3c_exp", *chosen, *values]
    head = [
        "# @package _global_",
        f"# python -m a3c_exp --config-dir FOLDER +experiment={name}",
        *(f"# {note}" for note in notes),
        f"# {AS_COMMAND}{shlex.join(command)}",
        "defaults:",
        *(f"  - override /{group}: {choice}" for group, choice in choices.items()),
    ]
    body = yaml.safe_dump(changed, sort_keys=False, default_flow_style=None) if changed else ""
    return Best(shlex.join(command), "\n".join(head) + "\n\n" + body)


def keep_best(directory: Path, name: str, best: Best) -> Path:
    """Write the file below a study's directory; returns the folder for ``--config-dir``."""
    folder = directory / BEST_FOLDER
    (folder / "experiment").mkdir(parents=True, exist_ok=True)
    path = folder / "experiment" / f"{name}.yaml"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(best.text.replace("FOLDER +", f"{shlex.quote(str(folder))} +"))
    temporary.replace(path)
    return folder


def _plain(chosen: Sequence[str], search: Sequence[str]) -> dict[str, Any]:
    """The values of the chosen groups alone; they may have nothing that ends a run, which is then told apart from what does."""
    try:
        (plain,) = jobs(list(chosen), False, search)
    except ConfigError:
        (plain,) = jobs([*chosen, "max_updates=1"], False, search)
        return {**_values(plain.config), "max_updates": None}
    return _values(plain.config)


def _values(config: DictConfig) -> dict[str, Any]:
    content = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items() if key not in _NOT_KEPT}


def _changed(values: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """What ``values`` has and ``plain`` has not, or otherwise."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        other = plain.get(key, _ABSENT)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            if inner := _changed(value, other):
                found[key] = inner
        elif value != other:
            found[key] = value
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found


def _is_there(key: str, known: Mapping[str, Any]) -> bool:
    return key in known or any(name.startswith(f"{key}.") for name in known)


def _typed(value: Any) -> str:
    """A value as Hydra's command line reads it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_typed, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_typed(item)}" for key, item in value.items()) + "}"
    return value if isinstance(value, str) else repr(value)
