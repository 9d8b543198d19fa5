"""What a run consists of: the schema of every key, composition with Hydra, and errors that say what to type instead."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.config.budget import Budget as Budget
    from a3c_exp.config.compose import ComposedJob as ComposedJob, compose_jobs as compose_jobs
    from a3c_exp.config.instantiate import checked_partial as checked_partial
    from a3c_exp.config.schema import Config as Config
