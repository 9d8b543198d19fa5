"""Run directories are read in whatever state they were left, and what is missing is said."""

import json
import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from a3c_exp.report.columns import read_columns
from a3c_exp.report.run_reader import RunData
from a3c_exp.runs.run_directories import find_runs, natural_sort_key
from a3c_exp.runs.run_summary import RESULT_KEYS
from a3c_exp.system.errors import RunDirectoryError
from tests.support.synthetic_runs import DEAD_PID, NEW, write_run, write_seeds


def test_a_finished_run_reads_whole(tmp_path: Path) -> None:
    run = RunData(write_run(tmp_path / "sweep" / "workers=4", seed=7, episodes=30, evaluations=5))
    assert (run.status, run.name, run.group, run.seed) == ("finished", "workers=4", "sweep", "7")
    assert run.problems == []
    assert run.config["optimizer"] == {"lr": 1e-4}
    assert run.overrides == ("workers=4", "seed=7")
    assert run.episodes["episode"].tolist() == list(range(1, 31))
    assert run.episodes["return"].shape == (30,)
    assert math.isnan(run.metrics["explained_variance"][0])  # null in the file
    assert np.isfinite(run.metrics["explained_variance"][1:]).all()
    assert "returns" not in run.evaluations


def test_a_half_written_last_line_costs_that_line_only(tmp_path: Path) -> None:
    run = RunData(write_run(tmp_path / "a", episodes=30, half_written=True))
    assert run.episodes["episode"].size == 30
    assert run.problems == ["episodes.jsonl: the last line is half-written and left out"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_cut_anywhere_never_crashes_and_keeps_every_whole_line(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "run"
    if not path.exists():
        write_run(path, episodes=8)
        (tmp_path / "whole").write_bytes((path / "episodes.jsonl").read_bytes())
    whole = (tmp_path / "whole").read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    (path / "episodes.jsonl").write_bytes(whole[:cut])
    kept = RunData(path).episodes["episode"].tolist()
    ended = whole[:cut].count(b"\n")
    assert kept in (list(range(1, ended + 1)), list(range(1, ended + 2)))  # the last may lack its newline only


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["run.json", "summary.json", "episodes.jsonl", "metrics.jsonl", ".hydra/config.yaml"]),
    content=st.one_of(
        st.binary(max_size=80),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        ).map(lambda value: json.dumps(value).encode()),
        st.dictionaries(
            st.sampled_from(["status", "pid", "host", "machine", "overrides", "evaluation", "episode", "env_step"]),
            st.none() | st.integers() | st.text(max_size=9) | st.just("running") | st.just({}) | st.just([]),
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_no_content_of_any_file_crashes_the_reader(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / "run"
    if not path.exists():
        write_run(path, episodes=3)
    before = (path / name).read_bytes()
    try:
        (path / name).write_bytes(content)
        run = RunData(path)
        assert len({column.size for column in run.episodes.values()}) == 1
        assert all(isinstance(run.result(key), float) for key in RESULT_KEYS)
    finally:
        (path / name).write_bytes(before)


@pytest.mark.parametrize("name", ["episodes.jsonl", "metrics.jsonl", "evaluations.jsonl", "summary.json"])
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_missing_or_empty_file_is_said(tmp_path: Path, name: str, how: str) -> None:
    path = write_run(tmp_path / "a", episodes=5)
    (path / name).unlink()
    if how == "empty":
        (path / name).touch()
    assert f"{name} is {how}" in RunData(path).problems


def test_a_run_without_evaluations_does_not_miss_them(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a", episodes=5, evaluations=0)
    (path / "evaluations.jsonl").unlink()
    assert RunData(path).problems == []


def test_a_damaged_line_in_the_middle_is_counted(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a", episodes=6)
    lines = (path / "episodes.jsonl").read_text().splitlines()
    lines[2] = "\0" * 40  # what a power cut leaves
    (path / "episodes.jsonl").write_text("\n".join(lines) + "\n")
    run = RunData(path)
    assert run.episodes["episode"].tolist() == [1, 2, 4, 5, 6]
    assert run.problems == ["episodes.jsonl: 1 damaged line left out"]


def test_a_dead_process_is_not_running(tmp_path: Path) -> None:
    run = RunData(write_run(tmp_path / "a", status="running", pid=DEAD_PID, episodes=5))
    assert run.status == "killed"
    assert run.summary_json == {}
    assert run.reason == "its process is gone and left no reason"
    assert run.result("env_steps") == 1000  # from its lines


def test_a_living_process_is_running(tmp_path: Path) -> None:
    assert RunData(write_run(tmp_path / "a", status="running", pid=os.getpid())).status == "running"


def test_a_process_on_another_machine_is_not_declared_dead(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a", status="running", pid=DEAD_PID, host="elsewhere")
    assert RunData(path).status == "running"
    assert RunData(path).problems == []
    for file in path.iterdir():
        os.utime(file, (time.time() - 7200, time.time() - 7200))
    (problem,) = RunData(path).problems
    assert "on elsewhere" in problem
    assert "2.0 h" in problem


def test_an_earlier_sessions_summary_is_not_taken_for_the_runs(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a", status="failed", episodes=5)
    said = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**said, "status": "running", "pid": os.getpid()}))
    run = RunData(path)
    assert run.summary_json == {}
    assert "summary.json is an earlier session's and not used" in run.problems


def test_runs_are_found_at_any_depth_once_and_in_natural_order(tmp_path: Path) -> None:
    for name in ("day/sweep/workers=12", "day/sweep/workers=4", "day/single"):
        write_run(tmp_path / name, episodes=3)
    write_run(tmp_path / "day/single/checkpoints/inner", episodes=3)  # belongs to the run that it lies in
    paths = find_runs([tmp_path / "day", tmp_path / "day/sweep"])
    assert [str(path.relative_to(tmp_path / "day")) for path in paths] == [
        "single",
        "sweep/workers=4",
        "sweep/workers=12",
    ]
    assert find_runs([tmp_path / "day/single"]) == [tmp_path / "day/single"]


def test_several_seeds_are_not_one_broken_run(tmp_path: Path) -> None:
    folder = write_seeds(tmp_path / "sweep" / "many", episodes=3)
    write_run(tmp_path / "sweep" / "alone", seed=7, episodes=3)
    inner = [folder / f"seed={seed}" for seed in range(3)]
    assert find_runs([folder]) == inner
    assert find_runs([tmp_path]) == [tmp_path / "sweep" / "alone", *inner]
    assert find_runs([folder / "seed=1", folder]) == inner  # each once
    runs = [RunData(path) for path in inner]
    assert [(run.seed, run.status, run.problems, run.num_seeds_in_process) for run in runs] == [
        (str(seed), "finished", [], 3) for seed in range(3)
    ]
    assert RunData(tmp_path / "sweep" / "alone").num_seeds_in_process == 1


def test_a_seed_that_is_gone_is_missed(tmp_path: Path) -> None:
    folder = write_seeds(tmp_path / "many", episodes=3)
    (folder / "seed=1").rename(tmp_path / "elsewhere")
    runs = [RunData(path) for path in find_runs([folder])]
    assert [run.status for run in runs] == ["finished", "unknown", "finished"]
    assert "run.json is missing" in runs[1].problems


@pytest.mark.parametrize(
    "seeds", [["../other"], ["seed=0/../../other"], ["/"], [""], ["seed=\0"], "seed=0", [["seed=0"]], {}, []]
)
def test_a_list_of_seeds_leads_nowhere_else(tmp_path: Path, seeds: object) -> None:
    write_run(tmp_path / "other", episodes=3)
    path = write_run(tmp_path / "runs" / "a", episodes=3, run_json={"seeds": seeds})
    assert find_runs([tmp_path / "runs"]) == [path]


def test_what_older_runs_did_not_write_is_unknown_and_not_a_problem(tmp_path: Path) -> None:
    old, new = (RunData(write_run(tmp_path / name, episodes=20, old=name == "old")) for name in ("old", "new"))
    assert old.problems == new.problems == []
    assert old.metrics.keys() == new.metrics.keys()
    names = [name for name in NEW if not name.startswith("worker_")]
    unknown = [*names, "value.low", "value.high", *(f"worker_steps_per_second.{word}" for word in ("low", "mean", "high"))]
    assert all(np.isnan(old.metrics[name]).all() and old.metrics[name].size == 10 for name in unknown)
    assert np.isfinite(old.metrics["grad_norm"]).all()
    assert new.metrics["value.low"].tolist() == [-7.0] * 10
    assert new.metrics["worker_updates_per_second.high"].tolist() == [43.0] * 10


@given(st.lists(st.one_of(st.none(), st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), max_size=5)), max_size=8))
def test_lists_of_any_length_give_their_smallest_mean_and_largest(
    tmp_path_factory: pytest.TempPathFactory, lists: object
) -> None:
    assert isinstance(lists, list)
    path = tmp_path_factory.getbasetemp() / "lists.jsonl"
    path.write_text("".join(json.dumps({"x": 1.0, "each": values}) + "\n" for values in lists))
    columns = read_columns(path, ["x"], [], lists=["each"])
    for name, reduce in (("low", min), ("mean", lambda items: sum(items) / len(items)), ("high", max)):
        wanted = [reduce(values) if values and None not in values else math.nan for values in lists]
        np.testing.assert_allclose(columns[f"each.{name}"], wanted, rtol=1e-9, atol=1e-9)


def test_a_wrong_path_is_told_from_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="no such directory"):
        find_runs([tmp_path / "typo"])
    with pytest.raises(RunDirectoryError, match=r"no runs found.*folder with a run\.json"):
        find_runs([tmp_path])
    write_run(tmp_path / "a", episodes=3)
    with pytest.raises(RunDirectoryError, match="is a file"):
        find_runs([tmp_path / "a" / "run.json"])


def test_many_runs_are_read_quickly(tmp_path: Path) -> None:
    path = write_run(tmp_path / "0", episodes=1000)
    start = time.process_time()
    for _ in range(20):
        RunData(path)
    assert time.process_time() - start < 5.0  # about 0.4 s on an idle core


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=6))
def test_natural_order_is_that_of_the_numbers(numbers: list[int]) -> None:
    texts = [f"workers={number},seed=0" for number in numbers]
    assert sorted(texts, key=natural_sort_key) == [f"workers={number},seed=0" for number in sorted(numbers)]
