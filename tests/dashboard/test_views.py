"""What the page is told is what the files say, by the same code as the other commands."""

import json
import os
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest

from a3c_exp.dashboard.outputs_index import OutputsIndex
from a3c_exp.dashboard.run_views import RunViews
from a3c_exp.report.run_reader import read_runs
from a3c_exp.runs.details import config_differences
from a3c_exp.runs.query import parse_condition, select_runs
from a3c_exp.runs.run_summary import RunSummary, find_run_summaries
from tests.dashboard.conftest import CHOICES, EVIL, Serve, Site, write_study
from tests.support.synthetic_ablations import Way, write_arm
from tests.support.synthetic_runs import HALF_A_LINE, write_run

SWEEP = "2026-11-21/14-10-05_sweep"


@pytest.mark.parametrize("condition", ["workers>=6", "status=finished", "env=pend*", "name~SEED", "path!~studies", "seed=1"])
def test_conditions_select_the_runs_that_the_command_selects(condition: str, site: Site, outputs: Path) -> None:
    expected = select_runs(find_run_summaries([outputs]), [parse_condition(condition)])
    answer = site.ask("runs", q=condition)
    assert set(answer["ids"]) == {quote(str(run.path.relative_to(outputs)), safe="/=,+@~") for run in expected}
    assert answer["total"] > len(answer["ids"]) > 0


def test_a_word_that_is_no_condition_is_looked_for_in_paths(site: Site) -> None:
    assert site.ask("runs", q="live")["ids"] == ["2026-11-22/live"]
    assert site.ask("runs", q="'14-10-05_sweep' seed=1")["ids"] == [f"{SWEEP}/workers=4,seed=1"]
    assert site.ask("runs", q="'14")["error"].endswith("Add it, or leave it out")


def test_rows_say_what_the_command_prints(site: Site, outputs: Path) -> None:
    answer = site.ask("runs", columns="gamma,optimizer.lr")
    titles = [title for _, title in answer["columns"]]
    rows = {row["id"]: dict(zip(titles, (text for text, _ in row["cells"]), strict=True)) for row in answer["rows"]}
    live = rows["2026-11-22/live"]
    assert (live["status"], live["gamma"], live["optimizer.lr"], live["workers"]) == ("running 50%", "0.9", "0.0001", "4")
    assert rows[f"{SWEEP}/workers=12,seed=0"]["status"] == "killed"
    summary = RunSummary(outputs / "2026-11-22" / "live")
    assert live["env steps"] == f"{summary.result('env_steps'):,.0f}"


def test_a_poll_is_told_only_what_has_changed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / name, episodes=2)
    index = OutputsIndex(tmp_path)
    views = RunViews(index)

    def poll(**said: object) -> dict[str, object]:
        index._next_reading = 0.0
        return views.list_runs({key: [str(value)] for key, value in said.items()})

    first = poll()
    assert len(first["rows"]) == 2  # type: ignore[arg-type]
    same = poll(since=first["version"], order=first["order"])
    assert (same["rows"], same["ids"], same["version"]) == ([], None, first["version"])
    write_run(tmp_path / "c", episodes=2, status="running")
    second = poll(since=first["version"], order=first["order"])
    assert [row["name"] for row in second["rows"]] == ["a", "b", "c"]  # type: ignore[attr-defined]
    with (tmp_path / "c" / "episodes.jsonl").open("a") as file:
        file.write(json.dumps({"episode": 3, "env_step": 777, "moving_average": -1.0}) + "\n" + HALF_A_LINE)
    third = poll(since=second["version"], order=second["order"])
    assert [(row["name"], row["cells"][5][0]) for row in third["rows"]] == [("c", "777")]  # type: ignore[attr-defined]
    shutil.rmtree(tmp_path / "b")
    assert poll(since=third["version"], order=third["order"])["ids"] == ["a", "c"]


def test_a_run_whose_process_dies_is_shown_as_killed_though_its_files_stay_as_they_are(tmp_path: Path) -> None:
    from subprocess import Popen

    process = Popen(["sleep", "60"])
    write_run(tmp_path / "a", episodes=2, status="running", pid=process.pid)
    index = OutputsIndex(tmp_path)
    assert index.snapshot().runs["a"].summary.status == "running"
    process.kill()
    process.wait()
    index._next_reading = 0.0
    assert index.snapshot().runs["a"].summary.status == "killed"


def test_curves_are_the_numbers_of_the_logs_over_environment_steps(site: Site, outputs: Path) -> None:
    ids = ("2026-11-22/live", f"{SWEEP}/workers=12,seed=0")  # that one ends in the middle of a line
    answer = site.ask("curves", *(("id", name) for name in ids))
    charts = {chart["name"]: chart for chart in answer["charts"]}
    assert {"evaluation", "training_return", "loss", "policy_loss", "value_loss", "entropy", "speed"} <= charts.keys()
    assert answer["more"] is False and [run["id"] for run in answer["runs"]] == list(ids)
    for place, data in enumerate(read_runs([outputs / name for name in ids])[::-1]):
        curve = charts["training_return"]["curves"][place]
        assert curve["run"] == place
        assert curve["y"] == pytest.approx(data.episodes["return"], rel=1e-5)
        assert curve["x"] == pytest.approx(data.episodes["env_step"])
    assert charts["evaluation"]["curves"][0].keys() >= {"low", "high"}
    by_time = site.ask("curves", *(("id", name) for name in ids), axis="wall_time")
    assert by_time["charts"][0]["curves"][0]["x"] != charts["evaluation"]["curves"][0]["x"]


def test_a_run_has_its_results_its_videos_and_what_to_type_next(site: Site, outputs: Path) -> None:
    run = site.ask("run", id=f"2026-11-20/{quote(EVIL)}")
    assert run["media"]["videos"] == [
        {"name": "episode 0.mp4", "address": f"files/2026-11-20/{quote(EVIL)}/videos/episode%200.mp4"}
    ]
    assert site.get(f"/{run['media']['videos'][0]['address']}")[0].status == 200
    assert run["next_steps"][0].startswith("python -m a3c_exp 'resume=")
    seed = site.ask("run", id="2026-11-22/seeds/seed=1")
    assert seed["status"] == "finished" and ["seed", "1", True] in seed["config"]


def test_a_comparison_names_what_differs(site: Site, outputs: Path) -> None:
    ids = [f"{SWEEP}/workers=4,seed=0", f"{SWEEP}/workers=12,seed=0"]
    answer = site.ask("compare", *(("id", name) for name in ids))
    assert answer["differences"] == [list(row) for row in config_differences([RunSummary(outputs / name) for name in ids])]
    assert ["workers", "4", "12"] in answer["differences"]


def test_a_sweep_says_what_is_missing_and_what_goes_on_with_it(site: Site, outputs: Path) -> None:
    (listed,) = site.ask("sweeps")["sweeps"]
    assert dict(listed["statuses"]) == {"finished": 2, "killed": 1, "missing": 1}
    sweep = site.ask("sweep", id=SWEEP)
    assert sweep["rest"] == {
        "text": "2 of 4 runs are left: 1 killed (workers=12,seed=0), 1 missing (workers=12,seed=1)",
        "command": f"python -m a3c_exp resume={outputs / SWEEP}",
        "queue_command": "",
    }
    assert [job["status"] for job in sweep["jobs"]] == ["finished", "finished", "killed", "missing"]
    assert sweep["report"] == f"{SWEEP}/report" and site.get(f"/files/{sweep['report']}/index.html")[0].status == 200
    assert site.ask("reports")["reports"][0]["title"] == "a & b"


def test_a_damaged_plan_and_one_that_names_other_folders_are_said(tmp_path: Path, serve: Serve) -> None:
    write_run(tmp_path / "outside", episodes=2)
    write_run(tmp_path / "outputs" / "a", episodes=2)
    for name, text in [("broken", "{"), ("strange", "../../outside"), ("absolute", str(tmp_path / "outside"))]:
        (tmp_path / "outputs" / name).mkdir()
        job = {"number": 0, "folder": text, "overrides": [], "values": {}}
        lists = {key: [] for key in ("hydra_overrides", "base_overrides", "config_dirs")}
        content = {"format": 2, "command": "x", **lists, "git": None, "values": {}, "jobs": [job]}
        (tmp_path / "outputs" / name / "sweep.json").write_text("{" if text == "{" else json.dumps(content))
    listed = {sweep["id"]: sweep for sweep in serve(tmp_path / "outputs").ask("sweeps")["sweeps"]}
    assert "damaged" in listed["broken"]["problem"]
    assert (
        "no folder of the sweep" in listed["strange"]["problem"] and "no folder of the sweep" in listed["absolute"]["problem"]
    )


def test_a_study_shows_its_trials_without_opening_its_storage(site: Site, outputs: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in outputs.rglob("*")}
    (listed,) = site.ask("studies")["studies"]
    assert (listed["name"], listed["best"]["number"], listed["n_trials"]) == ("<b>s", 1, 5)
    study = site.ask("study", id="studies/s")
    assert [(trial["state"], trial["text"]) for trial in study["trials"][:2]] == [
        ("complete", "\N{MINUS SIGN}300.0 ± 2.5"),
        ("complete", "\N{MINUS SIGN}200.0 ± 2.5"),
    ]
    assert study["trials"][2]["state"] == "pruned" and study["trials"][2]["reason"].startswith("MedianPruner")
    assert study["trials"][3]["state"] == "running" and study["trials"][3]["params"] == {"gamma": "0.83"}
    assert study["command"] == "python -m a3c_exp +study=s -m"
    assert before == {path: path.stat().st_mtime_ns for path in outputs.rglob("*")}, "it only reads"


def test_verdicts_are_those_of_the_report(tmp_path: Path, serve: Serve) -> None:
    for arm, way in (("workers_12", Way()), ("workers_6", Way(end=-2.0, speed=0.5))):
        write_arm(tmp_path / "ablation", "worker_count", "published", arm, way, seeds=5, episodes=30)
    answer = serve(tmp_path).ask("verdicts", id="ablation")
    first, second = answer["sections"]
    assert first["title"] == "Claims and verdicts" and first["tables"][0]["name"].startswith("Verdicts")
    states = {cell["status"] for table in first["tables"] for row in table["rows"] for cell in row} - {""}
    assert states & {"supported", "reversed", "undecided", "clear"}
    assert second["tables"][0]["name"] == "Summary" and answer["num_runs"] == 10


def test_a_folder_that_is_a_run_itself_is_shown(tmp_path: Path, serve: Serve) -> None:
    run = write_run(tmp_path / "run", episodes=2, run_json=CHOICES)
    (run / "videos").mkdir()
    (run / "videos" / "a.mp4").write_bytes(b"film")
    site = serve(run)
    assert site.ask("runs")["ids"] == ["."]
    (video,) = site.ask("run", id=".")["media"]["videos"]
    assert site.get(f"/{video['address']}")[1] == b"film"
    assert site.ask("curves", id=".")["charts"] and site.ask("verdicts", id=".")["num_runs"] == 1


def test_folders_that_are_named_in_no_encoding_can_be_looked_at(tmp_path: Path, serve: Serve) -> None:
    name = os.fsdecode(b"run \xff%20?#&+=\xc3\xa9")
    write_run(tmp_path / name, episodes=2, run_json={"name": None})
    site = serve(tmp_path)
    (row,) = site.ask("runs")["rows"]
    assert row["id"].isascii() and "�" in row["name"]
    assert site.ask("run", id=row["id"])["id"] == row["id"]
    assert site.ask("curves", id=row["id"])["charts"]


def test_a_study_of_nothing_yet_is_shown(tmp_path: Path, serve: Serve) -> None:
    write_study(tmp_path / "s")
    for trial in (tmp_path / "s").glob("trial=*"):
        shutil.rmtree(trial)
    study = serve(tmp_path).ask("study", id="s")
    assert (study["trials"], study["best"], study["statuses"]) == ([], None, [])
