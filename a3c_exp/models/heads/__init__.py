"""The last layer of a policy: from features to the parameters of a distribution that fits the action space."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.models.heads.base import (
        Head as Head,
        HeadConfig as HeadConfig,
        HeadKind as HeadKind,
        MeanKind as MeanKind,
        StdKind as StdKind,
    )
    from a3c_exp.models.heads.box import (
        BetaHead as BetaHead,
        GaussianHead as GaussianHead,
        MixtureHead as MixtureHead,
        SquashedGaussianHead as SquashedGaussianHead,
        StateDependentNoiseHead as StateDependentNoiseHead,
    )
    from a3c_exp.models.heads.make import JointHead as JointHead, LogitsHead as LogitsHead, make_head as make_head
