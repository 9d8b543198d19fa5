"""The search space of a study: from overrides and YAML to Optuna's distributions."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import optuna
from hydra.core.override_parser.types import IntervalSweep, Override, Quote, QuotedString, RangeSweep, Transformer
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from a3c_exp.config.compose import parse_overrides
from a3c_exp.system.errors import ConfigError, first_line

CustomSearchSpace = Callable[[DictConfig, optuna.Trial], Mapping[str, Any] | None]
_NUM_CHECKED_DRAWS = 5  # draws of a Python function that are checked before a study starts


@dataclass(frozen=True)
class SearchSpace:
    """A search space."""

    distributions: Mapping[str, BaseDistribution]  # by parameter; their names are the configuration's keys
    keys: Mapping[str, str]  # the left side of each parameter's override: its name, perhaps with +
    fixed: tuple[str, ...]  # the overrides that all trials share
    custom: CustomSearchSpace | None = None  # suggests further parameters, which may depend on others

    def suggest_overrides(self, trial: optuna.Trial, base: DictConfig) -> list[str]:
        """One trial's overrides, with those that all trials share."""
        for name, distribution in self.distributions.items():
            trial._suggest(name, distribution)
        values = {name: trial.params[name] for name in self.distributions}
        if self.custom is not None:
            returned = self.custom(base.copy(), trial)
            values = dict(trial.params) if returned is None else values | dict(returned)
        return self._overrides(values)

    def _overrides(self, values: Mapping[str, Any]) -> list[str]:
        return [*self.fixed, *(f"{self.keys.get(name, name)}={format_override_value(value)}" for name, value in values.items())]

    def probes(self, base: DictConfig) -> list[list[str]]:
        """Overrides that try the ends of every range and every choice at least once, and some draws of the function."""
        ends = {name: _range_ends(distribution) for name, distribution in self.distributions.items()}
        longest = max(map(len, ends.values()), default=0)
        corners = [{name: values[min(i, len(values) - 1)] for name, values in ends.items()} for i in range(longest)]
        probes = [self._overrides(corner) for corner in corners]
        if self.custom is not None:
            study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
            try:
                draws = [self.suggest_overrides(study.ask(), base) for _ in range(_NUM_CHECKED_DRAWS)]
            except Exception as error:  # the user's code may raise anything
                reason = f"{type(error).__name__}: {error}"
                raise ConfigError(f"hydra.sweeper.custom_search_space failed: {reason}. Mend the function") from None
            if not any(trial.params for trial in study.get_trials(deepcopy=False)):
                raise ConfigError(
                    "hydra.sweeper.custom_search_space suggested nothing. Call trial.suggest_float or the like in it"
                )
            probes += draws
        return probes


def read_search_space(
    params: Mapping[str, str], overrides: Sequence[str], custom: Mapping[str, Any] | None, base: DictConfig | None = None
) -> SearchSpace:
    """The search space of a study. Raises ConfigError if it is empty or contradicts itself.

    ``overrides`` are from the command line and take precedence over ``params``, from YAML by key; ``custom`` is a function by
    ``_target_``, with arguments for it; by the values of ``base``, which is without the search, ranges are of whole numbers.
    """
    listed = parse_overrides([f"{key}={text}" for key, text in params.items()])
    for override in listed:
        if not override.is_sweep_override():
            raise ConfigError(f"hydra.sweeper.params has {override.input_line}, a single value. Write it outside of params")
    typed = [override for override in parse_overrides(list(overrides)) if not override.is_hydra_override()]
    _reject_duplicates(typed)
    names = {_parameter_name(override) for override in typed}
    overriding = [*typed, *(override for override in listed if _parameter_name(override) not in names)]
    searched = {_parameter_name(override): override for override in overriding if override.is_sweep_override()}
    distributions = {name: _parse_distribution(override, base) for name, override in searched.items()}
    keys = {name: override.get_key_element() for name, override in searched.items()}
    fixed = [override.input_line or "" for override in overriding if not override.is_sweep_override()]
    function = None if custom is None else _load_custom_function(custom)
    if function is None and all(distribution.single() for distribution in distributions.values()):
        raise ConfigError("nothing to search: no key has several values. Try gamma=interval(0.9,0.999) or +study=pendulum")
    return SearchSpace(distributions, keys, tuple(fixed), function)


def format_override_value(value: Any) -> str:
    """A value as the right side of an override.

    >>> [format_override_value(value) for value in (True, None, 1e-05, "adam", "a,b", [0, 22])]
    ['true', 'null', '1e-05', 'adam', "'a,b'", '[0,22]']
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(format_override_value, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{format_override_value(item)}" for key, item in value.items()) + "}"
    if not isinstance(value, str):
        return repr(value)
    plain = value[:1] in ("[", "{", "'", '"') or re.fullmatch(r"[\w./:+-]+", value)
    return value if plain else QuotedString(value, Quote.single).with_quotes()


def describe_distribution(distribution: BaseDistribution) -> str:
    """A distribution as it is typed.

    >>> describe_distribution(FloatDistribution(1e-4, 0.1, log=True)), describe_distribution(IntDistribution(2, 20, step=2))
    ('tag(log, interval(0.0001, 0.1))', 'range(2, 21, 2)')
    """
    if isinstance(distribution, CategoricalDistribution):
        return f"choice({', '.join(format_override_value(choice) for choice in distribution.choices)})"
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if isinstance(distribution, IntDistribution) and step != 1:
        return f"range({low}, {high + 1}, {step})"
    if isinstance(distribution, FloatDistribution) and step is not None:
        return f"range({low}, {high} and this, {step})"
    text = f"interval({low}, {high})"
    return f"tag(log, {text})" if distribution.log else text


def _parameter_name(override: Override) -> str:
    return override.get_key_element().lstrip("+~")


def _reject_duplicates(overrides: Sequence[Override]) -> None:
    first_overrides: dict[str, Override] = {}
    for override in overrides:
        before = first_overrides.setdefault(name := _parameter_name(override), override)
        if before is not override and (before.is_sweep_override() or override.is_sweep_override()):
            raise ConfigError(f"{before.input_line} and {override.input_line} contradict each other: give {name} once")


def _parse_distribution(override: Override, base: DictConfig | None) -> BaseDistribution:
    value = override.value()
    try:
        if isinstance(value, IntervalSweep) or (isinstance(value, RangeSweep) and not value.shuffle):
            return _number_distribution(override, value, _number_type(override, base))
        choices = list(override.sweep_iterator(Transformer.encode))
        if isinstance(value, RangeSweep):
            choices.sort(key=float)  # type: ignore[arg-type]  # a shuffled range: choices without an order
        if len(set(map(repr, choices))) < len(choices):
            raise ConfigError("the same choice is there twice. Give each once")
        return CategoricalDistribution(choices)  # type: ignore[arg-type]
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{override.input_line}: {first_line(error)}") from None


def _number_distribution(override: Override, value: IntervalSweep | RangeSweep, number_type: type | None) -> BaseDistribution:
    if unknown := sorted(value.tags - {"log"}):
        raise ConfigError(f"tag {unknown[0]} means nothing here. Try tag(log, interval(1e-4, 1e-1))")
    log, step = "log" in value.tags, 1.0
    assert value.start is not None
    if isinstance(value, RangeSweep):
        items = [float(item) for item in override.sweep_iterator(Transformer.identity)]  # type: ignore[arg-type]
        if not items:
            raise ConfigError(f"no number lies in this range, {value.start} to {value.stop}. Write the smaller number first")
        low, high, step = min(items), max(items), abs(float(value.step))
        are_integers = isinstance(value.start, int) and all(item.is_integer() for item in [*items, step])
    else:
        assert value.end is not None
        low, high, are_integers = value.start, value.end, isinstance(value.start, int) and isinstance(value.end, int)
    if low > high:
        raise ConfigError(f"the lower end {low} is above the upper end {high}. Write the smaller number first")
    if log and low <= 0:
        raise ConfigError(f"a logarithmic scale begins above 0, not at {low}. Try 1e-5")
    if log and step != 1:
        raise ConfigError("a logarithmic range takes no step. Try tag(log, interval(low, high))")
    if number_type is int or (number_type is None and are_integers):
        return IntDistribution(_to_integer(low), _to_integer(high), log, _to_integer(step))
    return FloatDistribution(float(low), float(high), log, step if isinstance(value, RangeSweep) and not log else None)


def _to_integer(value: float) -> int:
    if not float(value).is_integer():
        raise ConfigError(f"this key takes whole numbers, not {value}. Leave out the fraction")
    return int(value)


def _number_type(override: Override, base: DictConfig | None) -> type | None:
    """``int`` or ``float``, as the configuration has at this key; ``None`` if it does not say."""
    if base is None:
        return None
    try:
        parent, _, last = _parameter_name(override).rpartition(".")
        node = (OmegaConf.select(base, parent) if parent else base)._get_node(last)
    except Exception:  # no such key: composing a probe reports it better
        return None
    types = () if node is None else (node._metadata.ref_type, type(node._value()))
    return next((found for found in types if found in (int, float)), None)


def _load_custom_function(custom: Mapping[str, Any]) -> CustomSearchSpace:
    target = custom["_target_"]
    try:
        function = get_method(target)
    except Exception as error:  # whatever importing the user's module raises
        reason = first_line(error)
        raise ConfigError(
            f"hydra.sweeper.custom_search_space._target_={target} cannot be imported: {reason}. "
            "Name a function(config, trial), and start in the folder of its module"
        ) from None
    return partial(function, **{key: value for key, value in custom.items() if not key.startswith("_")})


def num_values(distribution: BaseDistribution) -> float:
    """How many values a parameter can have; infinite for an interval of real numbers."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    return inf if step is None else 1 + round((high - low) / step)


def _range_ends(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]
