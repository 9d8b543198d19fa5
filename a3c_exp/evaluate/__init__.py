"""``python -m a3c_exp.evaluate``: policies evaluated on held-out episodes."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.evaluate.evaluator import Evaluator as Evaluator
    from a3c_exp.evaluate.evaluator import EvaluatorConfig as EvaluatorConfig
else:
    __getattr__, __all__ = lazy_exports(__name__, Evaluator="evaluator", EvaluatorConfig="evaluator")
