"""From a composed configuration to the components of a run; an impossible combination is refused on the way."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig

from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.algorithm.per_worker import HyperparameterRange, PerWorkerHyperparameters
from a3c_exp.algorithm.types import LearnerConfig, TrainingState
from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.config.budget import Budget
from a3c_exp.config.enums import Device, HyperparameterRangeKind, LRSchedule, Reduction, Truncation, ValueLoss
from a3c_exp.config.instantiate import checked_partial
from a3c_exp.config.schema import check
from a3c_exp.envs.base import EnvBatch
from a3c_exp.evaluate.evaluator import Evaluator, EvaluatorConfig
from a3c_exp.loggers.base import Logger
from a3c_exp.models.base import ActorCritic
from a3c_exp.optimizers.base import Optimizer
from a3c_exp.parallelism.base import Parallelism, TrainingSetup
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.compile_auto import should_compile
from a3c_exp.training.run_tracker import Intervals
from a3c_exp.visualize.screenshots import require_rendering
from a3c_exp.visualize.video import require_video_encoder


@dataclass(frozen=True)
class RunComponents:
    """The components of one run, built but not started: no process, no directory.

    Attributes:
        setup: what workers need.
        parallelism: how they run.
        make_logger: of the logger group.
        evaluator_config: how weights are evaluated.
        intervals: of logging, evaluation, checkpoints and screenshots.
        screenshot_after_steps: step of an episode at which a screenshot is taken.
        keep_last: how many checkpoints are kept.
        initial_states: each seed's weights, before the first update.
        notices: what was chosen automatically, a sentence each.
    """

    setup: TrainingSetup
    parallelism: Parallelism
    make_logger: partial[Any]
    evaluator_config: EvaluatorConfig
    intervals: Intervals
    screenshot_after_steps: int
    keep_last: int
    initial_states: Sequence[TrainingState]
    notices: Sequence[str]


def build_run(config: DictConfig) -> RunComponents:
    """Build every component once.

    Raises:
        ConfigError: a value or a combination that cannot be run.
    """
    check(config)
    optimizer = checked_partial(config.optimizer, "optimizer", expected=Optimizer)()
    setup = TrainingSetup(
        make_envs=_make_envs(config),
        make_model=checked_partial(config.model, "model", ("observation_space", "action_space", "seed"), ActorCritic),
        optimizer=optimizer,
        learner=learner_config(config),
        per_worker=per_worker_hyperparameters(config),
        workers=config.workers,
        budget=Budget(config.max_episodes, config.max_env_steps, config.max_updates),
        max_episode_steps=config.max_episode_steps,
        seed=config.seed,
        device=resolve_device(config.device),
        num_seeds=config.num_seeds,
        compile=config.compile is True,
    )
    if setup.compile and setup.device != "cpu":
        raise ConfigError(f"compile=true compiles for device=cpu only, not {setup.device}. Try compile=false")
    parallelism: Parallelism = checked_partial(config.parallelism, "parallelism", expected=Parallelism)()
    parallelism.check(setup)
    parallelism = parallelism.with_processes(setup)
    evaluation = evaluator_config(config)
    if config.evaluation.video:
        require_video_encoder()
    envs = setup.make_envs(num_envs=1)
    try:
        setup = replace(setup, evaluation_kwargs=envs.evaluation_kwargs)
        if config.screenshots.every_env_steps is not None:
            require_rendering(setup)
        if setup.max_episode_steps is None and not setup.learner.ignore_truncation:
            setup = replace(setup, max_episode_steps=envs.default_max_episode_steps)
        model, layout = setup.model(envs)
        Evaluator(model, layout, envs, evaluation, setup.seed)  # refuses what could not be evaluated
        notices = []
        if config.compile == "auto":
            fused_rounds = model.stackable and envs.tensor_env is not None
            windows_per_update = setup.workers if parallelism.share_weights else 1
            compiled, reason = should_compile(setup, layout.size, fused_rounds, windows_per_update)
            setup = replace(setup, compile=compiled)
            notices.append(reason)
        weights = [layout.flatten(setup.model(envs, seed)[0]).cpu() for seed in setup.seeds]
    finally:
        envs.close()
    return RunComponents(
        setup=setup,
        parallelism=parallelism,
        make_logger=_logger_factory(config),
        evaluator_config=evaluation,
        intervals=_intervals(config),
        screenshot_after_steps=config.screenshots.after_steps,
        keep_last=config.checkpoint.keep_last,
        initial_states=[TrainingState.initial(vector, optimizer.state_rows, config.workers) for vector in weights],
        notices=notices,
    )


def _make_envs(config: DictConfig) -> partial[EnvBatch]:
    limit = "run_max_episode_steps"
    make: partial[EnvBatch] = checked_partial(config.env, "env", ("num_envs", "render_mode", limit), EnvBatch)
    takes_limit = limit in inspect.signature(make.func).parameters
    return partial(make, **{limit: config.max_episode_steps}) if takes_limit and config.max_episode_steps else make


def _intervals(config: DictConfig) -> Intervals:
    return Intervals(
        metrics=config.metrics.every_env_steps,
        evaluation=config.evaluation.every_env_steps,
        checkpoint=config.checkpoint.every_env_steps,
        screenshots=config.screenshots.every_env_steps,
    )


def learner_config(config: DictConfig) -> LearnerConfig:
    """The learning half of the configuration."""
    return LearnerConfig(
        gamma=config.gamma,
        n_step=config.n_step,
        gae_lambda=config.gae_lambda,
        loss=LossConfig(
            value_coef=config.value_coef,
            entropy_coef=config.beta,
            value_loss=ValueLoss(config.value_loss),
            policy_reduction=Reduction(config.reductions.policy),
            value_reduction=Reduction(config.reductions.value),
            entropy_reduction=Reduction(config.reductions.entropy),
            normalize_advantage=config.normalize_advantage,
        ),
        max_grad_norm=config.max_grad_norm,
        bootstrap_on_truncation=config.bootstrap_on_truncation,
        reward_shift=config.reward_shift,
        reward_scale=config.reward_scale,
        reward_clip=config.reward_clip,
        window_ends_with_episode=config.window_ends_with_episode,
        ignore_truncation=config.truncation is Truncation.ignore,
        bptt=config.bptt,
        statistics=StatisticsTable(config.metrics.extra),
    )


def per_worker_hyperparameters(config: DictConfig) -> PerWorkerHyperparameters:
    """What differs between workers, and the learning-rate schedule."""

    def range_of(key: str) -> HyperparameterRange | None:
        node = config.per_worker[key]
        if node.kind is HyperparameterRangeKind.none:
            return None
        return HyperparameterRange(key, HyperparameterRangeKind(node.kind), node.low, node.high, tuple(node["values"]))

    schedule = config.lr_schedule
    lr_schedule = (
        LRSchedule(schedule)
        if isinstance(schedule, str)
        else [(float(fraction), float(factor)) for fraction, factor in schedule]
    )
    return PerWorkerHyperparameters(range_of("beta"), range_of("lr"), lr_schedule)


def evaluator_config(config: DictConfig) -> EvaluatorConfig:
    """How the run evaluates its weights while it trains."""
    return EvaluatorConfig(config.evaluation.episodes, config.evaluation.deterministic, config.evaluation.max_episode_steps)


def resolve_device(requested: Device) -> str:
    """The device's name in torch.

    Raises:
        ConfigError: this machine has no such device.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if requested is Device.auto:
        return available[0]
    if requested.value not in available:
        raise ConfigError(
            f"device={requested.value}, but this machine has only {', '.join(sorted(available))}. Try device=auto"
        )
    return requested.value


def _logger_factory(config: DictConfig) -> partial[Any]:
    make = checked_partial(config.logger, "logger", ("on_message",), Logger)
    make()  # its constructor checks its values and starts nothing
    return make
