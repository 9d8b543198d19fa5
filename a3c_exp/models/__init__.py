"""Networks with a policy head and a value head."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.models.base import ActorCritic as ActorCritic
    from a3c_exp.models.base import PolicyValue as PolicyValue
    from a3c_exp.models.conv_gru import ConvGRU as ConvGRU
    from a3c_exp.models.recurrent_mlp import RecurrentMLP as RecurrentMLP
    from a3c_exp.models.separate_mlp import SeparateMLP as SeparateMLP
    from a3c_exp.models.shared_mlp import SharedMLP as SharedMLP
else:
    __getattr__, __all__ = lazy_exports(
        __name__,
        ActorCritic="base",
        ConvGRU="conv_gru",
        PolicyValue="base",
        RecurrentMLP="recurrent_mlp",
        SeparateMLP="separate_mlp",
        SharedMLP="shared_mlp",
    )
