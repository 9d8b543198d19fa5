"""Going on with a sweep: what is left of it is checked and said, and Hydra is given the command that does it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from a3c_exp.config.compose import ComposedJob, compose_jobs
from a3c_exp.config.existing_runs import ExistingRuns
from a3c_exp.config.trust import is_own, require_trusted
from a3c_exp.runs.config_values import as_text
from a3c_exp.runs.run_summary import RunSummary
from a3c_exp.runs.status import RunStatus
from a3c_exp.runs.sweep_plan import PlannedJob, SweepPlan, is_sweep, read_sweep_plan
from a3c_exp.sweep.planned.planning import changed_values
from a3c_exp.system.cli import outcomes, print_notice
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.machine import git_commit
from a3c_exp.system.signals import exit_if_stopped

_SWEEPER = "hydra.sweeper._target_=hydra_plugins.a3c_exp_planned.PlannedSweeper"
_OF_LAUNCHER = re.compile(r"\+{0,2}hydra[./]launcher[.=].*")
_HARMLESS = re.compile(
    r"hydra\.(job\.config\.override_dirname\.exclude_keys|sweep\.subdir|launcher\.(n_jobs|heartbeat_timeout))=.*"
    r"|hydra/launcher=(local|basic)"
)
"""Overrides for Hydra that execute no code, so that a sweep with no others may be a stranger's."""


def planned_sweep(directory: Path, overrides: Sequence[str] = (), config_dirs: Sequence[str] = ()) -> SweepPlan:
    """The plan of the sweep in ``directory``, as a command goes on with it by ``resume=``.

    Args:
        overrides: what is typed beside that; only the launcher's may be others than before.
        config_dirs: further config folders, instead of those that the sweep had.

    Raises:
        ConfigError: an override that a planned sweep cannot take; or the plan is not the user's own and could execute code.
        RunDirectoryError: the plan cannot be read.
    """
    plan = read_sweep_plan(directory)
    if others := [text for text in overrides if not _OF_LAUNCHER.fullmatch(text)]:
        raise ConfigError(
            f"{others[0]}: a sweep is gone on with as it was planned. Leave it out, or change one run: "
            f"resume={directory / plan.jobs[0].folder} {others[0]}"
        )
    if not is_own(plan.path):
        foreign = [text for text in plan.hydra_overrides if not _HARMLESS.fullmatch(text) or "${" in text]
        foreign += [f"--config-dir {folder}" for folder in plan.config_dirs if not config_dirs]
        if foreign:
            raise ConfigError(
                f"{plan.path} is not as you saved it, and asks for {', '.join(foreign)}, by which code could be executed. If "
                f"you trust it, type the sweep's own command with on_existing=resume hydra.sweep.dir={directory}"
            )
    before = plan.hydra_overrides
    if any("hydra/launcher=" in text for text in overrides):  # another one, perhaps, which has other keys
        before = tuple(text for text in before if not _OF_LAUNCHER.fullmatch(text))
    return replace(plan, hydra_overrides=(*before, *overrides), config_dirs=tuple(config_dirs) or plan.config_dirs)


def with_one_job(plan: SweepPlan, number: int) -> SweepPlan:
    """A plan of a single one of its runs, to be run by this process. Raises ConfigError if there is no such number."""
    if not (chosen := tuple(job for job in plan.jobs if job.number == number)):
        last = max(job.number for job in plan.jobs)
        raise ConfigError(f"{plan.directory} has no run {number}. Try job=0, or another number up to job={last}")
    kept = tuple(text for text in plan.hydra_overrides if not _OF_LAUNCHER.fullmatch(text))
    return replace(plan, jobs=chosen, hydra_overrides=(*kept, "hydra/launcher=basic"))


def compose_planned(plan: SweepPlan, job: PlannedJob) -> ComposedJob:
    """A planned run as it is composed now. Raises ConfigError if it cannot be."""
    (composed,) = compose_jobs([*job.overrides, *plan.hydra_overrides, _SWEEPER], False, plan.config_dirs)
    return composed


def check_missing(plan: SweepPlan, statuses: Mapping[int, RunStatus | None], existing: ExistingRuns) -> dict[int, ComposedJob]:
    """The runs that have not begun, by their numbers, as they are composed now. Raises ConfigError if one cannot be begun, or
    names code that is not trusted."""
    jobs = dict[int, ComposedJob]()
    for job in plan.jobs:
        if statuses[job.number] is None:
            exit_if_stopped()
            jobs[job.number] = compose_planned(plan, job)
            require_trusted(plan.path, jobs[job.number].config, existing.trusted)
    return jobs


def hydra_arguments(plan: SweepPlan) -> list[str]:
    """The command line by which Hydra launches what is planned."""
    folders = [word for folder in plan.config_dirs for word in ("--config-dir", folder)]
    return [
        f"hydra.sweep.dir='{plan.directory}'", *plan.base_overrides, *plan.hydra_overrides, _SWEEPER, *folders, "-m",
    ]  # fmt: skip


def jobs_to_launch(directory: Path) -> set[int] | None:
    """The numbers of the runs that a launcher should start in a sweep's directory; ``None``: all that it is given, since none
    is there, or no plan, as of a study."""
    existing = ExistingRuns.of_this_process()
    if not existing.resume or not is_sweep(directory):
        return None
    plan = read_sweep_plan(directory)
    return {job.number for job in plan.jobs if not existing.leaves_alone(plan.status_of(job))}


def report_state(
    plan: SweepPlan,
    statuses: Mapping[int, RunStatus | None],
    missing: Mapping[int, ComposedJob],
    existing: ExistingRuns,
) -> int:
    """Say how the sweep stands, and what has changed since it was planned; returns how many runs are left to do."""
    counts = Counter(status or "missing" for status in statuses.values())
    words = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    named = f"{len(plan.jobs)} runs" if existing.job is None else f"run {existing.job}, {plan.jobs[0].folder}"
    print_notice(f"{plan.directory}: {named}: {words}")
    left = [job for job in plan.jobs if not existing.leaves_alone(statuses[job.number])]
    outcomes.total, outcomes.num_started = len(plan.jobs), len(plan.jobs) - len(left)
    for job in plan.jobs:
        if statuses[job.number] == "failed" and job not in left:
            reason = RunSummary(plan.directory / job.folder).reason
            outcomes.failures.append(f"failed before: {job.folder}: {reason} (retry_failed=true tries it again)")
    before, after = ((git or {}).get("commit") for git in (plan.git, git_commit()))
    if left and before and after and before != after:
        print_notice(f"the code has changed since this sweep was planned: commit {before[:12]} then, {after[:12]} now")
    if changed := changed_values(plan, {number: job.config for number, job in missing.items()}):
        shown = ", ".join(f"{key}={as_text(now)} (planned {as_text(planned)})" for key, (planned, now) in changed.items())
        print_notice(f"the configuration has changed since this sweep was planned; runs that begin now have {shown}")
    return len(left)
