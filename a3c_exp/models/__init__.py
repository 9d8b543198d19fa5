"""Networks with a policy head and a value head."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.models.base import ActorCritic as ActorCritic, PolicyValue as PolicyValue
    from a3c_exp.models.conv_gru import ConvGRU as ConvGRU
    from a3c_exp.models.conv_net import ConvNet as ConvNet, RecurrentConvNet as RecurrentConvNet
    from a3c_exp.models.multi_input import MultiInputNet as MultiInputNet
    from a3c_exp.models.recurrent_mlp import RecurrentMLP as RecurrentMLP
    from a3c_exp.models.separate_mlp import SeparateMLP as SeparateMLP
    from a3c_exp.models.shared_mlp import SharedMLP as SharedMLP
