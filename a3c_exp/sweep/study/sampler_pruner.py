"""Optuna's sampler and pruner, made from their ``_target_``."""

import inspect
from collections.abc import Mapping
from typing import Any

import optuna
from hydra.utils import get_class, instantiate
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler

from a3c_exp.sweep.study.config import StudySettings
from a3c_exp.system.errors import ConfigError

_SEQUENTIAL_SAMPLERS = ("QMCSampler", "GridSampler", "BruteForceSampler")
"""Samplers that walk through one sequence, which their seed lays out: all processes must have the same."""
_DEFAULT_ARGUMENTS = {"n_startup_trials": 5, "n_warmup_steps": 2, "n_min_trials": 3, "seed": 0}
"""What conf/hydra/sweeper/optuna.yaml gives its own sampler and pruner. Hydra leaves it there when ``_target_`` is changed."""


def make_sampler(settings: StudySettings, num_trials: int) -> BaseSampler:
    """The study's sampler.

    Args:
        settings: of the study.
        num_trials: of trials so far. It is added to the sampler's seed: two processes that share a seed would else draw alike,
            and a study that goes on would draw once more what it began with.

    Raises:
        ConfigError: it cannot be made.
    """
    given = dict(settings.sampler)
    seed = given.get("seed")
    if isinstance(seed, int) and str(given["_target_"]).rpartition(".")[2] not in _SEQUENTIAL_SAMPLERS:
        given["seed"] = seed + num_trials
    made = _instantiate("sampler", given)
    if not isinstance(made, BaseSampler):
        raise ConfigError(f"hydra.sweeper.sampler._target_={given['_target_']} is no Optuna sampler")
    return made


def make_pruner(settings: StudySettings) -> BasePruner:
    """The study's pruner: one that never prunes where there are several objectives, or none seen while a run trains.

    Raises:
        ConfigError: it cannot be made.
    """
    if settings.pruner is None:
        return NopPruner()
    made = _instantiate("pruner", settings.pruner)
    if not isinstance(made, BasePruner):
        raise ConfigError(f"hydra.sweeper.pruner._target_={settings.pruner['_target_']} is no Optuna pruner")
    return made if can_prune(settings) else NopPruner()


def can_prune(settings: StudySettings) -> bool:
    """Whether trials of this study can be pruned at all."""
    return settings.pruner is not None and len(settings.objectives) == 1 and settings.objectives[0].known_during_training


def _instantiate(key: str, config: Mapping[str, Any]) -> Any:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        taken = inspect.signature(get_class(config["_target_"])).parameters
        left_over = [key for key, value in _DEFAULT_ARGUMENTS.items() if key not in taken and config.get(key) == value]
        return instantiate({key: value for key, value in config.items() if key not in left_over})
    except Exception as error:  # a constructor's own
        cause = error.__cause__ or error
        raise ConfigError(f"hydra.sweeper.{key}={config['_target_']} cannot be made: {str(cause).splitlines()[0]}") from None
