"""Where a run's records go: JSON lines on disk, the terminal, Weights & Biases."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.loggers.base import Logger as Logger
    from a3c_exp.loggers.base import NullLogger as NullLogger
    from a3c_exp.loggers.base import RunInfo as RunInfo
    from a3c_exp.loggers.console import ConsoleLogger as ConsoleLogger
    from a3c_exp.loggers.forwarding import forward_to as forward_to
    from a3c_exp.loggers.forwarding import make_console_logger as make_console_logger
    from a3c_exp.loggers.jsonl import JsonlLogger as JsonlLogger
    from a3c_exp.loggers.live_view import LiveView as LiveView
    from a3c_exp.loggers.progress import RunProgress as RunProgress
    from a3c_exp.loggers.seed_average import SeedAverageLogger as SeedAverageLogger
else:
    __getattr__, __all__ = lazy_exports(
        __name__,
        ConsoleLogger="console",
        JsonlLogger="jsonl",
        LiveView="live_view",
        Logger="base",
        NullLogger="base",
        RunInfo="base",
        RunProgress="progress",
        SeedAverageLogger="seed_average",
        forward_to="forwarding",
        make_console_logger="forwarding",
    )
