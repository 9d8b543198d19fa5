"""Conditions on runs, as typed: ``env=pendulum``, ``workers>=6``, ``status=finished,failed``, ``name~lr``."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from operator import ge, gt, le, lt
from typing import Any

from a3c_exp.runs.config_values import MISSING, as_text
from a3c_exp.runs.run_summary import METADATA_KEYS, RESULT_KEYS, RunSummary
from a3c_exp.runs.status import STATUSES
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.suggestions import closest_match

CONDITION_HINT = "a condition is key=value, as in env=pendulum; < and > need quotes, since the shell takes them: 'workers>=6'"
_CONDITION = re.compile(r"([A-Za-z_][\w.-]*)\s*(==|!=|>=|<=|!~|=|>|<|~)\s*(.*)", re.DOTALL)
_ORDERINGS = {">=": ge, "<=": le, ">": gt, "<": lt}
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d(:\d\d(:\d\d)?)?)?)?)?")
_DATE_KEYS = ("created", "ended")


@dataclass(frozen=True)
class Condition:
    """One condition.

    Attributes:
        key: of ``RunSummary.value``.
        operator: ``=`` and ``!=`` (any of ``values``, in which ``*`` stands for anything), ``~`` and ``!~`` (contains, in any
            case), or an ordering.
        values: what it is held against.
    """

    key: str
    operator: str
    values: tuple[str, ...]

    def matches(self, summary: RunSummary) -> bool:
        """Whether it does; a run that has no such key fulfils ``!=`` and ``!~`` only."""
        found = summary.value(self.key)
        if self.operator in _ORDERINGS:
            return found is not MISSING and found is not None and self._compare_ordered(found)
        texts = [] if found is MISSING else [as_text(found).replace(" ", ""), str(found)]
        if self.operator in ("~", "!~"):
            inside = any(value.lower() in text.lower() for value in self.values for text in texts[1:])
            return inside == (self.operator == "~")
        same = any(fnmatchcase(text, value.replace("[", "[[]")) for value in self.values for text in texts)
        return same == (self.operator == "=")

    def _compare_ordered(self, actual: Any) -> bool:
        if self.key in _DATE_KEYS:  # as far as was typed: created<=2026-11-20 takes in all of that day
            theirs = self.values[0].replace(" ", "T")
            return _compare(str(actual)[: len(theirs)], theirs, self.operator)
        return _compare(_float_or_nan(actual), _float_or_nan(self.values[0]), self.operator)


def is_condition(text: str) -> bool:
    """Whether ``text`` looks like a condition, right or wrong."""
    return _CONDITION.fullmatch(text) is not None


def parse_condition(text: str) -> Condition:
    """The condition that ``text`` is.

    Raises:
        ConfigError: it is none, or one that can never hold.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r} is no condition: {CONDITION_HINT}")
    key, operator, typed = match.groups()
    operator = "=" if operator == "==" else operator
    values = tuple(_normalized_value(part) for part in _split_alternatives(typed))
    if operator in _ORDERINGS:
        _check_ordering(text, key, operator, typed)
    if key == "status" and operator == "=":
        for value in values:
            if "*" not in value and value not in STATUSES:
                known = ", ".join(STATUSES)
                raise ConfigError(f"{text}: there is no status {value!r}.{_suggestion(value, STATUSES)} There are {known}")
    return Condition(key, operator, values)


def _check_ordering(text: str, key: str, operator: str, typed: str) -> None:
    if key in _DATE_KEYS:
        if not _DATE.fullmatch(typed):
            raise ConfigError(f"{text}: {typed!r} is no date; write it as 2026-11-21 or 2026-11-21T14:30")
    elif len(_split_alternatives(typed)) > 1:
        raise ConfigError(f"{text}: {operator} takes one value; several, any of which will do, go with =: {key}={typed}")
    elif math.isnan(_float_or_nan(typed)):
        raise ConfigError(f"{text}: {operator} compares numbers (and the dates created and ended), got {typed!r}")


def select_runs(summaries: Sequence[RunSummary], conditions: Sequence[Condition]) -> list[RunSummary]:
    """The entries for which all ``conditions`` hold.

    Raises:
        ConfigError: none of the entries has a key that is asked for; a wrong one is not just a list of nothing.
    """
    kept = list(summaries)
    for condition in conditions:
        left = [entry for entry in kept if condition.matches(entry)]
        if not left or condition.operator.startswith("!"):
            check_key(condition.key, summaries)
        kept = left
    return kept


def check_key(key: str, summaries: Sequence[RunSummary]) -> None:
    """Refuse a key that no entry has.

    Raises:
        ConfigError: names the nearest that there is.
    """
    if key in METADATA_KEYS or key in RESULT_KEYS or any(entry.value(key) is not MISSING for entry in summaries):
        return
    raise ConfigError(
        f"none of these {len(summaries)} runs has {key!r}.{_suggestion(key, _known_keys(summaries))} Try: show RUN, which lists them"
    )


def _known_keys(summaries: Iterable[RunSummary]) -> list[str]:
    names = dict.fromkeys((*METADATA_KEYS, *RESULT_KEYS))
    for entry in list(summaries)[:20]:
        names |= dict.fromkeys(name for name, _ in entry.config_items()) | dict.fromkeys(map(str, entry.config))
    return list(names)


def _suggestion(word: str, choices: Sequence[str]) -> str:
    ends = {choice.rpartition(".")[2]: choice for choice in reversed(choices)} | {choice: choice for choice in choices}
    match = closest_match(word, ends)
    return f" Did you mean {ends[match]}?" if match else ""


def _split_alternatives(text: str) -> list[str]:
    """Split at the commas that are in no brackets: ``[200,100],[64]`` are two."""
    return re.split(r",(?![^\[]*\])", text)


def _normalized_value(typed: str) -> str:
    """As ``summary_text`` would write it: numbers in any notation, true, false and null in any case."""
    text = typed.strip()
    if text.lower() in ("true", "false", "null", "none"):
        return "null" if text.lower() == "none" else text.lower()
    if text.startswith("["):
        return text.replace(" ", "")
    return as_text(text)


def _float_or_nan(value: Any) -> float:
    if isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _compare(actual: Any, expected: Any, operator: str) -> bool:
    return bool(_ORDERINGS[operator](actual, expected))
