"""An offline run, read back with wandb's own reader."""

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from a3c_exp.config.compose import compose_jobs
from a3c_exp.config.instantiate import checked_partial
from a3c_exp.loggers.wandb_logger.logger import WandbLogger
from a3c_exp.report.figures.plot_specs import HEADINGS
from a3c_exp.report.wandb_report import wandb_panels
from a3c_exp.system.errors import ConfigError
from tests.support.offline_wandb import (
    CONFIG,
    SUMMARY,
    episode,
    evaluation,
    history,
    metrics,
    records,
    relatives,
    run_info,
    scratch,
    summary,
)

pytestmark = pytest.mark.usefixtures("nobody_logged_in")


VARIABLES = {"PROJECT": "thesis", "ENTITY": "me", "NAME": "nn", "TAGS": "aa, bb", "RUN_GROUP": "gg", "JOB_TYPE": "jj"}


class Sessions:
    """One offline run that was interrupted and resumed, one of many short episodes, and the process around them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "resumed"
        self.messages: list[str] = []
        before = self._process_state()
        self._train(1, 6, "interrupted", resumed=False)
        short = WandbLogger(row_interval=60.0, on_message=lambda _: None)
        arm = {"ablation": {"name": "worker_count", "control": "fair", "arm": "workers_6"}}
        short.start(replace(run_info(directory / "short"), config={**CONFIG, **arm}))
        theirs = self._surrounded()
        theirs.start(run_info(directory / "theirs"))
        self._train(7, 12, "finished", resumed=True)
        theirs.finish("finished", SUMMARY)
        for number in range(1, 1001):
            short.episode(episode(number))
        short.finish("finished", SUMMARY)
        self.left = relatives(), scratch()
        self.untouched = before == self._process_state()
        self.threads = [thread.name for thread in threading.enumerate() if "wandb" in thread.name]
        self.folders = sorted((self.directory / "wandb").glob("offline-run-*"))
        (short_folder,) = (directory / "short" / "wandb").glob("offline-run-*")
        (their_folder,) = (directory / "theirs" / "wandb").glob("offline-run-*")
        self.first, self.second, self.short, self.theirs = records(*self.folders, short_folder, their_folder)

    @staticmethod
    def _surrounded() -> WandbLogger:
        """The logger of a configuration that was composed where W&B's variables were set."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in VARIABLES.items():
                patch.setenv(f"WANDB_{name}", value)
            config = compose_jobs(["logger.job_type=typed"], multirun=False)[0].config.logger
        logger: WandbLogger = checked_partial(config, "logger")(on_message=lambda _: None)
        return logger

    def _train(self, first: int, last: int, status: Any, resumed: bool) -> None:
        logger = WandbLogger(tags=["mine"], row_interval=0.0, on_message=self.messages.append)
        began = time.monotonic()
        logger.start(run_info(self.directory, resumed=resumed))
        for number in range(first, last + 1):
            logger.episode(episode(number))
            logger.metrics(metrics(200 * number))
        logger.evaluation(evaluation(200 * last, -80.0 * last))
        video = self.directory / "videos" / "step_1.mp4"
        video.parent.mkdir(exist_ok=True)
        video.write_bytes(b"not really a video")
        logger.video(video, 200 * last)
        self.seconds_of_training = time.monotonic() - began
        logger.finish(status, SUMMARY)

    @staticmethod
    def _process_state() -> list[Any]:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)]
        return [*handlers, sys.exit, sys.excepthook, "wandb" in sys.modules, dict(os.environ)]


@pytest.fixture(scope="module")
def sessions(nobody_logged_in: None, tmp_path_factory: pytest.TempPathFactory) -> Sessions:
    return Sessions(tmp_path_factory.mktemp("run"))


def test_the_curves_stand_over_environment_steps(sessions: Sessions) -> None:
    assert history(sessions.first, "episode/return") == [(200 * n, -10.0 * n) for n in range(1, 7)]
    assert history(sessions.first, "train/entropy") == [(200 * n, 1.32) for n in range(1, 7)]
    assert history(sessions.first, "eval/mean") == [(1200, -480.0)]
    defined = [record["metric"] for record in sessions.first if record["type"] == "metric"]
    assert [(metric["glob_name"], metric["step_metric"]) for metric in defined] == [("*", "env_step")]


def test_each_workers_speed_has_a_section_of_its_own_and_costs_no_row(sessions: Sessions) -> None:
    rows = [record["history"]["item"] for record in sessions.first if record["type"] == "history"]
    trained = [row for row in rows if any(key.startswith("train/") for key in row)]
    assert len(trained) == 6
    assert [row["workers/steps_per_second/1"] for row in trained] == [10.0 + 200 * n for n in range(1, 7)]
    assert all(row["workers/updates_per_second/0"] == 3.0 for row in trained)
    assert not [key for row in rows for key in row if "worker" in key and not key.startswith("workers/")]


def test_diagnostics_with_a_value_are_sent_and_those_without_are_not(sessions: Sessions) -> None:
    for key, value in (("grad_norm_clipped", 0.5), ("value_std", 2.0), ("entropy_normalized", 0.6), ("truncated_share", 0.25)):
        assert history(sessions.first, f"train/{key}") == [(200 * n, value) for n in range(1, 7)]
    assert history(sessions.first, "train/max_probability") == []


def test_configuration_group_and_tags_are_those_of_the_run(sessions: Sessions) -> None:
    run = next(record["run"] for record in sessions.first if record["type"] == "run")
    config = {key: value for key, value in run["config"]["update"].items() if key != "_wandb"}
    assert config == CONFIG
    assert (run["project"], run["run_group"], run["job_type"]) == ("a3c_exp", "a_sweep", "workers=4")
    assert (run["display_name"], run["tags"]) == ("workers=4", ["pendulum", "mine"])


def test_the_panels_of_a_report_in_wandb_ask_for_what_is_there(sessions: Sessions) -> None:
    written = {key for record in sessions.first if record["type"] == "history" for key in record["history"]["item"]}
    asked = {key for section in HEADINGS for panel in wandb_panels(section) for key in (panel["x"], *panel["y"])}
    unknown_here = {"train/moving_average", "train/explained_variance", "train/max_probability"}  # None in these metrics
    assert asked - written == unknown_here & asked
    assert len(asked & written) >= 12


def test_runs_of_an_ablation_are_one_curve_for_each_arm(sessions: Sessions) -> None:
    run = next(record["run"] for record in sessions.short if record["type"] == "run")
    assert (run["run_group"], run["job_type"]) == ("worker_count (fair)", "workers_6")
    assert run["tags"] == ["pendulum", "ablation=worker_count", "control=fair", "arm=workers_6"]
    assert run["config"]["update"]["ablation"]["arm"] == "workers_6"


def test_the_summary_has_the_last_evaluation_and_how_it_ended(sessions: Sessions) -> None:
    last = summary(sessions.second)
    assert last["evaluation"] == {"mean": -790.0, "ci_low": -900.0}
    assert (last["status"], last["episodes"], last["eval/mean"]) == ("finished", 12, -960.0)
    exits = [record["exit"].get("exit_code", 0) for session in (sessions.first, sessions.second) for record in session[-1:]]
    assert exits == [255, 0]  # interrupted, finished


def test_a_video_is_kept_with_the_run(sessions: Sessions) -> None:
    assert history(sessions.first, "video._type") == [(1200, "video-file")]
    (copy,) = (sessions.folders[0] / "files" / "media" / "videos").iterdir()
    assert copy.read_bytes() == b"not really a video"


def test_a_resume_goes_on_under_the_same_id_at_its_own_environment_steps(sessions: Sessions) -> None:
    ids = [
        next(record["run"]["run_id"] for record in session if record["type"] == "run")
        for session in (sessions.first, sessions.second)
    ]
    assert ids == [(sessions.directory / "wandb_id").read_text().strip()] * 2
    assert [step for step, _ in history(sessions.second, "episode/return")] == [200 * n for n in range(7, 13)]


def test_no_question_is_asked_and_the_message_says_how_to_send_the_run(sessions: Sessions) -> None:
    assert len(sessions.messages) == 2
    for message, folder in zip(sessions.messages, sessions.folders, strict=True):
        assert message == f"W&B keeps this run offline (not logged in); to send it later: wandb sync {folder}"


def test_a_thousand_short_episodes_are_few_rows_and_none_is_lost(sessions: Sessions) -> None:
    assert history(sessions.short, "episode/count") == [(200, 1), (200_000, 999)]
    assert history(sessions.short, "episode/return") == [(200, -10.0), (200_000, -10.0 * 501)]  # the mean of 2 to 1000
    assert history(sessions.short, "episode/number")[-1] == (200_000, 1000)


def test_the_variables_of_wandb_count_unless_the_key_is_typed(sessions: Sessions) -> None:
    (run,) = [record["run"] for record in sessions.theirs if record["type"] == "run"]
    assert (run["project"], run["entity"], run["display_name"], run["run_group"]) == ("thesis", "me", "nn", "gg")
    assert run["job_type"] == "typed" and {"aa", "bb", "pendulum"} <= set(run["tags"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("logger.project=team/thesis", "Try logger.entity=team logger.project=thesis"),
        ('logger.project="50%"', "none of"),
        (f"logger.project={'x' * 129}", "of 129 characters, but it has 1 to 128"),
        (f"logger.tags=[{'x' * 65}]", "of 65 characters, but a tag has 1 to 64"),
    ],
)
def test_a_word_that_wandb_would_refuse_is_refused_before_the_start(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked_partial(compose_jobs([override], multirun=False)[0].config.logger, "logger")()


def test_training_neither_waits_for_wandb_nor_imports_it(sessions: Sessions) -> None:
    assert sessions.seconds_of_training < 0.9  # importing wandb and its beginning take two at the least
    assert sessions.untouched  # signals, sys.exit, excepthook, environment, and not even imported
    assert sessions.left == ([], []) and sessions.threads == []
