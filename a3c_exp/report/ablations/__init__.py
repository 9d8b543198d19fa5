"""The section of a report on ablations: comparisons, claims, verdicts and what they rest on."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.report.ablations.comparisons import find_comparisons as find_comparisons
    from a3c_exp.report.ablations.section import build_ablation_section as build_ablation_section
    from a3c_exp.report.ablations.verdicts import Verdict as Verdict, evaluate_claims as evaluate_claims
