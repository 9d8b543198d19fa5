"""A run's console writes plain lines into a pipe and draws one view on a terminal, which it leaves as it was."""

import os
import re
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from a3c_exp.config.budget import Budget
from a3c_exp.loggers.console import ConsoleLogger
from tests.support.console import (
    HIDE_CURSOR,
    SHOW_CURSOR,
    SUMMARY,
    Reader,
    episode,
    evaluation,
    every_metric,
    metrics,
    run_info,
    visible,
)


@pytest.fixture(autouse=True)
def ordinary_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("LINES", "40")


@pytest.fixture
def pipe() -> Iterator[Reader]:
    reader = Reader(terminal=False)
    yield reader
    reader.text()


@pytest.fixture
def terminal() -> Iterator[Reader]:
    reader = Reader(terminal=True)
    yield reader
    reader.text()


def train(logger: ConsoleLogger) -> None:
    logger.episode(episode(100))
    logger.evaluation(evaluation(-790.0, best=True))
    logger.evaluation(evaluation(-812.0, best=False))
    logger.episode(episode(120))
    logger.metrics(metrics(480_000, 120))


def test_a_pipe_gets_plain_lines_with_every_number(pipe: Reader) -> None:
    logger = ConsoleLogger(interval=0.0, stream=pipe.stream)
    logger.start(run_info())
    time.sleep(0.05)
    train(logger)
    logger.message("worker 3 was started again")
    logger.finish("finished", SUMMARY)
    text = pipe.text()
    assert "\x1b" not in text and "\r" not in text
    assert re.search(
        r"^  12% \| episode 120/1,000 \| 480,000 steps \| 15,300 steps/s \| moving average -3.215 \| entropy 1.320 "
        r"\| lag 11.0 \| eval -812.0 \(best -790.0\) \| 0.\d s, 0.\d s left$",
        text,
        re.MULTILINE,
    )
    assert "worker 3 was started again\n" in text
    last = text[text.index("\nworkers=4\n") :]
    assert "finished: budget reached" in last and "1,000 episodes, 4,000,000 steps in 4 min 20 s" in last
    assert "-812 [-990, -633] over 10 episodes" in last and "11.0, at most 25" in last
    assert text.rstrip().endswith("/outputs/sweep/workers=4")


def test_a_log_file_gets_its_first_line_at_once_and_one_line_an_interval(pipe: Reader) -> None:
    logger = ConsoleLogger(interval=1000.0, stream=pipe.stream)
    logger.start(run_info())
    for number in range(1, 500):
        logger.episode(episode(number))
    logger.finish("interrupted", {})
    assert pipe.text().count("% | episode") == 1


def test_a_run_that_failed_before_its_first_step_still_ends_with_a_summary(pipe: Reader) -> None:
    logger = ConsoleLogger(stream=pipe.stream)
    logger.start(run_info())
    logger.finish("failed", {"reason": "NaN in the loss of worker 2"})
    assert "failed: NaN in the loss of worker 2" in pipe.text()


def test_a_closed_pipe_does_not_stop_training() -> None:
    near, far = os.pipe()
    stream = os.fdopen(far, "w")
    os.close(near)
    logger = ConsoleLogger(interval=0.0, stream=stream)
    logger.start(run_info())
    train(logger)
    logger.finish("finished", SUMMARY)
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_terminal_gets_few_redraws_and_ends_with_the_summary(terminal: Reader) -> None:
    logger = ConsoleLogger(stream=terminal.stream)
    began = time.monotonic()
    logger.start(run_info())
    train(logger)
    terminal.wait_for("480,000 steps")
    time.sleep(1.6)
    logger.finish("finished", SUMMARY)
    text = terminal.text()
    frames = text.count("╭")
    assert 2 <= frames <= 2 + 4 * (time.monotonic() - began)  # two a second, however many events there are
    assert "episode 120/1,000 · 480,000 steps" in visible(text)
    for value in ("12%", "-3.215", "15,300", "1.320", "11.0 (25)", "4.100", "-812.0 (best -790.0)", "left"):
        assert value in visible(text)
    after = text[text.rindex(SHOW_CURSOR) :]
    assert "╭" not in after and "finished: budget reached" in after and "/outputs/sweep/workers=4" in after


def test_messages_scroll_above_the_view_and_are_not_parsed_as_markup(terminal: Reader) -> None:
    logger = ConsoleLogger(stream=terminal.stream)
    logger.start(run_info())
    logger.message("checkpoint [red] kept")
    print("a warning of some library", file=sys.stderr)
    logger.finish("finished", SUMMARY)
    lines = [line.rstrip() for line in visible(terminal.text()).splitlines()]
    assert "checkpoint [red] kept" in lines
    assert "a warning of some library" in lines
    at = lines.index("checkpoint [red] kept")
    assert any(line.startswith("╭") for line in lines[at + 1 :])


def test_a_piped_stdout_is_not_redirected_to_the_terminal(terminal: Reader, capfd: pytest.CaptureFixture[str]) -> None:
    logger = ConsoleLogger(stream=terminal.stream)
    logger.start(run_info())
    print("a result for the next program")
    logger.finish("finished", SUMMARY)
    assert "a result" not in terminal.text()
    assert "a result for the next program" in capfd.readouterr().out


def test_an_exception_leaves_a_terminal_with_its_cursor(terminal: Reader) -> None:
    logger, before = ConsoleLogger(stream=terminal.stream), (sys.stdout, sys.stderr)
    with pytest.raises(ZeroDivisionError):
        try:
            logger.start(run_info())
            raise ZeroDivisionError
        finally:
            logger.finish("failed", {"reason": "ZeroDivisionError"})
    assert (sys.stdout, sys.stderr) == before
    text = terminal.text()
    assert text.rindex(SHOW_CURSOR) > text.rindex(HIDE_CURSOR)
    assert "failed: ZeroDivisionError" in text
    # The thread that redraws ends at its next tick; stop() does not wait for it.
    redrawing = [thread for thread in threading.enumerate() if "Refresh" in type(thread).__name__]
    for thread in redrawing:
        thread.join(timeout=30.0)
    assert not any(thread.is_alive() for thread in redrawing)


@pytest.mark.parametrize("columns", [30, 50])
def test_a_narrow_terminal_drops_columns_and_keeps_the_panel_whole(
    terminal: Reader, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    logger = ConsoleLogger(stream=terminal.stream)
    logger.start(run_info(Budget(max_updates=100_000), seeds=12))
    train(logger)
    logger.metrics(every_metric(480_000, 120))
    terminal.wait_for("-3.21")
    logger.finish("finished", {})
    frame = visible(terminal.text()).split("╭")[-1].split("╯")[0]
    lines = ("╭" + frame + "╯").splitlines()
    assert {len(line) for line in lines} == {columns}
    assert "-3.21" in frame and "gradient" not in frame


def test_a_discrete_policy_shows_its_max_probability_and_what_clipping_does(terminal: Reader, pipe: Reader) -> None:
    for reader in (terminal, pipe):
        logger = ConsoleLogger(interval=0.0, stream=reader.stream)
        logger.start(run_info())
        logger.metrics(every_metric(480_000, 120))
        logger.finish("interrupted", {})
    shown, written = visible(terminal.text()), pipe.text()
    for name in ("entropy/max", "max probability", "explained variance", "gradient norm", "clipped to"):
        assert name in shown
    for value in ("0.6200", "0.9340", "0.4100", "4.100", "0.5000"):
        assert value in shown
    assert "| entropy/max 0.6200 | max probability 0.9340 | lag 11.0 |" in written
    assert "1.320" not in shown + written  # no entropy in nats beside the normalized one


def test_means_over_seeds_are_labeled_as_such(terminal: Reader, pipe: Reader) -> None:
    summary = {**SUMMARY, "num_seeds": 3}
    for reader in (terminal, pipe):
        logger = ConsoleLogger(interval=0.0, stream=reader.stream)
        logger.start(run_info(seeds=3))
        logger.metrics(metrics(480_000, 120))
        logger.finish("finished", summary)
        text = visible(reader.text())
        assert "mean of 3 seeds" in text and "15,300" in text and "steps/s in all" in text
        assert "3 seeds, together 1,000 episodes" in text and "[-990, -633] over 3 seeds" in text


def test_a_dumb_terminal_gets_plain_lines(terminal: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    logger = ConsoleLogger(interval=0.0, stream=terminal.stream)
    logger.start(run_info())
    train(logger)
    logger.finish("finished", SUMMARY)
    assert "\x1b" not in terminal.text()
