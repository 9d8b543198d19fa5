"""An ablation whose seeds come in batches is judged at its planned looks, by intervals that hold at all of them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a3c_exp.config.ablation import Looks
from a3c_exp.report.ablations.comparisons import find_comparisons
from a3c_exp.report.ablations.look_tables import look_lead
from a3c_exp.report.ablations.looks import look_at
from a3c_exp.report.ablations.section import build_ablation_section
from a3c_exp.report.ablations.verdicts import Verdict, evaluate_claims
from a3c_exp.report.run_reader import read_runs
from a3c_exp.report.thesis.references import cited_keys
from a3c_exp.stats.sequential import look_levels
from a3c_exp.stats.significance import yuen_contrast
from tests.support.synthetic_ablations import Way, ruled, write_arm

GOOD, WILD = Way(end=-0.3), Way(end=-1.2, spread=0.6)
PART = {"quantity": "final", "effect": "raises"}
CLAIMS = {
    "better": {"title": "Better", "changes": [["poor", "good"]], "measures": ["evaluation"], "parts": [PART]},
    "wild": {"title": "Wilder", "changes": [["wild", "good"]], "measures": ["evaluation"], "parts": [PART]},
}
WAYS = {"poor": Way(end=-4.0), "good": GOOD, "wild": WILD}


def section(looks: Mapping[str, Any] | None) -> dict[str, Any]:
    report = {"claims": CLAIMS, "min_effect": {"training": 0.5, "evaluation": 100}, **({"looks": looks} if looks else {})}
    return {"name": "mine", "control": None, "report": report}


def write_batch(
    root: Path, arm: str, first: int, number: int, way: Way | None = None, looks: object = ..., **more: Any
) -> Path:
    planned = {"sizes": [5, 10, 15], "comparisons": 2} if looks is ... else looks
    config = {"ablation": {**section(planned), "arm": arm}}  # type: ignore[arg-type]
    return write_arm(
        root, "mine", "", arm, way or WAYS[arm], seeds=number, first_seed=first, in_steps=True, config=config,
        folder=f"{arm},seed={first}", **({"episodes": 10} | more),
    )  # fmt: skip


def verdicts(root: Path) -> dict[str, Verdict]:
    return {one.claim.title: one for one in evaluate_claims(find_comparisons(read_runs([root])), describe=False)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("looks")
    for arm in WAYS:
        write_batch(root, arm, 0, 5)
    return root


def test_what_is_clear_is_decided_at_once_and_what_is_not_waits_with_its_groups_alone(root: Path) -> None:
    found = verdicts(root)
    assert (found["Better"].decision, found["Better"].num_looks) == ("supported", 1)
    assert found["Wilder"].decision == "undecided" and found["Wilder"].waiting_arms == {"wild", "good"}
    (effect,) = found["Wilder"].effects
    ends = [run_ends(root, arm) for arm in ("good", "wild")]
    level = look_levels((5, 10, 15), 0.05 / 2)[0]
    assert effect.simultaneous_interval == pytest.approx(yuen_contrast(*ends).interval(1.0 - level))
    look = look_at(root)
    assert (look.seeds, look.num_verdicts, look.undecided) == (5, 2, ("2. Wilder, as configured, by evaluation",))
    assert {Path(folder).parts[0].split(",")[1] for folder in look.waiting} == {"wild", "good"}
    assert {cost.name: (cost.seeds, cost.env_steps) for cost in look.costs} == {
        f"as configured, {arm}": (5, 5 * 10 * 4000) for arm in WAYS
    }


def run_ends(root: Path, arm: str) -> list[float]:
    found = []
    for path in sorted(root.glob(f"*{arm},seed=*/seed=*/evaluations.jsonl")):
        means = [json.loads(line)["mean"] for line in path.read_text().splitlines()]
        found.append(float(np.mean(means[-4:])))
    return found


def test_a_look_takes_a_whole_batch_and_does_not_undo_what_an_earlier_one_decided(root: Path, tmp_path: Path) -> None:
    for arm in WAYS:
        write_batch(tmp_path, arm, 0, 5)
    write_batch(tmp_path, "good", 5, 5, way=replace(GOOD, end=-8.0))  # seeds that came for the sake of another claim
    write_batch(tmp_path, "wild", 5, 4)
    found = verdicts(tmp_path)
    assert (found["Better"].decision, found["Better"].num_looks) == ("supported", 1)
    assert found["Wilder"].effects[0] == verdicts(root)["Wilder"].effects[0], "nine of ten seeds are no look at ten"
    write_batch(tmp_path, "wild", 9, 1, status="failed")
    (effect,) = verdicts(tmp_path)["Wilder"].effects
    assert (effect.look, effect.seeds) == (2, 9)


def test_later_seeds_of_another_length_do_not_undo_a_look(tmp_path: Path) -> None:
    for arm in WAYS:
        write_batch(tmp_path, arm, 0, 5)
    write_batch(tmp_path, "good", 5, 5, episodes=30)
    found = find_comparisons(read_runs([tmp_path]))
    assert found[0].unequal and not found[0].at_look(5).unequal
    assert verdicts(tmp_path)["Better"].decision == "supported"


def test_a_look_at_which_no_claim_had_both_of_its_arms_is_the_first(tmp_path: Path) -> None:
    write_batch(tmp_path, "good", 0, 5)
    look = look_at(tmp_path)
    assert (look.seeds, look.num_verdicts - len(look.undecided), look.waiting) == (5, 0, ())


def test_no_seeds_are_asked_for_beyond_the_most(tmp_path: Path) -> None:
    write_batch(tmp_path, "good", 0, 15)
    write_batch(tmp_path, "wild", 0, 15, way=replace(WILD, end=-0.55))
    wild = verdicts(tmp_path)["Wilder"]
    assert (wild.decision, wild.num_looks, wild.effects[0].seeds, wild.waiting_arms) == ("undecided", 3, 15, frozenset())
    assert wild.seeds_needed > 15


def test_the_page_says_how_many_looks_and_seeds_there_were(root: Path) -> None:
    built = build_ablation_section(read_runs([root]), draw_figures=False)
    assert built is not None and "3 looks were planned beforehand" in built.lead and "2 comparisons hold" in built.lead
    tables = {table.name: [[cell.text for cell in row] for row in table.rows] for table in built.tables}
    assert [row[3:6] for row in tables["Seeds that verdicts took"]] == [
        ["supported", "1 of 3", "5"],
        ["undecided", "1 of 3", "5"],
    ]
    assert {row[1] for row in tables["What it took"]} == {"5"}
    assert "lan1983" in cited_keys(read_runs([root]), has_verdicts=True)


def test_two_sweeps_of_one_ablation_say_their_own_looks(root: Path) -> None:
    found = find_comparisons(read_runs([root]))
    later = Looks((5, 20), 7)
    other = replace(found[0], control="tuned", report=replace(found[0].report, looks=later))
    lead = look_lead([*found, other])
    assert "The seeds of mine (as configured) came in batches: groups got further ones, up to 15" in lead
    assert "its 2 comparisons hold" in lead and "up to 20" in lead and "its 7 comparisons hold" in lead
    assert look_lead(found).startswith("The seeds of mine came in batches")


def test_ablations_with_fixed_seeds_are_judged_as_if_the_others_were_not_there(root: Path, tmp_path: Path) -> None:
    for arm in ("good", "poor"):
        write_batch(tmp_path, arm, 0, 5, looks=None)
    alone = ruled(tmp_path)
    for path in tmp_path.rglob("config.yaml"):
        path.write_text(path.read_text().replace("name: mine", "name: other"))
    section = build_ablation_section(read_runs([root, tmp_path]), draw_figures=False)
    assert section is not None
    fixed = [one for one in section.verdicts if one.comparison.ablation == "other"]
    assert [one.effects for one in fixed] == [one.effects for one in alone.values()] and fixed[0].num_intervals == 1


def test_a_group_with_a_fixed_number_of_seeds_shares_those_of_a_first_batch(tmp_path: Path) -> None:
    """How many seeds come after it depends on what it showed, and intervals for a fixed number would not hold."""
    for first in (0, 5):
        write_batch(tmp_path, "good", first, 5)
    config = {"ablation": {**section(None), "name": "others", "arm": "poor"}}
    config["ablation"]["report"]["same_runs"] = [{"arm": "good", "ablation": "mine", "as_arm": "good"}]
    write_arm(tmp_path, "others", "", "poor", WAYS["poor"], seeds=7, in_steps=True, config=config, episodes=10)
    arms = {one.ablation: {arm: len(runs) for arm, runs in one.arms.items()} for one in find_comparisons(read_runs([tmp_path]))}
    assert arms == {"mine": {"good": 10}, "others": {"good": 5, "poor": 7}}
