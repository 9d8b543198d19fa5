"""What all trials of a study must have in common, also when the study is resumed."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from a3c_exp.config.schema import config_to_dict
from a3c_exp.sweep.study.config import StudyConfig
from a3c_exp.sweep.study.search_space import SearchSpace
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.flatten import flatten

_IRRELEVANT_KEYS = ("logger", "name", "tags", "checkpoint", "screenshots", "metrics", "evaluation.video")
"""Parts of the configuration that do not change a trial's value."""


def study_signature(study_config: StudyConfig, space: SearchSpace, base: DictConfig) -> dict[str, Any]:
    """As it is stored in the study, in plain values."""
    custom = study_config.custom_search_space
    return {
        "objectives": [[objective.name, objective.direction] for objective in study_config.objectives],
        "space": space.descriptions(),
        "custom_search_space": None if custom is None else dict(custom),
        "seeds": list(study_config.seeds),
        "config": {
            key: value
            for key, value in flatten(config_to_dict(base)).items()
            if key not in space.distributions and not _is_irrelevant(key)
        },
    }


def check_same_study(name: str, location: str, stored: Mapping[str, Any], requested: Mapping[str, Any]) -> None:
    """Refuse to resume a study whose trials could not be compared with the new ones.

    Args:
        name, location: of the study, for the message.
        stored: the signature of the study.
        requested: the signature of this command.

    Raises:
        ConfigError: names the first difference.
    """
    before, now = flatten(stored), flatten(requested)
    for key in [*before, *(key for key in now if key not in before)]:
        if before.get(key) != now.get(key):
            name_in_command = key.removeprefix("config.").removeprefix("space.")
            old, new = before.get(key, "not there"), now.get(key, "not there")
            raise ConfigError(
                f"study {name} in {location} was started with {name_in_command}: {old}, and this command has "
                f"{name_in_command}: {new}. Type the old value, or start another study: study.study_name=..."
            )


def _is_irrelevant(key: str) -> bool:
    return any(key == part or key.startswith(f"{part}.") for part in _IRRELEVANT_KEYS)
