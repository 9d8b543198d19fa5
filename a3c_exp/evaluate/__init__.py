"""``python -m a3c_exp.evaluate``: policies evaluated on held-out episodes."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.evaluate.evaluator import Evaluator as Evaluator, EvaluatorConfig as EvaluatorConfig
