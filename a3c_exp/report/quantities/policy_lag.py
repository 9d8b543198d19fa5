"""How policy lag was distributed over the pushes of some runs."""

import math
from collections.abc import Sequence

import numpy as np

from a3c_exp.report.aggregate import Curve
from a3c_exp.report.columns import FloatArray
from a3c_exp.report.run_reader import RunData
from a3c_exp.runs.tolerant_io import mapping, number

_MAX_BINS = 4096  # bins; a longer list was not written by a run


def lag_shares(runs: Sequence[RunData]) -> Curve | None:
    """Share of pushes at each lag, over all runs that say; ``None`` if none does.

    Returns:
        ``x``: lags in updates, from -1 to one beyond the largest seen, where ``y``, the share, is 0: so that steps around
        each lag close at both ends.
    """
    histograms = [(run, counts) for run in runs if (counts := _lag_histogram(run)) is not None]
    total = np.zeros(max((counts.size for _, counts in histograms), default=0))
    for _, counts in histograms:
        total[: counts.size] += counts
    if not total.any():
        return None
    last = int(total.nonzero()[0][-1])
    shares = np.concatenate([[0.0], total[: last + 1] / total.sum(), [0.0]])
    return Curve(histograms[0][0], np.arange(-1.0, last + 2.0), shares)


def _lag_histogram(run: RunData) -> FloatArray | None:
    """Pushes at each lag, as the run's summary has them; ``None`` if it has none, or not that."""
    counts = mapping(run.summary_json.get("policy_lag")).get("histogram")
    if not isinstance(counts, list) or not 0 < len(counts) <= _MAX_BINS:
        return None
    values = [number(count) for count in counts]
    return np.array(values) if all(math.isfinite(value) and value >= 0 for value in values) else None
