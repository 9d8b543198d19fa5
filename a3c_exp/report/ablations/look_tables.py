"""What a page says of ablations whose seeds came in batches: their looks, and what they took."""

from collections.abc import Sequence

from a3c_exp.report.ablations.comparisons import ControlledComparison
from a3c_exp.report.ablations.looks import group_costs
from a3c_exp.report.ablations.verdict_cells import decision_cell, format_seeds
from a3c_exp.report.ablations.verdicts import CONFIDENCE, Verdict
from a3c_exp.report.sections import Description, Table, make_table
from a3c_exp.runs.sweep_plan import GroupCost
from a3c_exp.system.number_format import NO_VALUE, format_count, format_duration


def look_lead(comparisons: Sequence[ControlledComparison]) -> str:
    """What is to be known of ablations whose seeds came in batches; empty without any."""
    plans: dict[tuple[str, tuple[int, ...], int], list[str]] = {}  # the controls of one sweep share its looks
    for one in comparisons:
        if (looks := one.report.looks) is not None:
            plans.setdefault((one.label, tuple(looks.sizes), looks.comparisons), []).append(one.title)
    sentences = []
    for (label, sizes, number), titles in plans.items():
        several = sum(other == label for other, *_ in plans) > 1
        name = f"{label} ({', '.join(titles)})" if several else label
        sentences.append(
            f"The seeds of {name} came in batches: groups got further ones, up to {sizes[-1]}, while a verdict on them "
            f"was undecided. Its {len(sizes)} looks were planned beforehand, and its {number} comparisons hold together at all "
            f"of them with {100 * CONFIDENCE:.0f} %, whenever it was stopped (alpha spending, Lan and DeMets 1983)."
        )
    return " ".join(sentences)


def look_table(verdicts: Sequence[Verdict]) -> Table:
    """At which look each verdict came, of ablations whose seeds came in batches."""
    columns: list[tuple[str, Description[Verdict]]] = [
        ("conclusion", lambda one: f"{one.claim.number}. {one.claim.title}"),
        ("protocol", lambda one: one.comparison.title),
        ("measure", lambda one: one.measure),
        ("verdict", lambda one: decision_cell(one.decision, one.reason)),
        (
            "looks",
            lambda one: f"{one.num_looks} of {len(one.comparison.report.looks.sizes)}" if one.comparison.report.looks else "",
        ),
        ("seeds", lambda one: str(max((effect.seeds for effect in one.effects if effect.look), default=0))),
        ("would take", lambda one: format_seeds(one.seeds_needed) or NO_VALUE),
    ]
    rows = [verdict for verdict in verdicts if verdict.comparison.report.looks is not None]
    return make_table("Seeds that verdicts took", 4, rows, columns)


def cost_table(comparisons: Sequence[ControlledComparison]) -> Table:
    """What the groups took of ablations whose seeds came in batches."""
    columns: list[tuple[str, Description[GroupCost]]] = [
        ("group", lambda one: one.name),
        ("seeds", lambda one: str(one.seeds)),
        ("env steps", lambda one: format_count(one.env_steps)),
        ("wall time", lambda one: format_duration(one.seconds)),
    ]
    return make_table("What it took", 1, group_costs([one for one in comparisons if one.report.looks is not None]), columns)
