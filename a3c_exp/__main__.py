"""The command: compose, check everything, then run.

Nothing heavy is imported here, so that help and mistakes are answered quickly.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig

from a3c_exp.config.compose import CONFIG_DIR, ComposedJob, compose_jobs
from a3c_exp.runs.run_directories import create_run_directory
from a3c_exp.sweep.launcher.exit_status import outcomes
from a3c_exp.sweep.study.overrides import TRIAL_NUMBER_VARIABLE, TRIAL_WORKER_VARIABLE, expand_overrides, may_be_study
from a3c_exp.system.cli import record_command_line
from a3c_exp.system.errors import A3CError, ConfigError, RunFailed
from a3c_exp.system.gc_settings import gc_frozen

if TYPE_CHECKING:
    from omegaconf import DictConfig


_LOCAL_LAUNCHER = "hydra_plugins.a3c_exp_launcher.LocalLauncher"


def main() -> None:
    """Entry of ``python -m a3c_exp`` and of the console script ``a3c-exp``. Ends the process with an exit code:
    0 done, 1 a run failed, 2 the command was wrong, 130 Ctrl-C, 143 SIGTERM."""
    try:
        sys.exit(_main(sys.argv[1:]))
    except RunFailed as error:
        _print_message(str(error))
        sys.exit(1)
    except A3CError as error:  # raised before anything was started
        _print_message(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _main(argv: Sequence[str]) -> int:
    lane = os.environ.get(TRIAL_WORKER_VARIABLE)
    record_command_line(shlex.split(lane) if lane else sys.argv)
    arguments = get_args_parser().parse_intermixed_args(list(argv))
    overrides: list[str] = expand_overrides(arguments.overrides)
    argv = sys.argv[1:] = _overrides_first(argv, arguments.overrides)
    if lane:
        _hydra_main()  # all was checked by the process whose study this is
        return 0
    only_asks = arguments.help or arguments.hydra_help or arguments.cfg or arguments.info or arguments.shell_completion
    if only_asks or arguments.experimental_rerun:
        _hydra_main()
        return 0
    targets = [text.partition("=")[2] for text in overrides if text.startswith("resume=")]
    if targets:
        return _resume(Path(targets[-1]), [text for text in overrides if not text.startswith("resume=")], arguments.multirun)
    folders = [arguments.config_dir] if arguments.config_dir else []
    if arguments.multirun and may_be_study(overrides) and (directory := _study_directory(overrides, folders)) is not None:
        sys.argv[1:] = [f"hydra.sweep.dir='{directory}'", *argv]
        return _run(multirun=True)
    planned = compose_jobs(overrides, arguments.multirun, folders)
    _check_components(planned, arguments.multirun)
    if not arguments.multirun and (study := [text for text in overrides if text.startswith("+study=")]):
        _print_message(
            f"one run with the values of {study[0].removeprefix('+')}. The study itself takes -m at the end of the command"
        )
    sys.argv[1:] = _with_directory(list(argv), planned, arguments.multirun)
    outcomes.total = len(planned)
    return _run(multirun=arguments.multirun)


def _overrides_first(argv: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """The same command as Hydra can read it: its parser gives up where an option stands between two overrides."""
    options = list(argv)
    for override in overrides:
        options.remove(override)
    return [*expand_overrides(overrides), *options]


def _study_directory(overrides: Sequence[str], folders: Sequence[str]) -> Path | None:
    """Where the study is kept that these overrides ask for, all of it checked; ``None`` if they ask for a plain sweep."""
    from a3c_exp.sweep.study.planning import create_study_directory, plan

    planned = plan(overrides, folders)
    return None if planned is None else create_study_directory(planned)


def _check_components(jobs: Sequence[ComposedJob], multirun: bool) -> None:
    """Build every run's parts once, so that what cannot run is refused before anything is started or made."""
    launcher = jobs[0].hydra.launcher
    if multirun and launcher["_target_"] == _LOCAL_LAUNCHER:
        from a3c_exp.parallelism.multiprocess.supervisor import start_fork_server
        from a3c_exp.sweep.launcher.config import LocalLauncherConfig
        from a3c_exp.sweep.launcher.local import PRELOAD

        LocalLauncherConfig(n_jobs=launcher["n_jobs"], heartbeat_timeout=launcher["heartbeat_timeout"]).check()
        start_fork_server((*PRELOAD, "a3c_exp.__main__"))  # what jobs need too
    elif any(_uses_processes(job) for job in jobs):
        from a3c_exp.parallelism.multiprocess.supervisor import start_fork_server

        start_fork_server()  # it imports torch while this process does
    with gc_frozen():
        from a3c_exp.training.build import build_run

    for job in jobs:
        try:
            build_run(job.config)
        except ConfigError as error:
            where = f"{' '.join(job.overrides)}: " if len(jobs) > 1 else ""
            raise ConfigError(f"{where}{error}") from None


def _uses_processes(job: ComposedJob) -> bool:
    kind = job.config.parallelism
    return kind.get("start_method") == "forkserver" or ("seed_block" in kind and (kind.processes or 1) > 1)


def _with_directory(argv: list[str], jobs: Sequence[ComposedJob], multirun: bool) -> list[str]:
    """The command line with a directory that is this command's own, unless the person named one."""
    key, suffix = ("hydra.sweep.dir", "_sweep") if multirun else ("hydra.run.dir", "")
    suffix = "" if jobs[0].config.ablation.name else suffix  # it has a name of its own
    named = [text.partition("=")[2] for text in argv if text.partition("=")[0] == key]
    if not named:
        return [f"{key}='{create_run_directory(jobs[0].title + suffix)}'", *argv]
    used = sorted(Path(named[-1].strip("'\"")).glob("*/run.json" if multirun else "run.json"))
    if used:
        raise ConfigError(
            f"{used[0].parent} already holds a run, and no run is ever overwritten. "
            f"Go on with it (resume={used[0].parent}) or choose another {key}"
        )
    return argv


def _run(multirun: bool) -> int:
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra hands exceptions on instead of printing them
    try:
        _hydra_main()
    except Exception as error:
        if not (multirun and outcomes.was_reported(error)):
            raise  # in a sweep the failures are listed below instead
    if multirun and outcomes.total > 1:
        lines = [f"{outcomes.total - len(outcomes.failures)} of {outcomes.total} runs finished", *outcomes.failures]
        _print_message("\n".join(lines))
    return 1 if outcomes.failures else 0


def _task_function(config: "DictConfig") -> float:
    """What Hydra calls for each job."""
    from a3c_exp.training.run import RunIdentity, run

    settings = HydraConfig.get()
    multirun = settings.mode is not None and settings.mode.name == "MULTIRUN"
    directory = Path(settings.runtime.output_dir)
    outcomes.num_started += 1
    if multirun and outcomes.total > 1:
        _print_message(f"run {outcomes.num_started} of {outcomes.total}: {settings.job.override_dirname or 'defaults'}")
    choices: dict[str, Any] = settings.runtime.choices
    identity = RunIdentity(
        directory=directory,
        name=config.name or (directory.name if multirun else f"{directory.parent.name}_{directory.name}"),
        group=Path(settings.sweep.dir).name if multirun else None,
        env=str(choices["env"]),
        parallelism=str(choices["parallelism"]),
        overrides=list(settings.overrides.task),
    )
    try:
        if (trial := os.environ.get(TRIAL_NUMBER_VARIABLE)) is not None:
            from a3c_exp.sweep.trials.trial import run_trial

            return run_trial(config, settings.sweeper, Path(settings.sweep.dir), identity, int(trial))
        return run(config, identity)
    except A3CError as error:
        outcomes.add_failure(f"failed: {identity.name}: {error}", error)
        raise


def _resume(directory: Path, overrides: Sequence[str], multirun: bool) -> int:
    if multirun:
        raise ConfigError("resume goes on with one run, so it takes no -m")
    from a3c_exp.training.resume import resumed_config

    config = resumed_config(directory, overrides)
    with gc_frozen():
        from a3c_exp.training.run import resume

    resume(directory, config)
    return 0


def _hydra_main() -> Any:
    return hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="config")(_task_function)()


def _print_message(message: str) -> None:
    print(f"a3c_exp: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
