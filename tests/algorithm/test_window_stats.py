"""A statistic is declared once: a new one needs no line anywhere else to be logged, sent, shown and drawn."""

import json
import os
import pickle
import pty
import threading
from pathlib import Path

import numpy as np
import pytest

from a3c_exp.algorithm.training_stats import TrainingStats
from a3c_exp.algorithm.window_stats import STATISTICS, StatisticsTable
from a3c_exp.system.errors import ConfigError
from tests.support.command import run, start
from tests.support.offline_wandb import history, records

OWN = ("tests.support.own_statistic.advantage_size", "tests.support.own_statistic.longest_window")
TRAIN = (
    "env=pendulum", "env.backend=tensor", "model.actor_hidden=[4]", "model.critic_hidden=[4]", "workers=2", "logger=wandb",
    "max_episodes=null", "max_env_steps=400", "metrics.every_env_steps=100", f"metrics.extra=[{','.join(OWN)}]",
    "evaluation.episodes=1", "evaluation.max_episode_steps=10",
)  # fmt: skip


def train(directory: Path, home: Path, *overrides: str) -> str:
    """Train in processes of their own; what the live view showed on its terminal."""
    near, far = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        try:
            while some := os.read(near, 65536):
                shown.append(some)
        except OSError:  # how a pseudo-terminal says that it was closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    process = start(
        *TRAIN, *overrides, f"hydra.run.dir={directory}", cwd=directory.parent, output=far,
        HOME=str(home), TERM="xterm-256color", COLUMNS="220", LINES="40", XDG_CACHE_HOME=str(Path("~/.cache").expanduser()),
    )  # fmt: skip
    process.communicate(timeout=300)
    os.close(far)
    reader.join(10.0)
    text = b"".join(shown).decode(errors="replace")
    assert process.returncode == 0, text
    return text


@pytest.mark.slow
@pytest.mark.parametrize("parallelism", ["hogwild", "deterministic"])
def test_one_declared_from_outside_is_logged_sent_shown_and_drawn(
    parallelism: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    directory = tmp_path / "run"
    shown = train(directory, tmp_path, f"parallelism={parallelism}")
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert lines and all(line["advantage_size"] > 0 and line["longest_window"] == 10.0 for line in lines)
    assert "advantage size" in shown and "longest window" in shown, "the live view"
    (folder,) = (directory / "wandb").glob("offline-run-*")
    (sent,) = records(folder)
    for name in ("advantage_size", "longest_window"):
        logged, values = [line[name] for line in lines], [value for _, value in history(sent, f"train/{name}")]
        assert values and all(min(logged) <= value <= max(logged) for value in values), "a row of W&B stands for several lines"
    if parallelism != "hogwild":
        return  # a report knows those lines alone, whoever wrote them
    report = run(str(directory), "--out", str(tmp_path / "report"), "--no-png", module="a3c_exp.report", cwd=tmp_path)
    assert report.returncode == 0, report.stderr
    (page,) = (tmp_path / "report").rglob("*.html")
    assert "Advantage size (reward)" in page.read_text() and "Mean |R - V| over steps." in page.read_text()
    assert list((tmp_path / "report").rglob("advantage_size.*")), "its curve is a file like the others"


@pytest.mark.parametrize("value", [(1.0, 5.0), (5.0, 1.0)])
def test_each_is_reduced_as_it_declares(value: tuple[float, float]) -> None:
    table, stats = StatisticsTable(OWN), TrainingStats()
    for steps, size in zip((1, 3), value, strict=True):
        window = np.zeros(len(table), np.float32)
        for name, number in (("steps", steps), ("advantage_size_sum", size), ("longest_window", steps), ("loss", size)):
            window[table.columns[name]] = number
        stats.add_update(window, lag=0)
    values = table.values(stats)
    assert values["advantage_size"] == 6.0 / 4
    assert values["longest_window"] == 3.0
    assert values["loss"] == 3.0
    assert values["max_probability"] is None and values["entropy_normalized"] is None


def test_every_process_has_the_same_places(tmp_path: Path) -> None:
    table = StatisticsTable(OWN)
    again = pickle.loads(pickle.dumps(table))
    assert again == table != StatisticsTable() and again.columns == table.columns
    assert sorted(table.columns.values()) == list(range(len(table)))
    for name, place in StatisticsTable().columns.items():
        assert name in table.columns and (place < 5) <= (table.columns[name] <= 6)


def test_names_are_unique_and_every_logged_one_is_explained() -> None:
    names = [statistic.name for statistic in STATISTICS]
    assert len(set(names)) == len(names)
    assert all(info.help.endswith(".") for info in StatisticsTable().infos.values())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tests.support.own_statistic.not_there", "cannot be imported"),
        ("no_such_module.statistic", "cannot be imported: No module named 'no_such_module'"),
        ("tests.support.own_statistic.not_a_statistic", "a int, but each entry is the dotted name of a Statistic"),
        ("tests.support.own_statistic.loss_again", "is called loss, but another statistic is"),
    ],
)
def test_what_is_no_statistic_is_refused_in_one_line(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.extra") as caught:
        StatisticsTable([name])
    assert words in str(caught.value) and "\n" not in str(caught.value)
