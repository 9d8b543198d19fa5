"""A3C as published: worker processes apply their gradients to shared weights, and none waits for another."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.parallelism.hogwild.shared_parameters import SharedBuffer as SharedBuffer
    from a3c_exp.parallelism.hogwild.shared_parameters import SharedWeights as SharedWeights
    from a3c_exp.parallelism.hogwild.strategy import Hogwild as Hogwild
    from a3c_exp.parallelism.hogwild.worker import HogwildExchange as HogwildExchange
else:
    __getattr__, __all__ = lazy_exports(
        __name__,
        Hogwild="strategy",
        HogwildExchange="worker",
        SharedBuffer="shared_parameters",
        SharedWeights="shared_parameters",
    )
