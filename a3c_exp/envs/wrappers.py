"""Wrappers that the configuration lists, around every copy of an environment."""

import collections.abc
import importlib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import gymnasium

from a3c_exp.envs.frame_skip import FrameSkip
from a3c_exp.envs.info_means import InfoMeans
from a3c_exp.system.errors import ConfigError

WrapFunction = Callable[[gymnasium.Env[Any, Any]], gymnasium.Env[Any, Any]]


def compose_wrappers(wrappers: Sequence[Mapping[str, Any] | str], log_info: Sequence[str] = ()) -> WrapFunction:
    """One function that puts all wrappers around an environment, as ``GymnasiumEnvs`` takes them, the first one innermost, and
    around them what averages ``log_info``; it closes an environment that it could not wrap. A ConfigError here says which name
    cannot be imported or which argument a wrapper does not take, and from the function any error of a wrapper."""
    layers = [_make_wrapper(entry, f"env.wrappers[{place}]") for place, entry in enumerate(wrappers)]
    if log_info:
        layers.append(partial(InfoMeans, keys=list(log_info)))

    def wrap(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
        for layer in layers:
            try:
                env = layer(env)
            except BaseException:
                env.close()
                raise
        return env

    return wrap


def _make_wrapper(entry: Mapping[str, Any] | str, path: str) -> WrapFunction:
    arguments = dict({"_target_": entry} if isinstance(entry, str) else entry)
    target = arguments.pop("_target_", None)
    if not isinstance(target, str):
        raise ConfigError(
            f"{path} names no wrapper. Try '{path.partition('[')[0]}=[{{_target_: gymnasium.wrappers.TimeLimit, "
            "max_episode_steps: 500}]'"
        )
    cls = _locate_wrapper(target, path)
    _require_functions(cls, arguments, path)
    signature = inspect.signature(cls)
    try:
        signature.bind(None, **arguments)
    except TypeError as error:
        taken = ", ".join(list(signature.parameters)[1:]) or "no argument"
        raise ConfigError(f"{path}: {target}: {error}. It takes {taken}") from error

    def layer(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
        built = build_arguments(arguments, path)
        try:
            wrapped = cls(env, **built)
        except Exception as error:  # of any kind: the wrapper is a third party's
            hint = ". Try max_episode_steps=1000" if "max_episode_steps" in str(error) else ""
            raise ConfigError(
                f"{path}: {target} cannot wrap this environment: {describe_error(error).rstrip('.')}{hint}"
            ) from error
        if not isinstance(wrapped, gymnasium.Env):
            raise ConfigError(
                f"{path}: {target} returned a {type(wrapped).__name__}, not an environment. Return the wrapped environment"
            )
        return wrapped

    return layer


def build_arguments(arguments: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Arguments with what they name by ``_target_``, as Hydra has it: an object of a class; with ``_partial_: true`` the class
    or function itself, with the other keys bound. A ConfigError says what cannot be imported or built."""
    return {name: _build(value, f"{path}.{name}") for name, value in arguments.items()}


def _build(value: Any, path: str) -> Any:
    if isinstance(value, list):
        return [_build(item, f"{path}[{place}]") for place, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    arguments = build_arguments({str(key): item for key, item in value.items()}, path)
    target, is_partial = arguments.pop("_target_", None), arguments.pop("_partial_", False)
    if not isinstance(target, str):
        return arguments
    named = _locate(target, path)
    if is_partial:
        return partial(named, **arguments) if arguments else named
    if not inspect.isclass(named):
        meant = arguments.get("path", target)  # of hydra.utils.get_method
        raise ConfigError(
            f"{path}: {target} is a function, and would be called now. Try {{_target_: {meant}, _partial_: true}}"
        )
    try:
        return named(**arguments)
    except Exception as error:  # of any kind: the class may be a third party's
        raise ConfigError(f"{path}: {target} cannot be built: {describe_error(error)}. Change its arguments") from error


def _require_functions(cls: Callable[..., Any], arguments: Mapping[str, Any], path: str) -> None:
    """Refuse a plain value for a parameter that is a function by its annotation: it would fail at the first step."""
    try:
        hints = typing.get_type_hints(cls.__init__ if inspect.isclass(cls) else cls)
    except Exception:  # annotations of others may name what is not there
        return
    for name, value in arguments.items():
        options = (hints.get(name), *typing.get_args(hints.get(name)))  # of Callable | None
        takes_function = any(typing.get_origin(option) is collections.abc.Callable for option in options)
        if takes_function and value is not None and not (isinstance(value, Mapping) and "_target_" in value):
            target = value if isinstance(value, str) else "my_module.my_function"
            raise ConfigError(
                f"{path}.{name} is {value!r}, but it is a function. Try {name}: {{_target_: {target}, _partial_: true}}"
            )


def _locate(target: str, path: str) -> Callable[..., Any]:
    module, _, name = target.rpartition(".")
    try:
        named = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever importing a user's module raises
        hint = f". Try gymnasium.wrappers.{target}" if not module and target in gymnasium.wrappers.__all__ else ""
        raise ConfigError(f"{path}: {target} cannot be imported: {describe_error(error)}{hint}") from error
    if not callable(named):
        raise ConfigError(f"{path}: {target} is a {type(named).__name__}, neither a class nor a function. Name what it holds")
    return cast(Callable[..., Any], named)


def _locate_wrapper(target: str, path: str) -> Callable[..., Any]:
    wrapper = _locate(target, path)
    if wrapper in (gymnasium.wrappers.NormalizeObservation, gymnasium.wrappers.NormalizeReward):
        raise ConfigError(
            f"{path}: {target} scales by averages that each copy of an environment has for itself; evaluations, checkpoints "
            "and other workers have others, and their numbers would be wrong. Try normalize.observation=true or "
            "normalize.reward=true, whose averages all workers share"
        )
    is_wrapper = inspect.isclass(wrapper) and issubclass(wrapper, gymnasium.Env)
    may_be_function = target.partition(".")[0] not in ("a3c_exp", "gymnasium")
    if not is_wrapper and (inspect.isclass(wrapper) or not may_be_function):
        raise ConfigError(
            f"{path}: {target} is no wrapper of environments. Name a subclass of gymnasium.Wrapper, or a function(env)"
        )
    return wrapper


def time_limit(own: int | None, made: gymnasium.Env[Any, Any], wrapped: gymnasium.Env[Any, Any]) -> int | None:
    """The time limit of an environment, ``made`` without and ``wrapped`` with the listed wrappers, in steps of the outermost
    one; ``None``: it has none. A listed ``TimeLimit`` takes the place of the ``own`` limit that the environment was registered
    with, which is in frames where a wrapper skips some."""
    frames, limits = 1, list[int]()
    while isinstance(wrapped, gymnasium.Wrapper) and (wrapped is not made or own is None):
        if isinstance(wrapped, gymnasium.wrappers.TimeLimit):
            limits.append(wrapped._max_episode_steps)
        elif isinstance(wrapped, gymnasium.wrappers.MaxAndSkipObservation | gymnasium.wrappers.AtariPreprocessing | FrameSkip):
            frames *= int(getattr(wrapped, "_skip", 0) or getattr(wrapped, "frame_skip", 1))
        wrapped = wrapped.env
    return min(limits, default=None if own is None else -(-own // frames))


def describe_error(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
