"""Experiments with asynchronous advantage actor-critic (A3C/A2C) reinforcement learning."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("a3c_exp")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"
