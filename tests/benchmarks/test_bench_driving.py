"""APPO's speed is that of whole batches after the warm-up, and driving does without sample-factory where it is missing."""

import importlib.util
from pathlib import Path

import pytest

from benchmarks.baselines.sample_factory_appo import SpeedMeter
from benchmarks.harness.training_runs import TrainingRuns
from benchmarks.suites import driving


def test_the_warm_up_is_not_part_of_the_speed_and_a_batch_counts_as_a_whole() -> None:
    meter = SpeedMeter(seconds=5.0, batch=1024)
    assert [meter.batch_ended(now) for now in (60.0, 70.0, 74.0, 78.0)] == [False, False, False, True]
    assert meter.steps_per_second() == 2 * 1024 / (78.0 - 70.0)


def test_one_batch_is_enough_where_it_takes_long() -> None:
    meter = SpeedMeter(seconds=5.0, batch=100)
    assert [meter.batch_ended(now) for now in (30.0, 60.0, 80.0)] == [False, False, True]
    assert meter.steps_per_second() == 5.0


def test_a_library_that_is_not_installed_is_left_out_with_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(driving.APPO_PYTHON, raising=False)
    installed = importlib.util.find_spec("sample_factory") is not None
    assert (driving.APPO in variant_names(tmp_path)) == installed
    assert ("benchmarks/README.md" in capsys.readouterr().err) != installed
    monkeypatch.setenv(driving.APPO_PYTHON, "sample_factory_venv/bin/python")
    assert {driving.APPO, f"{driving.APPO}, one process"} < variant_names(tmp_path)


def variant_names(folder: Path) -> set[str]:
    return {variant.name for variant in driving.variants(TrainingRuns(folder, 1.0))}
