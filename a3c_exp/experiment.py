"""One run, from a checked configuration to a run directory that says how it ended."""

import contextlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from a3c_exp.assembly import Assembly, assemble, plain
from a3c_exp.checkpoint import Checkpoints, digest, load
from a3c_exp.core.errors import A3CError, ConfigError, RunDirectoryError, RunFailed
from a3c_exp.core.records import Evaluation, Status
from a3c_exp.core.types import TrainingState
from a3c_exp.evaluation import Evaluator
from a3c_exp.logging.base import Logger, RunInfo
from a3c_exp.logging.console import ConsoleLogger
from a3c_exp.logging.jsonl import JsonlLogger, cut_after
from a3c_exp.run_record import RunRecord, command, write_json
from a3c_exp.run_record import load as load_record
from a3c_exp.show import show
from a3c_exp.signals import StopSignals
from a3c_exp.trainer import Interrupted, Progress, Trainer

_EVALUATION_BATCH = 25
"""Evaluation episodes that run side by side, at most."""


@dataclass(frozen=True)
class Identity:
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


def run(config: DictConfig, identity: Identity) -> float:
    """Train from the beginning in a directory of its own.

    Returns:
        The objective: the mean return of the final evaluation.

    Raises:
        ConfigError, RunDirectoryError: before anything was started.
        RunFailed: the run ended early by its own fault.
        SystemExit: someone stopped it; 130 after Ctrl-C, 143 after SIGTERM.
    """
    assembly = assemble(config)
    record = RunRecord.claim(
        identity.directory,
        name=identity.name,
        group=identity.group,
        job_type="sweep" if identity.group else "train",
        command=command(),
        env=identity.env,
        parallelism=identity.parallelism,
        overrides=list(identity.overrides),
        seed=config.seed,
    )
    return _session(config, assembly, record, assembly.initial_state, Progress())


def resume(directory: Path, config: DictConfig) -> float:
    """Go on in place from the newest whole checkpoint; what was written after it moves to ``*.discarded.jsonl``.

    Args:
        directory: of a run that has stopped.
        config: its configuration, perhaps with a larger budget.

    Raises:
        RunDirectoryError: it is no run, it still runs, or it has no checkpoint that fits the configuration.
    """
    assembly = assemble(config)
    load_record(directory)
    checkpoints = Checkpoints(directory / "checkpoints", assembly.keep_last)
    state, extra = load(checkpoints.latest())
    fresh = assembly.initial_state
    for what, ours, saved in (
        ("weights", fresh.weights.shape, state.weights.shape),
        ("optimiser state", fresh.optimizer_state.shape, state.optimizer_state.shape),
        ("workers", fresh.rounds.shape, state.rounds.shape),
    ):
        if ours != saved:
            raise RunDirectoryError(
                f"the checkpoint's {what} have shape {tuple(saved)} but the configuration asks for {tuple(ours)}; "
                "a resumed run keeps its model, optimizer and workers"
            )
    _refuse_if_spent(directory, assembly, state)
    record = RunRecord.reopen(directory, state.env_steps)
    cut_after(directory, episodes=state.episodes, env_step=state.env_steps)
    OmegaConf.save(config, directory / ".hydra" / "config.yaml")
    progress = Progress(extra["moving_average"], float(extra["wall_time"] or 0.0), checkpoints.best())
    return _session(config, assembly, record, state, progress)


def _refuse_if_spent(directory: Path, assembly: Assembly, state: TrainingState) -> None:
    budget = assembly.task.budget
    for key, spent, limit in (
        ("max_episodes", state.episodes, budget.max_episodes),
        ("max_env_steps", state.env_steps, budget.max_env_steps),
    ):
        if limit is not None and spent >= limit:
            raise ConfigError(
                f"{directory} has spent its budget: {spent:,} of {key}={limit:,}. Give it more: "
                f"resume={directory} {key}={2 * max(limit, spent)}"
            )


def _session(config: DictConfig, assembly: Assembly, record: RunRecord, state: TrainingState, progress: Progress) -> float:
    """Train until the end, whatever it is, and say in the run directory which it was."""
    torch.set_num_threads(1)  # the cores belong to the workers
    status: Status = "failed"
    reason: str | None = None
    loggers: list[Logger] = []
    trainer: Trainer | None = None
    with StopSignals() as stop:
        try:
            trainer = _trainer(assembly, record, state, progress, stop, loggers)
            record.mark("started")
            for logger in _loggers(assembly, loggers):
                logger.start(_info(config, record, assembly, state))
                loggers.append(logger)
            trainer.train()
            if config.evaluation.video:
                _show(assembly, record, loggers)
            status = "finished"
            assert trainer.last_evaluation is not None
            return trainer.last_evaluation.mean
        except Interrupted:
            status, reason = "interrupted", stop.name
            raise SystemExit(stop.exit_code) from None
        except (A3CError, OSError) as error:
            reason = str(error)
            raise RunFailed(f"{record.directory}: {reason}") from error
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
            raise
        finally:
            _close(record, status, reason, trainer, assembly, loggers)


def _show(assembly: Assembly, record: RunRecord, loggers: Sequence[Logger]) -> None:
    task, parallelism = assembly.task, assembly.parallelism
    try:
        # A seed of its own: the episode that is shown is none of those that picked the best weights.
        shown = show(task, parallelism.weights(), assembly.evaluation, task.seed + 1, record.directory / "videos", video=True)
    except OSError as error:
        for logger in loggers:
            logger.message(f"the video could not be written: {error}")
        return
    assert shown.path is not None
    for logger in loggers:
        logger.video(shown.path, parallelism.counts().env_steps)


def _trainer(
    assembly: Assembly,
    record: RunRecord,
    state: TrainingState,
    progress: Progress,
    stop: StopSignals,
    loggers: Sequence[Logger],
) -> Trainer:
    task = assembly.task
    envs = task.make_envs(num_envs=min(assembly.evaluation.episodes, _EVALUATION_BATCH))
    model, layout = task.model(envs)

    def evaluator(between_steps: Callable[[], None]) -> Evaluator:
        return Evaluator(model, layout, envs, assembly.evaluation, task.seed, between_steps)

    return Trainer(
        task,
        assembly.parallelism,
        state,
        evaluator,
        Checkpoints(record.directory / "checkpoints", assembly.keep_last),
        loggers,
        assembly.cadence,
        progress,
        stop.requested,
        on_first_step=partial(record.mark, "first_env_step"),
    )


def _close(
    record: RunRecord,
    status: Status,
    reason: str | None,
    trainer: Trainer | None,
    assembly: Assembly,
    loggers: Sequence[Logger],
) -> None:
    """Say how it ended, everywhere; a disk that is full must not keep the rest from being told."""
    summary = _summary(record, status, reason, trainer, assembly)
    with contextlib.suppress(OSError):
        write_json(record.directory / "summary.json", summary)
    with contextlib.suppress(OSError):
        record.close(status, reason)
    for logger in reversed(loggers):
        logger.finish(status, summary)


def _summary(
    record: RunRecord, status: Status, reason: str | None, trainer: Trainer | None, assembly: Assembly
) -> dict[str, Any]:
    summary: dict[str, Any] = {"status": status, "reason": reason}
    if trainer is None or not trainer.started:
        return summary
    counts, tally = assembly.parallelism.counts(), trainer.whole_tally
    last, best = trainer.last_evaluation, trainer.progress.best_evaluation
    return summary | {
        "episodes": counts.episodes,
        "env_steps": counts.env_steps,
        "updates": counts.updates,
        "wall_time": trainer.wall_time(),
        "steps_per_second": trainer.steps_per_second(),
        "moving_average": trainer.progress.moving_average,
        "evaluation": _without_returns(last),
        "best_evaluation": _without_returns(best),
        "policy_lag": {"mean": tally.lag_mean, "max": tally.lag_max, "histogram": tally.lag_histogram.tolist()},
        "parallelism": assembly.parallelism.figures(),
        "weights_digest": digest(assembly.parallelism.weights()),
    }


def _without_returns(evaluation: Evaluation | None) -> dict[str, Any] | None:
    if evaluation is None:
        return None
    return {key: value for key, value in evaluation.json().items() if key != "returns"}


def _loggers(assembly: Assembly, listeners: Sequence[Logger]) -> list[Logger]:
    def say(text: str) -> None:
        for logger in listeners:
            logger.message(text)

    make = assembly.make_logger
    extra: Logger = make(say=say) if "say" in inspect.signature(make.func).parameters else make()
    return [JsonlLogger(), ConsoleLogger(), extra]


def _info(config: DictConfig, record: RunRecord, assembly: Assembly, state: TrainingState) -> RunInfo:
    content = record.content
    tags = dict.fromkeys([content["env"], content["parallelism"], f"workers={assembly.task.workers}", *config.tags])
    return RunInfo(
        directory=record.directory,
        name=content["name"],
        group=content["group"],
        job_type=content["job_type"],
        tags=tuple(tags),
        config=plain(config),
        budget=assembly.task.budget,
        resumed=len(content["sessions"]) > 1,
        start_env_step=state.env_steps,
        start_episode=state.episodes,
    )
