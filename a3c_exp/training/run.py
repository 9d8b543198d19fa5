"""One run, from a checked configuration to run directories that say how it ended."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from omegaconf import DictConfig

from a3c_exp.config.schema import config_to_dict
from a3c_exp.evaluate.evaluator import Evaluator
from a3c_exp.loggers.base import Logger, RunInfo
from a3c_exp.loggers.forwarding import make_console_logger
from a3c_exp.loggers.seed_average import SeedAverageLogger
from a3c_exp.runs.log_records import Status
from a3c_exp.runs.record import RunRecord
from a3c_exp.runs.record import load as load_record
from a3c_exp.system.cli import command
from a3c_exp.system.errors import A3CError, RunFailed
from a3c_exp.system.signals import StopSignals
from a3c_exp.system.torch_settings import single_threaded
from a3c_exp.training.build import RunComponents, build_run
from a3c_exp.training.checkpoint import Checkpoints
from a3c_exp.training.run_tracker import Clock, RunTracker
from a3c_exp.training.seed_runs import SeedRun, close_seed_runs, create_seed_runs, reopen_seed_runs, save_config
from a3c_exp.training.trainer import Interrupted, Trainer
from a3c_exp.visualize.render_episode import render_episode
from a3c_exp.visualize.screenshots import Screenshots

_MAX_PARALLEL_EPISODES = 25
"""Evaluation episodes that run side by side, at most."""


@dataclass(frozen=True)
class RunIdentity:
    """What tells a run from others.

    Attributes:
        directory: the run directory.
        name: short, unique within its group.
        group: the sweep it belongs to.
        env: the chosen option of the env group.
        parallelism: the chosen option of the parallelism group.
        overrides: as typed for this job.
    """

    directory: Path
    name: str
    group: str | None
    env: str
    parallelism: str
    overrides: Sequence[str]


class StopCallback(Logger, Protocol):
    """Looks on as a logger does, in the console's place, and may have seen enough."""

    @property
    def stop_reason(self) -> str | None:
        """Why the run should end here, as ``pruned``; ``None``: go on. Asked between steps."""


def run(config: DictConfig, identity: RunIdentity, stop_callback: StopCallback | None = None) -> float:
    """Train from the beginning in a directory of its own.

    Args:
        config: checked.
        identity: where, and under which name.
        stop_callback: of a study's trial.

    Returns:
        The mean return of the final evaluation, over all seeds; of the last one so far, if the judge ended the run.

    Raises:
        ConfigError, RunDirectoryError: before anything was started.
        RunFailed: the run ended early by its own fault.
        SystemExit: someone stopped it; 130 after Ctrl-C, 143 after SIGTERM.
    """
    assembly = build_run(config)
    fields = {
        "name": identity.name,
        "group": identity.group,
        "job_type": "sweep" if identity.group else "train",
        "command": command(),
        "env": identity.env,
        "parallelism": identity.parallelism,
        "overrides": list(identity.overrides),
        "seed": config.seed,
    }
    if own := assembly.setup.learner.statistics.extra_infos:
        fields["statistics"] = [vars(info) for info in own]  # a report need not import where they come from
    # What `auto` chose is kept, here and on resume.
    config.device, config.compile = assembly.setup.device, assembly.setup.compile
    record, seeds = create_seed_runs(identity.directory, config, assembly, fields)
    return _train_until_stopped(config, assembly, record, seeds, stop_callback)


def resume(directory: Path, config: DictConfig) -> float:
    """Go on in place from the newest whole checkpoint; what was written after it moves to ``*.discarded.jsonl``.

    Args:
        directory: of a run that has stopped.
        config: its configuration, perhaps with a larger budget.

    Raises:
        RunDirectoryError: it is no run, it still runs, or it has no checkpoint that fits the configuration.
    """
    assembly = build_run(config)
    load_record(directory)
    record, seeds = reopen_seed_runs(directory, config, assembly)
    save_config(directory, config)
    return _train_until_stopped(config, assembly, record, seeds)


def _train_until_stopped(
    config: DictConfig,
    components: RunComponents,
    record: RunRecord,
    seed_runs: Sequence[SeedRun],
    stop_callback: StopCallback | None = None,
) -> float:
    """Train until the end, whatever it is, and say in the run directories which it was."""
    status: Status = "failed"
    reason: str | None = None
    loggers: list[Logger] = []
    trainer: Trainer | None = None
    together = SeedAverageLogger(loggers, len(seed_runs)) if len(seed_runs) > 1 else None
    clock = Clock()
    with single_threaded(), StopSignals() as stop:
        try:
            enough = partial(_should_stop, stop, stop_callback)
            trainer = _build_trainer(components, record, seed_runs, enough, clock, loggers, together)
            record.mark("started")
            _start_loggers(config, components, record, seed_runs, stop_callback or make_console_logger(), loggers)
            trainer.train()
            if config.evaluation.video:
                _record_video(components, record, loggers)
            status = "finished"
            return _last_return(trainer)
        except Interrupted:
            if stop_callback is None or stop.requested():
                status, reason = "interrupted", stop.name
                raise SystemExit(stop.exit_code) from None
            assert trainer is not None
            status, reason = "pruned", stop_callback.stop_reason
            return _last_return(trainer)
        except (A3CError, OSError) as error:
            reason = str(error)
            raise RunFailed(f"{record.directory}: {reason}") from error
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
            raise
        finally:
            summary = close_seed_runs(record, seed_runs, status, reason, trainer, components.parallelism)
            if together is not None:
                together.finish(status, summary)
            else:
                for logger in reversed(loggers):
                    logger.finish(status, summary)


def _should_stop(stop: StopSignals, stop_callback: StopCallback | None) -> bool:
    return stop.requested() or (stop_callback is not None and stop_callback.stop_reason is not None)


def _last_return(trainer: Trainer) -> float:
    last = [track.last_evaluation for track in trainer.trackers]
    return sum(evaluation.mean for evaluation in last if evaluation) / len(last)


def _record_video(components: RunComponents, record: RunRecord, loggers: Sequence[Logger]) -> None:
    task, parallelism = components.setup, components.parallelism
    try:
        # A seed that trains nothing: the episode that is shown is none of those that picked the best weights.
        seed = task.seeds.stop
        shown = render_episode(
            task, parallelism.weights(0), components.evaluator_config, seed, record.directory / "videos", video=True
        )
    except OSError as error:
        for logger in loggers:
            logger.message(f"the video could not be written: {error}")
        return
    assert shown.path is not None
    for logger in loggers:
        logger.video(shown.path, parallelism.counts(0).env_steps)


def _build_trainer(
    components: RunComponents,
    record: RunRecord,
    seed_runs: Sequence[SeedRun],
    should_stop: Callable[[], bool],
    clock: Clock,
    loggers: list[Logger],
    seed_average: SeedAverageLogger | None,
) -> Trainer:
    task = components.setup
    envs = task.make_evaluation_envs(num_envs=min(components.evaluator_config.episodes, _MAX_PARALLEL_EPISODES))
    model, layout = task.model(envs)
    trainer: Trainer

    def between_steps() -> None:
        trainer.between_evaluation_steps()

    def screenshots(seed: SeedRun) -> Screenshots | None:
        if components.intervals.screenshots is None:
            return None
        # A seed that trains nothing, as for videos; the same for all, so that seeds can be compared.
        folder, after = seed.record.directory / "screenshots", components.screenshot_after_steps
        return Screenshots(task, components.evaluator_config.deterministic, task.seeds.stop, folder, after, between_steps)

    evaluator = Evaluator(model, layout, envs, components.evaluator_config, task.seed, between_steps)
    tracks = []
    for index, seed in enumerate(seed_runs):
        # One training logs to everyone; of several each writes its own files, and everyone else is told the mean.
        own = loggers if seed_average is None else [seed.jsonl_logger, seed_average.logger_for_seed(index)]
        tracks.append(
            RunTracker(
                task.budget,
                seed.state,
                seed.tracker_state,
                evaluator.for_seed(task.seeds[index]),
                Checkpoints(seed.record.directory / "checkpoints", components.keep_last),
                own,
                components.intervals,
                clock,
                task.worker_hyperparameters(task.seeds[index]),
                model.distribution.max_entropy,
                screenshots(seed),
                task.learner.statistics,
            )
        )
    trainer = Trainer(
        task,
        components.parallelism,
        [seed.state for seed in seed_runs],
        tracks,
        clock,
        should_stop,
        notices=components.notices,
        on_first_step=partial(record.mark, "first_env_step"),
    )
    return trainer


def _start_loggers(
    config: DictConfig,
    components: RunComponents,
    record: RunRecord,
    seed_runs: Sequence[SeedRun],
    console_logger: Logger,
    loggers: list[Logger],
) -> None:
    """Start them one after another, so that those that run hear what the next has to say."""

    def say(text: str) -> None:
        for logger in loggers:
            logger.message(text)

    make = components.make_logger
    extra: Logger = make(on_message=say) if "on_message" in inspect.signature(make.func).parameters else make()
    if len(seed_runs) > 1:
        for seed in seed_runs:
            seed.jsonl_logger.start(_run_info(seed.config, seed.record, components, [seed]))
    everyone: list[Logger] = [seed_runs[0].jsonl_logger] if len(seed_runs) == 1 else []
    for logger in [*everyone, console_logger, extra]:
        logger.start(_run_info(config, record, components, seed_runs))
        loggers.append(logger)


def _run_info(config: DictConfig, record: RunRecord, components: RunComponents, seed_runs: Sequence[SeedRun]) -> RunInfo:
    content = record.content
    tags = dict.fromkeys([content["env"], content["parallelism"], f"workers={components.setup.workers}", *config.tags])
    return RunInfo(
        directory=record.directory,
        name=content["name"],
        group=content["group"],
        job_type=content["job_type"],
        tags=tuple(tags),
        config=config_to_dict(config) | {"worker_hyperparameters": components.setup.worker_hyperparameters(content["seed"])},
        budget=components.setup.budget,
        resumed=len(content["sessions"]) > 1,
        start_env_step=sum(seed.state.env_steps for seed in seed_runs) // len(seed_runs),
        start_episode=sum(seed.state.episodes for seed in seed_runs) // len(seed_runs),
        start_update=sum(seed.state.updates for seed in seed_runs) // len(seed_runs),
    )
