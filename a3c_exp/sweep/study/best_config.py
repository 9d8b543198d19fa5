"""The best configuration of a study, as a command and as a file that ``+experiment=`` loads."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial

from a3c_exp.config.compose import compose_jobs
from a3c_exp.runs.study_storage import BEST_FOLDER, COMMAND, COMMAND_PREFIX
from a3c_exp.sweep.study.objective import Objective
from a3c_exp.sweep.study.search_space import format_override_value
from a3c_exp.sweep.study.study_snapshot import StudySnapshot, format_value
from a3c_exp.system.atomic_write import write_atomically
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.flatten import flatten

_CONFIG_GROUPS = ("env", "model", "optimizer", "parallelism")
_EXCLUDED_KEYS = ("logger", "name", "tags")
_ABSENT = object()


@dataclass(frozen=True)
class BestConfig:
    """A configuration that can be run without the study.

    Attributes:
        command: that runs it.
        yaml_text: of the YAML file.
    """

    command: str
    yaml_text: str


class BestConfigWriter:
    """Writes the best configuration of a study into its directory whenever it changes, so that a killed study has it too.

    Args:
        directory: of the study.
        name: of the study.
        objectives: of the study; with several there is a file for each trial of the Pareto front.
        config: of the sweep; has the search path of the configuration files.

    Attributes:
        commands: that run what was written.
    """

    def __init__(self, directory: Path, name: str, objectives: Sequence[Objective], config: DictConfig) -> None:
        self._directory = directory
        self._name = name
        self._objectives = objectives
        sources = config.hydra.runtime.config_sources
        self._config_directories = [source.path for source in sources if source.provider == "command-line"]
        self._searchpath_overrides = [text for text in config.hydra.overrides.hydra if text.startswith("hydra.searchpath")]
        self._written_trials: list[int] = []
        self.commands: list[str] = []

    def write_if_changed(self, snapshot: StudySnapshot) -> None:
        """Write the best configuration if it is another than before."""
        best = snapshot.best
        numbers = [trial.number for trial in best]
        if numbers == self._written_trials:
            return
        self._written_trials = numbers
        folder = shlex.quote(str(self._directory / BEST_FOLDER))
        if len(self._objectives) > 1:
            for trial in best:
                self._write(trial, f"{self._name}_{trial.number}")
            self.commands = [f"python -m a3c_exp --config-dir {folder} +experiment={self._name}_{best[0].number}"]
            return
        command = self._write(best[0], self._name)
        self.commands = [command, f"python -m a3c_exp --config-dir {folder} +experiment={self._name}"]

    def _write(self, trial: FrozenTrial, name: str) -> str:
        overrides = [*shlex.split(str(trial.user_attrs[COMMAND]))[3:], *self._searchpath_overrides]
        goal = f"{', '.join(objective.name for objective in self._objectives)} {format_value(trial)}"
        note = f"Trial {trial.number} of study {self._name}: {goal}"
        try:
            best = build_best_config(overrides, name, [note], self._config_directories)
            write_best_config(self._directory, name, best)
        except (ConfigError, OSError) as error:  # configuration files that have changed, a full disk
            return f"trial {trial.number} could not be written as a file: {error}"
        return best.command


def build_best_config(overrides: Sequence[str], name: str, notes: Sequence[str], search: Sequence[str] = ()) -> BestConfig:
    """The configuration of a trial, as its differences from the defaults of the chosen config groups.

    Args:
        overrides: of the trial, with those that all trials share.
        name: of the experiment.
        notes: comment lines for the file.
        search: further config folders.
    """
    (job,) = compose_jobs(list(overrides), False, search)
    choices = {group: str(job.hydra.runtime.choices[group]) for group in _CONFIG_GROUPS}
    chosen = [f"{group}={choice}" for group, choice in choices.items()]
    defaults = _group_defaults(chosen, search)
    changed, keys = _differences(_config_values(job.config), defaults), flatten(defaults)
    values = [
        f"{'' if _has_key(key, keys) else '++'}{key}={format_override_value(value)}" for key, value in flatten(changed).items()
    ]
    command = ["python", "-m", "a3c_exp", *chosen, *values]
    head = [
        "# @package _global_",
        f"# python -m a3c_exp --config-dir FOLDER +experiment={name}",
        *(f"# {note}" for note in notes),
        f"# {COMMAND_PREFIX}{shlex.join(command)}",
        "defaults:",
        *(f"  - override /{group}: {choice}" for group, choice in choices.items()),
    ]
    body = yaml.safe_dump(changed, sort_keys=False, default_flow_style=None) if changed else ""
    return BestConfig(shlex.join(command), "\n".join(head) + "\n\n" + body)


def write_best_config(directory: Path, name: str, best: BestConfig) -> Path:
    """Write the file below a study's directory; returns the folder for ``--config-dir``."""
    folder = directory / BEST_FOLDER
    (folder / "experiment").mkdir(parents=True, exist_ok=True)
    path = folder / "experiment" / f"{name}.yaml"
    write_atomically(path, best.yaml_text.replace("FOLDER +", f"{shlex.quote(str(folder))} +"), durable=False)
    return folder


def _group_defaults(group_choices: Sequence[str], search: Sequence[str]) -> dict[str, Any]:
    """The values of the chosen groups alone, also of groups that set no budget, without which nothing can be composed."""
    try:
        (plain,) = compose_jobs(list(group_choices), False, search)
    except ConfigError:
        (plain,) = compose_jobs([*group_choices, "max_updates=1"], False, search)
        return {**_config_values(plain.config), "max_updates": None}
    return _config_values(plain.config)


def _config_values(config: DictConfig) -> dict[str, Any]:
    content = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items() if key not in _EXCLUDED_KEYS}


def _differences(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The part of ``values`` that is not in ``defaults`` or differs there."""
    differences: dict[str, Any] = {}
    for key, value in values.items():
        other = defaults.get(key, _ABSENT)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            if inner := _differences(value, other):
                differences[key] = inner
        elif value != other:
            differences[key] = value
    return differences


def _has_key(key: str, defaults: Mapping[str, Any]) -> bool:
    return key in defaults or any(name.startswith(f"{key}.") for name in defaults)
