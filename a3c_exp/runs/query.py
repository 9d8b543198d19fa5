"""Conditions on runs, as typed: ``env=pendulum``, ``workers>=6``, ``status=finished,failed``, ``name~lr``."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from operator import ge, gt, le, lt
from typing import Any

from a3c_exp.runs.config_values import MISSING, as_text
from a3c_exp.runs.run_summary import METADATA_KEYS, RESULT_KEYS, RunSummary
from a3c_exp.runs.status import STATUSES
from a3c_exp.system.errors import ConfigError, closest_match

CONDITION_HINT = "a condition is key=value, as in env=pendulum; < and > need quotes, since the shell takes them: 'workers>=6'"
_CONDITION = re.compile(r"([A-Za-z_][\w.-]*)\s*(==|!=|>=|<=|!~|=|>|<|~)\s*(.*)", re.DOTALL)
_ORDERINGS = {">=": ge, "<=": le, ">": gt, "<": lt}
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d(:\d\d(:\d\d)?)?)?)?)?")
_DATE_KEYS = ("created", "ended")


@dataclass(frozen=True)
class Condition:
    """One condition. ``=`` and ``!=`` compare with any of ``values``, in which ``*`` stands for anything; ``~`` and ``!~`` ask
    whether one is contained, in any case; any other operator is an ordering."""

    key: str  # of RunSummary.value
    operator: str
    values: tuple[str, ...]

    def matches(self, summary: RunSummary) -> bool:
        """Whether a run meets it; one that has no such key meets ``!=`` and ``!~`` only."""
        actual = summary.value(self.key)
        if compare := _ORDERINGS.get(self.operator):
            if actual in (MISSING, None):
                return False
            if self.key in _DATE_KEYS:  # to the precision that was typed: created<=2026-11-20 includes that day
                typed = self.values[0].replace(" ", "T")
                return bool(compare(str(actual)[: len(typed)], typed))
            return bool(compare(_float_or_nan(actual), _float_or_nan(self.values[0])))
        texts = [] if actual is MISSING else [as_text(actual).replace(" ", ""), str(actual)]
        if "~" in self.operator:
            found = any(value.lower() in text.lower() for value in self.values for text in texts[1:])
        else:
            found = any(fnmatchcase(text, value.replace("[", "[[]")) for value in self.values for text in texts)
        return found != self.operator.startswith("!")


def is_condition(text: str) -> bool:
    """Whether ``text`` has the form of a condition."""
    return _CONDITION.fullmatch(text) is not None


def parse_condition(text: str) -> Condition:
    """The condition that ``text`` is. Raises ConfigError if it is none, or one that no run can meet."""
    if (match := _CONDITION.fullmatch(text)) is None:
        raise ConfigError(f"{text!r} is no condition: {CONDITION_HINT}")
    key, operator, typed = match.groups()
    operator = "=" if operator == "==" else operator
    values = tuple(_normalized_value(part) for part in _split_alternatives(typed))
    if operator in _ORDERINGS and key in _DATE_KEYS:
        if not _DATE.fullmatch(typed):
            raise ConfigError(f"{text}: {typed!r} is no date; write it as 2026-11-21 or 2026-11-21T14:30")
    elif operator in _ORDERINGS and len(values) > 1:
        raise ConfigError(f"{text}: {operator} takes one value. Use {key}={typed} for any of several")
    elif operator in _ORDERINGS and math.isnan(_float_or_nan(typed)):
        raise ConfigError(f"{text}: {operator} compares numbers and the dates created and ended. Write a number")
    for value in values if key == "status" and operator == "=" else ():
        if "*" not in value and value not in STATUSES:
            suggestion, statuses = _suggestion(value, STATUSES), ", ".join(STATUSES)
            raise ConfigError(f"{text}: there is no status {value!r}.{suggestion} There are {statuses}")
    return Condition(key, operator, values)


def select_runs(runs: Sequence[RunSummary], conditions: Sequence[Condition]) -> list[RunSummary]:
    """The runs that meet all ``conditions``. Raises ConfigError if no run has a condition's key, which is a mistake then."""
    selected = list(runs)
    for condition in conditions:
        selected = [run for run in selected if condition.matches(run)]
        if not selected or condition.operator.startswith("!"):
            check_key(condition.key, runs)
    return selected


def check_key(key: str, runs: Sequence[RunSummary]) -> None:
    """Raises ConfigError if no run has this key, and names the closest one."""
    if key in METADATA_KEYS or key in RESULT_KEYS or any(run.value(key) is not MISSING for run in runs):
        return
    known = dict.fromkeys((*METADATA_KEYS, *RESULT_KEYS))
    for run in runs[:20]:
        known |= dict.fromkeys(name for name, _ in run.config_items()) | dict.fromkeys(map(str, run.config))
    suggestion = _suggestion(key, list(known))
    raise ConfigError(f"none of these {len(runs)} runs has {key!r}.{suggestion} Try: show RUN, which lists the keys")


def _suggestion(word: str, choices: Sequence[str]) -> str:
    ends = {choice.rpartition(".")[2]: choice for choice in reversed(choices)} | {choice: choice for choice in choices}
    match = closest_match(word, ends)
    return f" Did you mean {ends[match]}?" if match else ""


def _split_alternatives(text: str) -> list[str]:
    """Split at commas outside of brackets: ``[200,100],[64]`` are two."""
    return re.split(r",(?![^\[]*\])", text)


def _normalized_value(typed: str) -> str:
    """As ``as_text`` would write it, for numbers in any notation and true, false and null in any case."""
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
