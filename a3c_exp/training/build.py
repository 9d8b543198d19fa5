"""From a composed configuration to the components of a run; an impossible combination is refused on the way."""

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import torch
from gymnasium.spaces import Discrete, MultiBinary, MultiDiscrete
from omegaconf import DictConfig, OmegaConf
from torch import nn

from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.algorithm.per_worker import HyperparameterRange, PerWorkerHyperparameters
from a3c_exp.algorithm.schedules import Schedule, Schedules
from a3c_exp.algorithm.types import LearnerConfig, TrainingState
from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.compile.precision import multiplies_bfloat16
from a3c_exp.config.budget import Budget
from a3c_exp.config.enums import Device, HyperparameterRangeKind, Precision, Reduction, ScheduleKind, Truncation, ValueLoss
from a3c_exp.config.instantiate import checked_partial
from a3c_exp.config.other_names import is_atari
from a3c_exp.config.schema import check
from a3c_exp.envs.base import EnvBatch
from a3c_exp.evaluate.evaluator import LONGEST_EPISODE, EvaluatorConfig
from a3c_exp.loggers.base import Logger
from a3c_exp.models.base import ActorCritic
from a3c_exp.models.normalization import Normalization
from a3c_exp.optimizers.base import Optimizer
from a3c_exp.parallelism.base import Parallelism, TrainingSetup
from a3c_exp.spaces.checks import describe_space
from a3c_exp.spaces.flatten import has_numbers_alone
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.number_format import format_duration
from a3c_exp.training.callbacks import Callback
from a3c_exp.visualize.screenshots import require_rendering
from a3c_exp.visualize.video import require_video_encoder

# What a run costs uncompiled, roughly, on one core of 2.8 GHz: a fixed price a step and one for each weight.
_SECONDS_PER_STEP = 60e-6
_SECONDS_PER_STEP_AND_WEIGHT = 6e-9
# From how much work on it is made: a minute of compiling, against rounds that become many times faster as a whole, or
# acting and learning that gain a third.
_MIN_SECONDS_FUSED_ROUNDS = 60.0
_MIN_SECONDS_FUNCTIONS = 600.0

_NO_LIMIT = (
    f"this environment declares no time limit: an evaluation episode that does not end by itself is cut off after "
    f"{LONGEST_EPISODE:,} steps. For another limit: evaluation.max_episode_steps=1000"
)

_SLOW_BFLOAT16 = (
    "this processor has no instructions for bfloat16 (avx512_bf16 or amx_bf16), without which precision=bfloat16 is slower "
    "than precision=float32"
)

_UNPREPARED_ATARI = "this game is learned from single pictures in color, as ale-py gives them; env=atari prepares them"


@dataclass(frozen=True)
class RunComponents:
    """The components of one run, built but not started: no process, no directory."""

    setup: TrainingSetup
    parallelism: Parallelism
    make_logger: partial[Any]  # of the logger group
    callbacks: Sequence[Callback]
    evaluator_config: EvaluatorConfig
    intervals: Mapping[str, int | None]  # as ``RunTracker`` takes them
    initial_states: Sequence[TrainingState]  # each seed's weights, before the first update
    notices: Sequence[str]  # what was chosen automatically, a sentence each
    choices: Mapping[str, Any]  # by key, what was chosen where the configuration says auto


def build_run(config: DictConfig) -> RunComponents:
    """Build every component once; a ConfigError says which value or combination cannot be run."""
    check(config)
    setup = TrainingSetup(
        make_envs=_make_envs(config),
        make_model=checked_partial(config.model, "model", ("observation_space", "action_space", "seed"), ActorCritic),
        optimizer=checked_partial(config.optimizer, "optimizer", expected=Optimizer)(),
        learner=learner_config(config),
        per_worker=per_worker_hyperparameters(config),
        schedules=_schedules(config),
        workers=config.workers,
        budget=Budget(config.max_episodes, config.max_env_steps, config.max_updates),
        max_episode_steps=config.max_episode_steps,
        seed=config.seed,
        device=resolve_device(config.device),
        num_seeds=config.num_seeds,
        compile=config.compile is True,
        bfloat16=config.precision is Precision.bfloat16,
    )
    parallelism: Parallelism = checked_partial(config.parallelism, "parallelism", expected=Parallelism)()
    parallelism.check(setup)
    parallelism = parallelism.with_processes(setup)
    section = config.evaluation
    evaluation = EvaluatorConfig(section.episodes, section.deterministic, section.max_episode_steps)
    make_logger = checked_partial(config.logger, "logger", ("on_message",), Logger)
    make_logger()  # its constructor checks its values and starts nothing
    if section.video:
        require_video_encoder()
    envs = setup.make_envs(num_envs=1)
    try:
        setup = replace(setup, evaluation_kwargs=dict(envs.evaluation_kwargs))  # which goes to other processes
        if config.screenshots.every_env_steps is not None:
            require_rendering(setup)
        if setup.max_episode_steps is None and not setup.learner.ignore_truncation:
            setup = replace(setup, max_episode_steps=envs.default_max_episode_steps)
        setup = setup.with_normalization(_normalization(config, envs), envs)
        model, layout = setup.model(envs)
        _check_compiling(setup, config.compile is not False, model)
        notices = _notices_of_task(config, evaluation, envs)
        if config.compile == "auto":
            fused_rounds = model.stackable and envs.tensor_env is not None
            windows_per_update = setup.workers if parallelism.share_weights else 1
            pays, reason = _compiling_pays(setup, layout.size, fused_rounds, windows_per_update)
            later = parallelism.compiles_while_training
            setup = replace(setup, compile=pays and not later, compile_while_training=pays and later)
            notices.append(_choice_text(pays, later, reason))
        weights = [layout.flatten(setup.model(envs, seed)[0]).cpu() for seed in setup.seeds]
    finally:
        envs.close()
    return RunComponents(
        setup=setup,
        parallelism=parallelism,
        make_logger=make_logger,
        callbacks=_callbacks(config),
        evaluator_config=evaluation,
        intervals={name: config[name].every_env_steps for name in ("metrics", "evaluation", "screenshots", "checkpoint")},
        initial_states=[TrainingState.initial(vector, setup.optimizer.state_rows, config.workers) for vector in weights],
        notices=notices,
        choices=_choices(config, setup, envs),
    )


def _check_compiling(setup: TrainingSetup, may_compile: bool, model: nn.Module) -> None:
    if setup.compile and setup.device != "cpu":
        raise ConfigError(f"compile=true compiles for device=cpu only, not {setup.device}. Try compile=false")
    if not setup.bfloat16:
        return
    if not may_compile or setup.device != "cpu":
        raise ConfigError(
            "precision=bfloat16 is for compiled code, which needs device=cpu and no compile=false. Try precision=float32"
        )
    if not any(isinstance(layer, nn.Conv2d) for layer in model.modules()):
        raise ConfigError("precision=bfloat16 is for convolutions, which this model has none of. Try precision=float32")


def _notices_of_task(config: DictConfig, evaluation: EvaluatorConfig, envs: EnvBatch) -> list[str]:
    notices = [_NO_LIMIT] if (evaluation.max_episode_steps or envs.default_max_episode_steps) is None else []
    if config.precision is Precision.bfloat16 and not multiplies_bfloat16():
        notices.append(_SLOW_BFLOAT16)
    if is_atari(str(config.env.get("id"))) and "frame_stack" not in config.env:
        notices.append(_UNPREPARED_ATARI)
    return notices


def _choices(config: DictConfig, setup: TrainingSetup, envs: EnvBatch) -> Mapping[str, Any]:
    backend = "gymnasium" if envs.tensor_env is None else "tensor"
    # Where code comes later, a resumed run has it from the start: that is no other choice.
    compiled = "auto" if setup.compile_while_training else setup.compile
    chosen = {
        "device": setup.device,
        "compile": compiled,
        "env.backend": backend,
        "normalize.observation": setup.normalization.observation,
    }
    return {key: choice for key, choice in chosen.items() if OmegaConf.select(config, key) == "auto"}


def _callbacks(config: DictConfig) -> Sequence[Callback]:
    entries = enumerate(config.callbacks)
    return [checked_partial(entry, f"callbacks[{place}]", expected=Callback)() for place, entry in entries]


def _normalization(config: DictConfig, envs: EnvBatch) -> Normalization:
    raw = envs.raw_observation_space or envs.observation_space
    section = dict(config.normalize)
    if section["observation"] == "auto":
        section["observation"] = has_numbers_alone(raw)
    normalization = Normalization(**section)
    what = "choices" if isinstance(raw, Discrete | MultiDiscrete | MultiBinary) else "pictures"
    if normalization.observation and (what == "choices" or len(envs.observation_space.shape or ()) > 1):
        raise ConfigError(
            f"normalize.observation=true scales each number of an observation by its own mean and deviation, but here "
            f"observations are {what} ({describe_space(raw)}), which the network sees as numbers from 0 to 1. "
            "Try normalize.observation=false"
        )
    return normalization


def _make_envs(config: DictConfig) -> partial[EnvBatch]:
    limit = "run_max_episode_steps"
    make: partial[EnvBatch] = checked_partial(config.env, "env", ("num_envs", "render_mode", limit), EnvBatch)
    takes_limit = limit in inspect.signature(make.func).parameters
    return partial(make, **{limit: config.max_episode_steps}) if takes_limit and config.max_episode_steps else make


def learner_config(config: DictConfig) -> LearnerConfig:
    """The learning half of the configuration."""
    same_names = ("gamma", "n_step", "gae_lambda", "max_grad_norm", "reward_shift", "reward_scale", "reward_clip", "bptt")
    return LearnerConfig(
        **{name: config[name] for name in (*same_names, "bootstrap_on_truncation", "window_ends_with_episode")},
        loss=LossConfig(
            value_coef=config.value_coef,
            entropy_coef=config.beta,
            value_loss=ValueLoss(config.value_loss),
            policy_reduction=Reduction(config.reductions.policy),
            value_reduction=Reduction(config.reductions.value),
            entropy_reduction=Reduction(config.reductions.entropy),
            normalize_advantage=config.normalize_advantage,
        ),
        ignore_truncation=config.truncation is Truncation.ignore,
        statistics=StatisticsTable(config.metrics.extra),
    )


def per_worker_hyperparameters(config: DictConfig) -> PerWorkerHyperparameters:
    """What differs between workers."""

    def range_of(key: str) -> HyperparameterRange | None:
        node = config.per_worker[key]
        if node.kind is HyperparameterRangeKind.none:
            return None
        return HyperparameterRange(key, HyperparameterRangeKind(node.kind), node.low, node.high, tuple(node["values"]))

    return PerWorkerHyperparameters(range_of("beta"), range_of("lr"))


def _schedules(config: DictConfig) -> Schedules:
    def schedule(key: str) -> Schedule:
        shape = config[key]
        if isinstance(shape, str):
            return Schedule(key, ScheduleKind(shape))
        return Schedule(key, tuple((float(fraction), float(factor)) for fraction, factor in shape))

    schedules = Schedules(**{field.name: schedule(f"{field.name}_schedule") for field in fields(Schedules)})
    if config.max_grad_norm is None and not schedules.max_grad_norm.is_constant:
        raise ConfigError(
            f"max_grad_norm_schedule is {config.max_grad_norm_schedule}, but max_grad_norm is null, so no gradient is clipped. "
            "Try max_grad_norm=0.5, or max_grad_norm_schedule=constant"
        )
    return schedules


def resolve_device(requested: Device) -> str:
    """The device's name in torch; a ConfigError if this machine has no such device."""
    backends = {"cuda": torch.cuda, "mps": torch.backends.mps, "cpu": torch.cpu}
    available = [name for name, backend in backends.items() if backend.is_available()]
    if requested is Device.auto:
        return available[0]
    if requested.value not in available:
        raise ConfigError(
            f"device={requested.value}, but this machine has only {', '.join(sorted(available))}. Try device=auto"
        )
    return requested.value


def _choice_text(compiles: bool, later: bool, reason: str) -> str:
    """What ``compile=auto`` chose; whether there is code already is known when the run starts, which then says so."""
    if not compiles:
        return f"compile=auto: not compiled ({reason}); compile=true compiles it"
    return f"compile=auto: {reason}, so it runs compiled{'' if later else '; what was never compiled is compiled first'}"


def _compiling_pays(setup: TrainingSetup, num_weights: int, fused_rounds: bool, windows_per_update: int) -> tuple[bool, str]:
    """Whether it does, and why; ``fused_rounds``: whole rounds can be compiled; ``windows_per_update``: 1, or
    all workers' where they make one update together."""
    steps = _max_env_steps_in_budget(setup, windows_per_update)
    seconds = steps * (_SECONDS_PER_STEP + _SECONDS_PER_STEP_AND_WEIGHT * num_weights)
    pays = setup.device == "cpu" and seconds >= (_MIN_SECONDS_FUSED_ROUNDS if fused_rounds else _MIN_SECONDS_FUNCTIONS)
    work = "no bound on the work" if math.isinf(seconds) else f"about {format_duration(seconds)} of work uncompiled"
    return pays, work if setup.device == "cpu" else "only for device=cpu"


def _max_env_steps_in_budget(setup: TrainingSetup, windows_per_update: int) -> float:
    """Environment steps of all seeds that the budget allows, at most; infinite where nothing bounds them."""
    budget, steps_per_update = setup.budget, windows_per_update * setup.learner.n_step
    amounts = (budget.max_env_steps, 1), (budget.max_updates, steps_per_update), (budget.max_episodes, setup.max_episode_steps)
    return min((count * steps for count, steps in amounts if count and steps), default=math.inf) * setup.num_seeds
