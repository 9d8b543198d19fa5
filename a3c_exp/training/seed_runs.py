"""The run directories of one command: one for one seed; for several, a folder for all with one run directory a seed inside.

A seed's directory is a run like any other: its configuration asks for that seed alone.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.config.trust import remember
from a3c_exp.loggers import jsonl
from a3c_exp.loggers.seed_average import mean_summary
from a3c_exp.models.normalization import describe_statistics
from a3c_exp.runs.config_values import as_text
from a3c_exp.runs.lease.locking import confirm_lease
from a3c_exp.runs.log_records import EvaluationRecord, Status
from a3c_exp.runs.record import RunRecord, already_a_run
from a3c_exp.system.atomic_write import write_json
from a3c_exp.system.errors import ConfigError, LeaseLost, RunDirectoryError, explained_disk_errors
from a3c_exp.training.build import RunComponents
from a3c_exp.training.checkpoint import Checkpoints, digest, load
from a3c_exp.training.resume import changed_values
from a3c_exp.training.run_tracker import RunTracker, TrackerState
from a3c_exp.training.trainer import Trainer

_SHAPING_KEYS = ("env", "model", "normalize", "optimizer", "parallelism", "workers")  # on which a checkpoint's shapes depend


@dataclass
class SeedRun:
    """One seed's part of a session: its own record and configuration, and where it begins."""

    record: RunRecord
    config: DictConfig
    state: TrainingState
    tracker_state: TrackerState
    jsonl_logger: jsonl.JsonlLogger = field(default_factory=jsonl.JsonlLogger)


@dataclass(frozen=True)
class RunContext:
    """One session of a run: what was asked for, what was built of it, its record (of several seeds, that of their folder), and
    ``notices``, a sentence each, that a person should read about where it begins."""

    config: DictConfig
    components: RunComponents
    record: RunRecord
    seed_runs: Sequence[SeedRun]
    notices: Sequence[str] = ()


def make_directories(directory: Path, seeds: Sequence[int]) -> list[Path]:
    """The folders of a new run: its directory, and one for each of several seeds. If one of them already holds a run, which is
    a RunDirectoryError, all are left as they are."""
    directories = list(dict.fromkeys([directory, *_seed_directories(directory, seeds)]))
    for folder in directories:
        if (folder / "run.json").exists():
            raise already_a_run(folder)
    for folder in directories:
        folder.mkdir(parents=True, exist_ok=True)
    return directories


@contextlib.contextmanager
def whole_or_nothing(directory: Path) -> Iterator[None]:
    """Where a run is recorded for the first time: what cannot be written whole is taken away again, ``directory`` included if
    nothing else is in it."""
    before = {path for path in directory.rglob("*") if path.is_file() and path.name not in (".lock", ".lease")}
    with explained_disk_errors(directory):
        try:
            yield
        except OSError:
            for path in [*sorted(set(directory.rglob("*")) - before, reverse=True), directory]:
                with contextlib.suppress(OSError):  # a folder with something in it stays
                    path.rmdir() if path.is_dir() else path.unlink()
            raise


def create_run(directory: Path, config: DictConfig, components: RunComponents, fields: Mapping[str, Any]) -> RunContext:
    """Take directories for a new run; ``fields`` are those of ``run.json``."""
    seeds, states = components.setup.seeds, components.initial_states
    directories = _seed_directories(directory, seeds)
    several = {"seeds": [path.name for path in directories]} if len(seeds) > 1 else {}
    record = RunRecord.create(directory, **fields, **several)
    save_config(directory, config)
    if len(seeds) == 1:
        return RunContext(config, components, record, [SeedRun(record, config, states[0], TrackerState())])
    seed_runs = []
    for seed, seed_directory, state in zip(seeds, directories, states, strict=True):
        seed_config, name = _single_seed_config(config, seed), f"{fields['name']}/{seed_directory.name}"
        seed_record = RunRecord.create(seed_directory, **{**fields, "name": name, "seed": seed})
        save_config(seed_directory, seed_config)
        seed_runs.append(SeedRun(seed_record, seed_config, state, TrackerState()))
    return RunContext(config, components, record, seed_runs)


def reopen_run(directory: Path, config: DictConfig, components: RunComponents) -> RunContext:
    """Begin another session of a run, each seed from its own newest checkpoint; a RunDirectoryError if it is no run, still
    runs, or has no checkpoint that fits the configuration, and a ConfigError if its budget is exhausted."""
    # All of it is read and checked before any of it is written: a resume that is refused changes nothing.
    record = RunRecord.of_stopped_run(directory)
    seeds = components.setup.seeds
    directories = _seed_directories(directory, seeds)
    records = [record] if len(seeds) == 1 else [RunRecord.of_stopped_run(seed_directory) for seed_directory in directories]
    notices: list[str] = []
    changed = changed_values(directory, config)
    loaded = [_load_checkpoint(seed_directory, components, changed, notices.append) for seed_directory in directories]
    if record.content["status"] == "finished":  # one that was stopped in its last evaluation has that to do
        _reject_exhausted_budget(directory, components, [state for state, _ in loaded])
    missing = [jsonl.missing_episodes(path, state.episodes) for path, (state, _) in zip(directories, loaded, strict=True)]
    notices += [
        f"{path / jsonl.EPISODES} lacks {count:,} of the {state.episodes:,} episodes before the checkpoint: their lines were "
        "lost, as in a power failure. Training is not affected; curves and episodes_digest are"
        for path, (state, _), count in zip(directories, loaded, missing, strict=True)
        if count
    ]
    notices += [f"goes on with {key}={as_text(after)}, which was {as_text(before)}" for key, (before, after) in changed.items()]
    seed_runs = []
    for seed, seed_record, (state, tracker_state), count in zip(seeds, records, loaded, missing, strict=True):
        seed_config = config if len(seeds) == 1 else _single_seed_config(config, seed)
        seed_record.begin_session(state.env_steps, count, changed)
        evaluated = state.env_steps - (components.setup.budget.fraction(state.episodes, state.env_steps, state.updates) >= 1.0)
        jsonl.truncate_after(seed_record.directory, episodes=state.episodes, env_step=state.env_steps, evaluated=evaluated)
        save_config(seed_record.directory, seed_config)
        seed_runs.append(SeedRun(seed_record, seed_config, state, tracker_state))
    if len(seeds) > 1:
        record.begin_session(min(state.env_steps for state, _ in loaded), sum(missing), changed)
        save_config(directory, config)
    return RunContext(config, components, record, seed_runs, notices)


def _load_checkpoint(
    directory: Path,
    components: RunComponents,
    changed: Mapping[str, Sequence[Any]],
    on_damaged: Callable[[str], object],
) -> tuple[TrainingState, TrackerState]:
    checkpoints = Checkpoints(directory / "checkpoints")
    state, extra = load(checkpoints.latest(on_damaged))
    initial = components.initial_states[0]
    for name, expected, saved in (
        ("weights", initial.weights.shape, state.weights.shape),
        ("optimizer states", initial.optimizer_state.shape, state.optimizer_state.shape),
        ("workers", initial.rounds.shape, state.rounds.shape),
    ):
        if expected != saved:
            shapes = {key: pair for key, pair in changed.items() if key.partition(".")[0] in _SHAPING_KEYS}
            typed = ", ".join(f"{key}={as_text(after)} (it was {as_text(before)})" for key, (before, after) in shapes.items())
            raise RunDirectoryError(
                f"the checkpoint's {name} have shape {tuple(saved)} but the configuration asks for {tuple(expected)}; "
                f"a resumed run keeps environment, model, optimizer and workers. "
                f"Leave out {typed or 'what changed'}, or start a new run"
            )
    evaluations = jsonl.evaluations_until(directory, state.env_steps)
    try:
        best = checkpoints.best()
    except RunDirectoryError as error:
        best = None
        on_damaged(f"{error}. The weights of the next evaluation take its place")
    if state.parallelism_state and best is not None and best.env_step > state.env_steps:
        # Training goes on exactly, and so will find the better one again.
        best = max(evaluations, key=lambda evaluation: (evaluation.mean, evaluation.env_step), default=None)
    evaluated_at = evaluations[-1].env_step if evaluations else 0
    tracker_state = TrackerState(extra["moving_average"], float(extra["wall_time"] or 0.0), best, evaluated_at)
    maxlen = tracker_state.recent_returns.maxlen or 1
    tracker_state.recent_returns.extend(jsonl.recent_returns(directory, state.episodes, maxlen))
    return state, tracker_state


def _reject_exhausted_budget(directory: Path, components: RunComponents, states: Sequence[TrainingState]) -> None:
    budget = components.setup.budget
    for key, limit in vars(budget).items():
        spent = [getattr(state, key.removeprefix("max_")) for state in states]
        if limit is not None and min(spent) >= limit:
            raise ConfigError(
                f"{directory} has spent its budget: {min(spent):,} of {key}={limit:,}. Give it more: "
                f"resume={directory} {key}={2 * max(limit, *spent)}"
            )


def close_run(context: RunContext, status: Status, reason: str | None, trainer: Trainer | None) -> dict[str, Any]:
    """Record in every directory how the run ended; a full disk in one does not keep the others from it. Returns the summary of
    the whole."""
    summaries = {}
    for index, seed_run in enumerate(context.seed_runs):
        tracker = trainer.trackers[index] if trainer is not None and trainer.started else None
        summary = _summary(seed_run, status, reason, tracker, context.components, index)
        summaries[f"seed={seed_run.record.content['seed']}"] = summary
        _close(seed_run.record, status, reason, summary)
        if len(context.seed_runs) > 1:
            seed_run.jsonl_logger.finish(status, summary)
    if len(context.seed_runs) == 1:
        return summary
    mean = mean_summary(status, reason, summaries)
    _close(context.record, status, reason, mean)
    return mean


def _close(record: RunRecord, status: Status, reason: str | None, summary: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError, LeaseLost):
        confirm_lease(record.directory)
        write_json(record.directory / "summary.json", summary)
    with contextlib.suppress(OSError, LeaseLost):
        record.close(status, reason)


def _summary(
    seed_run: SeedRun, status: Status, reason: str | None, tracker: RunTracker | None, components: RunComponents, index: int
) -> dict[str, Any]:
    summary: dict[str, Any] = {"status": status, "reason": reason}
    if tracker is None:
        return summary

    def without_returns(evaluation: EvaluationRecord | None) -> dict[str, Any] | None:
        return None if evaluation is None else {k: v for k, v in evaluation.to_dict().items() if k != "returns"}

    parallelism, setup = components.parallelism, components.setup
    counts, stats, weights = parallelism.counts(index), tracker.total_stats, parallelism.weights(index)
    normalization = (
        describe_statistics(weights[-setup.statistics_size :], setup.normalization) if setup.statistics_size else None
    )
    return summary | {
        "episodes": counts.episodes,
        "env_steps": counts.env_steps,
        "updates": counts.updates,
        "wall_time": tracker.wall_time(),
        "steps_per_second": tracker.steps_per_second(counts),
        "moving_average": tracker.tracker_state.moving_average,
        "recent_return": tracker.tracker_state.recent_return,
        "evaluation": without_returns(tracker.last_evaluation),
        "best_evaluation": without_returns(tracker.tracker_state.best_evaluation),
        "policy_lag": {"mean": stats.lag_mean, "max": stats.lag_max, "histogram": stats.lag_histogram.tolist()},
        "parallelism": parallelism.summary(index),
        "workers": tracker.worker_hyperparameters,
        **({"normalization": normalization} if normalization else {}),
        "weights_digest": digest(weights),
        "episodes_digest": jsonl.episodes_digest(seed_run.record.directory),
    }


def save_config(directory: Path, config: DictConfig) -> None:
    """Write the configuration that a resume reads."""
    (directory / ".hydra").mkdir(exist_ok=True)
    path = directory / ".hydra" / "config.yaml"
    OmegaConf.save(config, path)
    remember(path, config)


def _single_seed_config(config: DictConfig, seed: int) -> DictConfig:
    seed_config = config.copy()
    seed_config.seed, seed_config.num_seeds = seed, 1
    return seed_config


def _seed_directories(directory: Path, seeds: Sequence[int]) -> list[Path]:
    return [directory] if len(seeds) == 1 else [directory / f"seed={seed}" for seed in seeds]
