"""Policies over actions as stateless functions of their parameters, cheap enough for the innermost loop.

Functions take parameters ``[..., parameters]``, which a head puts out, and noise that was drawn beforehand: the same code runs
eagerly, under vmap and traced.
"""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.models.distributions.base import Distribution as Distribution, draw_noise as draw_noise
    from a3c_exp.models.distributions.bounded import Beta as Beta, SquashedNormal as SquashedNormal
    from a3c_exp.models.distributions.continuous import Normal as Normal, NormalMixture as NormalMixture
    from a3c_exp.models.distributions.discrete import (
        Bernoulli as Bernoulli,
        Categorical as Categorical,
        MultiCategorical as MultiCategorical,
    )
    from a3c_exp.models.distributions.product import Component as Component, ProductDistribution as ProductDistribution
    from a3c_exp.models.distributions.state_dependent import StateDependentNoise as StateDependentNoise
