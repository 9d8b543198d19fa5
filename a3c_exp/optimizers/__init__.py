"""Optimizers whose weights and state are flat vectors, which workers can share."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.optimizers.adam import Adam as Adam
    from a3c_exp.optimizers.base import Optimizer as Optimizer
    from a3c_exp.optimizers.flat_parameters import ParameterLayout as ParameterLayout
    from a3c_exp.optimizers.rmsprop import RMSprop as RMSprop
    from a3c_exp.optimizers.sgd import SGD as SGD
