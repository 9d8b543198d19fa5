"""What a study may try: the search space, from the words on the command line and in YAML to Optuna's distributions."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from hydra.core.override_parser.types import IntervalSweep, Override, Quote, QuotedString, RangeSweep, Transformer
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from a3c_exp.config.compose import parse_overrides
from a3c_exp.system.errors import ConfigError

CustomSearchSpace = Callable[[DictConfig, optuna.Trial], Mapping[str, Any] | None]
_NUM_CHECKED_DRAWS = 5
"""Draws of a Python function that are tried before a study starts."""


@dataclass(frozen=True)
class SearchSpace:
    """A search space.

    Attributes:
        distributions: by parameter; their names are the configuration's keys.
        keys: what stands before the ``=`` of each parameter's override; a ``+`` more than its name, perhaps.
        fixed: the overrides that all trials share.
        custom: draws parameters of its own, some depending on others; ``None`` without.
    """

    distributions: Mapping[str, BaseDistribution]
    keys: Mapping[str, str]
    fixed: tuple[str, ...]
    custom: CustomSearchSpace | None = None

    def suggest_overrides(self, trial: optuna.Trial, base: DictConfig) -> list[str]:
        """One trial's overrides, those that all share included."""
        for name, distribution in self.distributions.items():
            trial._suggest(name, distribution)
        drawn = dict(trial.params)
        if self.custom is not None:
            told = self.custom(base.copy(), trial)
            drawn = dict(trial.params) if told is None else {name: drawn[name] for name in self.distributions} | dict(told)
        return [*self.fixed, *(f"{self.keys.get(name, name)}={format_override_value(value)}" for name, value in drawn.items())]

    def probes(self, base: DictConfig) -> list[list[str]]:
        """Overrides that try the ends of every range and every choice at least once, and some draws of a function."""
        ends = {name: _range_ends(distribution) for name, distribution in self.distributions.items()}
        longest = max(map(len, ends.values()), default=0)
        corners = [{name: values[min(at, len(values) - 1)] for name, values in ends.items()} for at in range(longest)]
        found = [
            [*self.fixed, *(f"{self.keys[name]}={format_override_value(value)}" for name, value in corner.items())]
            for corner in corners
        ]
        if self.custom is not None:
            study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
            try:
                draws = [self.suggest_overrides(study.ask(), base) for _ in range(_NUM_CHECKED_DRAWS)]
            except Exception as error:  # a person's own code raises what it likes
                raise ConfigError(f"hydra.sweeper.custom_search_space failed: {type(error).__name__}: {error}") from None
            if not any(trial.params for trial in study.get_trials(deepcopy=False)):
                raise ConfigError("hydra.sweeper.custom_search_space suggested nothing, so there is nothing to search")
            found += draws
        return found

    def descriptions(self) -> dict[str, str]:
        """Each parameter's range in words that can be typed again."""
        return {name: describe_distribution(distribution) for name, distribution in self.distributions.items()}


def read_search_space(
    params: Mapping[str, str], overrides: Sequence[str], custom: Mapping[str, Any] | None, base: DictConfig | None = None
) -> SearchSpace:
    """The search space.

    Args:
        params: from YAML, by key.
        overrides: overrides on the command line; they win over ``params``.
        custom: a function by ``_target_``, with further arguments for it.
        base: the configuration that is searched around; its values say whether a range is of whole numbers.

    Raises:
        ConfigError: it is empty or contradicts itself.
    """
    listed = parse_overrides([f"{key}={text}" for key, text in params.items()])
    for override in listed:
        if not override.is_sweep_override():
            raise ConfigError(
                f"hydra.sweeper.params has {override.input_line}, which is one value and no range. What all trials share "
                "stands outside of params, or on the command line"
            )
    on_line = [override for override in parse_overrides(list(overrides)) if not override.is_hydra_override()]
    _reject_duplicates(on_line)
    named = {_parameter_name(override) for override in on_line}
    chosen = [*on_line, *(override for override in listed if _parameter_name(override) not in named)]
    distributions, keys, fixed = {}, {}, []
    for override in chosen:
        if override.is_sweep_override():
            distributions[_parameter_name(override)] = _parse_distribution(override, base)
            keys[_parameter_name(override)] = override.get_key_element()
        else:
            fixed.append(override.input_line or "")
    function = None if custom is None else _load_custom_function(custom)
    if function is None and all(distribution.single() for distribution in distributions.values()):
        raise ConfigError(
            "there is nothing to search: no parameter has more than one value. "
            "Try gamma=interval(0.9,0.999) n_step=choice(5,10,20), or +study=pendulum"
        )
    return SearchSpace(distributions, keys, tuple(fixed), function)


def format_override_value(value: Any) -> str:
    """A value as it stands behind an override's ``=``.

    >>> format_override_value(True), format_override_value(None), format_override_value(1e-05), format_override_value("adam"), format_override_value("a,b")
    ('true', 'null', '1e-05', 'adam', "'a,b'")
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return repr(value)
    plain = value[:1] in ("[", "{", "'", '"') or re.fullmatch(r"[\w./:+-]+", value)
    return value if plain else QuotedString(value, Quote.single).with_quotes()


def describe_distribution(distribution: BaseDistribution) -> str:
    """A distribution as it would be typed.

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
    seen: dict[str, Override] = {}
    for override in overrides:
        before = seen.setdefault(_parameter_name(override), override)
        if before is not override and (before.is_sweep_override() or override.is_sweep_override()):
            raise ConfigError(
                f"{before.input_line} and {override.input_line} contradict each other: give {_parameter_name(override)} once"
            )


def _parse_distribution(override: Override, base: DictConfig | None) -> BaseDistribution:
    said, value = override.input_line, override.value()
    kind = _number_type(override, base)
    try:
        if isinstance(value, IntervalSweep):
            return _interval_distribution(value, kind)
        if isinstance(value, RangeSweep) and not value.shuffle:
            return _range_distribution(value, [float(item) for item in override.sweep_iterator(Transformer.identity)], kind)  # type: ignore[arg-type]
        choices = list(override.sweep_iterator(Transformer.encode))
        if isinstance(value, RangeSweep):
            choices.sort(key=float)  # type: ignore[arg-type]  # it was shuffled, which means that order tells nothing
        if len(set(map(repr, choices))) < len(choices):
            raise ConfigError("the same choice stands there twice")
        return CategoricalDistribution(choices)  # type: ignore[arg-type]
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{said}: {str(error).splitlines()[0]}") from None


def _interval_distribution(value: IntervalSweep, number_type: type | None) -> BaseDistribution:
    assert value.start is not None and value.end is not None
    log = _is_log_scale(value.tags)
    low, high = value.start, value.end
    _check_bounds(low, high, log)
    whole = isinstance(low, int) and isinstance(high, int)
    if number_type is int or (number_type is None and whole):
        return IntDistribution(_to_integer(low), _to_integer(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _range_distribution(value: RangeSweep, items: list[float], number_type: type | None) -> BaseDistribution:
    log, step = _is_log_scale(value.tags), abs(float(value.step))
    if not items:
        raise ConfigError(f"no number lies in this range: it starts at {value.start} and ends before {value.stop}")
    low, high = min(items), max(items)
    _check_bounds(low, high, log)
    if log and step != 1:
        raise ConfigError("a logarithmic range takes no step. Try tag(log, interval(low, high))")
    whole = all(item.is_integer() for item in [*items, step]) and isinstance(value.start, int)
    if number_type is int or (number_type is None and whole):
        return IntDistribution(_to_integer(low), _to_integer(high), step=_to_integer(step), log=log)
    return FloatDistribution(low, high, log=log) if log else FloatDistribution(low, high, step=step)


def _check_bounds(low: float, high: float, log: bool) -> None:
    if low > high:
        raise ConfigError(f"the lower end {low} is above the upper end {high}")
    if log and low <= 0:
        raise ConfigError(f"a logarithmic scale begins above 0, not at {low}")


def _is_log_scale(tags: set[str]) -> bool:
    if unknown := sorted(tags - {"log"}):
        raise ConfigError(f"tag {unknown[0]} means nothing here; there is log, as in tag(log, interval(1e-4, 1e-1))")
    return "log" in tags


def _to_integer(value: float) -> int:
    if not float(value).is_integer():
        raise ConfigError(f"this key takes whole numbers, not {value}")
    return int(value)


def _number_type(override: Override, base: DictConfig | None) -> type | None:
    """Whether the configuration has whole numbers or others at this key; ``None`` if it does not say."""
    if base is None:
        return None
    try:
        parent, _, last = _parameter_name(override).rpartition(".")
        node = (OmegaConf.select(base, parent) if parent else base)._get_node(last)
    except Exception:  # no such key: composing a probe says so, and better
        return None
    if node is None:
        return None
    for kind in (int, float):
        if node._metadata.ref_type is kind:
            return kind
    value = node._value()
    return type(value) if type(value) in (int, float) else None


def _load_custom_function(custom: Mapping[str, Any]) -> CustomSearchSpace:
    target = custom["_target_"]
    try:
        found = get_method(target)
    except Exception as error:  # whatever importing somebody's module raises
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"hydra.sweeper.custom_search_space._target_={target} cannot be imported: {reason}. "
            "Name a function(config, trial), and start in the folder that holds its module"
        ) from None
    given = {key: value for key, value in custom.items() if not key.startswith("_")}

    def draw(config: DictConfig, trial: optuna.Trial) -> Mapping[str, Any] | None:
        told: Mapping[str, Any] | None = found(config, trial, **given)
        return told

    return draw


def _range_ends(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]
