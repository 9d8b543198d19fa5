"""From a command line to a study that can be run: everything that could be wrong with it is found before a trial starts."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from a3c_exp.config.compose import ComposedJob, compose_jobs, hydra_config, parse_overrides
from a3c_exp.runs.study_storage import STUDY_SIGNATURE, journal_path, open_storage, without_password
from a3c_exp.sweep.study.config import StudySettings, is_study, read_settings
from a3c_exp.sweep.study.sampler_pruner import make_pruner, make_sampler
from a3c_exp.sweep.study.search_space import SearchSpace, read_search_space
from a3c_exp.sweep.study.study_file import read_study_file
from a3c_exp.sweep.study.study_signature import check_same_study, study_signature
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run

STUDIES_DIRECTORY = Path("outputs/studies")


@dataclass(frozen=True)
class StudyPlan:
    """A study that was checked.

    Attributes:
        settings: what was asked for.
        directory: of the study; ``None``: a new one, named by date and time.
        env: the chosen option of the env group, for that name.
        signature: what its trials have in common.
    """

    settings: StudySettings
    directory: Path | None
    env: str
    signature: dict[str, Any]


def plan(overrides: Sequence[str], search: Sequence[str] = ()) -> StudyPlan | None:
    """The study that a command line with ``-m`` asks for; ``None`` if it asks for a plain sweep.

    Args:
        overrides: as typed, in full.
        search: further config folders.

    Raises:
        ConfigError: the study cannot be run; nothing has been started or made.
    """
    parsed = parse_overrides(overrides)
    plain = [override.input_line or "" for override in parsed if not override.is_sweep_override()]
    asked = hydra_config(plain, search)
    if asked is not None and not is_study(asked):
        return None
    (base,) = compose_jobs(plain, False, search)
    if not is_study(base.hydra):
        return None
    for override in parsed:
        if override.is_sweep_override() and override.is_hydra_override():
            key = override.get_key_element().removeprefix("hydra.sweeper.params.")
            raise ConfigError(f"{override.input_line} cannot be searched: a study tries keys of the run. Try {key}=...")
    settings = read_settings(base.hydra.sweeper, base.config.seed)
    space = read_search_space(settings.params, overrides, settings.custom_search_space, base.config)
    _reject_contradictions(settings, space, base.config)
    make_sampler(settings, 0)
    make_pruner(settings)
    _check_range_ends(space, base, search, overrides)
    given = study_signature(settings, space, base.config)
    directory = _study_directory(overrides, settings)
    _check_storage(settings, directory, given)
    return StudyPlan(settings, directory, base.env, given)


def create_study_directory(study_plan: StudyPlan) -> Path:
    """The study's directory; one that is named by date and time is made, for this study alone."""
    if study_plan.directory is not None:
        return study_plan.directory
    STUDIES_DIRECTORY.mkdir(parents=True, exist_ok=True)
    stem = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{study_plan.env}"
    for number in range(1, 1000):
        directory = STUDIES_DIRECTORY / (stem if number == 1 else f"{stem}-{number}")
        try:
            directory.mkdir()
        except FileExistsError:
            continue
        return directory
    raise ConfigError(f"{STUDIES_DIRECTORY} already holds a thousand studies of this second")


def _reject_contradictions(settings: StudySettings, space: SearchSpace, base: DictConfig) -> None:
    if settings.seeds and (searched := {"seed", "num_seeds"} & set(space.distributions)):
        raise ConfigError(f"{min(searched)} is searched and hydra.sweeper.seeds gives it: leave one of them out")
    if settings.seeds and base.num_seeds > 1:
        raise ConfigError(
            f"num_seeds={base.num_seeds} trains a trial's seeds side by side, hydra.sweeper.seeds one after another: "
            "leave one of them out"
        )


def _check_range_ends(space: SearchSpace, base: ComposedJob, search: Sequence[str], overrides: Sequence[str]) -> None:
    """Build the parts of runs at the ends of the space: what cannot run there, and a key that is none, is found now."""
    ours = [text for text in overrides if text.startswith("hydra.searchpath")]
    for probe in space.probes(base.config):
        drawn = " ".join(text for text in probe if text not in space.fixed)
        (job,) = compose_jobs([*probe, *ours], False, search)
        try:
            build_run(job.config)
        except ConfigError as error:
            raise ConfigError(f"the search space holds what cannot be run, {drawn}: {error}") from None


def _study_directory(overrides: Sequence[str], settings: StudySettings) -> Path | None:
    named = [text.partition("=")[2].strip("'\"") for text in overrides if text.startswith("hydra.sweep.dir=")]
    if named:
        return Path(named[-1])
    return None if settings.study_name is None else STUDIES_DIRECTORY / settings.study_name


def _check_storage(settings: StudySettings, directory: Path | None, signature: dict[str, Any]) -> None:
    """Refuse a storage that cannot be had and one that is another study's."""
    place = directory or STUDIES_DIRECTORY
    _reject_unwritable(place)
    name = settings.study_name or (place.name if directory else None)
    kept = read_study_file(place) if directory else {}
    if name and kept.get("study_name", name) != name:
        raise ConfigError(
            f"{place} is the directory of study {kept['study_name']}, not of {name}. "
            f"Go on with it (study.study_name={kept['study_name']}), or choose another hydra.sweep.dir"
        )
    journal = journal_path(settings.storage, place)
    known = None
    if journal is None or journal.exists():
        known = _load_existing_study(settings, place, name, signature)
    elif not journal.parent.is_dir() and settings.storage is not None:
        raise ConfigError(f"hydra.sweeper.storage={settings.storage}: there is no folder {journal.parent}")
    if known is None and directory is not None and (trials := sorted(directory.glob("trial=*"))):
        where = without_password(settings.storage) if settings.storage else str(journal)
        raise ConfigError(
            f"{trials[0]} belongs to a study that {where} does not know, and no run is ever overwritten. "
            "Give its hydra.sweeper.storage, or another study.study_name"
        )


def _load_existing_study(settings: StudySettings, directory: Path, name: str | None, signature: dict[str, Any]) -> Any:
    """The study of this name in the storage, if there is one, which must then be this very study."""
    import optuna

    storage = open_storage(settings.storage, directory)
    if name is None:
        return None
    try:
        study = optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        return None
    where = without_password(settings.storage) if settings.storage else str(directory)
    kept = study.user_attrs.get(STUDY_SIGNATURE)
    if kept is None:
        raise ConfigError(f"{where} holds a study {name} that a3c_exp did not make. Choose another study.study_name")
    check_same_study(name, where, kept, signature)
    return study


def _reject_unwritable(directory: Path) -> None:
    nearest = directory.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise ConfigError(f"{directory} cannot be the study's directory: {nearest} is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"{directory} cannot be the study's directory: {nearest} cannot be written to")
