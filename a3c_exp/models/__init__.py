"""Networks with a policy head and a value head."""

from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.conv_gru import ConvGRU
from a3c_exp.models.recurrent_mlp import RecurrentMLP
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.models.shared_mlp import SharedMLP

__all__ = ["ActorCritic", "ConvGRU", "PolicyValue", "RecurrentMLP", "SeparateMLP", "SharedMLP"]
