"""Experiments with asynchronous advantage actor-critic (A3C/A2C) reinforcement learning.

    run = a3c_exp.train("env=cartpole", max_env_steps=50_000)
    policy = a3c_exp.load(run.directory)
    action, state = policy.predict(observation)

Nothing is imported before it is used: ``import a3c_exp`` takes milliseconds.
"""

from importlib import import_module

TYPE_CHECKING = False  # true for type checkers, by its name; typing itself takes longer to import than all of this
if TYPE_CHECKING:
    from a3c_exp.api.hub import load_from_hub as load_from_hub, push_to_hub as push_to_hub
    from a3c_exp.api.policy import ActionDistribution as ActionDistribution, Policy as Policy, load as load
    from a3c_exp.api.run_data import Run as Run
    from a3c_exp.api.training import train as train
    from a3c_exp.system.errors import (
        A3CError as A3CError,
        ConfigError as ConfigError,
        HubError as HubError,
        RunFailed as RunFailed,
    )
    from a3c_exp.training.callbacks import Callback as Callback

_MODULES = {
    "A3CError": "system.errors",
    "ActionDistribution": "api.policy",
    "Callback": "training.callbacks",
    "ConfigError": "system.errors",
    "HubError": "system.errors",
    "Policy": "api.policy",
    "Run": "api.run_data",
    "RunFailed": "system.errors",
    "load": "api.policy",
    "load_from_hub": "api.hub",
    "push_to_hub": "api.hub",
    "train": "api.training",
}
"""The public names and the modules that define them."""
__all__ = [*_MODULES]


def __getattr__(name: str) -> object:
    """A public name, or ``__version__``, found when asked for."""
    if name in _MODULES:
        value = globals()[name] = getattr(import_module(f"a3c_exp.{_MODULES[name]}"), name)
        return value
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("a3c_exp")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0+unknown"


def __dir__() -> list[str]:
    return [*globals(), *__all__]
