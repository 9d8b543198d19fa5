"""One run, from a checked configuration to run directories that say how it ended."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from omegaconf import DictConfig

from a3c_exp.evaluate.evaluator import Evaluator
from a3c_exp.loggers.base import Logger, RunInfo
from a3c_exp.loggers.forwarding import console
from a3c_exp.loggers.seed_average import SeedMean
from a3c_exp.runs.log_records import Status
from a3c_exp.runs.record import RunRecord, command
from a3c_exp.runs.record import load as load_record
from a3c_exp.system.errors import A3CError, RunFailed
from a3c_exp.system.signals import StopSignals
from a3c_exp.system.torch_settings import on_one_core
from a3c_exp.training.build import Assembly, assemble, plain
from a3c_exp.training.checkpoint import Checkpoints
from a3c_exp.training.run_tracker import Clock, Track
from a3c_exp.training.seed_runs import SeedRun, claim_seeds, close_all, keep_config, reopen_seeds
from a3c_exp.training.trainer import Interrupted, Trainer
from a3c_exp.visualize.render_episode import show
from a3c_exp.visualize.screenshots import Screenshots

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


class Judge(Logger, Protocol):
    """Looks on as a logger does, in the console's place, and may have seen enough."""

    @property
    def verdict(self) -> str | None:
        """Why the run should end here, as ``pruned``; ``None``: go on. Asked between steps."""


def run(config: DictConfig, identity: Identity, judge: Judge | None = None) -> float:
    """Train from the beginning in a directory of its own.

    Args:
        config: checked.
        identity: where, and under which name.
        judge: of a study's trial.

    Returns:
        The mean return of the final evaluation, over all seeds; of the last one so far, if the judge ended the run.

    Raises:
        ConfigError, RunDirectoryError: before anything was started.
        RunFailed: the run ended early by its own fault.
        SystemExit: someone stopped it; 130 after Ctrl-C, 143 after SIGTERM.
    """
    assembly = assemble(config)
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
    # What `auto` chose is kept, here and on resume.
    config.device, config.compile = assembly.task.device, assembly.task.compile
    record, seeds = claim_seeds(identity.directory, config, assembly, fields)
    return _session(config, assembly, record, seeds, judge)


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
    record, seeds = reopen_seeds(directory, config, assembly)
    keep_config(directory, config)
    return _session(config, assembly, record, seeds)


def _session(
    config: DictConfig, assembly: Assembly, record: RunRecord, seeds: Sequence[SeedRun], judge: Judge | None = None
) -> float:
    """Train until the end, whatever it is, and say in the run directories which it was."""
    status: Status = "failed"
    reason: str | None = None
    loggers: list[Logger] = []
    trainer: Trainer | None = None
    together = SeedMean(loggers, len(seeds)) if len(seeds) > 1 else None
    clock = Clock()
    with on_one_core(), StopSignals() as stop:
        try:
            enough = partial(_enough, stop, judge)
            trainer = _trainer(assembly, record, seeds, enough, clock, loggers, together)
            record.mark("started")
            _start_loggers(config, assembly, record, seeds, judge or console(), loggers)
            trainer.train()
            if config.evaluation.video:
                _show(assembly, record, loggers)
            status = "finished"
            return _last_return(trainer)
        except Interrupted:
            if judge is None or stop.requested():
                status, reason = "interrupted", stop.name
                raise SystemExit(stop.exit_code) from None
            assert trainer is not None
            status, reason = "pruned", judge.verdict
            return _last_return(trainer)
        except (A3CError, OSError) as error:
            reason = str(error)
            raise RunFailed(f"{record.directory}: {reason}") from error
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
            raise
        finally:
            summary = close_all(record, seeds, status, reason, trainer, assembly.parallelism)
            if together is not None:
                together.finish(status, summary)
            else:
                for logger in reversed(loggers):
                    logger.finish(status, summary)


def _enough(stop: StopSignals, judge: Judge | None) -> bool:
    return stop.requested() or (judge is not None and judge.verdict is not None)


def _last_return(trainer: Trainer) -> float:
    last = [track.last_evaluation for track in trainer.tracks]
    return sum(evaluation.mean for evaluation in last if evaluation) / len(last)


def _show(assembly: Assembly, record: RunRecord, loggers: Sequence[Logger]) -> None:
    task, parallelism = assembly.task, assembly.parallelism
    try:
        # A seed that trains nothing: the episode that is shown is none of those that picked the best weights.
        seed = task.seeds.stop
        shown = show(task, parallelism.weights(0), assembly.evaluation, seed, record.directory / "videos", video=True)
    except OSError as error:
        for logger in loggers:
            logger.message(f"the video could not be written: {error}")
        return
    assert shown.path is not None
    for logger in loggers:
        logger.video(shown.path, parallelism.counts(0).env_steps)


def _trainer(
    assembly: Assembly,
    record: RunRecord,
    seeds: Sequence[SeedRun],
    enough: Callable[[], bool],
    clock: Clock,
    loggers: list[Logger],
    together: SeedMean | None,
) -> Trainer:
    task = assembly.task
    envs = task.make_evaluation_envs(num_envs=min(assembly.evaluation.episodes, _EVALUATION_BATCH))
    model, layout = task.model(envs)
    trainer: Trainer

    def between_steps() -> None:
        trainer.between_evaluation_steps()

    def screenshots(seed: SeedRun) -> Screenshots | None:
        if assembly.cadence.screenshots is None:
            return None
        # A seed that trains nothing, as for videos; the same for all, so that seeds can be compared.
        folder, after = seed.record.directory / "screenshots", assembly.screenshot_after
        return Screenshots(task, assembly.evaluation.deterministic, task.seeds.stop, folder, after, between_steps)

    evaluator = Evaluator(model, layout, envs, assembly.evaluation, task.seed, between_steps)
    tracks = []
    for index, seed in enumerate(seeds):
        # One training logs to everyone; of several each writes its own files, and everyone else is told the mean.
        own = loggers if together is None else [seed.files, together.channel(index)]
        tracks.append(
            Track(
                task.budget,
                seed.state,
                seed.progress,
                evaluator.for_seed(task.seeds[index]),
                Checkpoints(seed.record.directory / "checkpoints", assembly.keep_last),
                own,
                assembly.cadence,
                clock,
                task.own_values(task.seeds[index]),
                model.family.max_entropy,
                screenshots(seed),
            )
        )
    trainer = Trainer(
        task,
        assembly.parallelism,
        [seed.state for seed in seeds],
        tracks,
        clock,
        enough,
        remarks=assembly.remarks,
        on_first_step=partial(record.mark, "first_env_step"),
    )
    return trainer


def _start_loggers(
    config: DictConfig,
    assembly: Assembly,
    record: RunRecord,
    seeds: Sequence[SeedRun],
    onlooker: Logger,
    loggers: list[Logger],
) -> None:
    """Start them one after another, so that those that run hear what the next has to say."""

    def say(text: str) -> None:
        for logger in loggers:
            logger.message(text)

    make = assembly.make_logger
    extra: Logger = make(say=say) if "say" in inspect.signature(make.func).parameters else make()
    if len(seeds) > 1:
        for seed in seeds:
            seed.files.start(_info(seed.config, seed.record, assembly, [seed]))
    everyone: list[Logger] = [seeds[0].files] if len(seeds) == 1 else []
    for logger in [*everyone, onlooker, extra]:
        logger.start(_info(config, record, assembly, seeds))
        loggers.append(logger)


def _info(config: DictConfig, record: RunRecord, assembly: Assembly, seeds: Sequence[SeedRun]) -> RunInfo:
    content = record.content
    tags = dict.fromkeys([content["env"], content["parallelism"], f"workers={assembly.task.workers}", *config.tags])
    return RunInfo(
        directory=record.directory,
        name=content["name"],
        group=content["group"],
        job_type=content["job_type"],
        tags=tuple(tags),
        config=plain(config) | {"own_values": assembly.task.own_values(content["seed"])},
        budget=assembly.task.budget,
        resumed=len(content["sessions"]) > 1,
        start_env_step=sum(seed.state.env_steps for seed in seeds) // len(seeds),
        start_episode=sum(seed.state.episodes for seed in seeds) // len(seeds),
        start_update=sum(seed.state.updates for seed in seeds) // len(seeds),
    )
