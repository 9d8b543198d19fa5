"""The typed configuration: what each key is called, which type it has, and its bounds, as part of the annotations. No torch."""

import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf

from a3c_exp.config.ablation import check_ablation
from a3c_exp.config.enums import Device, HyperparameterRangeKind, Precision, Reduction, ScheduleKind, Truncation, ValueLoss
from a3c_exp.config.other_names import explain_key
from a3c_exp.config.type_checks import Example, In, Ne, NonNegativeInt, OneOf, PositiveInt, field_problems
from a3c_exp.system.errors import ConfigError

_SCHEDULE = OneOf(ScheduleKind | Sequence[tuple[float, float]])


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
    """Hyperparameters of which each worker draws its own value."""

    beta: HyperparameterRangeConfig = field(default_factory=HyperparameterRangeConfig)
    lr: HyperparameterRangeConfig = field(default_factory=HyperparameterRangeConfig)


@dataclass
class NormalizeConfig:
    """Whether observations and rewards are scaled by running statistics, and to what they are clipped then."""

    observation: bool | Annotated[str, In(("auto",))] = False
    reward: bool = False
    clip_observation: Annotated[float, Gt(0), Example(10)] | None = 10.0
    clip_reward: Annotated[float, Gt(0), Example(10)] | None = 10.0


@dataclass
class MetricsConfig:
    """How often averages are written to metrics.jsonl, and statistics of one's own among them."""

    every_env_steps: PositiveInt = 20_000
    extra: list[str] = field(default_factory=list)


@dataclass
class EvaluationConfig:
    """How often and how the shared weights are evaluated during training."""

    every_env_steps: PositiveInt | None = 100_000
    episodes: PositiveInt = 10
    deterministic: bool = True
    max_episode_steps: Annotated[int, Ge(1), Example(200)] | None = None
    video: bool = False


@dataclass
class ScreenshotsConfig:
    """How often a screenshot of an episode is taken, and at which of its steps."""

    every_env_steps: Annotated[int, Ge(1), Example(100_000)] | None = None
    after_steps: NonNegativeInt = 100


@dataclass
class CheckpointConfig:
    """How often checkpoints are written, and how many are kept."""

    every_env_steps: PositiveInt | None = 200_000
    keep_last: PositiveInt = 3


@dataclass
class BenchmarkConfig:
    """The table that a run belongs to, and what its task's row holds it against; all null for a run that belongs to none."""

    table: str | None = None
    task: str | None = None
    env: dict[str, Any] = field(default_factory=dict)
    goal: float | None = None
    published: dict[str, Any] = field(default_factory=dict)


@dataclass
class AblationConfig:
    """Which ablation a run belongs to, in which arm and under which control; all null for a run that belongs to none."""

    name: str | None = None
    arm: str | None = None
    control: str | None = None
    own_seed: int = 0
    seeds: Annotated[str, In(("fixed", "until_decided"))] = "fixed"
    batch_seeds: PositiveInt | None = None
    max_seeds: PositiveInt = 60
    arms: dict[str, Any] = field(default_factory=dict)
    controls: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)


@dataclass
class Config:
    """Every top-level key. Groups (env, model, optimizer, parallelism, logger) are checked against the class of
    ``_target_``."""

    env: dict[str, Any] = MISSING
    model: dict[str, Any] = MISSING
    optimizer: dict[str, Any] = MISSING
    parallelism: dict[str, Any] = MISSING
    logger: dict[str, Any] = MISSING

    workers: Annotated[int, Ge(1), Example(4)] = 12
    gamma: Annotated[float, Gt(0), Le(1)] = 0.99
    gae_lambda: Annotated[float, Ge(0), Le(1)] = 1.0
    normalize_advantage: bool = False
    beta: Annotated[float, Ge(0)] = 0.01
    n_step: PositiveInt = 5
    bptt: Annotated[int, Ge(1), Example(1)] | None = None
    window_ends_with_episode: bool = False
    max_episodes: Annotated[int, Ge(1), Example(1000)] | None = None
    max_env_steps: Annotated[int, Ge(1), Example(1_000_000)] | None = None
    max_updates: Annotated[int, Ge(1), Example(100_000)] | None = None
    max_episode_steps: Annotated[int, Ge(1), Example(200)] | None = None
    truncation: Truncation = Truncation.end
    bootstrap_on_truncation: bool = True
    value_coef: Annotated[float, Ge(0)] = 0.5
    value_loss: ValueLoss = ValueLoss.mse
    reduction: Reduction = Reduction.mean
    reductions: ReductionsConfig = field(default_factory=ReductionsConfig)
    max_grad_norm: Annotated[float, Gt(0), Example(40)] | None = None
    reward_shift: float = 0.0
    reward_scale: Annotated[float, Ne(0)] = 1.0  # rewards are divided by it
    reward_clip: Annotated[float, Gt(0), Example(3)] | None = None
    normalize: NormalizeConfig = field(default_factory=NormalizeConfig)
    lr_schedule: Annotated[Any, _SCHEDULE] = ScheduleKind.constant.value
    beta_schedule: Annotated[Any, _SCHEDULE] = ScheduleKind.constant.value
    max_grad_norm_schedule: Annotated[Any, _SCHEDULE] = ScheduleKind.constant.value
    per_worker: PerWorkerConfig = field(default_factory=PerWorkerConfig)
    seed: NonNegativeInt = 0
    num_seeds: Annotated[int, Ge(1), Example(10)] = 1
    device: Device = Device.cpu
    compile: bool | Annotated[str, In(("auto",))] = "auto"
    precision: Precision = Precision.float32

    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    screenshots: ScreenshotsConfig = field(default_factory=ScreenshotsConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)

    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    ablation: AblationConfig = field(default_factory=AblationConfig)
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    name: str | None = None
    tags: list[str] = field(default_factory=list)


RESOLVER = re.compile(r"(?<!\\)\$\{[^}]*:")
"""An interpolation whose value comes from outside the configuration."""


def register() -> None:
    """Make the schema known to Hydra as ``a3c_exp_schema``, the first entry of conf/config.yaml."""
    ConfigStore.instance().store(name="a3c_exp_schema", node=Config, provider="a3c_exp")


def resolve_resolvers(config: Any) -> None:
    """Put values in place of a node's resolvers (``${oc.env:SEED}``): a run saves what it had. References to keys stay."""
    for key in range(len(config)) if isinstance(config, ListConfig) else config:
        node = config._get_node(key)
        if isinstance(node, DictConfig | ListConfig) and not node._is_interpolation():
            if not node._is_none() and not node._is_missing():
                resolve_resolvers(node)
        elif RESOLVER.search(str(node._value())):
            config[key] = config[key]


def check(config: DictConfig) -> None:
    """Refuse values outside their range: a ConfigError names every one, what is allowed, and what to type."""
    names, problems = [field.name for field in fields(Config)], []
    for key in [str(key) for key in config if key not in names]:
        hint = explain_key(key, names) or f"There are {', '.join(names)}"
        problems.append(f"there is no key {key}. {hint}")
    problems += field_problems(Config, typing.cast(Mapping[str, Any], OmegaConf.to_container(config, resolve=True)))
    check_ablation(config.ablation)
    if config.truncation is Truncation.ignore and config.max_episode_steps is not None:
        problems.append(
            f"max_episode_steps is {config.max_episode_steps}, but truncation=ignore lets episodes run past any limit. "
            "Try truncation=end, or max_episode_steps=null"
        )
    if config.max_episodes is None and config.max_env_steps is None and config.max_updates is None:
        problems.append("nothing ends this run: max_episodes, max_env_steps, max_updates are null. Try max_env_steps=1000000")
    if problems:
        raise ConfigError("\n".join(problems))


def field_type(key: str) -> Any:
    """The annotation of a dotted key; ``None``: there is no such key, or it is a group's, whose class has the annotation."""
    hint: Any = Config
    for part in key.split("."):
        hint = typing.get_type_hints(hint, include_extras=True).get(part) if is_dataclass(hint) else None
    return None if typing.get_origin(hint) is dict else hint


def keys(config: DictConfig, prefix: str = "") -> list[str]:
    """Every key that can stand on a command line, dotted."""
    names = []
    for key in [key for key in config if not str(key).startswith("_")]:
        names.append(f"{prefix}{key!s}")
        node = None if OmegaConf.is_missing(config, key) else config._get_node(key)
        if isinstance(node, DictConfig) and isinstance(node._content, dict):
            names += keys(node, f"{prefix}{key!s}.")
    return names


def config_to_dict(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain containers with all references resolved."""
    return typing.cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, enum_to_str=True))
