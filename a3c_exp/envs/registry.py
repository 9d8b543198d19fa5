"""Gymnasium's registry: from an id to an environment, or to the line that says what is missing."""

import importlib
import re
from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import DependencyNotInstalled

from a3c_exp.config.other_names import ATARI_ID, registered_id
from a3c_exp.envs import mujoco_warnings
from a3c_exp.envs.wrappers import describe_error
from a3c_exp.system.errors import ConfigError, first_line
from a3c_exp.system.extras import PROVIDERS, import_extra, is_installed, missing_extra

_REGISTERED_BY = {
    ATARI_ID: "ale_py",
    r"MiniGrid-|BabyAI-": "minigrid",
    r"Fetch|Hand|Adroit|FrankaKitchen|PointMaze|AntMaze": "gymnasium_robotics",
}
"""Of well-known ids, the package that registers them when it is imported."""


def registered_spec(id: str) -> EnvSpec:
    """What an id is registered with, by the module that it names or a well-known package; a ConfigError if nothing is."""
    module, colon, name = id.rpartition(":")
    problem = f"env.id={id} is not a registered gymnasium environment"
    hint = ""
    if not colon and name not in gymnasium.registry:
        module = next((each for pattern, each in _REGISTERED_BY.items() if re.match(pattern, name)), "")
        hint = f". Try pip install {module.replace('_', '-')}"
    if module in PROVIDERS:
        import_extra(f"env.id={id}", module)
    elif colon or module:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever importing a user's module raises
            raise ConfigError(f"{problem}: importing {module or 'nothing'} failed: {describe_error(error)}{hint}") from error
    try:
        return gymnasium.spec(name)
    except gymnasium.error.Error as error:
        meant = None if colon else registered_id(name)
        mend = f". Try env.id={meant}" if meant not in (None, name) else ""
        raise ConfigError(f"{problem}: {describe_error(error)}{mend}") from error


def is_mujoco(spec: EnvSpec) -> bool:
    """Whether it is one of gymnasium's own environments in MuJoCo."""
    return str(spec.entry_point).startswith("gymnasium.envs.mujoco.")


def drawing_arguments(spec: EnvSpec, render_mode: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """What an environment takes beside the arguments ``given`` to be drawn; one that cannot render need not know any."""
    if render_mode is None:
        return {}
    if not is_mujoco(spec) or "camera_name" in given or "camera_id" in given:
        return {"render_mode": render_mode}
    # What walks would leave the picture. A model without such a camera is drawn as it is without a name.
    return {"render_mode": render_mode, "camera_name": "track"}


def make_environment(id: str, spec: EnvSpec, arguments: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    """``gymnasium.make``; a ConfigError if it fails."""
    if is_mujoco(spec) and is_installed("mujoco"):
        mujoco_warnings.show_each_once()
    try:
        return gymnasium.make(spec, **arguments)
    except DependencyNotInstalled as error:
        if is_mujoco(spec) and not is_installed("mujoco"):
            raise missing_extra(f"env.id={id}", "mujoco") from error
        raise ConfigError(f"env.id={id} needs a package that is missing: {first_line(error)}. Install it first") from error
    except Exception as error:  # of any kind: the constructor is a third party's
        raise ConfigError(
            f"env.id={id} could not be made: {describe_error(error)}. Change env.kwargs, which it was given"
        ) from error
