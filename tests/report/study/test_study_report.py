"""The page about a study says what its storage says, whatever state the study is in."""

import csv
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from a3c_exp.report.__main__ import main
from a3c_exp.report.study.reader import read_study
from a3c_exp.runs.status import FORMAT
from a3c_exp.runs.study_storage import DIRECTORY, REASON, RETRY_OF, SEED_STD, SEEDS, STUDY_SIGNATURE, open_storage
from a3c_exp.sweep.study.study_files import write_study_file
from tests.support.studies import settings

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "gamma": FloatDistribution(0.8, 0.999),
    "optimizer.lr": FloatDistribution(1e-4, 1e-2, log=True),
    "workers": CategoricalDistribution([4, 6, 12]),
}


def write(directory: Path, objectives: int = 1, trials: int = 24) -> optuna.Study:
    """A study as a sweep leaves it: gamma matters, the others hardly; some pruned, one failed, one dead and tried again."""
    names, ways = ["evaluation.mean", "wall_time"][:objectives], ["maximize", "minimize"][:objectives]
    directory.mkdir(parents=True)
    chosen = settings(study_name="<b>s", n_trials=max(1, trials), objective=names, direction=ways)
    study = optuna.create_study(study_name="<b>s", storage=open_storage(None, directory), directions=ways)
    space = {"gamma": "interval(0.8, 0.999)", "optimizer.lr": "tag(log, interval(0.0001, 0.01))", "workers": "choice(4, 6, 12)"}
    contract = {"objectives": list(zip(names, ways, strict=True)), "space": space, "seeds": []}
    study.set_user_attr(STUDY_SIGNATURE, contract)
    write_study_file(directory, chosen, OmegaConf.create({"storage": None}), contract)
    begun = datetime(2026, 11, 21, 20, 0)
    for number in range(trials):
        gamma, lr = 0.8 + 0.199 * ((number * 7) % trials) / trials, 1e-4 * 10 ** (2 * ((number * 5) % trials) / trials)
        worth = -1000 * (gamma - 0.93) ** 2 * 100 - number % 3
        pruned, failed = number % 4 == 3 and objectives == 1, number == 5
        state = TrialState.FAIL if failed else TrialState.PRUNED if pruned else TrialState.COMPLETE
        reported = {1: worth - 300, 2: worth - 100} if pruned else {1: worth - 300, 2: worth - 100, 3: worth - 20, 4: worth}
        about: dict[str, object] = {
            DIRECTORY: f"trial={number}",
            SEEDS: {"seed=0": [worth], "seed=1": [worth - 2]},
            SEED_STD: [1.5] * objectives,
        }
        if failed:
            about[REASON] = "RuntimeError: <script>the pendulum came off</script>"
        if number == 7:
            about[RETRY_OF] = 5
        study.add_trial(
            create_trial(
                state=state,
                params={"gamma": gamma, "optimizer.lr": lr, "workers": [4, 6, 12][number % 3]},
                distributions=DISTRIBUTIONS,
                values=[worth, 10.0 + number][:objectives] if state is TrialState.COMPLETE else None,
                intermediate_values={} if objectives > 1 or failed else reported,
                user_attrs=about,
            )
        )
    assert begun + timedelta(hours=1) > begun
    return study


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("studies") / "s"
    write(directory)
    (directory / "best" / "experiment").mkdir(parents=True)
    (directory / "best" / "experiment" / "s.yaml").write_text("# @package _global_\ngamma: 0.93  # <i>\n")
    assert main([str(directory), "--thesis"]) == 2 and not (directory / "report").exists()
    assert main([str(directory)]) == 0
    return directory


def test_the_best_is_the_one_that_the_storage_has(written: Path) -> None:
    record = read_study(written)
    study = optuna.load_study(study_name="<b>s", storage=open_storage(None, written))
    assert [trial.number for trial in record.best] == [study.best_trial.number]
    assert record.parameters[0].name == "gamma", "what mattered by construction comes first"
    assert len(record.trials) == 24 and len(record.counted_trials) == 23, "a trial that was tried again counts once"


def test_the_page_shows_every_view_and_needs_no_network(written: Path) -> None:
    page = (written / "report" / "index.html").read_text()
    figures = {path.stem for path in (written / "report" / "figures").glob("*.svg")}
    assert figures == {
        "history_0", "intermediate", "importance_0", "coordinates", "slice_gamma_0", "slice_optimizer_lr_0", "slice_workers_0",
    }  # fmt: skip
    assert page.count("<svg") == len(figures)
    assert not re.search(r"(src|href)=.?http", page) and "<script" not in page
    assert "&lt;script&gt;the pendulum came off" in page and "&lt;b&gt;s" in page and "<b>s" not in page
    assert "gamma: 0.93  # &lt;i&gt;" in page and "+experiment=s" in page and "optuna-dashboard" in page
    assert (
        "How to read this" in page
        and "picked among many noisy ones" in page
        and "$" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.S)
    )


def test_the_table_of_trials_has_all_of_them_in_full(written: Path) -> None:
    with (written / "report" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in rows] == list(range(24))
    assert rows[5]["state"] == "failed" and "came off" in rows[5]["reason"] and rows[7]["retry_of"] == "5"
    trials = optuna.load_study(study_name="<b>s", storage=open_storage(None, written)).trials
    assert [row["param.gamma"] for row in rows] == [str(trial.params["gamma"]) for trial in trials]


def test_several_objectives_have_a_front_and_no_winner(tmp_path: Path) -> None:
    study = write(tmp_path / "two", objectives=2, trials=12)
    record = read_study(tmp_path / "two")
    assert {trial.number for trial in record.best} == {trial.number for trial in study.best_trials}
    assert main([str(tmp_path / "two")]) == 0
    figures = {path.stem for path in (tmp_path / "two" / "report" / "figures").glob("*.svg")}
    assert {"front", "history_0", "history_1", "importance_0", "importance_1"} <= figures and "intermediate" not in figures


def test_a_study_that_has_just_begun_has_a_page_too(tmp_path: Path) -> None:
    write(tmp_path / "new", trials=0)
    assert main([str(tmp_path / "new")]) == 0
    assert "No trial is complete yet" in (tmp_path / "new" / "report" / "index.html").read_text()


def test_a_study_without_its_storage_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.json").write_text(json.dumps({"format": FORMAT, "study_name": "s", "storage": None}))
    assert main([str(tmp_path)]) == 2
    assert "study.journal is missing" in capsys.readouterr().err and not (tmp_path / "study.journal").exists()


def test_optunas_dashboard_opens_the_same_storage(written: Path) -> None:
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is an extra")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [os.path.join(os.path.dirname(sys.executable), "optuna-dashboard"), "study.journal", "--port", str(port)]  # noqa: PTH118, PTH120
    server = subprocess.Popen(command, cwd=written, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        studies = asked(f"http://127.0.0.1:{port}/api/studies")["study_summaries"]
        assert [study["study_name"] for study in studies] == ["<b>s"]
        served = asked(f"http://127.0.0.1:{port}/api/studies/{studies[0]['study_id']}?after=0")
        assert len(served["trials"]) == 24
    finally:
        server.terminate()
        server.wait(20)


def asked(url: str) -> dict[str, list[dict[str, object]]]:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found: dict[str, list[dict[str, object]]] = json.load(answer)
                return found
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
