import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from a3c_exp.config.budget import Budget
from a3c_exp.loggers.base import RunInfo
from a3c_exp.loggers.jsonl import EPISODES, EVALUATIONS, METRICS, JsonlLogger, truncate_after
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, MetricsRecord
from a3c_exp.system.errors import RunDirectoryError
from tests.support.metrics import metrics_record


def started(directory: Path) -> JsonlLogger:
    logger = JsonlLogger()
    logger.start(RunInfo(directory, "run", None, "train", (), {}, Budget(max_episodes=10)))
    return logger


def episode(number: int, return_: float = -1.5, wall_time: float = 0.0) -> EpisodeRecord:
    return EpisodeRecord(number, 0, return_, 200, -1.0, -1.0, 200 * number, 20 * number, wall_time, "truncated", 7)


def metrics(env_step: int) -> MetricsRecord:
    return metrics_record(env_step)


def evaluation(env_step: int) -> EvaluationRecord:
    return EvaluationRecord(env_step, 1, 1.0, 2, True, -8.0, 1.0, -8.0, -9.0, -7.0, -9.0, -7.0, 200.0, [-9.0, -7.0], True)


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def numbers(path: Path) -> list[int]:
    return [row["episode"] for row in rows(path)]


def test_every_event_is_a_line_that_reads_back_as_it_was(tmp_path: Path) -> None:
    logger = started(tmp_path)
    logger.episode(episode(1))
    logger.metrics(metrics(200))
    logger.evaluation(evaluation(200))
    logger.finish("finished", {})
    assert rows(tmp_path / "episodes.jsonl") == [episode(1).to_dict()]
    assert rows(tmp_path / "episodes.jsonl")[0]["return"] == -1.5
    assert rows(tmp_path / "metrics.jsonl") == [metrics(200).to_dict()]
    assert rows(tmp_path / "evaluations.jsonl") == [evaluation(200).to_dict()]


def test_a_line_is_on_disk_when_the_call_returns(tmp_path: Path) -> None:
    logger = started(tmp_path)
    logger.episode(episode(1))
    assert numbers(tmp_path / "episodes.jsonl") == [1]  # while the logger is still open


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_are_null_and_not_broken_json(tmp_path: Path, value: float) -> None:
    logger = started(tmp_path)
    logger.episode(episode(1, return_=value))
    text = (tmp_path / "episodes.jsonl").read_text()
    assert "NaN" not in text and "Infinity" not in text
    assert rows(tmp_path / "episodes.jsonl")[0]["return"] is None
    assert rows(tmp_path / "episodes.jsonl")[0]["length"] == 200


def test_a_numpy_number_in_a_record_does_not_end_the_run(tmp_path: Path) -> None:
    import numpy as np

    logger = started(tmp_path)
    logger.episode(episode(1, return_=np.float32(-0.5)))
    logger.episode(episode(2, return_=np.float32("nan")))
    assert [row["return"] for row in rows(tmp_path / "episodes.jsonl")] == [-0.5, None]


def test_a_kill_loses_no_line_that_was_written(tmp_path: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_jsonl import episode, started
from pathlib import Path
logger = started(Path({str(tmp_path)!r}))
for number in range(1, 10**9):
    logger.episode(episode(number))
    if number % 500 == 0:
        print(number, flush=True)
"""
    writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    acknowledged = [int(writer.stdout.readline()) for _ in range(3)][-1]
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    whole = (tmp_path / "episodes.jsonl").read_bytes().rpartition(b"\n")[0]
    numbers = [json.loads(line)["episode"] for line in whole.split(b"\n")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= acknowledged


def test_a_full_disk_is_an_error_and_leaves_no_incomplete_line(tmp_path: Path) -> None:
    logger = started(tmp_path)
    logger.episode(episode(1))
    size = (tmp_path / "episodes.jsonl").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + size // 2, before[1]))  # room for half the next line
    try:
        with pytest.raises(RunDirectoryError, match=r"episodes\.jsonl.*Allow larger files"):
            logger.episode(episode(2))
        assert numbers(tmp_path / "episodes.jsonl") == [1]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    logger.episode(episode(2))
    assert numbers(tmp_path / "episodes.jsonl") == [1, 2]


def test_a_resume_keeps_exactly_what_the_checkpoint_had(tmp_path: Path) -> None:
    logger = started(tmp_path)
    for number in range(1, 6):
        logger.episode(episode(number))
        logger.metrics(metrics(200 * number))
        logger.evaluation(evaluation(200 * number))
    logger.finish("interrupted", {})
    assert truncate_after(tmp_path, episodes=3, env_step=600) == {EPISODES: 2, METRICS: 2, EVALUATIONS: 2}
    assert numbers(tmp_path / "episodes.jsonl") == [1, 2, 3]
    assert numbers(tmp_path / "episodes.discarded.jsonl") == [4, 5]
    for name in ("metrics", "evaluations"):
        assert [row["env_step"] for row in rows(tmp_path / f"{name}.jsonl")] == [200, 400, 600]
        assert [row["env_step"] for row in rows(tmp_path / f"{name}.discarded.jsonl")] == [800, 1000]

    resumed = started(tmp_path)
    resumed.episode(episode(4, wall_time=9.0))
    assert numbers(tmp_path / "episodes.jsonl") == [1, 2, 3, 4]


def test_episodes_that_arrive_out_of_order_are_kept_by_their_number(tmp_path: Path) -> None:
    logger = started(tmp_path)
    late = EpisodeRecord(4, 1, -1.0, 10, -1.0, -1.0, 100, 1, 0.0, "truncated", 7)  # arrived last, but with few steps
    for record in (episode(1), episode(2), episode(3), late):
        logger.episode(record)
    truncate_after(tmp_path, episodes=3, env_step=600)
    assert numbers(tmp_path / "episodes.jsonl") == [1, 2, 3]


def test_an_incomplete_line_is_neither_lost_nor_repeated(tmp_path: Path) -> None:
    logger = started(tmp_path)
    for number in (1, 2, 3):
        logger.episode(episode(number))
    logger.finish("interrupted", {})
    path = tmp_path / "episodes.jsonl"
    os.truncate(path, path.stat().st_size - 30)
    torn = path.read_bytes().rpartition(b"\n")[2]
    assert truncate_after(tmp_path, episodes=3, env_step=600)[EPISODES] == 1
    assert numbers(path) == [1, 2]
    assert (tmp_path / "episodes.discarded.jsonl").read_bytes() == torn + b"\n"
    assert truncate_after(tmp_path, episodes=3, env_step=600)[EPISODES] == 0
    assert (tmp_path / "episodes.discarded.jsonl").read_bytes() == torn + b"\n"


def test_a_line_that_lacks_only_its_end_is_kept(tmp_path: Path) -> None:
    logger = started(tmp_path)
    logger.episode(episode(1))
    path = tmp_path / "episodes.jsonl"
    os.truncate(path, path.stat().st_size - 1)
    truncate_after(tmp_path, episodes=1, env_step=200)
    assert path.read_bytes().endswith(b"\n") and numbers(path) == [1]
    assert not (tmp_path / "episodes.discarded.jsonl").exists()


def test_a_second_resume_keeps_what_the_first_one_discarded(tmp_path: Path) -> None:
    logger = started(tmp_path)
    for number in (1, 2, 3):
        logger.episode(episode(number))
    truncate_after(tmp_path, episodes=1, env_step=200)
    again = started(tmp_path)
    again.episode(episode(2, wall_time=5.0))
    truncate_after(tmp_path, episodes=1, env_step=200)
    assert numbers(tmp_path / "episodes.jsonl") == [1]
    discarded = rows(tmp_path / "episodes.discarded.jsonl")
    assert [(row["episode"], row["wall_time"]) for row in discarded] == [(2, 0.0), (3, 0.0), (2, 5.0)]


def test_an_interrupted_truncation_repeats_no_line(tmp_path: Path) -> None:
    logger = started(tmp_path)
    for number in (1, 2, 3):
        logger.episode(episode(number))
    path = tmp_path / "episodes.jsonl"
    whole = path.read_bytes()
    truncate_after(tmp_path, episodes=1, env_step=200)
    done = path.read_bytes(), (tmp_path / "episodes.discarded.jsonl").read_bytes()
    path.write_bytes(whole)  # as if killed after the one file had got the lines and before the other had lost them
    truncate_after(tmp_path, episodes=1, env_step=200)
    assert (path.read_bytes(), (tmp_path / "episodes.discarded.jsonl").read_bytes()) == done


def test_a_truncation_without_later_lines_changes_no_file(tmp_path: Path) -> None:
    assert truncate_after(tmp_path, episodes=0, env_step=0) == {EPISODES: 0, METRICS: 0, EVALUATIONS: 0}
    assert list(tmp_path.iterdir()) == []
    started(tmp_path).episode(episode(1))
    before = (tmp_path / "episodes.jsonl").stat()
    assert truncate_after(tmp_path, episodes=1, env_step=200) == {EPISODES: 0, METRICS: 0, EVALUATIONS: 0}
    assert (tmp_path / "episodes.jsonl").stat() == before


def test_an_incomplete_line_is_not_joined_with_the_next_session(tmp_path: Path) -> None:
    (tmp_path / "episodes.jsonl").write_bytes(b'{"episode": 1}\n{"epis')
    started(tmp_path).episode(episode(2))
    assert numbers(tmp_path / "episodes.jsonl") == [1, 2]
    assert (tmp_path / "episodes.discarded.jsonl").read_bytes() == b'{"epis\n'


def test_a_message_of_two_lines_is_one_entry_with_a_time(tmp_path: Path) -> None:
    logger = started(tmp_path)
    logger.message("worker 3 died\nand was started again")
    logger.message("done")
    lines = (tmp_path / "messages.log").read_text().splitlines()
    assert lines[0][:2] == "20" and lines[0].endswith(" worker 3 died")
    assert lines[1] == "    and was started again"
    assert lines[2].endswith(" done")


def test_a_message_after_the_end_is_no_error(tmp_path: Path) -> None:
    logger = started(tmp_path)
    logger.finish("finished", {})
    logger.finish("finished", {})
    logger.message("late")
