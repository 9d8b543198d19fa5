"""Numbers that a report derives from what runs write."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.report.quantities.policy_lag import lag_shares as lag_shares
    from a3c_exp.report.quantities.value_bias import value_overestimation as value_overestimation
    from a3c_exp.report.quantities.worker_hyperparameters import worker_hyperparameter_table as worker_hyperparameter_table
