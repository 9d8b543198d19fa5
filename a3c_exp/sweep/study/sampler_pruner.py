"""Optuna's sampler and pruner, made from their ``_target_``."""

import inspect
import math
from collections.abc import Mapping
from typing import Any

import optuna
from hydra.utils import get_class, instantiate
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, BruteForceSampler, GridSampler

from a3c_exp.sweep.study.config import StudyConfig
from a3c_exp.sweep.study.search_space import SearchSpace, describe_distribution, num_values
from a3c_exp.system.errors import ConfigError, first_line

_SEQUENTIAL_SAMPLERS = ("QMCSampler", "GridSampler", "BruteForceSampler")
"""Samplers that enumerate one sequence, which depends on the seed: it must be the same in all processes."""
_DEFAULT_ARGUMENTS = {"n_startup_trials": 5, "n_warmup_steps": 2, "n_min_trials": 3, "seed": 0}
"""What conf/hydra/sweeper/optuna.yaml sets for its own sampler and pruner. Hydra keeps it when ``_target_`` is changed."""


def make_sampler(study_config: StudyConfig, num_trials: int) -> BaseSampler:
    """The study's sampler; raises ConfigError if it cannot be made. The number of trials so far is added to its seed, or two
    processes would propose the same values and a resumed study its first values again."""
    config = dict(study_config.sampler)
    seed = config.get("seed")
    if isinstance(seed, int) and str(config["_target_"]).rpartition(".")[2] not in _SEQUENTIAL_SAMPLERS:
        config["seed"] = seed + num_trials
    sampler: BaseSampler = _instantiate("sampler", config, BaseSampler)
    return sampler


def check_sampler(study_config: StudyConfig, space: SearchSpace) -> None:
    """Raises ConfigError for a sampler that cannot be made, or that tries every point once and has fewer points than trials."""
    sampler = make_sampler(study_config, 0)
    if not isinstance(sampler, GridSampler | BruteForceSampler) or space.custom is not None:
        return
    name = type(sampler).__name__
    sizes = {key: num_values(distribution) for key, distribution in space.distributions.items()}
    if isinstance(sampler, GridSampler):
        grid = {key: list(values) for key, values in sampler._search_space.items()}
        for key in {**grid, **space.distributions}:
            distribution = space.distributions.get(key)
            if key not in grid or distribution is None or not all(_contains(distribution, value) for value in grid[key]):
                searched = describe_distribution(distribution) if distribution is not None else "nothing"
                raise ConfigError(
                    f"{key}: {name} is to try {grid.get(key, 'nothing')}, and the search space has {searched}. Try the same "
                    f"values in both: 'study.sampler.search_space.{key}=[...]' '{key}=choice(...)'"
                )
        sizes = {key: len(values) for key, values in grid.items()}
    points = math.prod(sizes.values())
    if points == math.inf:
        key = next(key for key, size in sizes.items() if size == math.inf)
        searched = describe_distribution(space.distributions[key])
        raise ConfigError(f"{name} tries every value, and {key}={searched} has no end of them. Try {key}=choice(...)")
    if points < study_config.n_trials:
        raise ConfigError(
            f"study.n_trials is {study_config.n_trials}, but {name} tries every point once, and there are {points}. "
            f"Try study.n_trials={points}"
        )


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):  # what is no choice, or no number
        return False


def make_pruner(study_config: StudyConfig) -> BasePruner:
    """The study's pruner; one that never prunes if the study cannot. Raises ConfigError if it cannot be made."""
    chosen = study_config.pruner
    pruner: BasePruner = NopPruner() if chosen is None else _instantiate("pruner", chosen, BasePruner)
    return pruner if can_prune(study_config) else NopPruner()


def can_prune(study_config: StudyConfig) -> bool:
    """Whether trials can be pruned at all: there is a pruner, and one objective, which is known before a run ends."""
    objectives = study_config.objectives
    return study_config.pruner is not None and len(objectives) == 1 and objectives[0].known_during_training


def _instantiate(key: str, config: Mapping[str, Any], expected: type) -> Any:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        cls = get_class(config["_target_"])
        if not issubclass(cls, expected):  # before it is called
            raise TypeError(f"it is no Optuna {key}")
        parameters = inspect.signature(cls).parameters
        unused = [key for key, value in _DEFAULT_ARGUMENTS.items() if key not in parameters and config.get(key) == value]
        return instantiate({key: value for key, value in config.items() if key not in unused})
    except Exception as error:  # whatever the constructor raises
        target, reason = config["_target_"], first_line(error.__cause__ or error)
        raise ConfigError(f"hydra.sweeper.{key}={target} cannot be made: {reason}. Change study.{key}.<name>=...") from None
