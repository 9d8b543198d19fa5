"""The section of a report on ablations: comparisons, claims, verdicts and what they rest on."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.report.ablations.comparisons import ControlledComparison as ControlledComparison
    from a3c_exp.report.ablations.comparisons import find_comparisons as find_comparisons
    from a3c_exp.report.ablations.section import AblationSection as AblationSection
    from a3c_exp.report.ablations.section import build_ablation_section as build_ablation_section
    from a3c_exp.report.ablations.verdicts import Verdict as Verdict
    from a3c_exp.report.ablations.verdicts import evaluate_claims as evaluate_claims
else:
    __getattr__, __all__ = lazy_exports(
        __name__,
        AblationSection="section",
        build_ablation_section="section",
        ControlledComparison="comparisons",
        find_comparisons="comparisons",
        Verdict="verdicts",
        evaluate_claims="verdicts",
    )
