"""A line of metrics.jsonl as a run writes it."""

from a3c_exp.algorithm.window_stats import StatisticsTable
from a3c_exp.runs.log_records import MetricsRecord

INFOS = StatisticsTable().infos
_VALUES = {
    "loss": 1.0, "policy_loss": 1.0, "value_loss": 1.0, "entropy": 1.32, "grad_norm": 1.0, "grad_norm_max": 4.0,
    "value_mean": 1.0, "policy_lag_mean": 3.0, "policy_lag_max": 5, "dropped_share": 0.0, "downweighted_share": 0.0,
}  # fmt: skip


def metrics_record(env_step: int, episode: int = 1, steps_per_second: float = 9.0, **statistics: float | None) -> MetricsRecord:
    """With these ``statistics`` in place of the usual ones; what is not among either has no value."""
    values = dict.fromkeys(INFOS) | _VALUES | statistics
    return MetricsRecord(env_step, 1, episode, 1.0, steps_per_second, 9.0, values, INFOS, None)
