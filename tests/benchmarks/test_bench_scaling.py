"""The scaling benchmark loses no measurement, measures only the steady state, and reports what it could not measure."""

import json
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from a3c_exp.config.compose import compose_jobs
from benchmarks.harness.interleaved import MeasurementError
from benchmarks.scaling import cli as scaling
from benchmarks.scaling.cli import Plan, measure
from benchmarks.scaling.figures import draw
from benchmarks.scaling.points import BASE_OVERRIDES, Point
from benchmarks.scaling.record import (
    SeriesResult,
    as_markdown,
    as_text,
    back_up,
    carry_over_compilation,
    read,
    write,
)
from benchmarks.scaling.run import (
    Compilation,
    PointMeasurement,
)
from tests.support.scaling_results import SERIES, WARM, Scripted, empty, filled


def run(runs: Scripted, *names: str, repeats: int = 3, minutes: float = 60.0) -> tuple[list[SeriesResult], list[str]]:
    results, messages = [empty(name) for name in names], []
    measure(Plan(names, repeats, minutes), results, runs, lambda: None, messages.append)
    return results, messages


LAST_OF_LINES = {
    (series.name, point.line, point.swept and point.label): point for series in SERIES.values() for point in series.points
}


@pytest.mark.parametrize("point", LAST_OF_LINES.values(), ids=lambda point: point.label)
def test_every_point_is_a_run_that_can_be_started(point: Point) -> None:
    budget = () if point.swept else ("max_env_steps=100000",)
    jobs = list(compose_jobs([*BASE_OVERRIDES, *point.overrides, *budget], multirun=point.swept))
    assert len(jobs) == (4 if point.swept else 1)
    for job in jobs:
        assert job.config.num_seeds == point.seeds
        assert job.config.workers * job.config.n_step == point.round_steps
        assert job.config.compile is True


def test_a_point_is_compared_with_an_existing_one() -> None:
    for series in SERIES.values():
        labels = [point.label for point in series.points]
        assert len(set(labels)) == len(labels)
        assert all(point.against in labels for point in series.points if point.against)


# -- how it is measured


def test_repeats_are_not_run_in_blocks_and_nothing_is_timed_before_all_is_compiled() -> None:
    runs = Scripted(lambda point, repeat: 1.0)
    run(runs, "hidden", repeats=2)
    labels = [point.label for point in SERIES["hidden"].points]
    assert runs.calls == [*(f"prepare {label}" for label in labels), *labels, *labels]


def test_one_configuration_of_three_series_is_measured_once_and_shown_in_each() -> None:
    runs = Scripted(lambda point, repeat: 7.0)
    results, _ = run(runs, "workers", "seeds", "window", repeats=1)
    assert runs.calls.count("deterministic, 12 workers") == 1
    shared = [row for result in results for row in result.rows if row.overrides == ("parallelism=deterministic",)]
    assert len(shared) == 3
    assert all(row.values("steps_per_second") == [7.0] for row in shared)
    assert all(len(row.measured) == 1 for result in results for row in result.rows)


def test_a_point_that_fails_stops_no_other_and_says_why() -> None:
    def speeds(point: Point, repeat: int) -> float | Exception:
        return MeasurementError("it was killed") if point.x == 512 and repeat == 1 else 10.0 + repeat

    (result,), messages = run(Scripted(speeds), "hidden")
    *others, widest = result.rows
    assert widest.failure == "it was killed"
    assert widest.values("steps_per_second") == [10.0]
    assert all(row.values("steps_per_second") == [10.0, 11.0, 12.0] for row in others)
    assert result.repeats == "3"
    for text in (as_text({"hidden": result}), as_markdown({"hidden": result}, {})):
        assert "failed: width 512: it was killed" in text
    assert any("width 512: failed: it was killed" in line for line in messages)


def test_ctrl_c_is_not_a_failed_point() -> None:
    class Interrupted(Scripted):
        def measure(self, point: Point) -> PointMeasurement:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(lambda point, repeat: 1.0), "hidden")


def test_no_repeat_begins_that_would_not_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(scaling.time, "monotonic", lambda: now[0])

    def speeds(point: Point, repeat: int) -> float:
        now[0] += 12.0  # five points: a minute a repeat
        return 1.0

    (result,), messages = run(Scripted(speeds), "hidden", repeats=5, minutes=3.5)
    assert result.repeats == "3"
    assert any("would exceed" in line for line in messages)
    (at_least,), _ = run(Scripted(speeds), "hidden", repeats=5, minutes=0.1)
    assert at_least.repeats == "1"


def test_ratios_are_taken_within_a_repeat() -> None:
    result = filled("processes")
    one, two = result.rows[:2]
    one.measured = [PointMeasurement(speed, 400.0, 1.0, 5.0) for speed in (10.0, 20.0, 1.0)]
    two.measured = [PointMeasurement(speed, 400.0, 1.0, 5.0) for speed in (50.0, 60.0, 4.0)]
    assert result.ratios(two) == (5.0, 3.0, 4.0)
    assert result.ratios(one) == ()


# -- what is saved


def commanded(monkeypatch: pytest.MonkeyPatch, runs: Scripted, *words: str) -> int:
    """The command with its runs in place of real ones, and this process's signal handlers as they were."""
    monkeypatch.setattr(scaling, "PointRuns", lambda *_: runs)
    monkeypatch.setattr(scaling.signal, "signal", lambda *_: None)
    return scaling.main(words)


def test_measuring_one_series_does_not_lose_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {"workers": filled("workers"), "sweep": filled("sweep")}
    write(before, tmp_path)
    assert read(tmp_path) == before
    runs = Scripted(lambda point, repeat: 77.0)
    assert commanded(monkeypatch, runs, "--only", "sweep", "--repeats", "1", "--out", str(tmp_path)) == 0
    after = read(tmp_path)
    assert list(after) == ["workers", "sweep"]
    assert after["workers"] == before["workers"]
    assert [row.values("steps_per_second") for row in after["sweep"].rows] == [[77.0], [77.0]]
    (backup,) = tmp_path.glob("scaling.2*.json")
    assert json.loads(backup.read_text())["series"][1]["rows"][0]["measured"][0]["steps_per_second"] == 1000.0


@pytest.mark.parametrize("finished", [0, 2])
def test_an_interruption_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: int) -> None:
    before = {"hidden": filled("hidden"), "sweep": filled("sweep")}
    write(before, tmp_path)

    class InterruptedLater(Scripted):
        def measure(self, point: Point) -> PointMeasurement:
            if sum(not call.startswith("prepare") for call in self.calls) == finished:
                raise KeyboardInterrupt
            return super().measure(point)

    assert commanded(monkeypatch, InterruptedLater(lambda *_: 77.0), "--only", "hidden", "--out", str(tmp_path)) == 130
    after = read(tmp_path)
    assert after["sweep"] == before["sweep"]
    if finished:
        assert [len(row.measured) for row in after["hidden"].rows] == [1, 1, 0, 0, 0]
        assert after["hidden"].repeats == "0 to 1"
    else:
        assert after == before


def test_replaced_measurements_are_backed_up(tmp_path: Path) -> None:
    write({"hidden": filled("hidden", speed=5.0)}, tmp_path)
    text = (tmp_path / "scaling.json").read_text()
    backup = back_up(tmp_path, ["hidden"], datetime(2026, 1, 2, 3, 4, 5))
    assert backup is not None
    write({"hidden": filled("hidden", speed=6.0)}, tmp_path)
    assert backup.read_text() == text
    assert backup != tmp_path / "scaling.json"
    assert back_up(tmp_path, [], datetime(2026, 1, 2, 3, 4, 5)) is None


@pytest.mark.parametrize("content", ["", "{", '{"series": 3}', '{"series": [{"name": "workers"}]}', "[]"])
def test_unreadable_measurements_are_not_overwritten(tmp_path: Path, content: str) -> None:
    (tmp_path / "scaling.json").write_text(content)
    with pytest.raises(SystemExit, match="Move it away"):
        scaling.main(["--out", str(tmp_path)])
    assert (tmp_path / "scaling.json").read_text() == content


def test_compile_time_is_kept_when_the_code_is_found_in_the_cache() -> None:
    earlier, later = filled("hidden"), filled("hidden")
    earlier.rows[0].compiled = Compilation(41.0, 1900.0, None)
    for row in later.rows:
        carry_over_compilation(row, earlier)
    assert later.rows[0].compiled == earlier.rows[0].compiled
    assert later.rows[1].compiled == WARM
    later.rows[0].compiled = Compilation(None, 500.0, "nothing is compiled: no compiler")
    carry_over_compilation(later.rows[0], earlier)
    assert later.rows[0].compiled.remark is not None


def test_the_page_is_not_filled_with_too_few_repeats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write({"sweep": filled("sweep", repeats=4)}, tmp_path)
    page = scaling.SPEED_PAGE.read_text()
    assert scaling.main(["--draw", "--write-docs", "--out", str(tmp_path)]) == 2
    assert "fewer than 5 repeats of sweep" in capsys.readouterr().err
    assert scaling.SPEED_PAGE.read_text() == page
    with pytest.raises(SystemExit):
        scaling.main(["--write-docs", "--repeats", "2", "--out", str(tmp_path)])


# -- what is shown


def test_every_series_is_drawn_although_points_failed(tmp_path: Path) -> None:
    results = {name: filled(name) for name in SERIES}
    for result in results.values():
        result.rows[-1].failure = "out of memory"
    results["workers"].rows[-1].measured = []
    results["hidden"].rows[0].compiled = Compilation(None, 500.0, "nothing is compiled: no compiler")
    write(results, tmp_path)
    assert scaling.main(["--draw", "--out", str(tmp_path)]) == 1
    drawn = {path.stem.removeprefix("scaling_"): path.read_text() for path in tmp_path.glob("*.svg")}
    assert set(drawn) == {"workers", "seeds", "hidden", "window", "processes"}
    for text in drawn.values():
        ElementTree.fromstring(text)
    tables = (tmp_path / "scaling.md").read_text()
    assert tables.count("![") == len(drawn)
    assert json.loads((tmp_path / "scaling.json").read_text())["series"][0]["rows"][-1]["failure"] == "out of memory"
    assert draw({"hidden": empty("hidden")}) == {}


def test_a_markdown_row_does_not_lose_a_column() -> None:
    for name in SERIES:
        rows = [line for line in as_markdown({name: filled(name)}, {}).splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in rows}) == 1


@pytest.mark.parametrize("words", [["--only", "workers,nothing"], ["--repeats", "0"], ["--seconds", "0"], ["--minutes", "-1"]])
def test_a_wrong_option_is_refused_before_anything_is_measured(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        scaling.main([*words, "--out", str(tmp_path)])
    assert caught.value.code == 2
    assert list(tmp_path.iterdir()) == []
