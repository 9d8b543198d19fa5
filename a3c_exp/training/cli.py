"""The command line of one run: what is checked before anything starts, the directory that it gets, its resume.

Torch is imported only where something is built, so that mistakes are answered quickly.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from a3c_exp.config.compose import ComposedJob
from a3c_exp.runs.run_directories import create_run_directory
from a3c_exp.runs.sweep_plan import is_sweep
from a3c_exp.system.cli import expand_home
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.memory import gc_frozen
from a3c_exp.system.signals import exit_if_stopped

if TYPE_CHECKING:
    from a3c_exp.training.build import RunComponents
    from a3c_exp.training.callbacks import Callback
    from a3c_exp.training.run import RunIdentity


def uses_processes(job: ComposedJob) -> bool:
    """Whether the run starts processes from a fork server, which can import torch while this process does."""
    parallelism = job.config.parallelism
    return parallelism.get("start_method") == "forkserver" or ("seed_block" in parallelism and (parallelism.processes or 1) > 1)


def build_components(
    jobs: Sequence[ComposedJob], take_note: "Callable[[int, RunComponents], None] | None" = None
) -> "RunComponents":
    """Build every run's components once, so that a ConfigError comes before anything is started; returns those of the last
    one. ``take_note`` is called with each, and its place in ``jobs``."""
    with gc_frozen():
        from a3c_exp.training.build import build_run
    for place, job in enumerate(jobs):
        exit_if_stopped()
        try:
            components = build_run(job.config)
        except ConfigError as error:
            where = f"{' '.join(job.overrides)}: " if len(jobs) > 1 else ""
            raise ConfigError(f"{where}{error}") from None
        if take_note is not None:
            take_note(place, components)
    exit_if_stopped()
    return components


def reject_shared_wandb_id() -> None:
    """Raise a ConfigError where ``WANDB_RUN_ID`` names one run and several start: W&B would draw all of them as that one."""
    if name := os.environ.get("WANDB_RUN_ID"):
        raise ConfigError(
            f"WANDB_RUN_ID={name} names one run in W&B, as an agent of W&B sets it, and -m starts several. Leave -m out, or "
            "start without the variable: env -u WANDB_RUN_ID -u WANDB_SWEEP_ID python -m a3c_exp ..."
        )


def with_run_directory(argv: Sequence[str], jobs: Sequence[ComposedJob], multirun: bool, goes_on: bool = False) -> list[str]:
    """The command line with a new directory of this command's own, unless it names one; a ConfigError if that holds a run, or,
    if the command ``goes_on`` with what is there, if it names none."""
    key, suffix = ("hydra.sweep.dir", "_sweep") if multirun else ("hydra.run.dir", "")
    suffix = "" if jobs[0].config.ablation.name else suffix  # an ablation's title says that there are several runs
    named = [text.partition("=")[2] for text in argv if text.partition("=")[0] == key]
    argv = [*_names_by_what_differs(argv, jobs), *argv]
    section: Any = OmegaConf.to_container(jobs[0].hydra, resolve=False)
    in_file = str(section["sweep" if multirun else "run"]["dir"])
    if not named and not in_file.startswith("${unique_dir:"):  # a file of the user's own names it
        named = [expand_home(in_file)]
        argv = argv if named == [in_file] else [expand_home(f"{key}={in_file}"), *argv]
    if not named and goes_on:
        raise ConfigError(f"on_existing=resume goes on in a directory that the command names. Add {key}=outputs/NAME")
    if not named:
        return [f"{key}='{create_run_directory(jobs[0].title + suffix)}'", *argv]
    directory = Path(named[-1].strip("'\""))
    used = sorted(directory.glob("*/run.json" if multirun else "run.json"))
    if used and not goes_on:
        there = directory if is_sweep(directory) else used[0].parent
        raise ConfigError(
            f"{used[0].parent} already holds a run, and no run is ever overwritten. "
            f"Go on with it (resume={there}) or choose another {key}"
        )
    return argv


def sweep_directory(argv: Sequence[str]) -> Path:
    """Where the sweep goes of a command line that has its directory."""
    return Path([text for text in argv if text.startswith("hydra.sweep.dir=")][-1].partition("=")[2].strip("'\""))


def _names_by_what_differs(argv: Sequence[str], jobs: Sequence[ComposedJob]) -> list[str]:
    """The override by which Hydra leaves out of the names of a sweep's runs what is the same in all of them."""
    key = "hydra.job.config.override_dirname.exclude_keys"
    if len(jobs) < 2 or any(text.lstrip("+").startswith(f"{key}=") for text in argv):
        return []
    shared = set.intersection(*(set(job.overrides) for job in jobs))
    varying = {_key(text) for job in jobs for text in job.overrides if text not in shared}  # which may be typed twice
    names = {*map(_key, shared)} - varying | set(jobs[0].hydra.job.config.override_dirname.exclude_keys)
    if jobs[0].config.ablation.seeds == "until_decided":  # further batches differ in their first seed
        names = names - {"seed"} | {"num_seeds"}
    return [f"{key}=[{','.join(repr(name) for name in sorted(names))}]"]


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def identity_of_job(job: ComposedJob, directory: Path) -> "RunIdentity":
    """The identity of a run that is started without Hydra's own main function."""
    from a3c_exp.training.run import RunIdentity

    choices, overrides = job.hydra.runtime.choices, [text for text in job.overrides if not text.startswith("hydra.")]
    return RunIdentity(
        directory=directory,
        name=job.config.name or f"{directory.parent.name}_{directory.name}",
        group=None,
        env=str(choices["env"]),
        parallelism=str(choices["parallelism"]),
        overrides=overrides,
        hydra_files={"overrides.yaml": OmegaConf.to_yaml(OmegaConf.create(overrides))},
    )


def identity_of_hydra_job(config: DictConfig) -> "RunIdentity":
    """The identity of the run that Hydra has just started."""
    from a3c_exp.training.run import RunIdentity

    hydra = HydraConfig.get()
    multirun = hydra.mode is not None and hydra.mode.name == "MULTIRUN"
    directory, choices = Path(hydra.runtime.output_dir), hydra.runtime.choices
    return RunIdentity(
        directory=directory,
        name=config.name or (directory.name if multirun else f"{directory.parent.name}_{directory.name}"),
        group=Path(hydra.sweep.dir).name if multirun else None,
        env=str(choices["env"]),
        parallelism=str(choices["parallelism"]),
        overrides=list(hydra.overrides.task),
        hydra_files={
            "hydra.yaml": OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra})),
            "overrides.yaml": OmegaConf.to_yaml(hydra.overrides.task),
        },
    )


def resume_run(directory: Path, overrides: Sequence[str], callbacks: "Sequence[Callback]" = ()) -> None:
    """Go on with a run; a ConfigError or RunDirectoryError if it cannot be gone on with in this way."""
    from a3c_exp.runs.lease.locking import locked
    from a3c_exp.runs.record import directories_of
    from a3c_exp.training.resume import resumed_config

    with locked(directories_of(directory)):  # before the configuration is read, which another session may be changing
        config = resumed_config(directory, overrides)
        with gc_frozen():
            from a3c_exp.training.run import resume

        exit_if_stopped()
        resume(directory, config, callbacks)
