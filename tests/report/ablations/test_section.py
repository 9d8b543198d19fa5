"""The section on ablations says what was found, draws what there is, and leaves out what there is not."""

import json
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from a3c_exp.report.ablations.section import AblationSection, build_ablation_section
from a3c_exp.report.aggregate import group_by_configuration
from a3c_exp.report.figures.panels import render_figure
from a3c_exp.report.figures.style import figure_style
from a3c_exp.report.run_reader import read_runs
from tests.support.synthetic_ablations import Way, write_arm
from tests.support.synthetic_runs import write_run

GOOD, BAD = Way(seconds=100.0), Way(end=-2.9, speed=0.5, seconds=300.0)
SEEDS = 8  # of five, times that fall on the same evaluation prove nothing among so many comparisons


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that there can be, in a world like the report's."""
    root = tmp_path_factory.mktemp("ablations")
    for control in ("published", "fair", "hogwild"):
        for arm, way, steps in (("steps_4000", GOOD, 4000), ("steps_3000", GOOD, 3000), ("steps_500", BAD, 500)):
            more = {"seeds": SEEDS, "in_steps": control == "fair", "stacked": control != "hogwild"}
            length = 4000 if control == "fair" else steps  # as many steps in all, then
            write_arm(root / "limit", "max_episode_steps", control, arm, way, steps=length, **more)
        for arm, way in (("workers_12", GOOD), ("workers_6", BAD), ("workers_4", BAD)):
            lag = replace(way, lag=int(arm.rpartition("_")[2]) - 1)
            write_arm(root / "workers", "worker_count", control, arm, lag, **more)
    for count in (1, 4, 12):
        write_arm(
            root / "range", "worker_range", "fair", None, GOOD, seeds=SEEDS, in_steps=True, config={"workers": count},
            folder=f"workers={count}",
        )  # fmt: skip
    for control in ("cartpole_steps", "cartpole_updates"):
        for n in (1, 5):
            write_arm(
                root / "window",
                "n_step",
                control,
                None,
                GOOD,
                seeds=SEEDS,
                in_steps=True,
                config={"n_step": n},
                folder=f"n={n}",
            )
    row = [{"workers": k, "rollout": [k * 1e-3] * 3, "gradient": [k * 1e-3] * 3, "update": [1e-4] * 3} for k in (1, 12)]
    (root / "costs.json").write_text(json.dumps({"n_step": 10, "costs": row}))
    return root


@pytest.fixture(scope="module")
def section(root: Path) -> AblationSection:
    section = build_ablation_section(read_runs([root]))
    assert section is not None
    return section


def test_verdicts_come_first_and_say_what_the_runs_say(section: AblationSection) -> None:
    limit, workers = section.tables[:2]
    assert limit.columns == ("conclusion", "as published", "fair", "hogwild")
    cells = {(row[0].text, row[0].note): [cell.text for cell in row[1:]] for row in limit.rows}
    assert cells["1. A short limit: raise it", "by training"] == ["supported"] * 3
    assert cells["1. A short limit: raise it", "by evaluation"] == ["supported"] * 3
    clock = next(row for row in workers.rows if row[0].note == "by clock")
    decisions = dict(zip(workers.columns[1:], clock[1:], strict=True))
    assert decisions["hogwild"].text == "supported"
    assert decisions["as published"].text == "undecided" and "shared a process" in decisions["as published"].note
    assert all(cell.status == cell.text.replace(" ", "-") for row in limit.rows for cell in row[1:])


def test_the_lead_says_how_many_comparisons_there_were(section: AblationSection) -> None:
    number = max(verdict.num_intervals for verdict in section.verdicts)
    assert number > 50 and f"{number} comparisons" in section.lead
    decided = [item for verdict in section.verdicts for item in verdict.effects if not item.reason]
    assert len(decided) == number


def test_every_finding_has_a_row_with_its_effect_and_interval(section: AblationSection) -> None:
    table = next(table for table in section.tables if table.name == "What the verdicts rest on")
    assert len(table.rows) == sum(len(verdict.effects) for verdict in section.verdicts)
    ratio = next(row for row in table.rows if row[4].text == "takes longer" and row[-2].text == "supported")
    assert float(ratio[5].text.removeprefix("\N{MULTIPLICATION SIGN}")) == pytest.approx(3.0, rel=0.1)
    assert ratio[5].note.startswith("[")
    assert ratio[6].text == "100 %" and ratio[7].text == str(SEEDS)


def test_the_prediction_says_on_which_machines_the_claim_about_wall_time_would_hold(section: AblationSection) -> None:
    table = next(table for table in section.tables if table.name == "Wall time predicted")
    on = {(row[0].text, row[1].text, row[2].text): row[-1].text for row in table.rows}
    assert on["one process a worker", "12 to 4 workers", "12"] == "supported"
    assert on["one process a worker", "12 to 4 workers", "4"] == "not supported"


def test_the_pictures_are_those_that_have_numbers(section: AblationSection) -> None:
    names = {figure.name for figure in section.figures}
    both, controls = ("max_episode_steps", "worker_count"), ("published", "fair", "hogwild")
    assert names == {
        *(f"{ablation}_{control}" for ablation in both for control in controls),
        "profile_max_episode_steps", "profile_worker_count", "lag_max_episode_steps", "lag_worker_count",
        "effects_1", "effects_2", "effects_3", "effects_4", "range_worker_range", "range_n_step_cartpole", "clock_predicted",
    }  # fmt: skip
    assert all(figure.caption and figure.title for figure in section.figures)
    unlabeled = {figure.name for figure in section.figures if not figure.figure.axes[0].get_ylabel()}
    assert unlabeled == {"effects_1", "effects_2", "effects_3", "effects_4"}  # rows with names


def test_pictures_are_sound_svg_with_ids_of_their_own(section: AblationSection) -> None:
    seen: set[str] = set()
    for picture in section.figures[::4]:
        with figure_style():
            files = render_figure(picture)
        alone, inline = files.standalone_svg, files.inline_svg
        ElementTree.fromstring(alone)
        part = ElementTree.fromstring(inline.replace("xlink:href", "href"))
        ids = {item.get("id") for item in part.iter()} - {None}
        assert ids and not seen & ids
        seen |= {str(name) for name in ids}
        assert "prefers-color-scheme:dark" in alone and "prefers-color-scheme" not in inline


def test_a_curve_has_every_seed_and_what_counts_as_learned(section: AblationSection) -> None:
    picture = next(figure for figure in section.figures if figure.name == "worker_count_published")
    axes = picture.figure.axes
    assert len(axes) == 6  # three groups, training above evaluation
    assert all(len(ax.lines) == SEEDS + 2 for ax in axes)  # each seed, the median, the threshold
    assert len({ax.get_ylim() for ax in axes[:3]}) == 1 and len({ax.get_ylim() for ax in axes[3:]}) == 1
    assert [ax.get_title(loc="left") for ax in axes[:3]] == ["12 workers", "6 workers", "4 workers"]


def test_without_ablations_there_is_no_section(tmp_path: Path) -> None:
    write_run(tmp_path / "plain")
    assert build_ablation_section(read_runs([tmp_path])) is None


def test_one_group_alone_makes_no_verdict_and_no_error(tmp_path: Path) -> None:
    write_arm(tmp_path, "worker_count", "published", "workers_4", GOOD, seeds=2)
    write_arm(tmp_path / "x", "max_episode_steps", "own_limit", "steps_500", GOOD, seeds=1, status="running")
    section = build_ablation_section(read_runs([tmp_path]))
    assert section is not None
    assert {verdict.decision for verdict in section.verdicts} == {"undecided"} and "No verdict yet" in section.lead
    assert any("1 run that did not finish" in note for note in section.notes)
    assert any("measure_costs" in note for note in section.notes)
    assert all(math.isnan(item.effect) for verdict in section.verdicts for item in verdict.effects)


def test_older_runs_are_no_other_configuration_for_knowing_no_ablations(tmp_path: Path) -> None:
    unsaid = {"name": None, "arm": None, "control": None, "own_seed": 0}
    write_run(tmp_path / "old", seed=0, overrides=[])
    write_run(tmp_path / "new", seed=1, overrides=[], config={"ablation": unsaid})
    assert len(group_by_configuration(read_runs([tmp_path])).configurations) == 1
