"""Where a run's records go: JSON lines on disk, the terminal, Weights & Biases."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.loggers.base import Logger as Logger
    from a3c_exp.loggers.base import NullLogger as NullLogger
    from a3c_exp.loggers.base import RunInfo as RunInfo
    from a3c_exp.loggers.console import ConsoleLogger as ConsoleLogger
    from a3c_exp.loggers.jsonl import JsonlLogger as JsonlLogger
else:
    __getattr__, __all__ = lazy_exports(
        __name__, ConsoleLogger="console", JsonlLogger="jsonl", Logger="base", NullLogger="base", RunInfo="base"
    )
