"""MLflow, in a process of its own that a run never waits for."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.loggers.mlflow_logger.logger import MlflowLogger as MlflowLogger
    from a3c_exp.loggers.mlflow_logger.study import MlflowStudy as MlflowStudy, TrialRecord as TrialRecord
