"""Layers that can be stacked, one set of weights for each worker."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.models.layers.cells import GRUCell as GRUCell
    from a3c_exp.models.layers.cells import LSTMCell as LSTMCell
    from a3c_exp.models.layers.conv_layers import NormedConv as NormedConv
    from a3c_exp.models.layers.conv_layers import PReLU as PReLU
    from a3c_exp.models.layers.dense import Dense as Dense
    from a3c_exp.models.layers.dense import FlattenObservation as FlattenObservation
else:
    __getattr__, __all__ = lazy_exports(
        __name__,
        Dense="dense",
        FlattenObservation="dense",
        GRUCell="cells",
        LSTMCell="cells",
        NormedConv="conv_layers",
        PReLU="conv_layers",
    )
