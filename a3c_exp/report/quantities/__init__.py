"""Numbers that a report derives from what runs write."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.report.quantities.policy_lag import lag_shares as lag_shares
    from a3c_exp.report.quantities.value_bias import value_overestimation as value_overestimation
    from a3c_exp.report.quantities.worker_hyperparameters import worker_hyperparameter_table as worker_hyperparameter_table
else:
    __getattr__, __all__ = lazy_exports(
        __name__,
        lag_shares="policy_lag",
        value_overestimation="value_bias",
        worker_hyperparameter_table="worker_hyperparameters",
    )
