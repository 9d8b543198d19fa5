"""Where services show a run: its group, its job type and its tags, so that seeds of one curve stand together."""

import re

from a3c_exp.loggers.base import RunInfo
from a3c_exp.runs.tolerant_io import mapping

MAX_TAG_LENGTH = 64  # characters of a tag or a job type that W&B takes
TRIAL_FOLDER = re.compile(r"trial=\d+")
"""Of a study's trial, whose run (or those of its seeds, in folders of their own) is named after it."""
_IGNORED_KEYS = ("seed", "control", "ablation")  # shown elsewhere, or different between runs of one curve


def placement(run: RunInfo) -> tuple[str | None, str, tuple[str, ...]]:
    """Place ``run`` so that a service's own page shows one curve for each arm, over its seeds, under each ablation and
    control: the group (an ablation's name and control, else the sweep), the job type, which all seeds of a curve share (the
    arm, or the sweep's overrides without the seed), and the tags, the run's own and its ablation's."""
    ablation = mapping(run.config.get("ablation"))
    parts = [part for part in run.name.split("/")[-1].split(",") if part.partition("=")[0] not in _IGNORED_KEYS]
    overrides = " ".join(parts) if all("=" in part for part in parts) else ""  # workers=4 of workers=4,seed=0
    group, job_type, tags = run.group, overrides if run.group and overrides else run.job_type, list(run.tags)
    if name := ablation.get("name"):
        control, job_type = ablation.get("control"), str(ablation.get("arm") or overrides or run.job_type)
        group = f"{name} ({control})" if control else str(name)
        tags += [f"ablation={name}", *([f"control={control}"] if control else []), f"arm={job_type}"]
    elif run.group and TRIAL_FOLDER.fullmatch(run.name.split("/")[0]):
        group, job_type = f"study {run.group}", "trial"
        tags.append(f"study={run.group}")
    shortened = dict.fromkeys(tag[:MAX_TAG_LENGTH] for tag in tags if tag)
    return group[: 2 * MAX_TAG_LENGTH] if group else None, job_type[:MAX_TAG_LENGTH], tuple(shortened)
