import gzip
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from a3c_exp.analysis.wandb_report import panels
from a3c_exp.core.budget import Budget
from a3c_exp.core.errors import ConfigError
from a3c_exp.core.records import Episode, Evaluation, Metrics
from a3c_exp.logging.base import QuietLogger, RunInfo
from a3c_exp.logging.wandb import WandbLogger

OWN = [{"worker": 0, "entropy_coef": 0.01, "lr": 1e-3}, {"worker": 1, "entropy_coef": 0.1, "lr": 1e-4}]
CONFIG = {"env": {"id": "Pendulum-v1", "time_limit": None}, "parallelism": {"workers": 4}, "seed": 1, "own_values": OWN}
SUMMARY = {"reason": "budget reached", "episodes": 12, "evaluation": {"mean": -790.0, "ci_low": -900.0}}
CLOSED_PORT = "http://127.0.0.1:9"


@pytest.fixture(autouse=True, scope="module")
def nobody_logged_in(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Neither the account nor the settings of the person who runs the tests."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("NETRC", str(home / ".netrc"))
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("t")))
        yield


def run_info(directory: Path, **more: Any) -> RunInfo:
    return RunInfo(directory, "workers=4", "a_sweep", "sweep", ("pendulum",), CONFIG, Budget(max_episodes=12), **more)


def episode(number: int) -> Episode:
    return Episode(number, 0, -10.0 * number, 200, -1.0, -1.0, 200 * number, 20, 1.0, "truncated", 7)


def metrics(env_step: int) -> Metrics:
    one = Metrics(env_step, 1, 1, 1.0, 9.0, 9.0, 0.5, 1.0, 1.0, 1.32, 1.0, 4.0, None, 1.0, 3.0, 5, None)
    speeds = {"worker_steps_per_second": [30.0, 10.0 + env_step], "worker_updates_per_second": [3.0, 1.0]}
    new = {"grad_norm_clipped": 0.5, "value_std": 2.0, "entropy_normalised": 0.6, "truncated_share": 0.25}
    return replace(one, **new, **speeds)


def evaluation(env_step: int, mean: float) -> Evaluation:
    return Evaluation(env_step, 1, 1.0, 2, True, mean, 1.0, mean, mean, mean, mean, mean, 200.0, [mean, mean], True)


def relatives() -> list[str]:
    """Command lines of the processes of wandb that these tests have started, told by the home that they were given."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
            ours = f"HOME={os.environ['HOME']}\0".encode() in (process / "environ").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if ours and any("wandb-" in word or "wandb_process" in word for word in words[:3]):
            found.append(" ".join(words))
    return found


def records(*folders: Path) -> list[list[dict[str, Any]]]:
    """What wandb itself finds in runs of its own."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json"]
    readers = [subprocess.Popen([*command, str(folder)], stdout=subprocess.PIPE, text=True) for folder in folders]
    return [[json.loads(line) for line in reader.communicate(timeout=60)[0].splitlines()] for reader in readers]


def history(found: list[dict[str, Any]], key: str) -> list[tuple[int, Any]]:
    items = [record["history"]["item"] for record in found if record["type"] == "history"]
    return [(item["env_step"], item[key]) for item in items if key in item]


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for record in found:
        if record["type"] == "summary":
            merged.update(record["summary"].get("update", {}))
    return merged


class Sessions:
    """One offline run that was interrupted and resumed, one of many short episodes, and what there was around them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "resumed"
        self.said: list[str] = []
        before = self._process_state()
        self._train(1, 6, "interrupted", resumed=False)
        short = WandbLogger(row_interval=60.0, say=lambda _: None)
        arm = {"ablation": {"name": "worker_count", "control": "fair", "arm": "workers_6"}}
        short.start(replace(run_info(directory / "short"), config={**CONFIG, **arm}))
        self._train(7, 12, "finished", resumed=True)
        for number in range(1, 1001):
            short.episode(episode(number))
        short.finish("finished", SUMMARY)
        self.left = relatives(), scratch()
        self.untouched = before == self._process_state()
        self.threads = [thread.name for thread in threading.enumerate() if "wandb" in thread.name]
        self.folders = sorted((self.directory / "wandb").glob("offline-run-*"))
        (short_folder,) = (directory / "short" / "wandb").glob("offline-run-*")
        self.first, self.second, self.short = records(*self.folders, short_folder)

    def _train(self, first: int, last: int, status: Any, resumed: bool) -> None:
        logger = WandbLogger(tags=["mine"], row_interval=0.0, say=self.said.append)
        began = time.monotonic()
        logger.start(run_info(self.directory, resumed=resumed))
        for number in range(first, last + 1):
            logger.episode(episode(number))
            logger.metrics(metrics(200 * number))
        logger.evaluation(evaluation(200 * last, -80.0 * last))
        video = self.directory / "videos" / "step_1.mp4"
        video.parent.mkdir(exist_ok=True)
        video.write_bytes(b"not really a film")
        logger.video(video, 200 * last)
        self.seconds_of_training = time.monotonic() - began
        logger.finish(status, SUMMARY)

    @staticmethod
    def _process_state() -> list[Any]:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)]
        return [*handlers, sys.exit, sys.excepthook, "wandb" in sys.modules, dict(os.environ)]


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Sessions:
    return Sessions(tmp_path_factory.mktemp("run"))


def test_the_curves_stand_over_environment_steps(sessions: Sessions) -> None:
    assert history(sessions.first, "episode/return") == [(200 * n, -10.0 * n) for n in range(1, 7)]
    assert history(sessions.first, "train/entropy") == [(200 * n, 1.32) for n in range(1, 7)]
    assert history(sessions.first, "eval/mean") == [(1200, -480.0)]
    defined = [record["metric"] for record in sessions.first if record["type"] == "metric"]
    assert [(one["glob_name"], one["step_metric"]) for one in defined] == [("*", "env_step")]


def test_each_workers_speed_has_a_place_of_its_own_and_costs_no_row(sessions: Sessions) -> None:
    rows = [record["history"]["item"] for record in sessions.first if record["type"] == "history"]
    trained = [row for row in rows if any(key.startswith("train/") for key in row)]
    assert len(trained) == 6
    assert [row["workers/steps_per_second/1"] for row in trained] == [10.0 + 200 * n for n in range(1, 7)]
    assert all(row["workers/updates_per_second/0"] == 3.0 for row in trained)
    assert not [key for row in rows for key in row if "worker" in key and not key.startswith("workers/")]


def test_what_is_known_of_the_new_diagnostics_is_sent_and_nothing_is_made_up(sessions: Sessions) -> None:
    for key, value in (("grad_norm_clipped", 0.5), ("value_std", 2.0), ("entropy_normalised", 0.6), ("truncated_share", 0.25)):
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
    asked = {key for panel in panels() for key in (panel.x, panel.y)}
    unknown_here = {"train/moving_average", "train/explained_variance", "train/max_probability"}  # None in these metrics
    assert asked - written == unknown_here & asked
    assert len(asked & written) >= 12


def test_an_ablations_runs_are_filed_so_that_the_page_shows_a_curve_an_arm(sessions: Sessions) -> None:
    run = next(record["run"] for record in sessions.short if record["type"] == "run")
    assert (run["run_group"], run["job_type"]) == ("worker_count (fair)", "workers_6")
    assert run["tags"] == ["pendulum", "ablation=worker_count", "control=fair", "arm=workers_6"]
    assert run["config"]["update"]["ablation"]["arm"] == "workers_6"


def test_the_summary_has_the_last_evaluation_and_how_it_ended(sessions: Sessions) -> None:
    last = summary(sessions.second)
    assert last["evaluation"] == {"mean": -790.0, "ci_low": -900.0}
    assert (last["status"], last["episodes"], last["eval/mean"]) == ("finished", 12, -960.0)
    exits = [record["exit"].get("exit_code", 0) for found in (sessions.first, sessions.second) for record in found[-1:]]
    assert exits == [255, 0]  # interrupted, finished


def test_a_video_is_kept_with_the_run(sessions: Sessions) -> None:
    assert history(sessions.first, "video._type") == [(1200, "video-file")]
    (copy,) = (sessions.folders[0] / "files" / "media" / "videos").iterdir()
    assert copy.read_bytes() == b"not really a film"


def test_a_resume_goes_on_under_the_same_id_at_its_own_environment_steps(sessions: Sessions) -> None:
    ids = [
        next(record["run"]["run_id"] for record in found if record["type"] == "run")
        for found in (sessions.first, sessions.second)
    ]
    assert ids == [(sessions.directory / "wandb_id").read_text().strip()] * 2
    assert [step for step, _ in history(sessions.second, "episode/return")] == [200 * n for n in range(7, 13)]


def test_nobody_is_asked_and_everybody_is_told_how_to_send_it(sessions: Sessions) -> None:
    assert len(sessions.said) == 2
    for said, folder in zip(sessions.said, sessions.folders, strict=True):
        assert said == f"W&B keeps this run offline (not logged in); to send it later: wandb sync {folder}"


def test_a_thousand_short_episodes_are_few_rows_and_none_is_forgotten(sessions: Sessions) -> None:
    assert history(sessions.short, "episode/count") == [(200, 1), (200_000, 999)]
    assert history(sessions.short, "episode/return") == [(200, -10.0), (200_000, -10.0 * 501)]  # the mean of 2 to 1000
    assert history(sessions.short, "episode/number")[-1] == (200_000, 1000)


def test_training_neither_waits_for_wandb_nor_lives_with_it(sessions: Sessions) -> None:
    assert sessions.seconds_of_training < 0.9  # importing wandb and its beginning take two at the least
    assert sessions.untouched  # signals, sys.exit, excepthook, environment, and not even imported
    assert sessions.left == ([], []) and sessions.threads == []


def test_a_key_without_a_network_is_offline_within_the_limit_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.setenv("WANDB_BASE_URL", CLOSED_PORT)
    said: list[str] = []
    logger = WandbLogger(init_timeout=1.0, finish_timeout=5.0, say=said.append)
    began = time.monotonic()
    logger.start(run_info(tmp_path))
    logger.episode(episode(1))
    logger.finish("finished", SUMMARY)
    assert time.monotonic() - began < 30.0  # left to itself wandb takes 100; alone on a machine this takes 4
    (told,) = said
    assert "keeps this run offline (could not go online: " in told and "connection refused" in told
    assert "\n" not in told
    (kept,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    assert b"episode/return" in kept.read_bytes()
    assert nothing_left_after(0.0)


def test_a_hung_wandb_does_not_hang_the_run(tmp_path: Path) -> None:
    said: list[str] = []
    logger = WandbLogger(mode="offline", init_timeout=15.0, finish_timeout=0.5, say=said.append)
    logger.start(run_info(tmp_path))
    (process,) = wait_for_process()
    while not said:
        time.sleep(0.1)
        logger.episode(episode(1))
    os.kill(process, signal.SIGSTOP)
    for number in range(2000):  # more than a pipe holds
        logger.evaluation(evaluation(number, -1.0))
    began = time.monotonic()
    logger.finish("finished", SUMMARY)
    assert time.monotonic() - began < 10.0
    assert said[1].startswith("W&B did not take everything in 0.5 s; to send it later: wandb sync ")
    assert nothing_left_after(5.0)


def test_an_upload_that_hangs_does_not_hang_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    said: list[str] = []
    with slow_service() as address:
        monkeypatch.setenv("WANDB_BASE_URL", address)
        logger = WandbLogger(init_timeout=15.0, finish_timeout=0.5, say=said.append)
        logger.start(run_info(tmp_path))
        logger.episode(episode(1))
        while not said:
            time.sleep(0.1)
            logger.video(tmp_path / "none.mp4", 1)
        began = time.monotonic()
        logger.finish("finished", SUMMARY)
        assert time.monotonic() - began < 10.0
    (folder,) = (tmp_path / "wandb").glob("run-*")
    assert said[0] == f"W&B {address}/someone/a3c_exp/runs/{(tmp_path / 'wandb_id').read_text().strip()}"
    assert "W&B could not take something: FileNotFoundError: " in said[1]  # there is no such video
    assert said[-1].startswith("W&B did not take everything") and said[-1].endswith(f": wandb sync {folder}")
    assert nothing_left_after(5.0)


def test_a_dead_wandb_is_said_once_and_training_goes_on(tmp_path: Path) -> None:
    said: list[str] = []
    logger = WandbLogger(mode="offline", row_interval=0.0, say=said.append)
    logger.start(run_info(tmp_path))
    (process,) = wait_for_process()
    os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + 10.0
    while not said and time.monotonic() < deadline:
        logger.episode(episode(1))
        time.sleep(0.05)
    logger.finish("finished", SUMMARY)
    assert said == ["W&B is off from here, the run goes on without it: its process ended"]
    assert nothing_left_after(5.0)


def test_a_killed_run_leaves_no_process_and_is_not_shown_as_running(tmp_path: Path) -> None:
    program = f"""
import tempfile, time
from a3c_exp.logging.wandb_pipe import WandbPipe
tempfile.tempdir = {tempfile.gettempdir()!r}
hello = dict(directory={str(tmp_path)!r}, project="p", entity=None, mode="offline", id="abcdefgh", name="n", group=None,
             job_type="train", tags=[], config={{}}, argv=["train.py"], pid=1)
pipe = WandbPipe(hello, 15.0, 15.0)
pipe.send_row({{"env_step": 200, "episode/return": -10.0}})
while not pipe.news():
    time.sleep(0.1)
print("ready", flush=True)
time.sleep(60)
"""
    run = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert run.stdout and run.stdout.readline() == "ready\n"
    assert len(relatives()) >= 2
    run.kill()
    run.wait()
    assert nothing_left_after(5.0)
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    (found,) = records(folder)
    assert summary(found)["status"] == "killed" and found[-1]["exit"]["exit_code"] == 1
    assert history(found, "episode/return") == [(200, -10.0)]


def test_wandb_mode_disabled_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    said: list[str] = []
    logger = WandbLogger(say=said.append)
    logger.start(run_info(tmp_path))
    logger.finish("finished", SUMMARY)
    assert len(said) == 1 and "WANDB_MODE" in said[0]
    assert not (tmp_path / "wandb").exists()


def test_a_mode_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match="'onlin'; it can be auto, online, offline"):
        WandbLogger(mode="onlin")


@pytest.mark.parametrize("name", ["none", "wandb"])
def test_the_configuration_files_name_only_what_exists(name: str) -> None:
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    path = Path(__file__).parents[2] / "conf" / "logger" / f"{name}.yaml"
    assert path.read_text().startswith(f"# python -m a3c_exp logger={name}\n")
    assert isinstance(instantiate(OmegaConf.load(path)), QuietLogger)


@contextmanager
def slow_service() -> Iterator[str]:
    """A service in place of W&B's that lets a run begin and then never takes anything it is sent."""
    over = threading.Event()
    model = {"id": "m", "name": "a3c_exp", "entity": {"id": "e", "name": "someone"}}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path != "/graphql":
                over.wait(30.0)
                return
            query = json.loads(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
            bucket = {"id": "b", "name": query["variables"].get("name"), "displayName": "d", "project": model}
            answers = {
                "RunResumeStatus": {"model": {**model, "bucket": None}},
                "UpsertBucket": {"upsertBucket": {"bucket": bucket, "inserted": True}},
            }
            if query["operationName"] not in answers:
                over.wait(30.0)
                return
            answer = json.dumps({"data": answers[query["operationName"]]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def wait_for_process() -> list[int]:
    """The process that this one started for wandb."""
    while True:
        command = ["pgrep", "-P", str(os.getpid()), "-f", "wandb_process"]
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        if found:
            return [int(number) for number in found]
        time.sleep(0.02)


def nothing_left_after(seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while (relatives() or scratch()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return relatives() == [] and scratch() == []


def scratch() -> list[Path]:
    """Folders for temporary files that nobody took away."""
    return list(Path(tempfile.gettempdir()).glob("*wandb*"))
