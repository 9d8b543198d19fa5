"""``python -m a3c_exp.runs`` reads files alone, reports a mistake in one line, and writes plain text into a pipe."""

import csv
import io
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from a3c_exp.runs.__main__ import main
from a3c_exp.runs.config_values import MISSING
from a3c_exp.runs.format_table import display_width
from a3c_exp.runs.query import parse_condition, select_runs
from a3c_exp.runs.run_summary import RunSummary
from a3c_exp.system.errors import ConfigError
from tests.support.command import environment
from tests.support.synthetic_runs import DEAD_PID, write_run, write_seeds

CREATED = {"timings": {"created": "2026-11-20T09:00:00+0000"}}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``outputs/`` of two sweeps, a folder of seeds and a run of another task."""
    root = tmp_path_factory.mktemp("here") / "outputs"
    for workers in (4, 12):
        for seed in range(2):
            path = root / "2026-11-21" / "14-10-05_pendulum_sweep" / f"workers={workers},seed={seed}"
            write_run(path, workers=workers, seed=seed, episodes=20, run_json={"env": "pendulum", "parallelism": "hogwild"})
    write_run(root / "2026-11-20" / "old", episodes=5, config={"optimizer": {"lr": 3e-4}}, run_json=CREATED)
    write_run(root / "2026-11-20" / "broken", episodes=5, status="failed", reason="\x1b[31mdisk full", run_json=CREATED)
    write_run(root / "2026-11-20" / "gone", episodes=5, status="running", pid=DEAD_PID, run_json=CREATED)
    write_seeds(root / "2026-11-22" / "seeds", episodes=5, seeds=2)
    return root


@pytest.fixture(autouse=True)
def in_their_folder(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(outputs.parent)


def names(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The runs that a command lists, by their folders."""
    assert main([*arguments, "--csv"]) == 0
    return [Path(row["path"]).name for row in csv.DictReader(io.StringIO(capsys.readouterr().out))]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["workers>=12"], ["workers=12,seed=0", "workers=12,seed=1"]),
        (["workers=12", "seed=1"], ["workers=12,seed=1"]),
        (["workers!=4"], ["workers=12,seed=0", "workers=12,seed=1"]),
        (["status=failed,killed"], ["broken", "gone"]),
        (["optimizer.lr=3.0e-4"], ["old"]),
        (["env=pendulum", "workers<12", "seed=0"], ["workers=4,seed=0"]),
        (["name~SEED=1", "env=pend*", "workers=12"], ["workers=12,seed=1"]),
        (["created<=2026-11-20", "status=finished"], ["old"]),
        (["outputs/2026-11-22"], ["seed=0", "seed=1"]),
        (["name!~seed", "path~2026-11-20", "status!=failed"], ["gone", "old"]),
        (["reason~disk"], ["broken"]),
    ],
)
def test_conditions_select_the_runs_that_meet_them(
    words: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert names(words, capsys) == expected


def test_a_list_is_in_order_of_time_or_of_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    everything = names([], capsys)
    assert everything[:3] == ["broken", "gone", "old"]
    assert everything.index("workers=4,seed=0") < everything.index("workers=12,seed=0")
    values = {path.name: RunSummary(path).value("evaluation") for path in Path("outputs/2026-11-21").glob("*/*")}
    ordered = names(["env=pendulum", "--sort", "evaluation", "--reverse"], capsys)
    assert ordered == sorted(values, key=lambda name: values[name], reverse=True)
    assert names(["best", "env=pendulum", "-n", "1"], capsys) == ordered[:1]
    assert names(["best", "env=pendulum", "--lowest", "-n", "0"], capsys) == ordered[::-1]
    assert names(["env=pendulum", "--sort", "evaluation", "--last", "2"], capsys) == ordered[1::-1]


def test_runs_without_the_number_are_neither_best_nor_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, evaluations in enumerate((0, 3)):
        write_run(tmp_path / f"a{seed}", seed=seed, episodes=5, evaluations=evaluations)
    assert names(["best", str(tmp_path)], capsys) == ["a1"]
    assert names([str(tmp_path), "--sort", "evaluation"], capsys) == ["a1", "a0"]
    assert main(["best", str(tmp_path), "--by", "reason"]) == 0
    assert main(["best", str(tmp_path / "a0")]) == 1
    assert "no run" in capsys.readouterr().err


def test_over_seeds_configurations_are_ranked_by_their_means(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["best", "env=pendulum", "--over-seeds", "--by", "moving_average", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["runs"] for row in rows] == ["2", "2"]
    assert {row["config.workers"] for row in rows} == {"4", "12"}
    twelve = [RunSummary(path).result("moving_average") for path in Path("outputs/2026-11-21").glob("*/workers=12*")]
    (mean,) = (float(row["moving_average_mean"]) for row in rows if row["config.workers"] == "12")
    assert mean == pytest.approx(sum(twelve) / 2)
    assert main(["best", "env=pendulum", "--over-seeds"]) == 0
    assert "workers=12" in capsys.readouterr().out


def test_the_task_is_named_where_the_option_fits_any(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for task in ("Acrobot-v1", "LunarLander-v3"):
        write_run(tmp_path / task, episodes=3, config={"env": {"id": task}}, run_json={"env": "gymnasium"})
    assert names([str(tmp_path), "env=gymnasium", "env.id=Acrobot-v1"], capsys) == ["Acrobot-v1"]
    assert main([str(tmp_path)]) == 0
    columns = [line.split()[1:4] for line in capsys.readouterr().out.splitlines()]
    assert main(["best", str(tmp_path), "--over-seeds"]) == 2
    assert "several tasks (Acrobot-v1, LunarLander-v3)" in capsys.readouterr().err
    assert main(["best", str(tmp_path), "--over-seeds", "env.id=Acrobot-v1"]) == 0
    capsys.readouterr()
    assert main(["best", str(tmp_path), "-n", "1"]) == 0
    ranked = [Path(line.split()[0]).name for line in capsys.readouterr().out.splitlines()]
    assert [line for line in ranked if line != "run"][:4] == ["Acrobot-v1", "Acrobot-v1", "LunarLander-v3", "LunarLander-v3"]
    assert names(["best", str(tmp_path), "-n", "1"], capsys) == ["Acrobot-v1", "LunarLander-v3"], "one ranking a task"
    assert columns[0][1] == "env" and {line[1] for line in columns[1:]} == {"Acrobot-v1", "LunarLander-v3"}


def test_compare_shows_only_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "workers=4,seed=0", "workers=12,seed=1"]) == 0
    configuration, *_ = capsys.readouterr().out.split("\n\n")
    assert [line.split() for line in configuration.splitlines()[1:]] == [["seed", "0", "1"], ["workers", "4", "12"]]
    assert main(["compare", "old", "old"]) == 0
    assert "are the same" in capsys.readouterr().out
    assert main(["compare", "2026-11-20/old", "gone", "--csv"]) == 0
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(capsys.readouterr().out))}
    assert rows["optimizer.lr"] == ["0.0003", "0.0001"]


def test_arguments_that_only_one_class_has_are_no_differences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "a", episodes=3, config={"optimizer": {"_target_": "x.adam.Adam", "lr": 1.0, "betas": [0.9]}})
    write_run(tmp_path / "b", episodes=3, config={"optimizer": {"_target_": "x.sgd.SGD", "lr": 2.0}})
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    configuration, *_ = capsys.readouterr().out.split("\n\n")
    assert [line.split() for line in configuration.splitlines()[1:]] == [
        ["optimizer", "Adam", "SGD"],
        ["optimizer.lr", "1", "2"],
    ]


def test_show_says_how_a_run_ended_and_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "broken"]) == 0
    out = capsys.readouterr().out
    assert "failed: \N{REPLACEMENT CHARACTER}[31mdisk full" in out
    assert "\x1b" not in out
    assert "a3c_exp resume=outputs/2026-11-20/broken" in out
    assert "optimizer.lr" in out
    assert main(["show", "outputs/2026-11-22/seeds/seed=1"]) == 0
    assert "--episodes" in capsys.readouterr().out
    assert main(["show", "old", "--csv"]) == 0
    assert "config.optimizer.lr,0.0003" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["workers"], "'workers>=6'"),
        (["worker=4"], "Did you mean workers?"),
        (["lr=4"], "Did you mean optimizer.lr?"),
        (["status=finish"], "Did you mean finished?"),
        (["workers>=many"], "compares numbers"),
        (["workers>4,6"], "takes one value"),
        (["created>monday"], "2026-11-21"),
        (["nowhere/at/all"], "no such directory"),
        (["--sort", "evaluatoin"], "Did you mean evaluation?"),
        (["--columns", "worker"], "Did you mean workers?"),
        (["best", "--by", "retrun"], "has"),
        (["-n", "-3"], "--help"),
        (["--bogus"], "--help"),
        (["show"], "show RUN"),
        (["show", "workers=4"], "name one of them"),
        (["show", "outputs"], "name one of them"),
        (["show", "nobody"], "there is no run nobody"),
        (["compare", "old"], "compare RUN RUN"),
    ],
)
def test_a_mistake_is_reported_in_one_line_with_a_hint(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert hint in captured.err


def test_a_condition_that_no_run_meets_is_no_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["workers=5"]) == 1
    assert "no run meets" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert main([]) == 2
    assert "there is no folder outputs here" in capsys.readouterr().err


def test_a_pipe_gets_complete_lines_without_colors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env=pendulum"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["run", "status"]
    assert len(lines) == 4
    assert all(line.startswith("outputs/2026-11-21/14-10-05_pendulum_sweep/workers=") for line in lines)
    assert not any("\x1b" in line or "\N{HORIZONTAL ELLIPSIS}" in line for line in lines)


def on_a_terminal(columns: int, **more: str) -> str:
    """What the command writes to a real (pseudo) terminal."""
    near, far = pty.openpty()
    variables = environment(COLUMNS=str(columns), TERM="xterm", PYTHONIOENCODING="utf-8", **more)
    command = [sys.executable, "-m", "a3c_exp.runs"]
    with subprocess.Popen(command, stdout=far, stderr=far, env=variables) as process:
        os.close(far)
        written = b""
        while True:
            try:
                data = os.read(near, 65536)
            except OSError:  # Linux: the other end is closed
                break
            if not data:
                break
            written += data
    os.close(near)
    assert process.returncode == 0
    return written.decode()


def test_a_terminal_gets_a_table_that_fits_and_shared_values_in_one_line() -> None:
    out = on_a_terminal(72)
    plain = on_a_terminal(72, NO_COLOR="1").replace("\r", "").splitlines()
    assert "\x1b[32m" in out
    assert not any("\x1b" in line for line in plain)
    assert max(map(display_width, plain[2:])) <= 72
    assert "2026-11-21/14-10-05_pendulum_sweep/" in plain
    assert plain[0].startswith("9 runs: 7 finished, 1 failed, 1 killed in outputs")
    assert any("\N{BLACK CIRCLE} killed" in line for line in plain)


def test_a_missing_value_meets_only_negations(tmp_path: Path) -> None:
    entries = [
        RunSummary(write_run(tmp_path / "a", episodes=3, config={"bptt": None})),
        RunSummary(write_run(tmp_path / "b", episodes=3)),
    ]
    assert entries[1].value("bptt") is MISSING

    def kept(text: str) -> list[str]:
        return [entry.path.name for entry in select_runs(entries, [parse_condition(text)])]

    assert kept("bptt=null") == kept("bptt=None") == ["a"]
    assert kept("bptt!=3") == ["a", "b"]
    assert kept("bptt!=null") == ["b"]
    assert kept("bptt>3") == []
    with pytest.raises(ConfigError, match="has 'bpt'"):
        kept("bpt!=3")


def test_a_list_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'hydra', 'wandb', 'pandas', 'rich'}"
    code = f"import sys; from a3c_exp.runs.__main__ import main; main([]); sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment(), check=False, timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_offline_runs_are_sent_only_after_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_run(tmp_path / "runs" / "a", episodes=3)
    other = write_run(tmp_path / "runs" / "b", episodes=3)
    assert main(["sync", str(path)]) == 0
    assert "nothing to send" in capsys.readouterr().out
    for folder, names in ((path, ["run-x.wandb"]), (other, ["run-y.wandb", "run-y.wandb.synced"])):
        kept = folder / "wandb" / "offline-run-1-x"
        kept.mkdir(parents=True)
        for name in names:
            (kept / name).touch()
    live = write_run(tmp_path / "runs" / "c", episodes=3, status="running", pid=os.getpid())
    (live / "wandb" / "offline-run-2-z").mkdir(parents=True)
    (live / "wandb" / "offline-run-2-z" / "run-z.wandb").touch()
    assert main(["sync", str(tmp_path / "runs"), "--dry-run"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [str(path / "wandb" / "offline-run-1-x")]
    assert "1 still running" in captured.err
    variables = {key: value for key, value in environment().items() if not key.startswith("WANDB_")}
    variables |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")}
    command = [sys.executable, "-m", "a3c_exp.runs", "sync", str(path)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "wandb login" in done.stderr
