"""From a sweep's composed runs to the plan that its directory keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from a3c_exp.config.ablation import read_ablation_report
from a3c_exp.config.compose import ComposedJob, parse_overrides
from a3c_exp.config.flatten import flatten
from a3c_exp.config.schema import config_to_dict
from a3c_exp.config.trust import is_own, remember_file
from a3c_exp.runs.sweep_plan import PlannedJob, SweepPlan
from a3c_exp.sweep.slurm.config import SLURM_LAUNCHER
from a3c_exp.system.cli import command
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.machine import git_commit

_DIRECTORY = "hydra.sweep.dir"
_IRRELEVANT_KEYS = ("ablation.report",)  # words, which change nothing


def plan_sweep(
    directory: Path, jobs: Sequence[ComposedJob], overrides: Sequence[str], config_dirs: Sequence[str]
) -> SweepPlan | None:
    """The plan of a sweep in ``directory``, by ``overrides`` as given to Hydra; ``None`` where another sweeper than Hydra's
    own decides which runs there are, or the directory follows from the configuration. Raises ConfigError where that will not
    do."""
    if not str(jobs[0].hydra.sweeper["_target_"]).endswith("BasicSweeper") or "${" in str(directory):
        _require_no_plan(jobs[0])
        return None
    parsed = parse_overrides(overrides)
    hydra = [override.input_line or "" for override in parsed if override.is_hydra_override()]
    base = [override.input_line or "" for override in parsed if not override.is_hydra_override()]
    first = flat_values(jobs[0].config)
    planned = dict[tuple[str, ...], PlannedJob]()
    for job in jobs:
        added = _planned_job(job, len(planned), hydra, first)
        planned.setdefault(added.overrides, added)
    looks = read_ablation_report(jobs[0].config.ablation.report).looks
    return SweepPlan(
        directory=directory,
        command=command(),
        hydra_overrides=tuple(text for text in hydra if not text.startswith(f"{_DIRECTORY}=")),
        base_overrides=tuple(base),
        config_dirs=tuple(str(Path(folder).absolute()) for folder in config_dirs),
        git=git_commit(),
        values=first,
        jobs=tuple(planned.values()),
        look_sizes=tuple(looks.sizes) if looks is not None else (),
        batches=(len(planned),) if looks is not None else (),
    )


def added_job(plan: SweepPlan, job: ComposedJob, number: int) -> PlannedJob:
    """A further run of a sweep that is planned."""
    return _planned_job(job, number, plan.hydra_overrides, plan.values)


def _planned_job(job: ComposedJob, number: int, hydra_overrides: Sequence[str], first: Mapping[str, Any]) -> PlannedJob:
    typed, values = _as_hydra_says_it(job.overrides), flat_values(job.config)
    differing = {key: values.get(key) for key in {**first, **values} if key not in first or values.get(key) != first[key]}
    return PlannedJob(number, _folder(job, typed, number, _excluded_keys(hydra_overrides, job.hydra)), typed, differing)


def _require_no_plan(job: ComposedJob) -> None:
    if job.hydra.launcher["_target_"] == SLURM_LAUNCHER:
        raise ConfigError(
            "hydra/launcher=slurm goes on with a sweep by its plan, and keeps none where the directory follows from the "
            "configuration. Choose one: hydra.sweep.dir=outputs/NAME"
        )
    if job.config.ablation.seeds == "until_decided":
        raise ConfigError(
            "ablation.seeds=until_decided adds runs to a sweep's plan, and there is none where another sweeper decides on its "
            "runs, or the directory follows from the configuration. Choose one: hydra.sweep.dir=outputs/NAME"
        )


def reserve(plan: SweepPlan) -> None:
    """Keep a plan in its directory, as the user's own."""
    plan.directory.mkdir(parents=True, exist_ok=True)
    plan.write()
    remember_file(plan.path)


def keep(plan: SweepPlan) -> None:
    """Keep a plan that has grown; as the user's own only if it was that before."""
    own = is_own(plan.path)
    plan.write()
    if own:
        remember_file(plan.path)


def typed_again(plan: SweepPlan, asked: SweepPlan) -> SweepPlan:
    """The plan of a sweep that a command asks for again, with what that says of Hydra, the launcher for instance. Raises
    ConfigError, naming the first difference, if it asks for other runs than the ones that were planned."""
    before, after = ([" ".join(job.overrides) for job in one.first_jobs] for one in (plan, asked))
    if before == after:
        typed = {key: getattr(asked, key) for key in ("command", "hydra_overrides", "base_overrides", "config_dirs")}
        return replace(plan, **typed)
    lacking = next((text for text in before if text not in after), None)
    added = next((text for text in after if text not in before), "these runs in another order")
    raise ConfigError(
        f"{plan.directory} was planned for {len(before)} runs, and this command asks for {len(after)} others: "
        + (f"without {lacking}" if lacking is not None else f"with {added}")
        + f". Go on with what was planned (resume={plan.directory}), or choose another hydra.sweep.dir"
    )


def flat_values(config: DictConfig) -> dict[str, Any]:
    """A configuration's values by their dotted names, references resolved."""
    return flatten(config_to_dict(config), _IRRELEVANT_KEYS)


def changed_values(plan: SweepPlan, jobs: Mapping[int, DictConfig]) -> dict[str, tuple[Any, Any]]:
    """``(planned, now)`` of the values that runs, by their numbers, would have now and not as planned."""
    changed = dict[str, tuple[Any, Any]]()
    for job in plan.jobs:
        if job.number in jobs:
            before, after = plan.values_of(job), flat_values(jobs[job.number])
            changed |= {
                key: (before.get(key), after.get(key)) for key in {**before, **after} if before.get(key) != after.get(key)
            }
    return changed


def _as_hydra_says_it(overrides: Sequence[str]) -> tuple[str, ...]:
    """A job's overrides as Hydra's own sweeper writes them for a launcher; the run's folder is named by that."""
    said = {
        override.get_key_element(): override.get_value_element_as_str()
        for override in parse_overrides(overrides)
        if not override.is_hydra_override()
    }
    return tuple(f"{key}={value}" for key, value in said.items())


def _excluded_keys(hydra_overrides: Sequence[str], composed: DictConfig) -> list[str]:
    key = "hydra.job.config.override_dirname.exclude_keys"
    named: list[Any] = [override.value() for override in parse_overrides(hydra_overrides) if override.key_or_group == key]
    return [str(name) for name in (named[-1] if named else composed.job.config.override_dirname.exclude_keys)]


def _folder(job: ComposedJob, overrides: Sequence[str], number: int, excluded: list[str]) -> str:
    """What Hydra will make of ``hydra.sweep.subdir`` for a job."""
    root = OmegaConf.merge(job.config)
    OmegaConf.set_readonly(root, False)
    with open_dict(root):
        root.hydra = job.hydra.copy()
        OmegaConf.set_readonly(root.hydra, False)
        hydra = root.hydra
        hydra.job.num, hydra.job.id = number, str(number)
        naming = hydra.job.config.override_dirname
        hydra.job.override_dirname = get_overrides_dirname(
            parse_overrides(overrides), exclude_keys=excluded, item_sep=naming.item_sep, kv_sep=naming.kv_sep
        )
    instance: Any = HydraConfig.instance()
    before, instance.cfg = instance.cfg, root
    try:
        return str(hydra.sweep.subdir)
    finally:
        instance.cfg = before
