"""What every folder may use of the operating system and the process: errors, commands, files, processes, signals, memory."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.system.errors import A3CError as A3CError, ConfigError as ConfigError, RunFailed as RunFailed
