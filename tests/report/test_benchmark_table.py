"""The table of presets beside published results: a row a task, from the runs that belong to it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a3c_exp.config.compose import compose_jobs
from a3c_exp.report.__main__ import main
from a3c_exp.report.benchmark_table import benchmark_table
from a3c_exp.report.run_reader import read_runs
from a3c_exp.runs.study_storage import STUDY_FILE
from a3c_exp.stats.estimates import interquartile_mean, seed_interval
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run
from tests.support.command import ROOT
from tests.support.synthetic_runs import write_run

PRESETS = sorted(path.stem for path in (ROOT / "conf" / "experiment" / "zoo").glob("*.yaml"))


def write(folder: Path, task: str, goal: float, seeds: int, table: str = "zoo", **config: Any) -> None:
    for seed in range(seeds):
        benchmark = {"table": table, "task": task, "goal": goal, "published": {"A2C": -163.0}}
        write_run(folder / f"{task}_{seed}", seed=seed, config={"benchmark": benchmark, **config})


def cells(table: str, row: int) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[row].strip("|").split("|")]


def test_a_row_says_what_the_seeds_reached_and_whether_all_met_the_goal(tmp_path: Path) -> None:
    write(tmp_path, "Easy-v0", -1e4, seeds=4)
    write(tmp_path, "Hard-v0", 0.0, seeds=4)
    write(tmp_path, "Other-v0", 0.0, seeds=1, table="another")
    returns = np.array([run.result("evaluation") for run in read_runs([tmp_path]) if run.value("benchmark.task") == "Easy-v0"])
    returns = returns[np.isfinite(returns)][:4]
    table = benchmark_table([tmp_path], "zoo")
    assert len(table.splitlines()) == 4, "a head and two tasks"
    easy = dict(zip(cells(table, 0), cells(table, 2), strict=True))
    assert easy["task"] == "Easy-v0" and easy["seeds"] == "4" and easy["reached"] == "yes" and easy["A2C"] == "-163.0"
    estimate, low, high = (
        float(text.strip("[],").replace(",", "")) for text in easy["IQM [95 % interval]"].replace("\N{MINUS SIGN}", "-").split()
    )
    assert estimate == pytest.approx(interquartile_mean(returns), abs=0.06)
    assert (low, high) == pytest.approx(seed_interval(returns), abs=0.6)
    assert dict(zip(cells(table, 0), cells(table, 3), strict=True))["reached"] == "no"


def test_one_seed_below_the_goal_is_not_reached(tmp_path: Path) -> None:
    write(tmp_path, "Task-v0", 0.0, seeds=3)
    reached = sorted(run.result("evaluation") for run in read_runs([tmp_path]))
    for goal, answer in ((reached[0] - 0.01, "yes"), (reached[0] + 0.01, "no")):
        folder = tmp_path / answer
        write(folder, "Task-v0", goal, seeds=3)
        assert cells(benchmark_table([folder], "zoo"), 2)[-1] == answer


def test_steps_say_for_how_many_of_the_environment_each_was_held(tmp_path: Path) -> None:
    write(tmp_path, "Held-v0", 0.0, seeds=1, env={"frame_skip": 4})
    write(tmp_path, "Once-v0", 0.0, seeds=1, env={"frame_skip": 1})
    table = benchmark_table([tmp_path], "zoo")
    held, once = (dict(zip(cells(table, 0), cells(table, row), strict=True))["steps"] for row in (2, 3))
    assert held == f"{once} \N{MULTIPLICATION SIGN} 4"


def rows(folder: Path) -> dict[str, dict[str, str]]:
    """The table's cells by column, by task."""
    table = benchmark_table([folder], "zoo")
    every = [dict(zip(cells(table, 0), cells(table, row), strict=True)) for row in range(2, len(table.splitlines()))]
    return {row["task"]: row for row in every}


def test_a_seed_that_did_not_finish_is_counted_and_keeps_the_goal_from_being_reached(tmp_path: Path) -> None:
    write(tmp_path, "Task-v0", -1e4, seeds=3)
    assert rows(tmp_path)["Task-v0"]["reached"] == "yes"
    config = {"benchmark": {"table": "zoo", "task": "Task-v0", "goal": -1e4, "published": {"A2C": -163.0}}}
    write_run(tmp_path / "failed", seed=3, status="failed", config=config)
    assert rows(tmp_path)["Task-v0"]["seeds"] == "3 of 4"
    assert rows(tmp_path)["Task-v0"]["reached"] == "no"
    write_run(tmp_path / "again", seed=3, config=config)
    assert rows(tmp_path)["Task-v0"]["seeds"] == "4"


def test_settings_have_a_row_each_and_a_seed_counts_once(tmp_path: Path) -> None:
    write(tmp_path / "a", "Task-v0", 0.0, seeds=3, gamma=0.9)
    write(tmp_path / "b", "Task-v0", 0.0, seeds=2, gamma=0.99)
    write(tmp_path / "c", "Task-v0", 0.0, seeds=3, gamma=0.99)
    assert {task: row["seeds"] for task, row in rows(tmp_path).items()} == {
        "Task-v0, gamma=0.9": "3",
        "Task-v0, gamma=0.99": "3",
    }


def test_what_was_published_for_a_task_does_not_stand_beside_another(tmp_path: Path) -> None:
    benchmark = {
        "table": "zoo",
        "task": "Own-v0",
        "env": {"id": "Own-v0", "kwargs": None},
        "goal": 1e9,
        "published": {"A2C": 5},
    }
    for index, env in enumerate(({"id": "Own-v0"}, {"id": "Own-v0", "kwargs": {"wind": True}}, {"id": "Other-v0"})):
        write_run(tmp_path / str(index), config={"benchmark": benchmark, "env": env})
    (own, windy), other = (row for task, row in rows(tmp_path).items() if "Own-v0" in task), rows(tmp_path)["Other-v0"]
    assert sorted((own["A2C"], windy["A2C"])) == sorted(("5", other["A2C"]))
    assert {row["goal"] for row in (own, windy)} == {"≥ 1e+09", other["goal"]}
    assert other["reached"] == other["goal"] == other["A2C"]


def test_the_trials_of_a_study_are_no_rows(tmp_path: Path) -> None:
    write(tmp_path, "Task-v0", 0.0, seeds=2, gamma=0.99)
    study = tmp_path / "study"
    write(study, "Task-v0", 0.0, seeds=2, gamma=0.5)
    assert set(rows(tmp_path)) == {"Task-v0, gamma=0.5", "Task-v0, gamma=0.99"}
    (study / STUDY_FILE).write_text("{}")
    assert set(rows(tmp_path)) == {"Task-v0"}
    with pytest.raises(ConfigError, match=rf"trials of a study\. Try python -m a3c_exp\.report {study}"):
        benchmark_table([study], "zoo")


def test_a_table_without_runs_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "Task-v0", 0.0, seeds=1, table="another")
    with pytest.raises(ConfigError, match=r"only of another\. Try --table another"):
        benchmark_table([tmp_path], "zoo")
    write_run(tmp_path / "plain")
    with pytest.raises(ConfigError, match=r"belong to no table\. Try \+experiment=zoo/cartpole"):
        benchmark_table([tmp_path / "plain"], "zoo")
    write_run(tmp_path / "stopped", status="interrupted", config={"benchmark": {"table": "zoo"}})
    with pytest.raises(ConfigError, match=f"none of its runs has finished .interrupted.. Try resume={tmp_path / 'stopped'}"):
        benchmark_table([tmp_path / "stopped"], "zoo")
    assert main([str(tmp_path), "--table", "zoo"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_of_the_zoo_can_be_built_and_says_what_it_is_held_against(preset: str) -> None:
    (job,) = compose_jobs([f"+experiment=zoo/{preset}"], multirun=False)
    build_run(job.config)
    assert job.config.benchmark.table == "zoo" and job.config.benchmark.goal is not None
    assert job.config.evaluation.deterministic
    assert {"zoo A2C", "zoo PPO"} <= set(job.config.benchmark.published)
    needed = {key: value for key, value in job.config.benchmark.env.items() if value is not None}
    assert needed and needed.items() <= dict(job.config.env).items()
