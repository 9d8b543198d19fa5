"""A sweep draws one view of all its jobs on a terminal and writes a line for each event anywhere else."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from a3c_exp.loggers.console import ForwardingLogger
from a3c_exp.sweep.launcher.sweep_progress import JobState, SweepProgress, job_names
from a3c_exp.system.cli import Outcomes
from tests.support.console import (
    HIDE_CURSOR,
    SHOW_CURSOR,
    SUMMARY,
    Reader,
    episode,
    evaluation,
    metrics,
    run_info,
    visible,
)

SWEEP = Path("outputs/2026-11-21/14-10-05_pendulum_sweep")


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[bool, Reader]]:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("LINES", "50")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    both = {terminal: Reader(terminal) for terminal in (False, True)}
    yield both
    for reader in both.values():
        reader.text()


def sweep(reader: Reader) -> str:
    """Two jobs side by side, of which one fails; all that was written."""
    progress = SweepProgress(SWEEP, Outcomes(total=3), interval=0.0, stream=reader.stream)
    jobs = [JobState(number, f"workers={number + 4}") for number in range(2)]
    for job in jobs:
        progress.start_job(job)
        progress.handle_report(job, "start", replace(run_info(), name=job.name))
    progress.handle_report(jobs[0], "episode", episode(120))
    progress.handle_report(jobs[0], "metrics", metrics(480_000, 120))
    progress.handle_report(jobs[0], "evaluation", evaluation(-812.0, best=True))
    progress.handle_report(jobs[1], "message", "worker 3 was started again\nof its own accord")
    progress.print_due_lines()
    if reader.stream.isatty():
        reader.wait_for("worker 3 was started again")
    progress.handle_report(jobs[0], "finish", "finished", {**SUMMARY, "reason": None})
    progress.end_job(jobs[0])
    jobs[1].failure_reason = "its process was killed by SIGKILL"
    progress.end_job(jobs[1])
    progress.close()
    return reader.text()


def test_every_line_of_a_log_names_its_run(readers: dict[bool, Reader]) -> None:
    text = sweep(readers[False])
    assert "\x1b" not in text and "\r" not in text
    lines = text.splitlines()
    assert lines[:2] == ["a3c_exp: run 1 of 3: workers=4", "a3c_exp: run 2 of 3: workers=5"]
    assert all(re.match(r"workers=[45] \| ", line) for line in lines[2:])
    assert any(line.startswith("workers=4 | 12% | episode 120/1,000 | 480,000 steps | 15,300 steps/s") for line in lines)
    assert "workers=5 | of its own accord" in lines
    assert "workers=5 | failed: its process was killed by SIGKILL" in lines
    finished = next(line for line in lines if line.startswith("workers=4 | finished: "))
    assert "4,000,000 steps" in finished and "-812 [-990, -633]" in finished and finished.endswith("/workers=4")


def test_a_terminal_shows_all_runs_in_one_view_and_gets_its_cursor_back(readers: dict[bool, Reader]) -> None:
    raw = sweep(readers[True])
    text = visible(raw)
    assert raw.count(HIDE_CURSOR) == raw.count(SHOW_CURSOR) == 1, "one view, not one a run"
    assert "14-10-05_pendulum_sweep" in text and "0 of 3 done · 2 running" in text
    assert "episode 120/1,000 · 480,000 steps" in text
    assert "workers=5 | worker 3 was started again" in text
    assert "workers=4 | finished: " in text and "workers=5 | failed: its process was killed by SIGKILL" in text


def test_many_runs_on_a_small_terminal_have_a_line_each(readers: dict[bool, Reader], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINES", "20")
    progress = SweepProgress(SWEEP, Outcomes(total=12), stream=readers[True].stream)
    for number in range(8):
        job = JobState(number, f"workers={number}")
        progress.start_job(job)
        if number < 7:
            progress.handle_report(job, "start", replace(run_info(), name=job.name))
            progress.handle_report(job, "episode", episode(120))
    readers[True].wait_for("starting")
    progress.close()
    text = visible(readers[True].text())
    last = text[text.rindex("0 of 12 done") :]
    for number in range(7):
        assert re.search(rf"workers={number} .*12%.*mean -3.215", last), last
    assert re.search(r"workers=7 +starting", last)


def test_overrides_that_all_jobs_share_are_not_part_of_their_names() -> None:
    jobs = [["env=pendulum", f"workers={workers}", "++hydra.job.env_set.A3C_TRIAL=3"] for workers in (4, 6)]
    assert job_names(jobs) == ["workers=4", "workers=6"]
    assert job_names([["seed=1"]]) == ["seed=1"] and job_names([[]]) == ["defaults"]


def test_forwarding_sends_the_newest_episode_and_every_evaluation_and_message() -> None:
    sent: list[tuple[str, object]] = []
    logger = ForwardingLogger(lambda method, *arguments: sent.append((method, arguments[0])), interval=1000.0)
    logger.start(run_info())
    for number in range(1, 500):
        logger.episode(episode(number))
    logger.metrics(metrics(480_000, 120))
    logger.evaluation(evaluation(-812.0, best=True))
    logger.message("a word")
    logger.episode(episode(500))
    logger.finish("finished", SUMMARY)
    assert [method for method, _ in sent] == [
        "start", "episode", "episode", "metrics", "evaluation", "message", "episode", "finish",
    ]  # fmt: skip
    numbers = [record.episode for method, record in sent if method == "episode"]  # type: ignore[attr-defined]
    assert numbers == [1, 499, 500]


def test_a_run_whose_launcher_is_gone_runs_to_its_end() -> None:
    def broken(*_: object) -> None:
        raise BrokenPipeError

    logger = ForwardingLogger(broken)
    logger.start(run_info())
    logger.episode(episode(1))
    logger.finish("finished", SUMMARY)
