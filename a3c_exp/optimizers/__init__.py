"""Optimizers whose weights and state are flat vectors, which workers can share."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.optimizers.adam import Adam as Adam
    from a3c_exp.optimizers.base import Optimizer as Optimizer
    from a3c_exp.optimizers.flat_parameters import ParameterLayout as ParameterLayout
    from a3c_exp.optimizers.rmsprop import RMSprop as RMSprop
    from a3c_exp.optimizers.sgd import SGD as SGD
else:
    __getattr__, __all__ = lazy_exports(
        __name__, Adam="adam", Optimizer="base", ParameterLayout="flat_parameters", RMSprop="rmsprop", SGD="sgd"
    )
