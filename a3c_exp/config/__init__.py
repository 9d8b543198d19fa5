"""What a run consists of: the schema of every key, composition with Hydra, and errors that say what to type instead."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.config.budget import Budget as Budget
    from a3c_exp.config.compose import ComposedJob as ComposedJob
    from a3c_exp.config.compose import compose_jobs as compose_jobs
    from a3c_exp.config.instantiate import checked_partial as checked_partial
    from a3c_exp.config.schema import Config as Config
else:
    __getattr__, __all__ = lazy_exports(
        __name__, Budget="budget", ComposedJob="compose", Config="schema", checked_partial="instantiate", compose_jobs="compose"
    )
