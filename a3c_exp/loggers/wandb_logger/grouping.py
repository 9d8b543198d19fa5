"""How a run is filed in Weights & Biases, whose pages group runs by group and, below that, by job type, without being told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from a3c_exp.loggers.base import RunInfo

_LONGEST = 64  # characters of a tag or a job type that W&B takes
_NO_ARM = ("seed", "control", "ablation", "study")  # what is said elsewhere, or must not tell runs of one curve apart


@dataclass(frozen=True)
class Place:
    """Where a run stands among others.

    Attributes:
        group: the comparison: of an ablation its name and control, else the sweep; ``None`` for a run on its own.
        job_type: what all seeds of one curve share: the ablation's arm, or the sweep's overrides without the seed.
        tags: to filter by; the run's own and those of its ablation.
    """

    group: str | None
    job_type: str
    tags: tuple[str, ...]


def place(run: RunInfo) -> Place:
    """File ``run`` so that W&B's own page shows a curve an arm, with its seeds, under each ablation and control.

    A single run stays as it is. Of a sweep that is no ablation, seeds of the same overrides share a job type.
    """
    ablation, study = _section(run, "ablation"), _section(run, "study")
    told = _told(run.name)
    if ablation.get("name"):
        name, control, arm = str(ablation["name"]), ablation.get("control"), str(ablation.get("arm") or told or run.job_type)
        group = f"{name} ({control})" if control else name
        tags = (f"ablation={name}", *([f"control={control}"] if control else []), f"arm={arm}")
        return _place(run, group, arm, tags)
    if study.get("name"):
        return _place(run, f"study {study['name']}", "trial", (f"study={study['name']}",))
    return _place(run, run.group, told if run.group and told else run.job_type, ())


def _place(run: RunInfo, group: str | None, job_type: str, tags: tuple[str, ...]) -> Place:
    shortened = dict.fromkeys(tag[:_LONGEST] for tag in (*run.tags, *tags) if tag)
    return Place(group[: 2 * _LONGEST] if group else None, job_type[:_LONGEST], tuple(shortened))


def _told(name: str) -> str:
    """The overrides in a job's name that tell its curve: ``workers=4`` of ``workers=4,seed=0``."""
    parts = [part for part in name.split("/")[-1].split(",") if part.partition("=")[0] not in _NO_ARM]
    return " ".join(parts) if parts and all("=" in part for part in parts) else ""


def _section(run: RunInfo, key: str) -> Mapping[str, Any]:
    found = run.config.get(key)
    return found if isinstance(found, Mapping) else {}
