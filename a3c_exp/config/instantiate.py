"""From a config node with a ``_target_`` to a checked, picklable recipe for the object it describes."""

import importlib
import inspect
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from omegaconf import DictConfig, OmegaConf

from a3c_exp.config.other_names import explain_key
from a3c_exp.config.schema import Config
from a3c_exp.config.type_checks import value_problem
from a3c_exp.system.errors import ConfigError


def checked_partial(node: DictConfig, path: str, caller_arguments: Iterable[str] = (), expected: type = object) -> partial[Any]:
    """The class that ``node._target_`` names with the node's values bound: ``functools.partial(cls, **values)``; nested nodes
    with a ``_target_`` of their own are built.

    Args:
        path: where the node stands, for messages: ``model`` or ``model.head``.
        caller_arguments: arguments that the caller will add and that may therefore not stand in the config.
        expected: the base class, or the protocol whose methods the class must have.

    Raises ConfigError: no such class, one of another kind, an unknown or a missing key, or a value of a wrong type.
    """
    content = typing.cast(dict[Any, Any], OmegaConf.to_container(node, resolve=True))
    return _checked_partial({str(key): value for key, value in content.items()}, path, caller_arguments, (expected,))


def _checked_partial(content: Mapping[str, Any], path: str, given: Iterable[str], expected: Sequence[type]) -> partial[Any]:
    target = content.get("_target_")
    if not isinstance(target, str):
        raise ConfigError(f"{path} names no class. Write a line such as `_target_: my_package.my_module.MyClass` into its YAML")
    cls = _locate(target, path)
    if expected and not any(_is_kind(cls, kind) for kind in expected):
        kinds = " or ".join(kind.__name__ for kind in expected)
        raise ConfigError(f"{path}._target_={target} is a class, but no {kinds}. Name one that is")
    parameters = inspect.signature(cls).parameters
    hints = typing.get_type_hints(cls.__init__, include_extras=True)  # type: ignore[misc]
    open_ended = next((name for name, parameter in parameters.items() if parameter.kind is parameter.VAR_KEYWORD), None)
    values: dict[str, Any] = {}
    for key, value in content.items():
        if key == "_target_":
            continue
        if open_ended is None and (key not in parameters or key in given):
            names = [name for name in parameters if name not in given]
            hint = explain_key(f"{path}.{key}", [f"{path}.{name}" for name in names])
            if key in Config.__dataclass_fields__:  # a file of one's own without its header
                hint = f"Did you mean {key}? A file in {path}/ that sets it begins with # @package _global_"
            taken = f"It takes {', '.join(names) or 'none'}"
            left_out = f"Where a preset sets it, leave it out: '~{path}.{key}'"
            raise ConfigError(f"{path}.{key} is not a key of {cls.__name__}. {taken}. {f'{hint} ' if hint else ''}{left_out}")
        hint = hints.get(key, hints.get(open_ended or "", object))
        values[key] = _checked_value(value, f"{path}.{key}", parameters.get(key), hint)
    for name, parameter in parameters.items():
        missing = parameter.default is parameter.empty and name not in values and name not in given
        if missing and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(f"{path}.{name} has no value, but {cls.__name__} needs one. Try {path}.{name}=...")
    return partial(cls, **values)


def _locate(target: str, path: str) -> type:
    module, _, name = target.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name)
    except Exception as error:  # a module of a user's own may raise anything
        package = package_of(target)
        hint = ""
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            hint = f". Start `python -m a3c_exp` in the folder that holds {package}, or name that folder in PYTHONPATH"
        raise ConfigError(f"{path}._target_={target} cannot be imported: {type(error).__name__}: {error}{hint}") from error
    if not inspect.isclass(cls):
        raise ConfigError(f"{path}._target_={target} is not a class. Name a class")
    if package_of(target) == "a3c_exp" != package_of(cls.__module__):  # what a module of ours imports is not ours
        own = f"{cls.__module__}.{cls.__qualname__}"
        raise ConfigError(f"{path}._target_={target} is {own}, and no class of a3c_exp. Name it by its own module")
    return cls


def package_of(name: str) -> str:
    """The first part of a dotted name."""
    return name.partition(".")[0]


def _is_kind(cls: type, expected: type) -> bool:
    """Whether a class derives from another or, of a protocol, has its methods."""
    if not getattr(expected, "_is_protocol", False):
        return issubclass(cls, expected)
    methods = [name for name, _ in inspect.getmembers(expected, inspect.isfunction) if not name.startswith("_")]
    return all(callable(getattr(cls, name, None)) for name in methods)


def _classes(hint: Any) -> Sequence[type[Any]]:
    """The classes that an annotation allows; none if it allows everything."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        options = [_classes(option) for option in typing.get_args(hint)]
        return [cls for option in options for cls in option] if all(options) else []
    if origin is Annotated:
        return _classes(typing.get_args(hint)[0])
    found = origin or hint
    return [found] if inspect.isclass(found) else []


def _checked_value(value: Any, path: str, parameter: inspect.Parameter | None, hint: Any) -> Any:
    if isinstance(value, dict) and "_target_" in value:
        return _checked_partial(value, path, (), _classes(hint))()
    default = None if parameter is None or parameter.default is parameter.empty else parameter.default
    if problem := value_problem(path, value, hint, default):
        raise ConfigError(problem)
    base = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    return float(value) if base is float and isinstance(value, int) else value
