"""What all trials of a study have in common, and must keep in common when it goes on."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from a3c_exp.config.schema import config_to_dict
from a3c_exp.sweep.study.config import StudySettings
from a3c_exp.sweep.study.search_space import SearchSpace
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.flatten import flatten

_IRRELEVANT_KEYS = ("logger", "name", "tags", "checkpoint", "screenshots", "metrics", "evaluation.video")
"""Parts of the configuration that change nothing in what a trial is worth."""


def study_signature(settings: StudySettings, space: SearchSpace, base: DictConfig) -> dict[str, Any]:
    """As it is kept in the study: plain values only."""
    custom = settings.custom_search_space
    return {
        "objectives": [[objective.name, objective.direction] for objective in settings.objectives],
        "space": space.descriptions(),
        "custom_search_space": None if custom is None else dict(custom),
        "seeds": list(settings.seeds),
        "config": {
            key: value
            for key, value in flatten(config_to_dict(base)).items()
            if key not in space.distributions and not _is_irrelevant(key)
        },
    }


def check_same_study(name: str, location: str, stored: Mapping[str, Any], requested: Mapping[str, Any]) -> None:
    """Refuse to go on with a study whose trials would not compare with the new ones.

    Args:
        name, location: of the study, for the message.
        stored: the contract it was begun with.
        requested: the contract of this command.

    Raises:
        ConfigError: names the first difference.
    """
    before, now = flatten(stored), flatten(requested)
    for key in [*before, *(key for key in now if key not in before)]:
        if before.get(key) != now.get(key):
            shown = key.removeprefix("config.").removeprefix("space.")
            begun, wanted = (one.get(key, "not there") for one in (before, now))
            raise ConfigError(
                f"study {name} in {location} was begun with {shown}: {begun}, and this command has {shown}: {wanted}. "
                "Give it as it was, or begin another study: study.study_name=..."
            )


def _is_irrelevant(key: str) -> bool:
    return any(key == part or key.startswith(f"{part}.") for part in _IRRELEVANT_KEYS)
