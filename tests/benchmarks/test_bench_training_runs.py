"""Speeds and times are read from run directories correctly."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.harness.interleaved import MeasurementError
from benchmarks.harness.training_runs import first_step_time, read_json_lines, steady_rate


def lines(*points: tuple[int, float]) -> list[dict[str, float]]:
    return [{"env_step": step, "wall_time": seconds} for step, seconds in points]


def test_the_warm_up_is_not_part_of_the_speed() -> None:
    slow_start = lines((1_000, 50.0), (10_000, 60.0), (20_000, 61.0), (30_000, 62.0))
    assert steady_rate(slow_start) == 10_000.0


@pytest.mark.parametrize("points", [[], [(100, 1.0)], [(10, 1.0), (100, 2.0)], [(50, 2.0), (100, 2.0)]])
def test_too_few_lines_are_not_a_speed(points: list[tuple[int, float]]) -> None:
    with pytest.raises(MeasurementError):
        steady_rate(lines(*points))


def test_a_missing_file_is_not_an_unexplained_error(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"metrics\.jsonl"):
        read_json_lines(tmp_path / "metrics.jsonl")
    with pytest.raises(MeasurementError, match=r"run\.json"):
        first_step_time(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"timings": {"created": "2026-01-01T00:00:00"}}))
    with pytest.raises(MeasurementError, match="first_env_step"):
        first_step_time(tmp_path)


def test_a_time_zone_is_not_lost(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    for text in (moment.isoformat(), moment.astimezone().replace(tzinfo=None).isoformat()):
        (tmp_path / "run.json").write_text(json.dumps({"timings": {"first_env_step": text}}))
        assert first_step_time(tmp_path) == pytest.approx(moment.timestamp(), abs=1e-6)
