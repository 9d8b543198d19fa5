"""The typed configuration: what each key is called, which type it has, and which values make sense.

This module knows no torch, so that a mistake on the command line is answered at once.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from a3c_exp.config.enums import Device, HyperparameterRangeKind, LRSchedule, Reduction, Truncation, ValueLoss
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.suggestions import closest_match


@dataclass
class ReductionsConfig:
    """Each loss term's own reduction."""

    policy: Reduction = Reduction.mean
    value: Reduction = Reduction.mean
    entropy: Reduction = Reduction.mean


@dataclass
class HyperparameterRangeConfig:
    """A distribution over workers."""

    kind: HyperparameterRangeKind = HyperparameterRangeKind.none
    low: float | None = None
    high: float | None = None
    values: list[float] = field(default_factory=list)


@dataclass
class PerWorkerConfig:
    """What each worker draws its own of."""

    beta: HyperparameterRangeConfig = field(default_factory=HyperparameterRangeConfig)
    lr: HyperparameterRangeConfig = field(default_factory=HyperparameterRangeConfig)


@dataclass
class MetricsConfig:
    """How often averages are written to metrics.jsonl."""

    every_env_steps: int = 20_000


@dataclass
class EvaluationConfig:
    """How often and how the shared weights are judged during training."""

    every_env_steps: int | None = 100_000
    episodes: int = 10
    deterministic: bool = True
    max_episode_steps: int | None = None
    video: bool = False


@dataclass
class ScreenshotsConfig:
    """How often a picture is taken of what the policy does, and after how many steps of an episode."""

    every_env_steps: int | None = None
    after_steps: int = 100


@dataclass
class CheckpointConfig:
    """How often states are saved, and how many stay."""

    every_env_steps: int | None = 200_000
    keep_last: int = 3


@dataclass
class AblationConfig:
    """Which comparison a run belongs to, as whom, and under which control; all null for a run that belongs to none."""

    name: str | None = None
    arm: str | None = None
    control: str | None = None
    own_seed: int = 0


@dataclass
class Config:
    """Every top-level key. The groups (env, model, optimizer, parallelism, logger) are open: each names a class by ``_target_``
    and is checked against that class's constructor."""

    env: dict[str, Any] = MISSING
    model: dict[str, Any] = MISSING
    optimizer: dict[str, Any] = MISSING
    parallelism: dict[str, Any] = MISSING
    logger: dict[str, Any] = MISSING

    workers: int = 12
    gamma: float = 0.99
    beta: float = 0.01
    n_step: int = 5
    bptt: int | None = None
    window_ends_with_episode: bool = False
    max_episodes: int | None = None
    max_env_steps: int | None = None
    max_updates: int | None = None
    max_episode_steps: int | None = None
    truncation: Truncation = Truncation.end
    bootstrap_on_truncation: bool = True
    value_coef: float = 0.5
    value_loss: ValueLoss = ValueLoss.mse
    reduction: Reduction = Reduction.mean
    reductions: ReductionsConfig = field(default_factory=ReductionsConfig)
    max_grad_norm: float | None = None
    reward_shift: float = 0.0
    reward_scale: float = 1.0
    reward_clip: float | None = None
    lr_schedule: LRSchedule = LRSchedule.none
    per_worker: PerWorkerConfig = field(default_factory=PerWorkerConfig)
    seed: int = 0
    num_seeds: int = 1
    device: Device = Device.cpu
    compile: Any = "auto"  # or a truth value

    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    screenshots: ScreenshotsConfig = field(default_factory=ScreenshotsConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)

    ablation: AblationConfig = field(default_factory=AblationConfig)
    name: str | None = None
    tags: list[str] = field(default_factory=list)


def register() -> None:
    """Make the schema known to Hydra as ``a3c_exp_schema``, the first entry of conf/config.yaml."""
    ConfigStore.instance().store(name="a3c_exp_schema", node=Config, provider="a3c_exp")


def check(config: DictConfig) -> None:
    """Refuse values outside their range.

    Raises:
        ConfigError: names every value that is wrong, what is allowed, and what to type.
    """
    problems = list(_problems(config))
    if problems:
        raise ConfigError("\n".join(problems))


def _problems(config: DictConfig) -> Iterator[str]:
    known = list(Config.__dataclass_fields__)
    for key in config:
        if key not in known:
            guess = closest_match(str(key), known)
            yield f"there is no key {key!s}." + (f" Did you mean {guess}?" if guess else f" There are {', '.join(known)}")

    def at_least(key: str, least: int, example: int) -> Iterator[str]:
        value = OmegaConf.select(config, key)
        if value is not None and value < least:
            yield f"{key} is {value}, but it is at least {least}. Try {key}={example}"

    def finite(key: str, least: float | None, example: float, above: bool = False) -> Iterator[str]:
        value = OmegaConf.select(config, key)
        if value is None:
            return
        too_small = least is not None and (value <= least if above else value < least)
        if too_small or not math.isfinite(value):
            bound = "" if least is None else f" {'above' if above else 'of at least'} {least:g}"
            yield f"{key} is {value}, but it is a finite number{bound}. Try {key}={example:g}"

    if not 0 < config.gamma <= 1:
        yield f"gamma is {config.gamma}, but a discount factor lies in (0, 1]. Try gamma=0.99"
    yield from at_least("workers", 1, 4)
    yield from at_least("n_step", 1, 5)
    yield from at_least("bptt", 1, 1)
    yield from at_least("max_episodes", 1, 1000)
    yield from at_least("max_env_steps", 1, 1_000_000)
    yield from at_least("max_updates", 1, 100_000)
    yield from at_least("max_episode_steps", 1, 200)
    yield from at_least("seed", 0, 0)
    yield from at_least("num_seeds", 1, 10)
    yield from at_least("metrics.every_env_steps", 1, 20_000)
    yield from at_least("evaluation.every_env_steps", 1, 100_000)
    yield from at_least("evaluation.episodes", 1, 10)
    yield from at_least("evaluation.max_episode_steps", 1, 200)
    yield from at_least("screenshots.every_env_steps", 1, 100_000)
    yield from at_least("screenshots.after_steps", 0, 100)
    yield from at_least("checkpoint.every_env_steps", 1, 200_000)
    yield from at_least("checkpoint.keep_last", 1, 3)
    yield from finite("beta", 0, 0.01)
    yield from finite("value_coef", 0, 0.5)
    yield from finite("max_grad_norm", 0, 40, above=True)
    yield from finite("reward_shift", None, 0)
    yield from finite("reward_clip", 0, 3, above=True)
    if not (isinstance(config.compile, bool) or config.compile == "auto"):
        yield f"compile is {config.compile}, but it is auto, true or false. Try compile=auto"
    if config.reward_scale == 0 or not math.isfinite(config.reward_scale):
        yield (
            f"reward_scale is {config.reward_scale}, but rewards are divided by it: (reward + reward_shift) / reward_scale. "
            "Try reward_scale=1"
        )
    if config.truncation is Truncation.ignore and config.max_episode_steps is not None:
        yield (
            f"max_episode_steps is {config.max_episode_steps}, but truncation=ignore lets episodes run past any limit. "
            "Try truncation=end, or max_episode_steps=null"
        )
    if config.max_episodes is None and config.max_env_steps is None and config.max_updates is None:
        yield "nothing ends this run: max_episodes, max_env_steps and max_updates are all null. Try max_env_steps=1000000"


def keys(config: DictConfig, prefix: str = "") -> list[str]:
    """Every key that can stand on a command line, dotted."""
    found = []
    for key in config:
        dotted = f"{prefix}{key!s}"
        if str(key).startswith("_"):
            continue
        found.append(dotted)
        if not OmegaConf.is_missing(config, key) and isinstance(node := config._get_node(key), DictConfig) and node._content:
            found += keys(node, f"{dotted}.") if isinstance(node._content, dict) else []
    return found


def config_to_dict(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain containers with all references resolved."""
    container = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
