"""A log is read on from where it ended: nothing twice, no half line, and from its start once it is another file."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from a3c_exp.dashboard.charts import ChartedRun, draw_charts
from a3c_exp.dashboard.log_table import LogTable, LogTables
from a3c_exp.dashboard.outputs_folder import OutputsFolder


def lines(steps: Iterator[int] | range) -> bytes:
    return b"".join(json.dumps({"env_step": step, "return": -step, "end": "truncated"}).encode() + b"\n" for step in steps)


@pytest.fixture
def table(tmp_path: Path) -> LogTable:
    return LogTable(OutputsFolder(tmp_path), tmp_path / "episodes.jsonl")


def test_a_poll_reads_only_what_is_new_and_no_half_line(table: LogTable, tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    assert table.read(10**6) == 0, "it is not there yet"
    path.write_bytes(lines(range(3)))
    assert table.read(10**6) == path.stat().st_size
    half, rest = lines(range(3, 5))[:40], lines(range(3, 5))[40:]
    with path.open("ab") as file:
        file.write(half)
    assert table.read(10**6) == len(half)
    assert table.column("env_step").tolist() == [0, 1, 2]
    with path.open("ab") as file:
        file.write(rest)
    table.read(10**6)
    assert table.column("env_step").tolist() == [0, 1, 2, 3, 4]
    assert table.read(10**6) == 0


def test_a_log_that_a_resume_has_cut_or_replaced_is_read_anew(table: LogTable, tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    path.write_bytes(lines(range(6)))
    table.read(10**6)
    os.truncate(path, len(lines(range(2))))
    table.read(10**6)
    assert table.column("env_step").tolist() == [0, 1]
    with path.open("r+b") as file:  # as long as before, and longer, but not the same
        file.write(lines(range(7, 17)))
    table.read(10**6)
    assert table.column("env_step").tolist() == list(range(7, 17))
    (tmp_path / "new").write_bytes(lines(range(20, 40)))
    (tmp_path / "new").replace(path)
    table.read(10**6)
    assert table.column("env_step").tolist() == list(range(20, 40))
    path.unlink()
    table.read(10**6)
    assert not table.column("env_step").size


def test_damaged_lines_and_values_that_are_no_numbers_leave_the_others(table: LogTable, tmp_path: Path) -> None:
    odd = (
        b'{"env_step": 1, "loss": null}\n\xff\xfe\n[1]\n\n{"env_step": 2, "loss": NaN, "lr": 0.5}\n{"env_step": 3, "loss": 4}\n'
    )
    (tmp_path / "episodes.jsonl").write_bytes(odd)
    table.read(10**6)
    assert table.column("env_step").tolist() == [1, 2, 3]
    assert [math.isnan(value) for value in table.column("loss")] == [True, True, False]
    assert [math.isnan(value) for value in table.column("lr")] == [True, False, True]


def test_a_long_log_is_read_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "episodes.jsonl").write_bytes(lines(range(500)))
    tables = LogTables(OutputsFolder(tmp_path))
    taken = []
    while not taken or taken[-1] == 4000:
        found, size = tables.read(tmp_path, 4000)
        taken.append(size)
    assert len(taken) > 3 and found["episodes"].column("env_step").tolist() == list(range(500))


def test_episodes_that_end_together_are_one_point(tmp_path: Path) -> None:
    said = [(10, 1.0, 7.0), (10, 3.0, 8.0), (20, 5.0, 9.0)]
    rows = [{"env_step": step, "return": value, "moving_average": average} for step, value, average in said]
    (tmp_path / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, _ = LogTables(OutputsFolder(tmp_path)).read(tmp_path, 10**7)
    charts = {chart["name"]: chart["curves"][0] for chart in draw_charts([ChartedRun(found, ())], "env_step")}
    assert charts["training_return"] == {"run": 0, "x": [10.0, 20.0], "y": [2.0, 5.0]}
    assert charts["reward_by_step"]["y"] == [8.0, 9.0], "of an average, where it stands"


def test_a_long_curve_is_thinned_to_means_that_keep_its_mean(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=5000)
    text = "".join(json.dumps({"env_step": step, "return": value}) + "\n" for step, value in enumerate(values))
    (tmp_path / "episodes.jsonl").write_text(text)
    found, _ = LogTables(OutputsFolder(tmp_path)).read(tmp_path, 10**7)
    (chart,) = draw_charts([ChartedRun(found, ())], "env_step")
    (curve,) = chart["curves"]
    assert len(curve["x"]) == len(curve["y"]) == 240 and curve["x"] == sorted(curve["x"])
    assert np.mean(curve["y"]) == pytest.approx(values.mean(), abs=1e-3)
