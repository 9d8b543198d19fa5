"""Which runs are the same experiment with another seed, and what they come down to together."""

import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from a3c_exp.report.columns import FloatArray
from a3c_exp.report.run_reader import RunData
from a3c_exp.runs.config_values import PER_RUN_KEYS, distinguishing_keys, flatten_as_text
from a3c_exp.runs.listing import differing_keys
from a3c_exp.runs.run_directories import natural_sort_key
from a3c_exp.runs.tolerant_io import printable
from a3c_exp.stats.estimates import MIN_SEEDS, NO_INTERVAL, Interval, bootstrap_interval, mean, std

_OLD_RUN_DEFAULTS = {  # what runs that are older than these keys would have said
    "ablation.name": "null", "ablation.arm": "null", "ablation.control": "null", "ablation.own_seed": "0",
    "precision": "float32",
}  # fmt: skip
_ABSENT = "(none)"
_UNREADABLE = "configuration unreadable:"
_Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Configuration:
    """Runs that differ in nothing but the seed."""

    label: str  #: what tells it from the others, such as ``workers=4``
    short_label: str  #: the same without what all labels share, such as ``4``
    values: _Key  #: the configuration values that differ between configurations, ``(name, text)`` each
    runs: tuple[RunData, ...]  #: in natural order of their seeds

    @property
    def num_seeds(self) -> int:
        """How many different seeds; runs that name none count one each."""
        known = {run.seed for run in self.runs if run.seed != "?"}
        return len(known) + sum(run.seed == "?" for run in self.runs)

    @property
    def statuses(self) -> Counter[str]:
        """How many runs of each status."""
        return Counter(run.status for run in self.runs)

    @cached_property
    def averaged_runs(self) -> tuple[RunData, ...]:
        """The runs that means are over: the finished ones, or all with an episode if none is finished. A seed that died early
        says how training fails, not how good it gets. The report names those that are left out."""
        finished = tuple(run for run in self.runs if run.status == "finished")
        return finished or tuple(run for run in self.runs if run.episodes["episode"].size)

    def results(self, key: str) -> FloatArray:
        """The finite numbers among ``RunSummary.result`` of the averaged runs."""
        values = np.array([run.result(key) for run in self.averaged_runs], dtype=np.float64)
        return values[np.isfinite(values)]

    def mean(self, key: str) -> float:
        """Mean of ``results``; NaN for none."""
        return mean(self.results(key))

    def std(self, key: str) -> float:
        """Sample standard deviation of ``results``; NaN for fewer than two."""
        return std(self.results(key))

    @cached_property
    def interval(self) -> tuple[Interval, str]:
        """95 % interval of the mean last evaluation, and over what: ``seeds`` (three or more), ``episodes``, or nothing."""
        evaluated = [run for run in self.averaged_runs if math.isfinite(run.result("evaluation"))]
        if len(evaluated) >= MIN_SEEDS:
            return bootstrap_interval([run.result("evaluation") for run in evaluated]), "seeds"
        if len(evaluated) == 1:
            interval = evaluated[0].interval("evaluation")
            if math.isfinite(sum(interval)):
                return interval, "episodes"
        return NO_INTERVAL, ""


@dataclass(frozen=True, eq=False)
class Comparison:
    """All runs of a report, by configuration."""

    varying_keys: tuple[str, ...]  #: names of the configuration values that differ, ``seed`` aside; empty for one configuration
    title: str  #: what ``short`` labels are values of (``workers``), or empty
    configurations: tuple[Configuration, ...]  #: in natural order of their labels

    @property
    def heading(self) -> str:
        """What stands above the configurations in a table."""
        return self.title or "configuration"

    @property
    def runs(self) -> tuple[RunData, ...]:
        """Every run, in order of configuration and seed."""
        return tuple(run for configuration in self.configurations for run in configuration.runs)

    @cached_property
    def parent(self) -> Path:
        """The deepest directory that holds all runs."""
        return Path(os.path.commonpath([run.path.resolve().parent for run in self.runs]))


def runs_by_task(runs: Sequence[RunData]) -> dict[str, list[RunData]]:
    """The runs of each task, whose numbers have nothing in common; all by an empty name where they are of one."""
    found: dict[str, list[RunData]] = defaultdict(list)
    for run in runs:
        found[run.task or "task unknown"].append(run)
    return dict(sorted(found.items())) if len({run.task for run in runs} - {""}) > 1 else {"": list(runs)}


def group_by_configuration(runs: Sequence[RunData], ignore: Iterable[str] = ()) -> Comparison:
    """Group ``runs`` (at least one) by the configuration values that differ between them, without ``PER_RUN_KEYS``, those to
    ``ignore``, and all below them. Runs whose configuration cannot be read form groups by what was typed."""
    ignored = (*PER_RUN_KEYS, *ignore)
    known = {run: _OLD_RUN_DEFAULTS | dict(flatten_as_text(run.config, ignored)) for run in runs if run.config}
    varying = differing_keys(list(known.values()))
    groups: dict[_Key, list[RunData]] = defaultdict(list)
    for run in runs:
        unreadable = ((_UNREADABLE, " ".join(_typed_overrides(run, ignored))),)
        groups[tuple((name, known[run].get(name, _ABSENT)) for name in varying) if run in known else unreadable].append(run)
    labels = _labels({key: found for key, found in groups.items() if _UNREADABLE not in dict(key)}, ignored)
    labels |= {key: f"{_UNREADABLE} {dict(key)[_UNREADABLE]}".strip(" :") for key in groups if key not in labels}
    labels = {key: printable(label) for key, label in labels.items()}
    title, shorts = _shorten_labels(list(labels.values()))
    configurations = [
        Configuration(label, short, key, tuple(sorted(groups[key], key=lambda run: natural_sort_key(f"{run.seed} {run.path}"))))
        for (key, label), short in zip(labels.items(), shorts, strict=True)
    ]
    return Comparison(tuple(varying), title, tuple(sorted(configurations, key=lambda item: natural_sort_key(item.label))))


def _typed_overrides(run: RunData, ignored: Sequence[str]) -> list[str]:
    return [text for text in run.overrides if text.lstrip("+~").split("=")[0].split("@")[0] not in ignored]


def _labels(groups: Mapping[_Key, Sequence[RunData]], ignored: Sequence[str]) -> dict[_Key, str]:
    """A short name for each group: what the person typed where that distinguishes them, else the differing values."""
    typed = {key: {tuple(_typed_overrides(run, ignored)) for run in runs} for key, runs in groups.items()}
    if len(groups) < 2:
        return {key: " ".join(min(texts)) or "default configuration" for key, texts in typed.items()}
    shared = set.intersection(*(set(text) for texts in typed.values() for text in texts))
    words = {key: {" ".join(t for t in text if t not in shared) for text in texts} for key, texts in typed.items()}
    labels = {key: min(texts) for key, texts in words.items()}
    one_each = all(len(texts) == 1 for texts in words.values())
    if one_each and all(labels.values()) and len(set(labels.values())) == len(groups):
        return labels
    chosen = distinguishing_keys(list(groups))
    return {key: " ".join(f"{name}={value}" for name, value in key if name in chosen) for key in groups}


def _shorten_labels(labels: Sequence[str]) -> tuple[str, list[str]]:
    """``workers``, ``["4", "6"]`` from ``["workers=4", "workers=6"]``; no title and the labels if names differ."""
    heads = {label.split("=")[0] for label in labels}
    if len(labels) > 1 and len(heads) == 1 and all(label.count("=") == 1 and " " not in label for label in labels):
        return heads.pop().lstrip("+~"), [label.split("=")[1] for label in labels]
    return "", list(labels)
