"""Which runs are the same experiment with another seed, and what their curves have in common."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from a3c_exp.report.columns import FloatArray
from a3c_exp.report.run_reader import RunData
from a3c_exp.runs.config_values import PER_RUN_KEYS, distinguishing_keys, flatten_as_text
from a3c_exp.runs.discovery import natural_sort_key
from a3c_exp.runs.tolerant_io import printable
from a3c_exp.stats.estimates import MIN_SEEDS, bootstrap_interval

Axis = Literal["episode", "env_step", "wall_time", "lag"]
CurveSource = Literal["episodes", "metrics", "evaluations", "lags"]
_OLD_RUN_DEFAULTS = {  # what runs that are older than these keys would have said
    "ablation.name": "null",
    "ablation.arm": "null",
    "ablation.control": "null",
    "ablation.own_seed": "0",
}
_MIN_PROGRESS = 0.5  # a run that got less far than this share of the farthest is left out of a band of unfinished ones
_ABSENT = "(none)"
_UNREADABLE = "configuration unreadable:"


@dataclass(frozen=True, eq=False)
class Configuration:
    """Runs that differ in nothing but the seed.

    Attributes:
        label: what tells it from the others, such as ``workers=4``.
        short_label: the same without what all labels share, such as ``4``.
        values: the configuration values that differ between configurations, ``(name, text)`` each.
        runs: in natural order of their seeds.
    """

    label: str
    short_label: str
    values: tuple[tuple[str, str], ...]
    runs: tuple[RunData, ...]

    @property
    def num_seeds(self) -> int:
        """How many different seeds; runs that name none count one each."""
        known = {run.seed for run in self.runs if run.seed != "?"}
        return len(known) + sum(run.seed == "?" for run in self.runs)


@dataclass(frozen=True, eq=False)
class Comparison:
    """All runs of a report, by configuration.

    Attributes:
        varying_keys: names of the configuration values that differ, ``seed`` aside; empty for one configuration.
        title: what ``short`` labels are values of (``workers``), or empty.
        configurations: in natural order of their labels.
    """

    varying_keys: tuple[str, ...]
    title: str
    configurations: tuple[Configuration, ...]

    @property
    def runs(self) -> tuple[RunData, ...]:
        """Every run, in order of configuration and seed."""
        return tuple(run for configuration in self.configurations for run in configuration.runs)


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity of one run: ``x`` [n] strictly increasing, ``y`` [n] finite, n > 0."""

    run: RunData
    x: FloatArray
    y: FloatArray


@dataclass(frozen=True, eq=False)
class Band:
    """What ``num_seeds`` runs have in common: ``x``, ``middle``, ``low`` and ``high``, each [points]."""

    x: FloatArray
    middle: FloatArray
    low: FloatArray
    high: FloatArray
    num_seeds: int


def group_by_configuration(runs: Sequence[RunData], ignore: Iterable[str] = ()) -> Comparison:
    """Group ``runs`` by the configuration values that differ between them.

    Args:
        runs: at least one.
        ignore: names of values that make no difference, in addition to ``PER_RUN_KEYS``; everything below an
            ignored name is ignored too.

    Runs whose configuration cannot be read form groups of their own, by what was typed on the command line.
    """
    ignored = (*PER_RUN_KEYS, *ignore)
    known = {run: _OLD_RUN_DEFAULTS | dict(flatten_as_text(run.config, ignored)) for run in runs if run.config}
    names = sorted({name for values in known.values() for name in values}, key=natural_sort_key)
    varying = [name for name in names if len({values.get(name, _ABSENT) for values in known.values()}) > 1]
    groups: dict[tuple[tuple[str, str], ...], list[RunData]] = defaultdict(list)
    for run in runs:
        if run in known:
            key = tuple((name, known[run].get(name, _ABSENT)) for name in varying)
        else:
            key = ((_UNREADABLE, " ".join(_typed_overrides(run, ignored))),)
        groups[key].append(run)
    labels = _labels({key: found for key, found in groups.items() if _UNREADABLE not in dict(key)}, ignored)
    labels |= {key: f"{_UNREADABLE} {dict(key)[_UNREADABLE]}".strip(" :") for key in groups if key not in labels}
    labels = {key: printable(label) for key, label in labels.items()}
    title, shorts = _shorten_labels(list(labels.values()))
    configurations = [
        Configuration(label, short, key, tuple(sorted(groups[key], key=lambda run: natural_sort_key(f"{run.seed} {run.path}"))))
        for (key, label), short in zip(labels.items(), shorts, strict=True)
    ]
    return Comparison(tuple(varying), title, tuple(sorted(configurations, key=lambda item: natural_sort_key(item.label))))


def run_curve(run: RunData, source: CurveSource, quantity: str, axis: Axis) -> Curve | None:
    """``quantity`` over ``axis`` from one of the run's tables; ``None`` if it has no finite point.

    Points are sorted (workers finish out of order) and of several at the same place the last counts.
    """
    columns = {"episodes": run.episodes, "metrics": run.metrics, "evaluations": run.evaluations}.get(source, {})
    if axis not in columns or quantity not in columns:
        return None
    x, y = columns[axis], columns[quantity]
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if not x.size:
        return None
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    last = np.append(np.diff(x) > 0, True)
    return Curve(run, x[last], y[last])


def band_members(curves: Sequence[Curve]) -> list[Curve]:
    """Those that make up a band: finished runs if they are enough, else all that got half as far as the farthest.

    A run that died early would cut the common range short for all others; and a band whose members change along the
    way jumps where nothing happened. So membership is decided once, and who is left out is said.
    """
    finished = [item for item in curves if item.run.status == "finished"]
    if len(finished) >= MIN_SEEDS:
        return finished
    farthest = max((item.x[-1] for item in curves), default=math.inf)
    return [item for item in curves if item.x[-1] >= _MIN_PROGRESS * farthest]


def align(curves: Sequence[Curve], points: int = 200) -> tuple[FloatArray, FloatArray]:
    """Interpolate linearly onto one axis over the range that all curves share; nothing is extrapolated.

    Returns:
        ``x`` [points] and ``y`` [curves, points]; both empty along points if the curves share no range.
    """
    low, high = max(item.x[0] for item in curves), min(item.x[-1] for item in curves)
    x = np.linspace(low, high, points) if high > low else np.array([low] if high == low else [])
    return x, np.stack([np.interp(x, item.x, item.y) for item in curves])


def quartile_band(curves: Sequence[Curve], points: int = 200) -> Band | None:
    """Median and middle half over seeds; ``None`` with fewer than three members."""
    enough = band_members(curves)
    if len(enough) < MIN_SEEDS:
        return None
    x, y = align(enough, points)
    if not x.size:
        return None
    low, middle, high = np.quantile(y, (0.25, 0.5, 0.75), axis=0)
    return Band(x, middle, low, high, len(enough))


def mean_band(curves: Sequence[Curve], points: int = 40) -> Band | None:
    """Mean over seeds with its 95 % percentile bootstrap interval at each point; ``None`` as in ``quartile_band``."""
    enough = band_members(curves)
    if len(enough) < MIN_SEEDS:
        return None
    x, y = align(enough, min(points, max(item.x.size for item in enough)))
    if not x.size:
        return None
    intervals = np.array([bootstrap_interval(column, resamples=2000) for column in y.T])  # [points, 2]
    return Band(x, y.mean(axis=0), intervals[:, 0], intervals[:, 1], len(enough))


def _typed_overrides(run: RunData, ignored: Sequence[str]) -> list[str]:
    """The overrides of a run, those of ignored names left out."""
    return [text for text in run.overrides if text.lstrip("+~").split("=")[0].split("@")[0] not in ignored]


def _labels(
    groups: Mapping[tuple[tuple[str, str], ...], Sequence[RunData]], ignored: Sequence[str]
) -> dict[tuple[tuple[str, str], ...], str]:
    """A short name for each group: what the person typed where that distinguishes them, else the differing values."""
    typed = {key: {tuple(_typed_overrides(run, ignored)) for run in runs} for key, runs in groups.items()}
    if not groups:
        return {}
    if len(groups) == 1:
        ((key, texts),) = typed.items()
        return {key: " ".join(min(texts)) or "default configuration"}
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
