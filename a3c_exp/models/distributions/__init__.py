"""Policies over actions as stateless functions of their parameters, cheap enough for the innermost loop.

A distribution is one object a model owns. Its functions take the parameters as a plain tensor ``[..., parameters]`` (what a
head puts out) and noise that was drawn beforehand, so that the same code runs eagerly, under vmap and traced.
"""

from a3c_exp.models.distributions.base import Distribution, draw_noise
from a3c_exp.models.distributions.continuous import Normal, NormalMixture
from a3c_exp.models.distributions.discrete import Bernoulli, Categorical, MultiCategorical
from a3c_exp.models.distributions.product import Component, ProductDistribution

__all__ = ["Bernoulli", "Categorical", "Component", "Distribution", "MultiCategorical", "Normal", "NormalMixture"]
__all__ += ["ProductDistribution", "draw_noise"]
