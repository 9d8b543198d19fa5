"""The run directories of one command: one for one seed; for several, a folder for all with one run directory a seed inside.

A seed's directory is a run like any other: its configuration asks for that seed alone.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.loggers.jsonl import JsonlLogger, episodes_digest, evaluations_until, recent_returns, truncate_after
from a3c_exp.loggers.seed_average import mean_summary
from a3c_exp.parallelism.base import Parallelism
from a3c_exp.runs.log_records import EvaluationRecord, Status
from a3c_exp.runs.record import RunRecord
from a3c_exp.system.atomic_write import write_json
from a3c_exp.system.errors import ConfigError, RunDirectoryError
from a3c_exp.training.build import RunComponents
from a3c_exp.training.checkpoint import Checkpoints, digest, load
from a3c_exp.training.run_tracker import RunTracker, TrackerState
from a3c_exp.training.trainer import Trainer


@dataclass
class SeedRun:
    """One seed's part of a session.

    Attributes:
        record: of its run directory.
        config: of that seed alone.
        state, tracker_state: where it begins.
        jsonl_logger: writes its local truth.
    """

    record: RunRecord
    config: DictConfig
    state: TrainingState
    tracker_state: TrackerState
    jsonl_logger: JsonlLogger = field(default_factory=JsonlLogger)


def create_seed_runs(
    directory: Path, config: DictConfig, components: RunComponents, fields: Mapping[str, Any]
) -> tuple[RunRecord, list[SeedRun]]:
    """Take directories for a new run; returns the record of the whole, and each seed's part.

    Raises:
        RunDirectoryError: one of them already holds a run.
    """
    seeds, states = components.setup.seeds, components.initial_states
    if len(seeds) == 1:
        record = RunRecord.create(directory, **fields)
        save_config(directory, config)
        return record, [SeedRun(record, config, states[0], TrackerState())]
    record = RunRecord.create(directory, **fields, seeds=[_seed_folder(seed) for seed in seeds])
    save_config(directory, config)
    parts = []
    for seed, state in zip(seeds, states, strict=True):
        own = _single_seed_config(config, seed)
        inner = directory / _seed_folder(seed)
        name = f"{fields['name']}/{_seed_folder(seed)}"
        part = RunRecord.create(inner, **{**fields, "name": name, "seed": seed})
        save_config(inner, own)
        parts.append(SeedRun(part, own, state, TrackerState()))
    return record, parts


def reopen_seed_runs(directory: Path, config: DictConfig, components: RunComponents) -> tuple[RunRecord, list[SeedRun]]:
    """Begin another session of a run, each seed from its own newest checkpoint.

    Raises:
        RunDirectoryError: it still runs, or a checkpoint is missing or does not fit the configuration.
        ConfigError: the budget is spent.
    """
    seeds = components.setup.seeds
    inner = [directory] if len(seeds) == 1 else [directory / _seed_folder(seed) for seed in seeds]
    loaded = [_load_checkpoint(one, components) for one in inner]
    _reject_exhausted_budget(directory, components, [state for state, _ in loaded])
    steps = min(state.env_steps for state, _ in loaded)
    record = RunRecord.reopen(directory, steps)
    parts = []
    for seed, one, (state, progress) in zip(seeds, inner, loaded, strict=True):
        own = config if len(seeds) == 1 else _single_seed_config(config, seed)
        part = record if len(seeds) == 1 else RunRecord.reopen(one, state.env_steps)
        truncate_after(one, episodes=state.episodes, env_step=state.env_steps)
        save_config(one, own)
        parts.append(SeedRun(part, own, state, progress))
    return record, parts


def _load_checkpoint(directory: Path, components: RunComponents) -> tuple[TrainingState, TrackerState]:
    checkpoints = Checkpoints(directory / "checkpoints", components.keep_last)
    state, extra = load(checkpoints.latest())
    fresh = components.initial_states[0]
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
    evaluations = evaluations_until(directory, state.env_steps)
    best = checkpoints.best()
    if state.parallelism_state and best is not None and best.env_step > state.env_steps:
        # The better one will be lived, and found, again.
        best = max(evaluations, key=lambda one: (one.mean, one.env_step), default=None)
    evaluated_at = evaluations[-1].env_step if evaluations else None
    progress = TrackerState(extra["moving_average"], float(extra["wall_time"] or 0.0), best, evaluated_at)
    progress.recent_returns.extend(recent_returns(directory, state.episodes, progress.recent_returns.maxlen or 1))
    return state, progress


def _reject_exhausted_budget(directory: Path, components: RunComponents, states: Sequence[TrainingState]) -> None:
    budget = components.setup.budget
    for key, limit, spent in (
        ("max_episodes", budget.max_episodes, [state.episodes for state in states]),
        ("max_env_steps", budget.max_env_steps, [state.env_steps for state in states]),
        ("max_updates", budget.max_updates, [state.updates for state in states]),
    ):
        if limit is not None and min(spent) >= limit:
            raise ConfigError(
                f"{directory} has spent its budget: {min(spent):,} of {key}={limit:,}. Give it more: "
                f"resume={directory} {key}={2 * max(limit, *spent)}"
            )


def close_seed_runs(
    record: RunRecord,
    seed_runs: Sequence[SeedRun],
    status: Status,
    reason: str | None,
    trainer: Trainer | None,
    parallelism: Parallelism,
) -> dict[str, Any]:
    """Say how it ended in every directory; a disk that is full must not keep the rest from being told.

    Returns:
        The summary of the whole.
    """
    started = trainer is not None and trainer.started
    summaries = {}
    for index, seed in enumerate(seed_runs):
        track = trainer.trackers[index] if trainer is not None and started else None
        summary = _summary(seed, status, reason, track, parallelism, index)
        summaries[_seed_folder(seed.record.content["seed"])] = summary
        _close(seed.record, status, reason, summary)
        if len(seed_runs) > 1:
            seed.jsonl_logger.finish(status, summary)
    if len(seed_runs) == 1:
        return summary
    whole = mean_summary(status, reason, summaries)
    _close(record, status, reason, whole)
    return whole


def _close(record: RunRecord, status: Status, reason: str | None, summary: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):
        write_json(record.directory / "summary.json", summary)
    with contextlib.suppress(OSError):
        record.close(status, reason)


def _summary(
    seed_run: SeedRun, status: Status, reason: str | None, tracker: RunTracker | None, parallelism: Parallelism, index: int
) -> dict[str, Any]:
    summary: dict[str, Any] = {"status": status, "reason": reason}
    if tracker is None:
        return summary
    counts, tally = parallelism.counts(index), tracker.total_stats
    return summary | {
        "episodes": counts.episodes,
        "env_steps": counts.env_steps,
        "updates": counts.updates,
        "wall_time": tracker.wall_time(),
        "steps_per_second": tracker.steps_per_second(counts),
        "moving_average": tracker.tracker_state.moving_average,
        "recent_return": tracker.tracker_state.recent_return,
        "evaluation": _without_returns(tracker.last_evaluation),
        "best_evaluation": _without_returns(tracker.tracker_state.best_evaluation),
        "policy_lag": {"mean": tally.lag_mean, "max": tally.lag_max, "histogram": tally.lag_histogram.tolist()},
        "parallelism": parallelism.summary(index),
        "workers": tracker.worker_hyperparameters,
        "weights_digest": digest(parallelism.weights(index)),
        "episodes_digest": episodes_digest(seed_run.record.directory),
    }


def _without_returns(evaluation: EvaluationRecord | None) -> dict[str, Any] | None:
    if evaluation is None:
        return None
    return {key: value for key, value in evaluation.to_dict().items() if key != "returns"}


def save_config(directory: Path, config: DictConfig) -> None:
    """Write the configuration that a resume reads."""
    (directory / ".hydra").mkdir(exist_ok=True)
    OmegaConf.save(config, directory / ".hydra" / "config.yaml")


def _single_seed_config(config: DictConfig, seed: int) -> DictConfig:
    own = config.copy()
    own.seed, own.num_seeds = seed, 1
    return own


def _seed_folder(seed: int) -> str:
    return f"seed={seed}"
