"""How a run is filed in Weights & Biases, whose pages group runs by group and, below that, by job type by default."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from a3c_exp.loggers.base import RunInfo

_MAX_LENGTH = 64  # characters of a tag or a job type that W&B takes
_IGNORED_KEYS = ("seed", "control", "ablation", "study")  # shown elsewhere, or different between runs of one curve


@dataclass(frozen=True)
class WandbPlacement:
    """The group of a run, and its place in it.

    Attributes:
        group: the comparison: of an ablation its name and control, else the sweep; ``None`` for a run on its own.
        job_type: what all seeds of one curve share: the ablation's arm, or the sweep's overrides without the seed.
        tags: to filter by; the run's own and those of its ablation.
    """

    group: str | None
    job_type: str
    tags: tuple[str, ...]


def wandb_placement(run: RunInfo) -> WandbPlacement:
    """Place ``run`` so that W&B's own page shows one curve for each arm, over its seeds, under each ablation and control.

    A single run stays as it is. Of a sweep that is no ablation, seeds of the same overrides share a job type.
    """
    ablation, study = _config_section(run, "ablation"), _config_section(run, "study")
    overrides = _distinguishing_overrides(run.name)
    if ablation.get("name"):
        name, control = str(ablation["name"]), ablation.get("control")
        arm = str(ablation.get("arm") or overrides or run.job_type)
        group = f"{name} ({control})" if control else name
        tags = (f"ablation={name}", *([f"control={control}"] if control else []), f"arm={arm}")
        return _placement(run, group, arm, tags)
    if study.get("name"):
        return _placement(run, f"study {study['name']}", "trial", (f"study={study['name']}",))
    return _placement(run, run.group, overrides if run.group and overrides else run.job_type, ())


def _placement(run: RunInfo, group: str | None, job_type: str, tags: tuple[str, ...]) -> WandbPlacement:
    shortened = dict.fromkeys(tag[:_MAX_LENGTH] for tag in (*run.tags, *tags) if tag)
    return WandbPlacement(group[: 2 * _MAX_LENGTH] if group else None, job_type[:_MAX_LENGTH], tuple(shortened))


def _distinguishing_overrides(name: str) -> str:
    """The overrides in a job's name that identify its curve: ``workers=4`` of ``workers=4,seed=0``."""
    parts = [part for part in name.split("/")[-1].split(",") if part.partition("=")[0] not in _IGNORED_KEYS]
    return " ".join(parts) if parts and all("=" in part for part in parts) else ""


def _config_section(run: RunInfo, key: str) -> Mapping[str, Any]:
    section = run.config.get(key)
    return section if isinstance(section, Mapping) else {}
