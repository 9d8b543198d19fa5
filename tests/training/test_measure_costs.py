"""Costs are measured on the task itself, and nothing that is there is overwritten."""

import json
from pathlib import Path

import pytest

from a3c_exp.config.compose import compose_jobs
from a3c_exp.report.ablations.wall_time_model import read_costs
from a3c_exp.training.build import build_run
from a3c_exp.training.measure_costs import COSTS_FILE, main, measure


def test_every_part_is_measured_and_none_is_counted_twice() -> None:
    (job,) = compose_jobs(["env=pendulum", "workers=2"], multirun=False)
    assembly = build_run(job.config)
    before = assembly.initial_states[0].weights.clone()
    cost = measure(assembly, workers=2, seconds=0.05, repeats=3)
    assert list(cost) == ["rollout", "gradient", "update"]
    for values in cost.values():
        assert len(values) == 3 and min(values) > 0
    assert max(map(max, cost.values())) < 0.5  # of one window, not of all windows
    assert (assembly.initial_states[0].weights == before).all()


def test_what_it_writes_is_what_analysis_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env=pendulum", "workers=3", "--seconds", "0.05", "--out", str(tmp_path)]) == 0
    costs = read_costs(tmp_path / COSTS_FILE)
    assert costs is not None and costs.workers.tolist() == [1, 2, 3] and costs.n_step == 10
    assert json.loads((tmp_path / COSTS_FILE).read_text())["machine"]["cores"] >= 1
    assert "costs.json" in capsys.readouterr().out
    written = (tmp_path / COSTS_FILE).read_bytes()
    assert main(["--out", str(tmp_path)]) == 2
    assert "not overwritten" in capsys.readouterr().err
    assert (tmp_path / COSTS_FILE).read_bytes() == written


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--out", str(tmp_path / "nowhere")], ["--out", str(tmp_path), "--seconds", "0"]):
        assert main(arguments) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "nowhere").exists()
