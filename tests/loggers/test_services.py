"""Whatever shows a run shows the same curves: TensorBoard and CSV files, read by what people read them with, and lists."""

import csv
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from a3c_exp.config.compose import compose_jobs
from a3c_exp.loggers.base import Logger
from a3c_exp.loggers.csv_logger import CsvLogger
from a3c_exp.loggers.curves import AXIS, UNITS, CurveLogger
from a3c_exp.loggers.logger_list import LoggerList
from a3c_exp.loggers.mlflow_logger.logger import MlflowLogger, parent_folders
from a3c_exp.loggers.mlflow_logger.study import mlflow_settings
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run
from tests.support.offline_wandb import SUMMARY, episode, evaluation, metrics, run_info


class Rows(CurveLogger):
    """What a service is sent."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self.rows: list[dict[str, Any]] = []

    def send_row(self, row: Any) -> None:
        self.rows.append(dict(row))

    def points(self) -> dict[str, list[tuple[int, float]]]:
        points: dict[str, list[tuple[int, float]]] = {}
        for row in self.rows:
            for name, value in row.items():
                if name != AXIS:
                    points.setdefault(name, []).append((row[AXIS], float(value)))
        return points


def log(*loggers: Logger, steps: tuple[int, ...] = (200, 400)) -> None:
    for step in steps:
        for logger in loggers:
            logger.episode(episode(step // 200))
            logger.metrics(metrics(step))
            logger.evaluation(evaluation(step, mean=-float(step)))


def csv_points(folder: Path) -> dict[str, list[tuple[int, float]]]:
    points: dict[str, list[tuple[int, float]]] = {}
    for path in folder.glob("*.csv"):
        for row in csv.DictReader(path.open(newline="")):
            for name, value in row.items():
                if name != AXIS and value:
                    points.setdefault(name, []).append((int(row[AXIS]), float(value)))
    return points


def test_curves_have_a_group_and_their_units_belong_to_curves_that_there_are() -> None:
    rows = Rows()
    log(rows)
    names = set(rows.points())
    assert {name.partition("/")[0] for name in names} == {"episode", "train", "workers", "eval"}
    assert set(UNITS) <= names


def test_csv_files_have_every_point_and_a_resumed_run_none_twice(tmp_path: Path) -> None:
    rows = Rows()
    log(rows, steps=(200, 400, 600))
    first = CsvLogger(row_interval=0.0)
    first.start(run_info(tmp_path))
    log(first, steps=(200, 400, 800))  # what came after the checkpoint of step 400 is lost
    resumed = CsvLogger(row_interval=0.0)
    resumed.start(run_info(tmp_path, resumed=True, start_env_step=400))
    log(resumed, steps=(600,))
    resumed.finish("finished", SUMMARY)
    assert csv_points(tmp_path / "csv") == rows.points()


def test_a_value_that_comes_later_gets_a_column(tmp_path: Path) -> None:
    logger = CsvLogger(row_interval=0.0)
    logger.start(run_info(tmp_path))
    logger.send_row({AXIS: 1, "train/loss": 0.5})
    logger.send_row({AXIS: 2, "train/loss": 0.25, "train/new, one": 3.0})
    logger.send_row({AXIS: 3, "train/new, one": 4.0})
    text = (tmp_path / "csv" / "train.csv").read_text().splitlines()
    assert text == ['env_step,train/loss,"train/new, one"', "1,0.5,", "2,0.25,3.0", "3,,4.0"]


def test_a_disk_that_refuses_csv_files_is_reported_once(tmp_path: Path) -> None:
    messages: list[str] = []
    (tmp_path / "csv").write_text("in the way")
    logger = CsvLogger(row_interval=0.0, on_message=messages.append)
    logger.start(run_info(tmp_path))
    log(logger)
    logger.finish("finished", SUMMARY)
    assert len(messages) == 1 and "the run goes on without them" in messages[0]


def test_tensorboard_has_every_point_where_its_own_reader_looks(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from a3c_exp.loggers.tensorboard_logger import TensorboardLogger

    rows, messages = Rows(), list[str]()
    log(rows, steps=(200, 400, 600))
    first = TensorboardLogger(row_interval=0.0, on_message=messages.append)
    first.start(run_info(tmp_path))
    log(first, steps=(200, 400, 800))
    first.finish("interrupted", SUMMARY)
    resumed = TensorboardLogger(row_interval=0.0, on_message=messages.append)
    resumed.start(run_info(tmp_path, resumed=True, start_env_step=400))
    log(resumed, steps=(600,))
    resumed.finish("finished", SUMMARY)
    assert not messages
    read = EventAccumulator(str(tmp_path / "tensorboard"), {"scalars": 0, "tensors": 0}).Reload()
    shown = {name: [(point.step, point.value) for point in read.Scalars(name)] for name in rows.points()}
    for name, points in rows.points().items():
        assert [step for step, _ in shown[name]] == [step for step, _ in points], name
        assert all(math.isclose(a, b, rel_tol=1e-6) for (_, a), (_, b) in zip(shown[name], points, strict=True)), name
    texts = {tag: read.Tensors(tag)[-1].tensor_proto.string_val[0].decode() for tag in read.Tags()["tensors"]}
    assert "env.id: Pendulum-v1" in texts["config/text_summary"] and "steps a second" in texts["curves/text_summary"]
    assert texts["status/text_summary"] == "finished: budget reached"
    assert read.SummaryMetadata("_hparams_/experiment").plugin_data.plugin_name == "hparams"


def test_tensorboard_that_fails_is_reported_once_and_training_continues(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="extra `tensorboard` is not installed")
    from a3c_exp.loggers.tensorboard_logger import TensorboardLogger

    messages: list[str] = []
    (tmp_path / "tensorboard").write_text("in the way")
    logger = TensorboardLogger(row_interval=0.0, on_message=messages.append)
    logger.start(run_info(tmp_path))
    log(logger)
    logger.finish("finished", SUMMARY)
    assert len(messages) == 1 and messages[0].startswith("TensorBoard is off from here, the run goes on without it")


def test_several_loggers_each_with_its_own_keys(tmp_path: Path) -> None:
    overrides = ["env=cartpole", "logger=[wandb,csv]", "logger.wandb.project=thesis", "logger.csv.row_interval=0.0"]
    (job,) = compose_jobs(overrides, multirun=False)
    made = build_run(job.config).make_logger()
    assert isinstance(made, LoggerList)
    assert (job.config.logger.wandb.project, job.config.logger.csv.row_interval) == ("thesis", 0.0)
    messages: list[str] = []
    (job,) = compose_jobs(["env=cartpole", "logger=[csv,none]", "logger.csv.row_interval=0.0"], multirun=False)
    logger = build_run(job.config).make_logger(on_message=messages.append)
    rows = Rows()
    logger.start(run_info(tmp_path))
    log(logger, rows)
    logger.finish("finished", SUMMARY)
    assert csv_points(tmp_path / "csv") == rows.points()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "csv").write_text("in the way")
    logger.start(run_info(tmp_path / "other"))
    assert len(messages) == 1, "those of a list reach the run's messages, too"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["logger=[csv,wandbb]"], "wandb"),
        (["logger=[csv,wandb]", "logger.project=mine"], "logger.wandb.project"),
        (["logger=[csv,wandb]", "logger.wandb.mode=onlin"], "it can be auto, online, offline"),
    ],
)
def test_a_mistake_in_a_list_is_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_run(compose_jobs(["env=cartpole", *overrides], multirun=False)[0].config)


def test_rows_that_come_fast_are_averaged_and_none_is_lost(tmp_path: Path) -> None:
    logger = CsvLogger(row_interval=60.0)
    logger.start(run_info(tmp_path))
    started = time.monotonic()
    for number in range(1, 1001):
        logger.episode(episode(number))
    logger.finish("finished", SUMMARY)
    assert time.monotonic() - started < 60.0
    points = csv_points(tmp_path / "csv")
    assert sum(value for _, value in points["episode/count"]) == 1000 and len(points["episode/return"]) == 2


def test_the_runs_above_a_run_are_those_of_its_sweep_or_study(tmp_path: Path) -> None:
    def above(folder: str, group: str | None) -> list[str]:
        run = replace(run_info(tmp_path / folder), group=group)
        return [f"{name} {path.relative_to(tmp_path)}" for name, path in parent_folders(run)]

    assert above("sweep/workers=4", "sweep") == ["sweep sweep"]
    assert above("sweep/control=fair/arm=a", "sweep") == ["sweep sweep"]
    assert above("study/trial=3", "study") == ["study study"]
    assert above("study/trial=3/seed=1", "study") == ["study study", "trial=3 study/trial=3"]
    assert above("alone", None) == []


def test_a_study_finds_the_mlflow_of_its_trials() -> None:
    target = f"{MlflowLogger.__module__}.MlflowLogger"
    alone = {"_target_": target, "tracking_uri": "http://host", "experiment": "thesis", "row_interval": 1.0}
    settings = {"tracking_uri": "http://host", "experiment": "thesis", "init_timeout": 30.0, "finish_timeout": 30.0}
    listed = {"_target_": "a3c_exp.loggers.logger_list.LoggerList", "csv": {"_target_": "CsvLogger"}, "mlflow": alone}
    assert mlflow_settings(alone) == mlflow_settings(listed) == settings
    assert mlflow_settings({"_target_": "a3c_exp.loggers.base.NullLogger"}) is None
