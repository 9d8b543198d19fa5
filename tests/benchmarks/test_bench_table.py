"""The table shows what was measured."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.interleaved import MeasurementError, Requirement, Variant, VariantResult, interleave
from benchmarks.harness.readme import BEGIN, END, fill
from benchmarks.harness.table import Table, as_markdown, as_text, make_rows, write

FIVE_TIMES = Requirement("ratio", "at least", 5.0)
SMALL = Requirement("value", "less than", 600.0)


def table(*series: VariantResult, baseline: str | None = "base") -> Table:
    environment: dict[str, Any] = {"machine": {"cores": 2}, "versions": {"python": "3"}, "date": "today", "git": None}
    rows = make_rows(series, "steps/s", baseline)
    return Table("speed", "speed", "steps/s", baseline, 3, 20.0, "python -m benchmarks", environment, rows)


def test_the_ratio_is_not_that_of_the_medians() -> None:
    """The machine slows down: the medians' ratio is 5, the pairs' is not."""
    _, row = table(VariantResult("base", None, [10.0, 20.0, 1.0]), VariantResult("a3c_exp", FIVE_TIMES, [50.0, 60.0, 4.0])).rows
    assert row.ratios == (5.0, 3.0, 4.0)
    assert (row.median, row.ratio) == (50.0, 4.0)
    assert row.verdict == "NOT met"


def test_the_median_is_not_the_mean() -> None:
    (row,) = table(VariantResult("a3c_exp", None, [1.0, 2.0, 90.0]), baseline=None).rows
    assert row.median == 2.0
    (row,) = table(VariantResult("a3c_exp", None, [1.0, 2.0, 4.0, 90.0]), baseline=None).rows
    assert row.median == 3.0


@pytest.mark.parametrize(
    ("requirement", "value", "verdict"),
    [(SMALL, 599.9, "met"), (SMALL, 600.0, "NOT met"), (FIVE_TIMES, 5.0, "met"), (FIVE_TIMES, 4.99, "NOT met")],
)
def test_a_value_is_not_rounded_to_meet_a_bound(requirement: Requirement, value: float, verdict: str) -> None:
    _, row = table(VariantResult("base", None, [1.0]), VariantResult("a3c_exp", requirement, [value])).rows
    assert row.verdict == verdict


def test_a_failure_is_not_a_pass() -> None:
    result = table(VariantResult("base", None, [1.0, 1.0]), VariantResult("a3c_exp", FIVE_TIMES, [9.0], failure="it died"))
    assert result.rows[1].verdict == "failed"
    assert not result.passed
    assert "it died" in as_text(result)
    assert "it died" in as_markdown(result)


def test_a_ratio_without_a_baseline_is_not_a_pass() -> None:
    result = table(VariantResult("base", None, [], failure="no torch"), VariantResult("a3c_exp", FIVE_TIMES, [9.0]))
    assert result.rows[1].ratio is None
    assert result.rows[1].verdict == "failed"


def test_repeats_are_not_run_in_blocks() -> None:
    order: list[str] = []

    def variant(name: str) -> Variant:
        return Variant(name, lambda: order.append(name) or 1.0)

    interleave([variant("a"), variant("b")], 3, lambda _: None)
    assert "".join(order) == "ababab"


def test_one_failing_variant_does_not_stop_or_shift_the_others() -> None:
    numbers = iter([1.0, 2.0, 3.0])
    attempts: list[int] = []

    def fails_at(limit: int) -> Callable[[], float]:
        def measure() -> float:
            attempts.append(1)
            if len(attempts) == limit:
                raise MeasurementError("out of memory")
            return 10.0

        return measure

    results = interleave([Variant("a3c_exp", fails_at(2)), Variant("base", lambda: next(numbers))], 3, lambda _: None)
    assert results[0].values == [10.0]
    assert results[0].failure == "out of memory"
    assert results[1].values == [1.0, 2.0, 3.0]
    assert len(attempts) == 2
    assert make_rows(results, "s", "base")[0].ratios == (10.0,)


def test_an_unexpected_error_does_not_end_the_benchmark() -> None:
    results = interleave([Variant("broken", lambda: 1 / 0), Variant("fine", lambda: 1.0)], 2, lambda _: None)
    assert results[0].failure == "ZeroDivisionError: division by zero"
    assert results[1].values == [1.0, 1.0]


def test_ctrl_c_is_not_a_failed_variant() -> None:
    def interrupted() -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interleave([Variant("slow", interrupted)], 1, lambda _: None)


def test_the_written_numbers_are_not_rounded_away(tmp_path: Path) -> None:
    write(table(VariantResult("base", None, [3.0]), VariantResult("a3c_exp", FIVE_TIMES, [1234.5678])), tmp_path)
    read = json.loads((tmp_path / "speed.json").read_text())
    assert read["rows"][1]["values"] == [1234.5678]
    assert read["command"] == "python -m benchmarks"
    assert read["environment"]["machine"] == {"cores": 2}
    assert "| a3c_exp | 1,235 |" in (tmp_path / "speed.md").read_text()


def test_a_markdown_row_does_not_lose_a_column() -> None:
    result = table(VariantResult("base", None, [3.0]), VariantResult("a3c_exp", FIVE_TIMES, [], failure="a | b\nc"))
    rows = [line for line in as_markdown(result).splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1


def test_filling_the_readme_keeps_the_text_around_the_markers() -> None:
    text = f"above\n{BEGIN}\nold\n{END}\nbelow\n"
    once = fill(text, "new")
    assert once == f"above\n{BEGIN}\n\nnew\n\n{END}\nbelow\n"
    assert fill(once, "new") == once
    with pytest.raises(SystemExit, match="results:begin"):
        fill("no markers", "new")
