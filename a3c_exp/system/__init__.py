"""What every folder may use of the operating system and the process: errors, commands, files, processes, signals, memory."""

from a3c_exp.system.errors import A3CError, ConfigError, RunDirectoryError, RunFailed

__all__ = ["A3CError", "ConfigError", "RunDirectoryError", "RunFailed"]
