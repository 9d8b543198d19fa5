"""Estimates, intervals and tests over a handful of seeds."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.stats.estimates import bootstrap_interval as bootstrap_interval, interquartile_mean as interquartile_mean
    from a3c_exp.stats.significance import (
        Contrast as Contrast,
        bonferroni_confidence as bonferroni_confidence,
        yuen_contrast as yuen_contrast,
    )
