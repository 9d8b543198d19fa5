"""Estimates, intervals and tests over a handful of seeds."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.stats.estimates import bootstrap_interval as bootstrap_interval
    from a3c_exp.stats.estimates import interquartile_mean as interquartile_mean
    from a3c_exp.stats.significance import Contrast as Contrast
    from a3c_exp.stats.significance import bonferroni_confidence as bonferroni_confidence
    from a3c_exp.stats.significance import yuen_contrast as yuen_contrast
else:
    __getattr__, __all__ = lazy_exports(
        __name__,
        bootstrap_interval="estimates",
        interquartile_mean="estimates",
        Contrast="significance",
        yuen_contrast="significance",
        bonferroni_confidence="significance",
    )
