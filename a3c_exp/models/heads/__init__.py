"""The last layer of a policy: from features to the parameters of a distribution that fits the action space."""

from a3c_exp.models.heads.base import Head
from a3c_exp.models.heads.config import HeadConfig, HeadKind, MeanKind
from a3c_exp.models.heads.continuous import GaussianHead, MixtureHead
from a3c_exp.models.heads.discrete import LogitsHead
from a3c_exp.models.heads.joint import JointHead, make_head

__all__ = ["GaussianHead", "Head", "HeadConfig", "HeadKind", "JointHead", "LogitsHead", "MeanKind", "MixtureHead", "make_head"]
