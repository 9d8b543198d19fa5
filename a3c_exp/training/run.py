"""One run, from a checked configuration to run directories that say how it ended."""

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from a3c_exp.config.schema import config_to_dict, resolve_resolvers
from a3c_exp.evaluate.evaluator import Evaluator
from a3c_exp.loggers.base import Logger, RunInfo
from a3c_exp.loggers.console import make_console_logger
from a3c_exp.loggers.seed_average import SeedAverageLogger
from a3c_exp.runs.lease.locking import locked
from a3c_exp.runs.log_records import Status
from a3c_exp.runs.record import RunRecord
from a3c_exp.system.cli import command
from a3c_exp.system.errors import A3CError, RunFailed, explain_os_error, refused_by_system
from a3c_exp.system.machine import git_problem
from a3c_exp.system.signals import StopRequested, StopSignals
from a3c_exp.system.torch_settings import single_threaded
from a3c_exp.training.build import RunComponents, build_run
from a3c_exp.training.callbacks import Callback, CallbackLogger
from a3c_exp.training.checkpoint import Checkpoints
from a3c_exp.training.learning_watch import LearningWatch
from a3c_exp.training.run_tracker import Clock, RunTracker
from a3c_exp.training.seed_runs import (
    RunContext,
    SeedRun,
    close_run,
    create_run,
    make_directories,
    reopen_run,
    whole_or_nothing,
)
from a3c_exp.training.trainer import Interrupted, Trainer
from a3c_exp.visualize.screenshots import Screenshots
from a3c_exp.visualize.video import render_episode

_MAX_PARALLEL_EPISODES = 25
"""Evaluation episodes that run side by side, at most."""


@dataclass(frozen=True)
class RunIdentity:
    """What distinguishes a run from others."""

    directory: Path
    name: str  # short, unique within its group
    group: str | None  # the sweep it belongs to
    env: str  # the chosen options of these two groups
    parallelism: str
    overrides: Sequence[str]
    hydra_files: Mapping[str, str] = field(default_factory=dict)  # further files of ``.hydra/``, the text of each by its name


class StopCallback(Logger):
    """A logger in the console's place that can end the run: as ``pruned``, once it has a ``stop_reason``, read between
    steps."""

    stop_reason: str | None = None


def run(
    config: DictConfig,
    identity: RunIdentity,
    stop_callback: StopCallback | None = None,
    components: RunComponents | None = None,
) -> float:
    """Train from the beginning in a new directory.

    Args:
        stop_callback: of a study's trial.
        components: what ``build_run`` made of this ``config``, if that was called before.

    Returns:
        The mean return of the final evaluation, over all seeds; of the last one so far, if ``stop_callback`` ended the run.

    Raises:
        ConfigError, RunDirectoryError: before anything was started.
        RunFailed: the run ended early by its own fault.
        SystemExit: a signal stopped it; one of ``STOP_EXIT_CODES``.
    """
    resolve_resolvers(config)
    components = components or build_run(config)
    fields = {name: getattr(identity, name) for name in ("name", "group", "env", "parallelism")} | {
        "job_type": "sweep" if identity.group else "train",
        "command": command(),
        "overrides": list(identity.overrides),
        "seed": config.seed,
    }
    if extra := components.setup.learner.statistics.extra_infos:
        fields["statistics"] = [vars(info) for info in extra]  # a report need not import where they come from
    # What `auto` chose is saved, for a resume on another machine.
    for key, choice in components.choices.items():
        OmegaConf.update(config, key, choice)
    with locked(make_directories(identity.directory, components.setup.seeds)):
        with whole_or_nothing(identity.directory):
            context = create_run(identity.directory, config, components, fields)
            for name, text in identity.hydra_files.items():
                (identity.directory / ".hydra" / name).write_text(text)
        return _train_until_stopped(context, stop_callback)


def resume(directory: Path, config: DictConfig, callbacks: Sequence[Callback] = ()) -> float:
    """Go on in place, in the ``directory`` of a stopped run that the caller has ``locked``, from the newest whole checkpoint;
    what was written after it moves to ``*.discarded.jsonl``. The run's ``config`` may have a larger budget; ``callbacks`` are
    called beside those that it names."""
    components = build_run(config)
    components = replace(components, callbacks=[*components.callbacks, *callbacks])
    return _train_until_stopped(reopen_run(directory, config, components))


def _train_until_stopped(context: RunContext, stop_callback: StopCallback | None = None) -> float:
    """Train until the end, whatever it is, and record in the run directories which it was."""
    status: Status = "failed"
    reason: str | None = None
    loggers: list[Logger] = []
    trainer: Trainer | None = None
    seed_average = SeedAverageLogger(loggers, len(context.seed_runs)) if len(context.seed_runs) > 1 else None
    callbacks = CallbackLogger(context.components.callbacks)
    with single_threaded(), StopSignals() as stop, ExitStack() as closing, ExitStack() as spare:

        def stop_requested() -> bool:
            return stop.requested() or (stop_callback is not None and stop_callback.stop_reason is not None)

        try:
            spare.enter_context(Path(os.devnull).open())
            trainer = _build_trainer(context, stop_requested, callbacks, loggers, seed_average, closing)
            context.record.mark("started")
            _start_loggers(context, stop_callback or make_console_logger(), callbacks, loggers)
            trainer.train()
            if context.config.evaluation.video:
                _record_video(context, loggers)
            status, reason = "finished", callbacks.stop_reason
            return _last_return(trainer)
        except (Interrupted, StopRequested):
            if stop_callback is None or stop.requested():
                status, reason = "interrupted", stop.name
                raise SystemExit(stop.exit_code) from None
            assert trainer is not None
            status, reason = "pruned", stop_callback.stop_reason
            return _last_return(trainer)
        except (A3CError, OSError) as error:
            reason = explain_os_error(error) if isinstance(error, OSError) and error.errno else str(error)
            raise RunFailed(f"{context.record.directory}: {reason}") from error
        except SystemExit as error:  # of the environments: its code would pass for the run's own, and its end for a signal's
            reason = f"something called sys.exit({error.code!r}), which would end the program. Raise an exception instead"
            raise RuntimeError(reason) from error
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
            if refused := refused_by_system(error):
                reason = explain_os_error(refused)
                raise RunFailed(f"{context.record.directory}: {reason}") from error
            raise
        finally:
            spare.close()  # where no more files may be opened there is one for what is written now
            summary = close_run(context, status, reason, trainer)
            for logger in [seed_average] if seed_average is not None else reversed(loggers):
                logger.finish(status, summary)


def _last_return(trainer: Trainer) -> float:
    evaluations = [tracker.last_evaluation for tracker in trainer.trackers]
    return sum(evaluation.mean for evaluation in evaluations if evaluation) / len(evaluations)


def _record_video(context: RunContext, loggers: Sequence[Logger]) -> None:
    setup, parallelism = context.components.setup, context.components.parallelism
    config, folder = context.components.evaluator_config, context.record.directory / "videos"
    try:
        # A seed that trains nothing: the episode that is shown is none of those that selected the best weights.
        rendered = render_episode(setup, parallelism.weights(0), config, setup.seeds.stop, folder, video=True)
    except OSError as error:
        for logger in loggers:
            logger.message(f"the video could not be written: {error}")
        return
    assert rendered.path is not None
    for logger in loggers:
        logger.video(rendered.path, parallelism.counts(0).env_steps)


def _build_trainer(
    context: RunContext,
    stop_requested: Callable[[], bool],
    callbacks: CallbackLogger,
    loggers: list[Logger],
    seed_average: SeedAverageLogger | None,
    closing: ExitStack,
) -> Trainer:
    components, setup, clock = context.components, context.components.setup, Clock()
    envs = setup.make_evaluation_envs(num_envs=min(components.evaluator_config.episodes, _MAX_PARALLEL_EPISODES))
    closing.callback(envs.close)
    model, layout = setup.model(envs)

    def between_steps() -> None:
        trainer.between_evaluation_steps()

    def screenshots(seed_run: SeedRun) -> Screenshots:
        # A seed that trains nothing, as for videos; the same for all, so that seeds can be compared.
        folder, after = seed_run.record.directory / "screenshots", context.config.screenshots.after_steps
        return Screenshots(setup, components.evaluator_config.deterministic, setup.seeds.stop, folder, after, between_steps)

    evaluator = Evaluator(model, layout, envs, components.evaluator_config, setup.seed, between_steps)
    trackers = [
        RunTracker(
            setup.budget,
            seed_run.state,
            seed_run.tracker_state,
            replace(evaluator, seed=setup.seeds[index]),
            Checkpoints(seed_run.record.directory / "checkpoints", context.config.checkpoint.keep_last),
            # A single seed logs everywhere; of several each writes its own files, and all other loggers get the mean.
            loggers if seed_average is None else [seed_run.jsonl_logger, seed_average.logger_for_seed(index)],
            components.intervals,
            clock,
            setup.worker_hyperparameters(setup.seeds[index]),
            model.distribution.max_entropy,
            None if components.intervals["screenshots"] is None else screenshots(seed_run),
            setup.learner.statistics,
            partial(setup.scheduled_hyperparameters, setup.seeds[index]),
            LearningWatch(setup.learner.max_grad_norm, setup.normalization.reward, seed_run.state.updates),
        )
        for index, seed_run in enumerate(context.seed_runs)
    ]
    on_first_step = partial(context.record.mark, "first_env_step")
    notices = [*components.notices, *context.notices]
    if context.record.content["git"] is None and (problem := git_problem()) is not None:
        notices.append(f"run.json does not name the commit of the code: {problem}")
    flow = stop_requested, on_first_step, lambda: callbacks.stop_reason is not None
    trainer = Trainer(setup, components.parallelism, trackers, clock, *flow, notices)
    return trainer


def _start_loggers(context: RunContext, console_logger: Logger, callbacks: CallbackLogger, loggers: list[Logger]) -> None:
    """Start them one after another, so that those that run receive the messages of the next."""

    def on_message(text: str) -> None:
        for logger in loggers:
            logger.message(text)

    make, seed_runs = context.components.make_logger, context.seed_runs
    takes_messages = "on_message" in inspect.signature(make.func).parameters
    group_logger: Logger = make(on_message=on_message) if takes_messages else make()
    if len(seed_runs) > 1:
        for seed_run in seed_runs:
            seed_run.jsonl_logger.start(_run_info(seed_run.config, seed_run.record, context.components, [seed_run]))
    own = [run.jsonl_logger for run in seed_runs if len(seed_runs) == 1]
    for logger in [*own, console_logger, group_logger, *([callbacks] if context.components.callbacks else [])]:
        logger.start(_run_info(context.config, context.record, context.components, seed_runs))
        loggers.append(logger)


def _run_info(config: DictConfig, record: RunRecord, components: RunComponents, seed_runs: Sequence[SeedRun]) -> RunInfo:
    content = record.content
    tags = dict.fromkeys([content["env"], content["parallelism"], f"workers={components.setup.workers}", *config.tags])
    states = [seed_run.state for seed_run in seed_runs]
    return RunInfo(
        directory=record.directory,
        name=content["name"],
        group=content["group"],
        job_type=content["job_type"],
        tags=tuple(tags),
        config=config_to_dict(config) | {"worker_hyperparameters": components.setup.worker_hyperparameters(content["seed"])},
        budget=components.setup.budget,
        resumed=len(content["sessions"]) > 1,
        start_env_step=sum(state.env_steps for state in states) // len(states),
        start_episode=sum(state.episodes for state in states) // len(states),
        start_update=sum(state.updates for state in states) // len(states),
    )
