"""What ``hydra.sweeper`` says of a study, checked."""

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le
from omegaconf import DictConfig, OmegaConf
from optuna.study import StudyDirection

from a3c_exp.config.type_checks import Example, PositiveInt, value_problem
from a3c_exp.sweep.study.objective import Objective
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.suggestions import closest_match

SWEEPER_TARGET = "hydra_plugins.a3c_exp_optuna.OptunaSweeper"
_HYDRA_KEYS = ("_target_", "_recursive_", "_convert_")


@dataclass(frozen=True)
class StudySettings:
    """A study, as asked for.

    Attributes:
        study_name: ``None``: named by date and time.
        storage: ``None``: a journal file in the study's directory; ``journal:FILE``; an SQLAlchemy URL.
        objectives: one, or several without pruning.
        n_trials: in all, those of earlier sessions included.
        n_jobs: trials that run side by side.
        seeds: of each trial, one run after another; empty: the configuration's own seed, or ``num_seeds`` side by side.
        sampler, pruner: Optuna's, by ``_target_``.
        params: the search space by key, as it would be typed.
        custom_search_space: a function by ``_target_``, or ``None``.
        max_failure_rate: share of this session's trials that may fail before it stops, in (0, 1].
        heartbeat_timeout: seconds without a sign of life after which a running trial is dead.
    """

    study_name: str | None
    storage: str | None
    objectives: tuple[Objective, ...]
    n_trials: Annotated[PositiveInt, Example(60)]
    n_jobs: Annotated[PositiveInt, Example(2)]
    seeds: tuple[int, ...]
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any] | None
    params: Mapping[str, str]
    custom_search_space: Mapping[str, Any] | None
    max_failure_rate: Annotated[float, Gt(0), Le(1), Example(1)]
    heartbeat_timeout: Annotated[float, Ge(1), Example(60)]

    @property
    def directions(self) -> list[StudyDirection]:
        return [StudyDirection[objective.direction.upper()] for objective in self.objectives]


def is_study(hydra: DictConfig) -> bool:
    """Whether the composed ``hydra`` node chose our sweeper."""
    return bool(hydra.sweeper.get("_target_") == SWEEPER_TARGET)


def read_settings(sweeper: DictConfig, seed: int) -> StudySettings:
    """The settings in ``hydra.sweeper``.

    Args:
        sweeper: the composed node.
        seed: the configuration's own, from which ``seeds=3`` counts.

    Raises:
        ConfigError: a value that is wrong, with what is allowed.
    """
    content = OmegaConf.to_container(sweeper, resolve=True)
    assert isinstance(content, dict)
    known = [*_HYDRA_KEYS, "direction", "objective", *StudySettings.__dataclass_fields__]
    for key in map(str, content):
        if key not in known:
            guess = closest_match(key, known)
            raise ConfigError(f"hydra.sweeper.{key} is no key of a study." + (f" Did you mean {guess}?" if guess else ""))
    hints = typing.get_type_hints(StudySettings, include_extras=True)
    for key in ("n_trials", "n_jobs", "max_failure_rate", "heartbeat_timeout"):
        if problem := value_problem(f"hydra.sweeper.{key}", content[key], hints[key]):
            raise ConfigError(problem)
    name = content["study_name"]
    if name is not None and (not str(name).strip() or "/" in str(name) or str(name).startswith(".")):
        raise ConfigError(f"hydra.sweeper.study_name is {name!r}, but it names a folder too: letters, digits, _ and -")
    storage = content["storage"]
    if storage is not None and not isinstance(storage, str):
        raise ConfigError(
            f"hydra.sweeper.storage is {storage!r}, but it is null, journal:FILE or a database's URL such as sqlite:///study.db"
        )
    custom = content["custom_search_space"]
    if isinstance(custom, str):
        custom = {"_target_": custom}
    return StudySettings(
        study_name=None if name is None else str(name),
        storage=storage,
        objectives=_objectives(content["objective"], content["direction"]),
        n_trials=content["n_trials"],
        n_jobs=content["n_jobs"],
        seeds=_seeds(content["seeds"], seed),
        sampler=_component_config("sampler", content["sampler"]),
        pruner=None if content["pruner"] is None else _component_config("pruner", content["pruner"]),
        params=_params(content["params"]),
        custom_search_space=None if custom is None else _component_config("custom_search_space", custom),
        max_failure_rate=float(content["max_failure_rate"]),
        heartbeat_timeout=float(content["heartbeat_timeout"]),
    )


def _objectives(names: Any, directions: Any) -> tuple[Objective, ...]:
    listed = [str(name) for name in names] if isinstance(names, list) else [str(names)]
    ways = [str(way) for way in directions] if isinstance(directions, list) else [str(directions)]
    if len(listed) != len(ways) or not listed:
        raise ConfigError(
            f"hydra.sweeper.objective has {len(listed)} and hydra.sweeper.direction {len(ways)} entries; each objective needs "
            "its direction, as in objective=[evaluation.mean,wall_time] direction=[maximize,minimize]"
        )
    if len(set(listed)) < len(listed):
        raise ConfigError(f"hydra.sweeper.objective names the same quantity twice: {', '.join(listed)}")
    return tuple(Objective(name, way) for name, way in zip(listed, ways, strict=True))


def _seeds(value: Any, seed: int) -> tuple[int, ...]:
    if value is None:
        return ()
    found = list(range(seed, seed + value)) if isinstance(value, int) and not isinstance(value, bool) else value
    valid = isinstance(found, list) and found and all(isinstance(one, int) and one >= 0 for one in found)
    if not valid or len(set(found)) < len(found):
        raise ConfigError(
            f"hydra.sweeper.seeds is {value}, but it is a list of different seeds such as [0,1,2], or how many (3). "
            "null: one run a trial"
        )
    return tuple(found)


def _component_config(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("_target_"), str):
        raise ConfigError(f"hydra.sweeper.{key} names nothing: it needs a line such as `_target_: optuna.{key}s.SomeClass`")
    return {str(name): item for name, item in value.items()}


def _params(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError("hydra.sweeper.params is a mapping of keys to what may be tried, such as gamma: interval(0.8, 0.999)")
    return {str(key): _as_override_text(key, item) for key, item in value.items()}


def _as_override_text(key: Any, item: Any) -> str:
    if isinstance(item, bool):
        return str(item).lower()
    if isinstance(item, str | int | float):
        return str(item)
    raise ConfigError(f"hydra.sweeper.params.{key} is {item}, but it is text such as interval(0.8, 0.999) or choice(4, 6, 12)")
