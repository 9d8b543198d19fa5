"""Where a run's records go: JSON lines on disk, the terminal, W&B, TensorBoard, MLflow, CSV files."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.loggers.base import Logger as Logger, NullLogger as NullLogger, RunInfo as RunInfo
    from a3c_exp.loggers.console import ConsoleLogger as ConsoleLogger
    from a3c_exp.loggers.jsonl import JsonlLogger as JsonlLogger
