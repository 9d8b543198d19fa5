"""``--compare A B`` says what differs, judges only where seeds allow it, and calls no chance a difference."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a3c_exp.report.__main__ import main
from a3c_exp.report.builder import make_report
from a3c_exp.report.compare import Side, build_comparison_section, resolve_sides
from a3c_exp.report.figures import curve_figures as figures
from a3c_exp.report.run_reader import read_runs
from a3c_exp.report.sections import Section
from a3c_exp.system.errors import ConfigError
from tests.support.synthetic_runs import write_run, write_seeds


def side(root: Path, name: str, seeds: int, shift: float = 0.0, **more: Any) -> Path:
    """Runs whose every reward is ``shift`` higher than those of the same seed elsewhere."""
    for seed in range(seeds):
        path = write_run(root / name / f"seed={seed}", seed=seed, episodes=12, **more)
        for file in ("episodes.jsonl", "evaluations.jsonl", "summary.json"):
            raised(path / file, shift)
    return root / name


def raised(path: Path, shift: float) -> None:
    rows = []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        for values in (row, row.get("evaluation") or {}, row.get("best_evaluation") or {}):
            values.update(
                {key: values[key] + shift for key in ("mean", "ci_low", "ci_high", "moving_average") if key in values}
            )
        rows.append(json.dumps(row))
    path.write_text("".join(row + "\n" for row in rows))


def compared(a: Path, b: Path) -> Section:
    runs = read_runs([a, b])
    return build_comparison_section(*resolve_sides((str(a), str(b)), runs))


def verdicts(part: Section) -> dict[str, str]:
    table = part.tables[0]
    at = table.columns.index("verdict")
    return {" ".join(cell.text for cell in row[:at]): row[at].text for row in table.rows}


def test_a_real_difference_is_found_and_named(tmp_path: Path) -> None:
    part = compared(side(tmp_path, "a", 8), side(tmp_path, "b", 8, shift=2000.0, config={"optimizer": {"lr": 3e-4}}))
    assert verdicts(part)["last evaluation"] == "B better"
    assert verdicts(part)["moving average at the end"] == "B better"
    assert "B better by last evaluation" in part.lead
    assert [[cell.text for cell in row] for row in part.tables[1].rows] == [["optimizer.lr", "0.0001", "0.0003"]]
    turned = compared(tmp_path / "b", tmp_path / "a")
    assert verdicts(turned)["last evaluation"] == "A better"


def test_the_same_again_is_no_difference(tmp_path: Path) -> None:
    part = compared(side(tmp_path, "a", 8), side(tmp_path, "b", 8))
    assert set(verdicts(part).values()) == {"undecided"}
    assert part.lead == "Nothing that was measured distinguishes A from B beyond chance."
    assert "the same configuration" in part.notes[0] and "number for number" in part.notes[1]


def test_seeds_that_shared_a_process_and_its_clock_measure_its_speed_once(tmp_path: Path) -> None:
    for name, times_slower in (("a", 1.0), ("b", 0.5)):
        for path in write_seeds(tmp_path / name / "together", seeds=6, episodes=12).glob("seed=*/summary.json"):
            summary = json.loads(path.read_text())
            path.write_text(json.dumps(summary | {"steps_per_second": 292.8 / times_slower}))
    part = compared(tmp_path / "a", tmp_path / "b")
    (speed,) = [row for row in part.tables[0].rows if row[0].text.startswith("steps a second")]
    assert [cell.text for cell in speed[1:5]] == ["too few processes", "1,757", "3,514", "1, 1"]
    assert (speed[5].text, speed[5].note) == ("1,757", "")
    assert part.lead == "Nothing that was measured distinguishes A from B beyond chance."
    for seed in range(5):  # and one beside them that had a process to itself
        side(tmp_path / "a", f"alone{seed}", 1)
    (speed,) = [row for row in compared(tmp_path / "a", tmp_path / "b").tables[0].rows if row[0].text.startswith("steps a")]
    assert (speed[1].text, speed[4].text, speed[4].note) == ("too few processes", "6, 1", "processes")


@pytest.mark.parametrize(("seeds", "verdict"), [(1, "too few seeds"), (4, "too few seeds"), (5, "B better")])
def test_no_verdict_from_fewer_than_five_seeds(tmp_path: Path, seeds: int, verdict: str) -> None:
    part = compared(side(tmp_path, "a", 5), side(tmp_path, "b", seeds, shift=50_000.0))
    assert verdicts(part)["last evaluation"] == verdict
    assert ("Too few seeds" in part.lead) == (seeds < 5)


def test_configurations_are_held_against_their_like(tmp_path: Path) -> None:
    for workers in (4, 6):
        side(tmp_path / "a", f"w{workers}", 5, workers=workers)
        side(tmp_path / "b", f"w{workers}", 5, shift=3000.0 * (workers == 6), workers=workers, config={"gamma": 0.99})
    side(tmp_path / "b", "w12", 2, workers=12, config={"gamma": 0.99})
    part = compared(tmp_path / "a", tmp_path / "b")
    decisions = verdicts(part)
    assert decisions["workers=4 last evaluation"] == "undecided"
    assert decisions["workers=6 last evaluation"] == "B better"
    assert "without a counterpart on the other side: 1 configuration." in part.notes[0]
    assert [row[0].text for row in part.tables[1].rows] == ["gamma"]


def test_sides_that_have_no_like_are_taken_whole(tmp_path: Path) -> None:
    for name, counts in (("a", (2, 4)), ("b", (6, 8))):
        for workers in counts:
            side(tmp_path / name, f"w{workers}", 3, workers=workers)
    part = compared(tmp_path / "a", tmp_path / "b")
    assert [[cell.text for cell in row] for row in part.tables[1].rows] == [["workers", "2, 4", "6, 8"]]
    assert part.tables[0].rows[0][4].text == "6, 6"


def test_sides_of_different_tasks_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("CartPole-v1", "Pendulum-v1"):
        side(tmp_path, name, 2, config={"env": {"id": name}})
    assert (
        main(["--compare", str(tmp_path / "CartPole-v1"), str(tmp_path / "Pendulum-v1"), "--out", str(tmp_path / "out")]) == 2
    )
    assert "A is of CartPole-v1 and B of Pendulum-v1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_side_is_a_folder_or_conditions(tmp_path: Path) -> None:
    side(tmp_path, "a", 2, workers=4)
    side(tmp_path, "b", 2, workers=6)
    runs = read_runs([tmp_path])
    ours, theirs = resolve_sides(("workers=4 seed=1", "workers>=6"), runs)
    assert [run.path.relative_to(tmp_path).as_posix() for run in (*ours.runs, *theirs.runs)] == [
        "a/seed=1",
        "b/seed=0",
        "b/seed=1",
    ]
    assert isinstance(ours, Side)
    for words, hint in (
        ((str(tmp_path / "a"), "workers=4"), "both mean 2 of the same runs"),
        (("workers=4", "workers=5"), "means none of the 4 runs"),
        (("workers=4", "nowhere/at/all"), "neither a folder of runs nor a condition"),
        (("workers=4", "wokers=5"), "Did you mean workers?"),
    ):
        with pytest.raises(ConfigError, match=hint.replace("?", r"\?")):
            resolve_sides(words, runs)


def test_the_verdicts_stand_first_on_the_page_and_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(figures, "PLOTS", figures.PLOTS[:2])  # drawing them all is nearly all of a report's time
    a, b = side(tmp_path, "a", 5), side(tmp_path, "b", 5, shift=2000.0)
    out = tmp_path / "report"
    assert main(["--compare", str(a), str(b), "--out", str(out), "--no-png"]) == 0
    assert "B better by last evaluation" in capsys.readouterr().out
    text = (out / "index.html").read_text()
    assert text.index('<section id="versus">') < text.index('<section id="summary">')
    with (out / "tables" / "versus_verdicts.csv").open() as file:
        rows = {row["measure"]: row for row in csv.DictReader(file)}
    assert rows["last evaluation"]["verdict"] == "B better"
    assert float(rows["last evaluation"]["B less A"].replace(",", "")) == pytest.approx(2000.0, rel=0.01)
    make_report([a], out, png=False)
    assert not list((out / "tables").glob("versus*"))
    assert main([str(a), "--compare", str(a), str(b), "--out", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_infinite_results_of_a_run_that_diverged_take_no_part(tmp_path: Path) -> None:
    a, b = side(tmp_path, "a", 6), side(tmp_path, "b", 6, shift=2000.0)
    raised(b / "seed=5" / "evaluations.jsonl", float("-inf"))
    part = compared(a, b)
    row = part.tables[0].rows[0]
    assert (row[0].text, row[4].text) == ("last evaluation", "6, 5")
    assert np.isfinite(float(row[5].text.replace(",", "")))
