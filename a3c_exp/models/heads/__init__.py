"""The last layer of a policy: from features to the parameters of a distribution that fits the action space."""

from a3c_exp.models.heads.box import GaussianHead, MixtureHead
from a3c_exp.models.heads.discrete import LogitsHead
from a3c_exp.models.heads.head import Head
from a3c_exp.models.heads.joint import JointHead, make_head
from a3c_exp.models.heads.spec import HeadKind, HeadSpec, MeanKind

__all__ = ["GaussianHead", "Head", "HeadKind", "HeadSpec", "JointHead", "LogitsHead", "MeanKind", "MixtureHead", "make_head"]
