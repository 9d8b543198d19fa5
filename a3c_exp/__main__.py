"""``python -m a3c_exp``: compose, check everything, then train: one run, a sweep or a study.

Nothing heavy is imported here, so that help and mistakes are answered quickly.
"""

import signal

if __name__ == "__main__":  # from the first line on, signals wait until there are handlers
    _signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    signal.pthread_sigmask(signal.SIG_BLOCK, _signals)

from a3c_exp.system.signals import STOP_SIGNALS, StopSignals, exit_if_stopped

if __name__ == "__main__":
    StopSignals().__enter__()  # for the life of the process: an exception within an import may be swallowed there
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

import contextlib
import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from a3c_exp.config.compose import CONFIG_DIR, ComposedJob, compose_jobs, hydra_config, run_jobs
from a3c_exp.config.existing_runs import RUNS_ELSEWHERE, ExistingRuns
from a3c_exp.config.own_arms import expand_own_arms
from a3c_exp.runs.lease.locking import locked
from a3c_exp.runs.study_storage import STUDY_FILE
from a3c_exp.runs.sweep_plan import SweepPlan, is_sweep, read_sweep_plan
from a3c_exp.sweep.launcher.compile_plan import compile_plan
from a3c_exp.sweep.slurm.config import SLURM_LAUNCHER
from a3c_exp.sweep.study.overrides import (
    TRIAL_NUMBER_VARIABLE,
    TRIAL_WORKER_VARIABLE,
    expand_overrides,
    may_be_study,
    study_command,
)
from a3c_exp.system.cli import outcomes, print_notice, record_command_line, run_command
from a3c_exp.system.errors import A3CError, ConfigError, StillRunning, explained_disk_errors
from a3c_exp.training import cli

_LOCAL_LAUNCHER = "hydra_plugins.a3c_exp_launcher.LocalLauncher"


def main() -> None:
    """Entry of ``python -m a3c_exp`` and of the console script ``a3c-exp``. Ends the process with an exit code:
    0 done, 1 a run failed, 2 the command was wrong, 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP, 138 SIGUSR1, 140 SIGUSR2."""
    sys.exit(run_command("a3c_exp", _print_version if "--version" in sys.argv else lambda: _main(sys.argv[1:])))


def _print_version() -> None:
    from a3c_exp import __version__

    print(f"a3c_exp {__version__}")


@explained_disk_errors()
def _main(argv: Sequence[str]) -> int:
    exit_if_stopped()
    study_command = os.environ.get(TRIAL_WORKER_VARIABLE)
    record_command_line(shlex.split(study_command) if study_command else sys.argv)
    parser = get_args_parser()
    parser.error = _refuse_arguments  # type: ignore[method-assign]
    arguments = parser.parse_intermixed_args(list(argv))
    overrides: list[str] = expand_overrides(arguments.overrides)
    options = _options(argv, arguments.overrides)
    existing, overrides = ExistingRuns.from_overrides(overrides)
    config_dirs = [arguments.config_dir] if arguments.config_dir else []
    overrides = overrides if study_command else expand_own_arms(overrides, arguments.multirun, config_dirs)
    argv = sys.argv[1:] = [*overrides, *options]  # Hydra's parser takes no option between two overrides
    only_prints = arguments.help or arguments.hydra_help or arguments.cfg or arguments.info or arguments.shell_completion
    if arguments.config_name or arguments.config_path:
        raise ConfigError(
            "--config-name and --config-path would replace conf/config.yaml. Write FOLDER/experiment/NAME.yaml, and type "
            "--config-dir FOLDER +experiment=NAME"
        )
    if arguments.experimental_rerun:
        raise ConfigError(
            "--experimental-rerun reads a pickle, which can execute code. Type the command again, or resume=RUN_DIR"
        )
    if study_command:
        _run_jobs(_task_function)  # it was checked by the process that started this one
        return 0
    if only_prints:
        return _print(overrides, bool(arguments.cfg or arguments.help), arguments.multirun, config_dirs)
    multirun: bool = arguments.multirun
    if targets := [text.partition("=")[2] for text in overrides if text.startswith("resume=")]:
        others = [text for text in overrides if not text.startswith("resume=")]
        return _resume(targets, existing, others, config_dirs)
    if existing.job is not None or ((existing.retry_failed or existing.trusted) and not existing.resume):
        raise ConfigError("retry_failed, job and trust say how to go on with runs. Add resume=DIRECTORY or on_existing=resume")
    existing = existing if multirun else replace(existing, retry_failed=True)
    existing.hand_on()
    if multirun:
        cli.reject_shared_wandb_id()
    if multirun and may_be_study(overrides):
        from a3c_exp.sweep.study.planning import create_study_directory, plan

        if (planned := plan(overrides, config_dirs)) is not None:  # all of it is checked
            sys.argv[1:] = [f"hydra.sweep.dir='{create_study_directory(planned)}'", *argv]
            return _run(_task_function, multirun)
    jobs = compose_jobs(overrides, multirun, config_dirs)
    from a3c_exp.sweep.planned.batches import with_looks

    jobs, looks = with_looks(jobs, multirun)
    exit_if_stopped()
    _start_fork_server(jobs, multirun)
    components = cli.build_components(jobs, compile_plan.recorder(range(len(jobs))) if multirun else None)
    if not multirun and (study := [text for text in overrides if text.startswith("+study=")]):
        print_notice(
            f"one run with the values of {study[0].removeprefix('+')}. The study itself takes -m at the end of the command"
        )
    sys.argv[1:] = cli.with_run_directory([*overrides, *looks, *options], jobs, multirun, existing.resume)
    outcomes.total = len(jobs)
    if multirun:
        return _sweep(jobs, existing, sys.argv[1 : len(sys.argv) - len(options)], config_dirs)
    return _run(lambda config: _task_function(config, components if config == jobs[0].config else None), multirun)


def _print(overrides: Sequence[str], composes: bool, multirun: bool, config_dirs: Sequence[str]) -> int:
    """Have Hydra print what the options ask for, such as a configuration, which it ``composes`` first."""
    if composes and hydra_config(overrides, config_dirs) is None:
        compose_jobs(overrides, multirun, config_dirs)  # which says why there is nothing to print
    text = io.StringIO()  # Hydra prints a traceback where nobody reads on
    try:
        with contextlib.redirect_stdout(text):
            hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="config")(_task_function)()
    finally:  # it exits after --help
        print(text.getvalue(), end="")
    return 0


def _sweep(jobs: Sequence[ComposedJob], existing: ExistingRuns, overrides: Sequence[str], config_dirs: Sequence[str]) -> int:
    """Run the sweep that Hydra is given ``overrides`` for, whose runs are composed and checked; its directory keeps a plan."""
    from a3c_exp.sweep.planned.planning import plan_sweep, reserve, typed_again

    directory = cli.sweep_directory(overrides)
    planned = plan_sweep(directory, jobs, overrides, config_dirs)
    if planned is None:
        return _run(_task_function, multirun=True)
    directory.mkdir(parents=True, exist_ok=True)
    with locked([directory]):
        if existing.resume and is_sweep(directory):
            typed = typed_again(read_sweep_plan(directory), planned)
            return _until_decided(typed, existing, _resume_sweep(typed, existing))
        reserve(planned)
        return _until_decided(planned, existing, _run(_task_function, multirun=True))


def _until_decided(typed: SweepPlan, existing: ExistingRuns, code: int) -> int:
    """Go on with an ablation whose seeds come in batches, the last of which ended with ``code``; nothing for another sweep."""
    if not typed.batches or outcomes.left_running:
        return code
    from a3c_exp.report.ablations.looks import look_at
    from a3c_exp.sweep.planned.batches import run_until_decided

    (existing := replace(existing, resume=True, retry_failed=False)).hand_on()
    return max(code, run_until_decided(typed, look_at, lambda plan: _resume_sweep(plan, existing)))


def _resume(targets: Sequence[str], existing: ExistingRuns, overrides: Sequence[str], config_dirs: Sequence[str]) -> int:
    """``resume=``: go on with a run, with all runs of a sweep, or with a study."""
    if len(targets) > 1:
        raise ConfigError(f"{' '.join(f'resume={target}' for target in targets)}: one at a time. Try resume={targets[0]}")
    directory = Path(targets[0].strip("'\""))
    if is_sweep(directory):
        from a3c_exp.sweep.planned.resume import planned_sweep, with_one_job

        existing = replace(existing, resume=True)
        existing.hand_on()
        cli.reject_shared_wandb_id()
        if existing.job is not None:  # beside others of the sweep: its run's own lease is enough
            StopSignals.patient = True
            plan = with_one_job(planned_sweep(directory, overrides, config_dirs), existing.job)
            if plan.status_of(plan.jobs[0]) is None:
                record_command_line(shlex.split(plan.command))
            code = _resume_sweep(plan, existing)
            return RUNS_ELSEWHERE if any(isinstance(error, StillRunning) for error in outcomes.reported) else code
        with locked([directory]):
            plan = planned_sweep(directory, overrides, config_dirs)
            return _until_decided(plan, existing, _resume_sweep(plan, existing))
    if existing.job is not None:
        raise ConfigError(f"job={existing.job} names a run of a sweep, and {directory} is none. Leave it out")
    if (directory / STUDY_FILE).is_file():
        return _main(study_command(directory, overrides))
    cli.resume_run(directory, [*overrides, *(f"trust={modules}" for modules in existing.trusted)])
    return 0


def _resume_sweep(plan: SweepPlan, existing: ExistingRuns) -> int:
    from a3c_exp.sweep.planned.resume import check_missing, compose_planned, hydra_arguments, report_state

    _start_fork_server([compose_planned(plan, plan.jobs[0])], multirun=True)
    statuses = plan.statuses()
    if jobs := check_missing(plan, statuses, existing):
        cli.build_components(list(jobs.values()), compile_plan.recorder(list(jobs)))
    sys.argv[1:] = hydra_arguments(plan)
    return _run(_task_function, multirun=True) if report_state(plan, statuses, jobs, existing) else _report(multirun=True)


def _refuse_arguments(message: str) -> NoReturn:
    dashed = re.findall(r"--([A-Za-z_][\w./@]*=\S*)", message)
    if dashed:
        raise ConfigError(f"an override has no dashes. Type {shlex.join(dashed)} (in a W&B sweep file: ${{args_no_hyphens}})")
    raise ConfigError(f"{message}. An override is key=value; python -m a3c_exp --help lists the options")


def _options(argv: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """What is left of a command line without its overrides."""
    options = list(argv)
    for override in overrides:
        options.remove(override)
    return options


def _start_fork_server(jobs: Sequence[ComposedJob], multirun: bool) -> None:
    """Have it import torch while this process does, if the runs will need it. Raises ConfigError for wrong keys of a
    launcher."""
    launcher = jobs[0].hydra.launcher
    if multirun:
        from a3c_exp.sweep.launcher.checks import check_launcher

        check_launcher(launcher, [job.config for job in jobs])
    if multirun and launcher["_target_"] == _LOCAL_LAUNCHER:
        from a3c_exp.parallelism.multiprocess.supervisor import start_fork_server
        from a3c_exp.sweep.launcher.job_process import PRELOAD

        start_fork_server((*PRELOAD, "a3c_exp.__main__"))  # what jobs import in addition to workers
    elif launcher["_target_"] == SLURM_LAUNCHER:
        from a3c_exp.sweep.slurm.config import require_slurm

        if not multirun:
            raise ConfigError("hydra/launcher=slurm submits the runs of a sweep. Add -m at the end of the command")
        require_slurm()
    elif any(cli.uses_processes(job) for job in jobs):
        from a3c_exp.parallelism.multiprocess.supervisor import start_fork_server

        start_fork_server()


def _run(task_function: Callable[[DictConfig], float], multirun: bool) -> int:
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra passes exceptions on instead of printing them
    try:
        _run_jobs(task_function)
    except Exception as error:
        if not (multirun and error in outcomes.reported):
            raise  # in a sweep the failures are listed below instead
    return _report(multirun)


def _report(multirun: bool) -> int:
    if multirun and outcomes.total > 1 and not outcomes.left_running:
        lines = [f"{outcomes.total - len(outcomes.failures)} of {outcomes.total} runs finished", *outcomes.failures]
        print_notice("\n".join(lines))
    return 1 if outcomes.failures else 0


def _run_jobs(task_function: Callable[[DictConfig], float]) -> None:
    """Have Hydra run what the command line asks for now that it is checked."""
    arguments = get_args_parser().parse_args()
    run_jobs(task_function, arguments.overrides, arguments.multirun, [arguments.config_dir] if arguments.config_dir else [])


def _task_function(config: DictConfig, components: Any = None) -> float:
    """What Hydra calls for each job; ``components`` if they were built before."""
    from a3c_exp.training.run import run

    identity, existing = cli.identity_of_hydra_job(config), ExistingRuns.of_this_process()
    hydra = HydraConfig.get()
    outcomes.num_started += 1
    if identity.group is not None and outcomes.total > 1:
        print_notice(f"run {outcomes.num_started} of {outcomes.total}: {hydra.job.override_dirname or 'defaults'}")
    try:
        if (trial := os.environ.get(TRIAL_NUMBER_VARIABLE)) is not None:
            from a3c_exp.sweep.trials.trial import run_trial

            return run_trial(config, hydra.sweeper, Path(hydra.sweep.dir), identity, int(trial))
        if existing.resume:
            from a3c_exp.training.start_or_resume import start_or_resume

            return start_or_resume(config, identity, existing, components)
        return run(config, identity, components=components)
    except A3CError as error:
        outcomes.add_failure(f"failed: {identity.name}: {error}", error)
        raise


if __name__ == "__main__":
    main()
