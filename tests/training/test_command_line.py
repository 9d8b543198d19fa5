"""The command as a person types it: exit codes, messages, directories, signals, resuming. Real processes throughout."""

import json
import os
import resource
import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest

from a3c_exp.system.machine import git_problem
from tests.support.command import QUICK, ROOT, lines, record, run, session_members, start, start_anew, summary
from tests.support.forked_commands import ForkedCommand
from tests.training.test_damaged_checkpoints import room_for

LONG = (*QUICK, "max_episode_steps=50", "max_episodes=50_000", "compile=false")
"""Minutes of work, so that it is not done before the test stops it; not without end, in case the test runner is killed."""
FAILING = ("env._target_=tests.support.failing.FailingEnvironments", "~env.id", "~env.backend", "~env.kwargs")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where one small run was made, with the default directory."""
    folder = tmp_path_factory.mktemp("finished")
    ended = run(*QUICK, "max_env_steps=2_003", "max_episode_steps=100", "metrics.every_env_steps=500", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return folder


def directory(folder: Path) -> Path:
    (path,) = folder.glob("outputs/*/*/run.json")
    return path.parent


def test_a_mistake_is_one_line_exit_code_2_and_no_directory(tmp_path: Path) -> None:
    for wrong in (
        ["gama=0.9"],
        ["--config-name", "mine"],
        ["--cfg", "job", "gama=0.9"],
        ["+experiment=nope", "--help"],
        ["resume=here", "resume=there"],
        ["--optimizer.lr=0.1", "--gamma=0.9"],
        ["model.head.kind=categorical"],
        ["workers=2,0", "-m"],
        ["resume=nowhere"],
    ):
        ended = run(*wrong, cwd=tmp_path)
        assert ended.returncode == 2, ended.stderr
        assert ended.stderr.startswith("a3c_exp: ") and len(ended.stderr.splitlines()) <= 3
        assert "Traceback" not in ended.stderr
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["hydra.run.dir=/proc/x", "hydra.sweep.dir=/proc/x seed=0,1 -m", "outputs", "full"])
def test_what_cannot_be_written_is_one_line_and_leaves_nothing(where: str, tmp_path: Path) -> None:
    words = where.split()
    if where == "outputs":
        (tmp_path / "outputs").touch()
        words = []
    elif where == "full":
        words = ["hydra.run.dir=here", "num_seeds=2", "parallelism=deterministic"]
    before = list(tmp_path.iterdir())
    with room_for(1000 if where == "full" else resource.RLIM_INFINITY):  # run.json is larger
        process = (start_anew if where == "full" else start)(*QUICK, "max_env_steps=100", *words, cwd=tmp_path)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 2 and "Traceback" not in said, said
    assert ("ulimit -f" if where == "full" else "hydra.sweep.dir=...") in said, said
    assert [path for path in tmp_path.iterdir() if path.name != "outputs" or path.is_file()] == before


def test_a_run_directory_holds_what_is_promised(finished: Path) -> None:
    where = directory(finished)
    assert where.name.endswith("_pendulum") and where.parent.parent.name == "outputs"
    for name in (".hydra/config.yaml", ".hydra/overrides.yaml", "episodes.jsonl", "metrics.jsonl", "evaluations.jsonl"):
        assert (where / name).is_file(), name
    about = record(where)
    assert about["status"] == "finished" and about["seed"] == 0
    assert about["command"].startswith("python -m a3c_exp workers=2 ") and "hydra.run.dir" not in about["command"]
    assert {"torch", "numpy", "gymnasium", "a3c_exp"} <= set(about["versions"]) and about["machine"]["cores"] >= 1
    if (ROOT / ".git").exists():
        assert about["git"]["commit"]
    assert about["timings"]["first_env_step"] and about["timings"]["seconds"] > 0


def test_a_budget_of_steps_is_kept_to_the_step(finished: Path) -> None:
    assert summary(directory(finished))["env_steps"] == 2_003
    assert lines(directory(finished) / "metrics.jsonl")[-1]["env_step"] == 2_003


def test_the_curve_is_the_reports_own(finished: Path) -> None:
    episodes = lines(directory(finished) / "episodes.jsonl")
    assert [episode["episode"] for episode in episodes] == list(range(1, len(episodes) + 1))
    average = episodes[0]["mean_step_reward"]
    for episode in episodes:
        assert episode["mean_step_reward"] == pytest.approx(episode["return"] / episode["length"])
        if episode["episode"] > 1:
            average = 0.99 * average + 0.01 * episode["mean_step_reward"]
        assert episode["moving_average"] == pytest.approx(average)
    assert len({episode["env_seed"] for episode in episodes}) == len(episodes)


def test_evaluate_judges_the_weights_and_writes_a_video(finished: Path) -> None:
    where = directory(finished)
    ended = run(str(where), "--episodes", "3", "--video", module="a3c_exp.evaluate", cwd=finished)
    assert ended.returncode == 0, ended.stderr
    assert "mean return" in ended.stdout and "95 % interval" in ended.stdout
    video = where / "videos" / "episode_1.mp4"
    assert video.read_bytes()[4:8] == b"ftyp" and video.stat().st_size > 10_000


def test_evaluate_says_what_it_cannot_do(finished: Path, tmp_path: Path) -> None:
    ended = run(str(tmp_path), module="a3c_exp.evaluate", cwd=finished)
    assert ended.returncode == 2 and "no run directory" in ended.stderr and "Traceback" not in ended.stderr
    ended = run(str(directory(finished)), "--checkpoint", "gone.pt", module="a3c_exp.evaluate", cwd=finished)
    assert ended.returncode == 2 and "no checkpoint" in ended.stderr


def test_the_report_reads_what_a_run_writes(finished: Path) -> None:
    ended = run(str(directory(finished)), "--out", "page", module="a3c_exp.report", cwd=finished)
    assert ended.returncode == 0, ended.stderr
    page = (finished / "page" / "index.html").read_text()
    assert "<svg" in page and "http://" not in page.replace("http://www.w3.org", "")


def test_a_run_that_fails_does_not_take_the_sweep_with_it(tmp_path: Path) -> None:
    ended = run(
        *QUICK,
        *FAILING,
        "+env.fail_at=0,40",
        "parallelism.on_worker_death=fail",
        "max_env_steps=1000",
        "evaluation.max_episode_steps=20",
        "-m",
        cwd=tmp_path,
    )
    assert ended.returncode == 1
    assert "1 of 2 runs finished" in ended.stderr and "the pendulum came off" in ended.stderr
    (sweep,) = tmp_path.glob("outputs/*/*_pendulum_sweep")
    fine, failed = (sweep / f"+env.fail_at={step}" for step in (0, 40))
    assert record(fine)["status"] == "finished" and record(fine)["group"] == sweep.name
    assert record(failed)["status"] == "failed" and "pendulum came off" in record(failed)["reason"]


def test_a_value_that_is_not_finite_stops_the_run_with_what_was_seen(tmp_path: Path) -> None:
    ended = run(*QUICK, *FAILING, "+env.fail_at=105", "+env.how=not_finite", "max_env_steps=50_000", cwd=tmp_path)
    assert ended.returncode == 1
    reason = record(directory(tmp_path))["reason"]
    assert "worker" in reason and "window" in reason and "loss" in reason


@pytest.mark.parametrize(
    ("number", "code", "kind"),
    [(signal.SIGINT, 130, "hogwild"), (signal.SIGHUP, 129, "hogwild"), (signal.SIGTERM, 143, "parameter_server")],
)
def test_stopping_leaves_a_checkpoint_and_no_process(tmp_path: Path, number: int, code: int, kind: str) -> None:
    process = start(*LONG, f"parallelism={kind}", cwd=tmp_path)
    where = wait_for_episodes(tmp_path, process)
    began = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: the whole group gets it
    else:
        process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code and f"go on with       resume={where}" in said, said
    assert time.monotonic() - began < 20  # promised: 5 s; the slack is for a crowded machine
    about = record(where)
    assert about["status"] == summary(where)["status"] == "interrupted" and list((where / "checkpoints").glob("step_*.pt"))
    deadline = time.monotonic() + 10
    while session_members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert session_members(process.pid) == []


def test_a_killed_run_is_resumed_with_nothing_repeated_and_nothing_lost(tmp_path: Path) -> None:
    often = ("checkpoint.every_env_steps=2000", "metrics.every_env_steps=500")
    process = start(*LONG, *often, cwd=tmp_path)
    where = wait_for_episodes(tmp_path, process, checkpoint=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    before = lines_that_are_whole(where / "episodes.jsonl")
    latest = max(int(path.stem.removeprefix("step_")) for path in (where / "checkpoints").glob("step_*.pt"))

    limit = before[-1]["env_step"] + 4_000
    ended = run(f"resume={where}", f"max_env_steps={limit}", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    after = lines(where / "episodes.jsonl")
    discarded = lines(where / "episodes.discarded.jsonl") if (where / "episodes.discarded.jsonl").exists() else []
    kept = len(before) - len(discarded)
    assert before == after[:kept] + discarded, "every line of the first session stands in exactly one file"
    assert [episode["episode"] for episode in after] == list(range(1, len(after) + 1))
    assert all(later["wall_time"] >= sooner["wall_time"] for sooner, later in pairwise(after))
    assert len({episode["env_seed"] for episode in after}) == len(after), "no episode is played twice"
    assert summary(where)["env_steps"] == limit
    about = record(where)
    assert about["status"] == "finished" and [s["from_env_step"] for s in about["sessions"]] == [0, latest]

    again = run(f"resume={where}", cwd=tmp_path)
    assert again.returncode == 2 and "has spent its budget" in again.stderr


def test_an_existing_run_is_never_overwritten(finished: Path) -> None:
    where = directory(finished)
    before = {path: path.read_bytes() for path in where.rglob("*") if path.is_file()}
    ended = run(*QUICK, f"hydra.run.dir={where}", cwd=finished)
    assert ended.returncode == 2 and "already holds a run" in ended.stderr
    assert {path: path.read_bytes() for path in where.rglob("*") if path.is_file()} == before


def test_the_same_command_goes_on_if_it_says_so_and_no_other_does(finished: Path) -> None:
    where = directory(finished)
    typed = record(where)["overrides"]
    before = (where / "run.json").read_bytes()
    again = run(*typed, f"hydra.run.dir={where}", "gamma=0.5", "on_existing=resume", cwd=finished)
    assert again.returncode == 0 and f"{where} has finished, and is left as it is" in again.stderr, again.stderr
    assert "keeps what it was started with: gamma=0.9" in again.stderr and again.stderr.count("\n") == 2
    for other, said in (
        ((f"hydra.run.dir={where}", "on_existing=resume", "seed=77"), "holds a run with seed="),
        (("on_existing=resume",), "Add hydra.run.dir="),
        ((f"hydra.run.dir={where}", "on_existing=resum"), "Try on_existing=resume"),
        (("retry_failed=true",), "Add resume=DIRECTORY"),
        (("retry_failed=true", "on_existing=resume", "gamma=2", "-m"), "gamma"),
    ):
        ended = run(*typed, *other, cwd=finished)
        assert ended.returncode == 2 and said in ended.stderr and "Traceback" not in ended.stderr, ended.stderr
    assert (where / "run.json").read_bytes() == before


def test_a_tilde_that_the_shell_left_alone_is_the_home_folder(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(finished))
    where = directory(finished).relative_to(finished)
    for typed in ("hydra.run.dir=~/{}", "hydra.run.dir='~/{}'"):
        ended = run(*QUICK, typed.format(where), cwd=finished)
        assert ended.returncode == 2 and f"{finished / where} already holds a run" in ended.stderr, ended.stderr
    for typed in ("resume=~/{}", "resume='~/{}'"):
        assert f"{finished / where} has spent its budget" in run(typed.format(where), cwd=finished).stderr
    newest = f"latest is no run directory: it holds no run.json. The newest run here is {where}"
    assert newest in run("resume=latest", cwd=finished).stderr
    assert run(f"~/{where}", "--episodes", "1", module="a3c_exp.evaluate", cwd=finished).returncode == 0
    assert not (finished / "~").exists()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the code lies in no repository of its own")
def test_a_commit_that_git_does_not_tell_is_missed_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch: a checkout of another user
    ended = run("env=cartpole", "max_updates=3", "evaluation.episodes=1", "logger=none", cwd=tmp_path)
    assert ended.returncode == 0 and record(directory(tmp_path))["git"] is None
    said = "run.json does not name the commit of the code: fatal: detected dubious ownership"
    assert ended.stderr.count(said) == 1 and ". Try git config --global --add safe.directory" in ended.stderr
    assert said in (directory(tmp_path) / "messages.log").read_text()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_problem() == "git is not installed"


def test_a_directory_that_a_file_of_ones_own_names_is_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    own = tmp_path / "own" / "experiment" / "here.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("# @package _global_\nhydra: {run: {dir: ~/here}}\nmax_updates: 3\n")
    for code, said in ((0, ""), (2, f"{tmp_path / 'here'} already holds a run")):
        command = ("--config-dir", "own", "+experiment=here", "env=cartpole", "logger=none", "evaluation.episodes=1")
        ended = run(*command, cwd=tmp_path)
        assert ended.returncode == code and said in ended.stderr, ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "own"]


def test_output_that_nobody_reads_to_its_end_ends_quietly(finished: Path) -> None:
    for module, arguments in (
        ("a3c_exp", ("--cfg", "job")),
        ("a3c_exp.evaluate", (str(directory(finished)), "--episodes", "1")),
    ):
        process = start_anew(*arguments, module=module, cwd=finished)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == ("", 141)


def test_help_names_the_groups_and_the_knobs(tmp_path: Path) -> None:
    ended = run("--help", cwd=tmp_path)
    assert ended.returncode == 0
    for word in ("EXAMPLES", "workers=4,6,12 -m", "parallelism: ", "max_env_steps", "reward_shift", "a3c_exp.evaluate"):
        assert word in ended.stdout


def wait_for_episodes(folder: Path, process: ForkedCommand, checkpoint: bool = False) -> Path:
    """Until the run in ``folder`` has logged some episodes, and saved a checkpoint if asked for."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        for path in folder.glob("outputs/*/*/episodes.jsonl"):
            saved = not checkpoint or list(path.parent.glob("checkpoints/step_*.pt"))
            if len(path.read_bytes().splitlines()) > 10 and saved:
                return path.parent
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"no episodes within a minute: {process.communicate()}")


def lines_that_are_whole(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
