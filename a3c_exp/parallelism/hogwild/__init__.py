"""A3C as published: worker processes apply their gradients to shared weights, and none waits for another."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.parallelism.hogwild.shared_parameters import SharedBuffer as SharedBuffer, SharedWeights as SharedWeights
    from a3c_exp.parallelism.hogwild.strategy import Hogwild as Hogwild
    from a3c_exp.parallelism.hogwild.worker import HogwildExchange as HogwildExchange
