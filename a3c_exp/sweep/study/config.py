"""The configuration of a study in ``hydra.sweeper``, checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, get_type_hints

from annotated_types import Ge, Gt, Le
from omegaconf import DictConfig, OmegaConf
from optuna.study import StudyDirection

from a3c_exp.config.other_names import explain_key
from a3c_exp.config.type_checks import Example, PositiveInt, value_problem
from a3c_exp.runs.config_values import select
from a3c_exp.runs.log_records import EvaluationRecord
from a3c_exp.system.errors import ConfigError, NonFiniteError, closest_match

SWEEPER_TARGET = "hydra_plugins.a3c_exp_optuna.OptunaSweeper"
_HYDRA_KEYS = ("_target_", "_recursive_", "_convert_")
_NUMBERS = ("n_trials", "n_jobs", "max_failure_rate", "heartbeat_timeout")


_EVALUATED = [field.name for field in fields(EvaluationRecord) if field.name not in ("deterministic", "returns", "best")]
OBJECTIVE_NAMES = (
    *(f"{kind}.{name}" for kind in ("evaluation", "best_evaluation") for name in _EVALUATED),
    *("episodes", "env_steps", "updates", "wall_time", "steps_per_second", "moving_average", "recent_return"),
    *("policy_lag.mean", "policy_lag.max"),
)
"""Every quantity that each run's summary has; ``parallelism.<name>`` are those of one kind of parallelism."""


@dataclass(frozen=True)
class Objective:
    """What a study maximizes or minimizes: a quantity of the run's summary."""

    name: str  # dotted, as in summary.json
    direction: str  # maximize or minimize

    def __post_init__(self) -> None:
        if self.direction not in ("maximize", "minimize"):
            raise ConfigError(f"study.direction={self.direction}, but it is maximize or minimize. Try study.direction=maximize")
        if self.name not in OBJECTIVE_NAMES and not self.name.startswith("parallelism."):
            guess = closest_match(self.name, OBJECTIVE_NAMES)
            hint = f"Did you mean {guess}?" if guess else f"There are {', '.join(OBJECTIVE_NAMES)}"
            raise ConfigError(f"hydra.sweeper.objective is {self.name}, which no run's summary has. {hint}")

    def final_value(self, summary: Mapping[str, Any]) -> float:
        """Its value in a run's summary. Raises ConfigError if that lacks it, NonFiniteError if it is not a finite number."""
        value = select(summary, self.name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ConfigError(f"the run's summary has no number {self.name}. Choose another study.objective")
        if not math.isfinite(value):
            raise NonFiniteError(f"{self.name} is {value}, so this trial has no value")
        return float(value)

    @property
    def known_during_training(self) -> bool:
        """Whether evaluations during a run give a value, so that the run can be pruned."""
        return self.name.startswith(("evaluation.", "best_evaluation."))

    def intermediate_value(self, evaluation: EvaluationRecord, previous: float | None) -> float:
        """Its value at the newest evaluation of a run; of the best one so far, it may be the ``previous`` value."""
        if self.name.startswith("best_") and not evaluation.best and previous is not None:
            return previous
        return float(getattr(evaluation, self.name.partition(".")[2]))


@dataclass(frozen=True)
class StudyConfig:
    """The configuration of a study."""

    study_name: str | None  # None: named by date and time
    storage: str | None  # None: a journal file in the study's directory; journal:FILE; an SQLAlchemy URL
    objectives: tuple[Objective, ...]  # one, or several without pruning
    n_trials: Annotated[PositiveInt, Example(60)]  # in all sessions together
    n_jobs: Annotated[PositiveInt, Example(2)]  # trials that run side by side
    seeds: tuple[int, ...]  # of each trial, one run after another; empty: the configuration's, or num_seeds side by side
    sampler: Mapping[str, Any]  # Optuna's, by _target_
    pruner: Mapping[str, Any] | None  # likewise
    params: Mapping[str, str]  # the search space by key, as it would be typed
    custom_search_space: Mapping[str, Any] | None  # a function by _target_
    max_failure_rate: Annotated[float, Gt(0), Le(1), Example(1)]  # of this session's trials, before the study stops
    heartbeat_timeout: Annotated[float, Ge(1), Example(60)]  # seconds of silence after which a running trial counts as dead

    @property
    def directions(self) -> list[StudyDirection]:
        return [StudyDirection[objective.direction.upper()] for objective in self.objectives]


def is_study(hydra: DictConfig) -> bool:
    """Whether the composed ``hydra`` node chose the sweeper that runs studies."""
    return bool(hydra.sweeper.get("_target_") == SWEEPER_TARGET)


def read_study_config(sweeper: DictConfig, seed: int) -> StudyConfig:
    """``hydra.sweeper``, checked; ``seed`` is the run's own, the first of ``seeds=3``. Raises ConfigError for a wrong value."""
    content = OmegaConf.to_container(sweeper, resolve=True)
    assert isinstance(content, dict)
    known = [*_HYDRA_KEYS, "direction", "objective", *StudyConfig.__dataclass_fields__]
    for key in map(str, content):
        if key not in known:
            raise ConfigError(f"hydra.sweeper.{key} is no key of a study. {explain_key(key, known)}")
    hints = get_type_hints(StudyConfig, include_extras=True)
    for key in _NUMBERS:
        if problem := value_problem(f"hydra.sweeper.{key}", content[key], hints[key]):
            raise ConfigError(problem)
    name, storage, custom = content["study_name"], content["storage"], content["custom_search_space"]
    custom = {"_target_": custom} if isinstance(custom, str) else custom
    if name is not None and (not str(name).strip() or "/" in str(name) or str(name).startswith(".")):
        raise ConfigError(f"hydra.sweeper.study_name is {name!r}, but it names a folder too. Use letters, digits, _ and -")
    if storage is not None and not isinstance(storage, str):
        raise ConfigError(
            f"study.storage is {storage!r}, but it is null, journal:FILE or a URL. Try study.storage=sqlite:///a.db"
        )
    return StudyConfig(
        study_name=None if name is None else str(name),
        storage=storage,
        objectives=_objectives(content["objective"], content["direction"]),
        seeds=_seeds(content["seeds"], seed),
        sampler=_component_config("sampler", content["sampler"]),
        pruner=None if content["pruner"] is None else _component_config("pruner", content["pruner"]),
        params=_params(content["params"]),
        custom_search_space=None if custom is None else _component_config("custom_search_space", custom),
        **{key: content[key] for key in _NUMBERS},
    )


def _objectives(names: Any, directions: Any) -> tuple[Objective, ...]:
    names, directions = (list(map(str, value if isinstance(value, list) else [value])) for value in (names, directions))
    if len(names) != len(directions) or not names:
        raise ConfigError(
            f"hydra.sweeper.objective has {len(names)} and hydra.sweeper.direction {len(directions)} entries; each objective "
            "needs its direction. Try objective=[evaluation.mean,wall_time] direction=[maximize,minimize]"
        )
    if len(set(names)) < len(names):
        raise ConfigError(f"hydra.sweeper.objective names the same quantity twice: {', '.join(names)}. Name each once")
    return tuple(map(Objective, names, directions))


def _seeds(value: Any, seed: int) -> tuple[int, ...]:
    if value is None:
        return ()
    seeds = list(range(seed, seed + value)) if isinstance(value, int) and not isinstance(value, bool) else value
    valid = isinstance(seeds, list) and seeds and all(isinstance(item, int) and item >= 0 for item in seeds)
    if not valid or len(set(seeds)) < len(seeds):
        kinds = "a list of different seeds such as [0,1,2], or how many (3)"
        raise ConfigError(f"hydra.sweeper.seeds is {value}, but it is {kinds}. Leave it out for one run a trial")
    return tuple(seeds)


def _component_config(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("_target_"), str):
        raise ConfigError(f"hydra.sweeper.{key} names nothing. Write a line such as `_target_: optuna.{key}s.SomeClass`")
    return {str(name): item for name, item in value.items()}


def _params(value: Any) -> dict[str, str]:
    if not isinstance(value, dict | None):
        raise ConfigError("hydra.sweeper.params is no mapping of keys to ranges. Write gamma: interval(0.8, 0.999)")
    params = {}
    for key, item in (value or {}).items():
        if not isinstance(item, str | int | float):
            raise ConfigError(f"hydra.sweeper.params.{key} is {item}, but it is text. Write interval(0.8, 0.9) or choice(4, 6)")
        params[str(key)] = str(item).lower() if isinstance(item, bool) else str(item)
    return params
