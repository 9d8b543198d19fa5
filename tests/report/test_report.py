"""The report shows what the files say, escapes it, needs nothing else, and overwrites nothing that is not its own."""

import csv
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from a3c_exp.report.aggregate import group_by_configuration
from a3c_exp.report.builder import make_report
from a3c_exp.report.figures import curve_figures as figures
from a3c_exp.report.figures.curve_figures import assign_colors
from a3c_exp.report.figures.svg import OTHER_COLOR, SERIES_COLORS
from a3c_exp.report.provenance import comparison_warnings
from a3c_exp.report.report_files import MARKER
from a3c_exp.report.run_reader import read_runs
from a3c_exp.report.tables import summary_table, worker_hyperparameter_table
from a3c_exp.system.number_format import format_count, format_duration, format_interval, format_mean_std, format_number
from tests.support.html_page import Page
from tests.support.synthetic_ablations import Way, write_arm
from tests.support.synthetic_runs import DEAD_PID, write_run, write_seeds

EVERY_RUN_HAS = {
    "reward_by_episode", "reward_by_step", "reward_by_time", "training_return", "evaluation", "entropy", "value_loss",
    "explained_variance", "value", "truncated_share", "grad_norm", "grad_norm_max", "policy_lag_mean", "policy_lag_max",
    "policy_lag_histogram", "speed", "worker_steps", "worker_updates", "value_excess", "sampling_gap",
}  # fmt: skip
EVIL = "<script>alert('&')</script>"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two configurations of three seeds and one of two, with a failed, a killed and an odd run among them."""
    root = tmp_path_factory.mktemp("runs") / "sweep & co"
    for seed in range(3):
        write_run(root / f"workers=4,seed={seed}", workers=4, seed=seed)
    for seed in range(2):
        write_run(root / f"workers=6,seed={seed}", workers=6, seed=seed)
    write_run(root / "workers=6,seed=2", workers=6, seed=2, status="running", pid=DEAD_PID, episodes=30, half_written=True)
    write_run(root / "workers=12,seed=0", workers=12, seed=0, run_json={"command": EVIL, "host": EVIL})
    write_run(root / "workers=12,seed=1", workers=12, seed=1, status="failed", reason=EVIL, episodes=5, evaluations=1)
    return root


@pytest.fixture(scope="module")
def report(sweep: Path) -> Path:
    return make_report([sweep], sweep / "report").index


def test_the_page_is_one_whole_file_that_needs_no_network_and_no_script(report: Path) -> None:
    text = report.read_text()
    page = Page(text)
    assert page.stack == []
    assert MARKER in text
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert all(link.startswith("#") for link in page.links)
    assert "url(http" not in text and "@import" not in text
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("figure") == len(EVERY_RUN_HAS)
    assert {target[1:] for target in page.links} <= set(page.ids)


def test_what_files_say_is_shown_and_never_obeyed(report: Path) -> None:
    text = report.read_text()
    assert EVIL not in text
    assert text.count("&lt;script&gt;") >= 3  # the command, the machine and the reason
    assert "<h1>sweep &amp; co</h1>" in text


def test_the_page_names_what_failed_and_why(report: Path) -> None:
    text = report.read_text()
    incomplete = text[text.index('id="incomplete"') : text.index('id="runs"')]
    assert incomplete.count("<tr>") == 3  # the head, the killed one and the failed one
    assert "its process is gone" in incomplete
    assert "30 episodes, 6,000 steps" in incomplete
    assert "the last line is half-written" in incomplete


def test_a_run_that_failed_is_not_averaged_in_silently(sweep: Path) -> None:
    comparison = group_by_configuration(read_runs([sweep]))
    four, _, twelve = comparison.configurations
    assert [run.seed for run in twelve.averaged_runs] == ["0"]
    assert (four.interval[1], twelve.interval[1]) == ("seeds", "episodes")
    row = summary_table(comparison).rows[2]
    assert row[1].text == "1 finished, 1 failed"
    assert row[1].note == "(means over 1)"
    assert any("left out of the means" in sentence for sentence in comparison_warnings(comparison))
    assert any("Fewer than 3 seeds of workers=12" in sentence for sentence in comparison_warnings(comparison))


def test_the_figures_are_files_that_any_reader_parses(report: Path) -> None:
    names = sorted(path.name for path in (report.parent / "figures").iterdir())
    assert names == sorted(f"{name}.{kind}" for name in EVERY_RUN_HAS for kind in ("png", "svg"))
    for name in EVERY_RUN_HAS:
        with Image.open(report.parent / "figures" / f"{name}.png") as image:
            image.load()
            assert image.width == 936
            assert image.convert("L").getextrema()[0] < 128  # something is drawn on the white paper
        text = (report.parent / "figures" / f"{name}.svg").read_text()
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "workers" in text  # the legend that the page has outside


def figures_of(folder: Path) -> set[str]:
    out = make_report([folder], folder.parent / "report", png=False).index.parent
    return {path.stem for path in (out / "figures").iterdir()}


def test_a_figure_that_has_no_numbers_or_repeats_another_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path / "discrete" / "a", episodes=8, discrete=True, clipped=True)
    now = EVERY_RUN_HAS - {"entropy"} | {"entropy_normalized", "max_probability", "grad_norm_clipped"}
    assert figures_of(tmp_path / "discrete") == now
    write_run(tmp_path / "old" / "a", episodes=8, old=True)
    new = {"truncated_share", "worker_steps", "worker_updates", "policy_lag_histogram"}
    assert figures_of(tmp_path / "old") == EVERY_RUN_HAS - new


def test_an_entropy_without_a_maximum_is_not_lost_beside_one_that_has_it(tmp_path: Path) -> None:
    write_run(tmp_path / "both" / "a", episodes=8, discrete=True)
    write_run(tmp_path / "both" / "b", episodes=8, config={"gamma": 0.5})
    assert {"entropy", "entropy_normalized"} <= figures_of(tmp_path / "both")


def test_each_figure_has_a_title_of_its_own_and_labels_on_both_axes(sweep: Path) -> None:
    comparison = group_by_configuration(read_runs([sweep]))
    drawn = list(figures.draw_plots(comparison, assign_colors(comparison, [0.0] * len(comparison.configurations))))
    titles = [picture.figure.texts[0].get_text() for picture in drawn]
    assert len(titles) == len(set(titles)) > 10
    assert all(axes.get_xlabel() and axes.get_ylabel() for picture in drawn for axes in picture.figure.axes)


def test_figures_stand_under_headings_and_none_is_empty(report: Path) -> None:
    text = report.read_text()
    headings = ["Policy", "Overconfidence", "Critic", "Gradients", "Asynchrony", "Speed"]
    assert re.findall("<h3>(.*?)</h3>", text) == headings
    assert all("<figure>" in part for part in text.split("<h3>")[1:])


@pytest.mark.usefixtures("few_figures")
def test_several_seeds_are_reported_as_seeds_of_one_configuration(tmp_path: Path) -> None:
    folder = write_seeds(tmp_path / "many", episodes=8)
    text = make_report([folder], folder / "report", png=False).index.read_text()
    assert "<b>3 runs</b> of <b>1 configuration</b>, 3 seeds: 3 finished." in text
    assert "shared one process" in text and 'id="incomplete"' not in text
    write_run(tmp_path / "alone", episodes=8, workers=6)
    comparison = group_by_configuration(read_runs([tmp_path]))
    assert any("their speeds do not compare" in warning for warning in comparison_warnings(comparison))


@pytest.mark.usefixtures("few_figures")
def test_workers_that_differ_are_told_and_those_that_do_not_are_not(tmp_path: Path) -> None:
    own = [{"worker": worker, "entropy_coef": 0.01, "lr": 10.0**-worker} for worker in range(3)]
    write_run(tmp_path / "a", seed=0, episodes=3, own=own)
    write_run(tmp_path / "b", seed=1, episodes=3, own=own)
    write_run(tmp_path / "c", seed=2, episodes=3, own=[{**values, "lr": 0.5} for values in own])
    write_run(tmp_path / "d", seed=3, episodes=3, own=[{"worker": 0, "lr": 0.2}, {"worker": 1, "lr": 0.3}])
    table = worker_hyperparameter_table(group_by_configuration(read_runs([tmp_path])))
    assert table.columns[1:] == ("seed", "what", "worker 0", "worker 1", "worker 2")
    assert [[cell.text for cell in row[1:]] for row in table.rows] == [
        ["0, 1", "learning rate", "1", "0.1", "0.01"],
        ["3", "learning rate", "0.2", "0.3", "-"],
    ]
    assert "What each worker has of its own" in make_report([tmp_path], tmp_path / "report", png=False).index.read_text()


def test_the_csv_holds_every_run_in_full(report: Path) -> None:
    with (report.parent / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["0", "1", "2", "0", "1", "2", "0", "1"]
    assert [row["config.workers"] for row in rows] == ["4"] * 3 + ["6"] * 3 + ["12"] * 2
    assert rows[5]["status"] == "killed"
    assert float(rows[5]["env_steps"]) == 6000
    assert rows[7]["reason"] == EVIL


@pytest.mark.usefixtures("few_figures")
def test_the_verdicts_of_ablations_stand_first_and_beside_the_page(tmp_path: Path) -> None:
    for arm, way in (("workers_12", Way()), ("workers_6", Way(end=-2.9, speed=0.5))):
        write_arm(tmp_path / "runs", "worker_count", "published", arm, way, seeds=5, episodes=30)
    index = make_report([tmp_path / "runs"], tmp_path / "report").index
    text = index.read_text()
    section = text[text.index('<section id="ablations">') : text.index('<section id="summary">')]
    assert 'class="status supported"' in section
    assert '<a href="#ablations">' in text
    names = {path.relative_to(index.parent).as_posix() for path in index.parent.rglob("*.*")}
    assert {"figures/ablations_worker_count_published.svg", "figures/ablations_worker_count_published.png",
            "tables/ablations_verdicts_workers.csv", "tables/ablations_what_the_verdicts_rest_on.csv"} <= names  # fmt: skip
    page = Page(text)
    assert page.stack == [] and len(page.ids) == len(set(page.ids))


def test_every_table_is_a_csv_too_with_plain_numbers(report: Path, sweep: Path) -> None:
    tables = {path.stem: list(csv.DictReader(path.open())) for path in (report.parent / "tables").iterdir()}
    assert tables.keys() == {"summary", "diagnostics", "incomplete_runs"}
    four = next(row for row in tables["summary"] if row["config.workers"] == "4")
    finals = [run.result("evaluation") for run in read_runs([sweep]) if run.config["workers"] == 4]
    assert float(four["evaluation_mean"]) == pytest.approx(sum(finals) / 3)
    assert float(four["evaluation_low"]) < sum(finals) / 3 < float(four["evaluation_high"])
    assert tables["incomplete_runs"][0]["reason"]
    assert {row["workers"]: row["largest"] for row in tables["diagnostics"]} == {"4": "8", "6": "12", "12": "24"}
    assert not any("\N{MINUS SIGN}" in text for rows in tables.values() for row in rows for text in row.values())


@pytest.mark.usefixtures("few_figures")
def test_several_tasks_are_several_tables_and_figures(tmp_path: Path) -> None:
    for task in ("CartPole-v1", "Pendulum-v1"):
        for workers in (4, 6)[: 2 - (task == "Pendulum-v1")]:
            config, words = {"env": {"id": task}}, [f"env.id={task}", f"workers={workers}"]
            write_run(tmp_path / "runs" / f"{task},{workers}", workers=workers, config=config, overrides=words)
    made = make_report([tmp_path / "runs"], tmp_path / "report", png=False)
    page = Page((tmp_path / "report" / "index.html").read_text())
    assert len(page.ids) == len(set(page.ids))
    assert {"summary_cartpole_v1", "summary_pendulum_v1", "runs_pendulum_v1", "origins"} <= {*page.ids}
    assert "summary" not in page.ids and "#learning_cartpole_v1" in page.links
    drawn = {path.stem for path in (tmp_path / "report" / "figures").glob("*.svg")}
    assert {name.partition("_v1_")[0] for name in drawn} == {"cartpole", "pendulum"}
    assert "Pendulum" not in (tmp_path / "report" / "figures" / f"{min(drawn)}.svg").read_text()
    first, _, second = made.text.partition("\nPendulum-v1\n")
    assert first.startswith("CartPole-v1\nworkers") and "Pendulum" not in first and "workers=4" in second


@pytest.mark.usefixtures("few_figures")
def test_an_earlier_reports_files_do_not_stay_and_a_persons_do(tmp_path: Path) -> None:
    many = write_run(tmp_path / "many", episodes=8, discrete=True)
    few = write_run(tmp_path / "few", episodes=8)
    out = make_report([many], tmp_path / "report").index.parent
    (out / "figures" / "mine.svg").write_text("precious")
    assert (out / "figures" / "max_probability.png").is_file()
    make_report([few], out, png=False)
    assert not list((out / "figures").glob("max_probability.*"))
    assert (out / "figures" / "mine.svg").read_text() == "precious"
    assert not list(out.rglob(".*"))  # nothing half-written


def test_the_same_runs_give_the_same_report(sweep: Path, report: Path) -> None:
    def undated(text: str) -> str:
        return re.sub(r"Made [\d: -]+", "", text)

    before = undated(report.read_text())
    assert undated(make_report([sweep], report.parent).index.read_text()) == before


@pytest.mark.usefixtures("few_figures")
def test_a_page_made_beside_its_runs_does_not_name_its_makers_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sweep: Path
) -> None:
    copy = shutil.copytree(sweep, tmp_path / "outputs" / "mine", ignore=shutil.ignore_patterns("report"))
    monkeypatch.chdir(tmp_path)
    text = make_report([copy], tmp_path / "report", png=False).index.read_text()
    assert "outputs/mine" in text
    assert str(tmp_path) not in text


def test_runs_with_nothing_in_them_still_make_a_report(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").touch()
    text = make_report([tmp_path], tmp_path / "report", png=False).index.read_text()
    assert "run.json is empty" in text
    assert "<figure>" not in text


def test_more_configurations_than_colors_leaves_the_best_colored(tmp_path: Path) -> None:
    for workers in range(1, len(SERIES_COLORS) + 3):
        write_run(tmp_path / str(workers), workers=workers, episodes=3)
    comparison = group_by_configuration(read_runs([tmp_path]))
    inks = assign_colors(comparison, [float("nan"), *map(float, range(len(SERIES_COLORS) + 1))])
    assert [inks[item] for item in comparison.configurations] == [OTHER_COLOR, OTHER_COLOR, *SERIES_COLORS]


def test_numbers_are_rounded_to_what_is_known_of_them() -> None:
    assert format_mean_std(-0.61234, 0.0341) == "-0.612 ± 0.034"
    assert format_mean_std(-812.3, 123.4) == "-812 ± 123"
    assert format_mean_std(2.0, float("nan")) == "2.000"
    assert format_mean_std(float("nan"), float("nan")) == format_number(float("inf")) == format_count(float("nan")) == "-"
    assert format_mean_std(1.0, 0.0) == "1.000 ± 0"
    assert format_mean_std(22_776.5, 4e-12) == "22,776 ± 0"
    assert format_interval((-990.3, -633.0)) == "[-990, -633]"
    assert format_interval((float("nan"), 1.0)) == ""
    assert format_count(4_000_000.0) == "4,000,000"
    assert [format_duration(s) for s in (59.94, 59.96, 260.0, 3600.0, 200_000.0)] == [
        "59.9 s", "1 min 00 s", "4 min 20 s", "1 h 00 min", "2 d 7 h",
    ]  # fmt: skip
