"""Experiments with asynchronous advantage actor-critic (A3C/A2C) reinforcement learning."""


def __getattr__(name: str) -> str:
    """``__version__``, found when asked for: finding it takes as long as to read a hundred runs."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("a3c_exp")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0+unknown"
