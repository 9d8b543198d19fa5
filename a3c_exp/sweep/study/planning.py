"""From a command line to a study that can be run: its mistakes are reported before a trial starts."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a3c_exp.config.compose import ComposedJob, compose_jobs, hydra_config, hydra_initialized, parse_overrides
from a3c_exp.runs.run_directories import create_directory
from a3c_exp.runs.study_storage import STUDY_SIGNATURE, journal_path, open_storage, without_password
from a3c_exp.sweep.launcher.checks import check_launcher
from a3c_exp.sweep.ray_launcher.config import RayLauncherConfig
from a3c_exp.sweep.slurm.config import SLURM_LAUNCHER
from a3c_exp.sweep.study.config import StudyConfig, is_study, read_study_config
from a3c_exp.sweep.study.sampler_pruner import check_sampler, make_pruner
from a3c_exp.sweep.study.search_space import SearchSpace, read_search_space
from a3c_exp.sweep.study.study_files import check_same_study, read_study_file, study_signature
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.ray.cluster import chosen_address
from a3c_exp.system.signals import exit_if_stopped
from a3c_exp.training.build import build_run

STUDIES_DIRECTORY = Path("outputs/studies")


@dataclass(frozen=True)
class StudyPlan:
    """A checked study."""

    study_config: StudyConfig
    directory: Path | None  # None: a new one, named by date and time
    env: str  # the chosen option of the env group, for that name
    signature: dict[str, Any]  # what its trials have in common


def plan(overrides: Sequence[str], search: Sequence[str] = ()) -> StudyPlan | None:
    """The study that a command with ``-m`` asks for by ``overrides`` as typed, expanded; ``None`` if it asks for a plain sweep.
    Raises ConfigError if the study cannot be run; nothing was started or made. ``search`` has further config folders."""
    with hydra_initialized(search):
        parsed = parse_overrides(overrides)
        plain = [override.input_line or "" for override in parsed if not override.is_sweep_override()]
        hydra = hydra_config(plain, search)
        if hydra is not None and not is_study(hydra):
            return None
        (base,) = compose_jobs(plain, False, search)
        if not is_study(base.hydra):
            return None
        if base.hydra.launcher["_target_"] == SLURM_LAUNCHER:
            raise ConfigError(
                "hydra/launcher=slurm runs sweeps, whose runs are known beforehand, and no studies. Try "
                "hydra/launcher=submitit_slurm"
            )
        for override in parsed:
            if override.is_sweep_override() and override.is_hydra_override():
                key = override.get_key_element().removeprefix("hydra.sweeper.params.")
                raise ConfigError(f"{override.input_line} cannot be searched: a study tries keys of the run. Try {key}=...")
        study_config = read_study_config(base.hydra.sweeper, base.config.seed)
        _check_launcher(base, study_config)
        space = read_search_space(study_config.params, overrides, study_config.custom_search_space, base.config)
        if study_config.seeds and (searched := {"seed", "num_seeds"} & set(space.distributions)):
            raise ConfigError(f"{min(searched)} is searched and hydra.sweeper.seeds sets it: leave one of them out")
        if study_config.seeds and (number := base.config.num_seeds) > 1:
            raise ConfigError(f"num_seeds={number} trains seeds side by side, study.seeds in turn: leave one of them out")
        check_sampler(study_config, space)
        make_pruner(study_config)
        _check_range_ends(space, base, search, overrides)
        signature = study_signature(study_config, space, base.config)
        named = [text.partition("=")[2].strip("'\"") for text in overrides if text.startswith("hydra.sweep.dir=")]
        name = study_config.study_name
        directory = Path(named[-1]) if named else None if name is None else STUDIES_DIRECTORY / name
        _check_storage(study_config, directory, signature)
        return StudyPlan(study_config, directory, base.env, signature)


def create_study_directory(study_plan: StudyPlan) -> Path:
    """The study's directory; one that is named by date and time is made here, so that no other study gets the name."""
    return study_plan.directory or create_directory(STUDIES_DIRECTORY, time.strftime("%Y-%m-%d_%H-%M-%S"), study_plan.env)


def _check_launcher(base: ComposedJob, study_config: StudyConfig) -> None:
    launcher = base.hydra.launcher
    check_launcher(launcher, [base.config], study_config.n_jobs)
    if launcher["_target_"] == RayLauncherConfig._target_ and chosen_address(launcher.address) == "local":
        raise ConfigError(
            "trials of a study on Ray need a cluster that runs already. Start it with ray start --head, and add "
            "hydra.launcher.address=auto"
        )


def _check_range_ends(space: SearchSpace, base: ComposedJob, search: Sequence[str], overrides: Sequence[str]) -> None:
    """Build the components of runs at the ends of the space, so that wrong values and unknown keys are reported now."""
    searchpath = [text for text in overrides if text.startswith("hydra.searchpath")]
    for probe in space.probes(base.config):
        exit_if_stopped()
        varied = " ".join(text for text in probe if text not in space.fixed)
        (job,) = compose_jobs([*probe, *searchpath], False, search)
        try:
            build_run(job.config)
        except ConfigError as error:
            raise ConfigError(f"the search space has values that cannot be run. Leave out {varied}: {error}") from None


def _check_storage(study_config: StudyConfig, directory: Path | None, signature: dict[str, Any]) -> None:
    """Refuse a storage that cannot be opened, and one of another study."""
    location = directory or STUDIES_DIRECTORY
    nearest = next(path for path in (location.absolute(), *location.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        why = "cannot be written to" if nearest.is_dir() else "is a file"
        raise ConfigError(f"{location} cannot be the study's directory: {nearest} {why}. Choose another hydra.sweep.dir")
    name = study_config.study_name or (location.name if directory else None)
    other = read_study_file(location).get("study_name", name) if directory else name
    if name and other != name:
        raise ConfigError(
            f"{location} is the directory of study {other}, not of {name}. "
            f"Go on with it (study.study_name={other}), or choose another hydra.sweep.dir"
        )
    journal = journal_path(study_config.storage, location)
    study = None
    if journal is None or journal.exists():
        study = _load_existing_study(study_config, location, name, signature)
    elif not journal.parent.is_dir() and study_config.storage is not None:
        raise ConfigError(f"hydra.sweeper.storage={study_config.storage}: there is no folder {journal.parent}. Make it first")
    if study is None and directory is not None and (trials := sorted(directory.glob("trial=*"))):
        where = without_password(study_config.storage) if study_config.storage else str(journal)
        raise ConfigError(
            f"{trials[0]} belongs to a study that {where} does not have, and no run is overwritten. "
            "Give its hydra.sweeper.storage, or another study.study_name"
        )


def _load_existing_study(study_config: StudyConfig, directory: Path, name: str | None, signature: dict[str, Any]) -> Any:
    """The study of this name in the storage, if there is one; it must have the same signature."""
    import optuna

    storage = open_storage(study_config.storage, directory)
    if name is None:
        return None
    try:
        study = optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        return None
    where = without_password(study_config.storage) if study_config.storage else str(directory)
    if (stored := study.user_attrs.get(STUDY_SIGNATURE)) is None:
        raise ConfigError(f"{where} holds a study {name} that a3c_exp did not make. Choose another study.study_name")
    check_same_study(name, where, stored, signature)
    return study
