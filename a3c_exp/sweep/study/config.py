"""What ``hydra.sweeper`` says of a study, checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from optuna.study import StudyDirection

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
    n_trials: int
    n_jobs: int
    seeds: tuple[int, ...]
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any] | None
    params: Mapping[str, str]
    custom_search_space: Mapping[str, Any] | None
    max_failure_rate: float
    heartbeat_timeout: float

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
    rate = content["max_failure_rate"]
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate <= 1:
        raise ConfigError(f"hydra.sweeper.max_failure_rate is {rate}, but it is a share above 0 and at most 1. Try 1.0")
    timeout = content["heartbeat_timeout"]
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not (timeout >= 1 and math.isfinite(timeout)):
        raise ConfigError(
            f"hydra.sweeper.heartbeat_timeout is {timeout}, but it is at least 1 second. Try hydra.sweeper.heartbeat_timeout=60"
        )
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
        n_trials=_positive_int("n_trials", content["n_trials"], 60),
        n_jobs=_positive_int("n_jobs", content["n_jobs"], 2),
        seeds=_seeds(content["seeds"], seed),
        sampler=_component_config("sampler", content["sampler"]),
        pruner=None if content["pruner"] is None else _component_config("pruner", content["pruner"]),
        params=_params(content["params"]),
        custom_search_space=None if custom is None else _component_config("custom_search_space", custom),
        max_failure_rate=float(rate),
        heartbeat_timeout=float(timeout),
    )


def _positive_int(key: str, value: Any, example: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(
            f"hydra.sweeper.{key} is {value}, but it is a whole number of at least 1. Try hydra.sweeper.{key}={example}"
        )
    return value


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
