"""A mirror of the run in Weights & Biases. Works without an account and without a network, and never asks."""

import os
import secrets
import string
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from a3c_exp.loggers.base import Logger, RunInfo
from a3c_exp.loggers.wandb_logger.client import WandbClient
from a3c_exp.runs.log_records import EpisodeRecord, EvaluationRecord, JsonObject, MetricsRecord, Status
from a3c_exp.runs.tolerant_io import mapping
from a3c_exp.system.errors import ConfigError

MODES = ("auto", "online", "offline")
ID_FILE = "wandb_id"
_MAX_LENGTH = 64  # characters of a tag or a job type that W&B takes
_NOT_IN_PROJECTS = "\\#?%:"
_IGNORED_KEYS = ("seed", "control", "ablation", "study")  # shown elsewhere, or different between runs of one curve


def to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class WandbLogger(Logger):
    """Shows a run in W&B: curves over environment steps, the configuration, a summary, videos, screenshots.

    Online if the user is logged in and W&B answers in time, else offline, below ``<run directory>/wandb``; one line says which,
    and how to send it later. wandb runs in a process of its own, so training neither waits for it nor fails with it.

    The curves are ``train/*`` (losses, entropy, lag ...), ``workers/*`` (each worker's speed), ``episode/*`` and ``eval/*``.
    Short episodes end by the thousand in a second, too many for W&B and for a reader: a row of ``episode/*`` is the mean of
    all episodes since the row before (``episode/count`` of them), likewise ``train/*`` and ``workers/*``, which share a row.

    The arguments are those of conf/logger/wandb.yaml; ``on_message`` is called with each line for the user, in the thread that
    calls the logger. Raises ConfigError for a word that W&B would refuse.
    """

    def __init__(
        self,
        project: str = "a3c_exp",
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        mode: str = "auto",
        init_timeout: float = 15.0,
        finish_timeout: float = 15.0,
        row_interval: float = 1.0,
        tags: Sequence[str] | str = (),
        on_message: Callable[[str], None] = to_stderr,
    ) -> None:
        if mode not in MODES:
            raise ConfigError(f"logger.mode is {mode!r}; it can be {', '.join(MODES)}. Try: logger.mode=auto")
        self._tags = [tag.strip() for tag in tags.split(",") if tag.strip()] if isinstance(tags, str) else list(tags)
        _check_words(project or "a3c_exp", self._tags)
        self._settings: dict[str, Any] = {"project": project or "a3c_exp", "entity": entity or None, "mode": mode}
        self._settings |= {"init_timeout": float(init_timeout), "finish_timeout": float(finish_timeout)}
        self._placement = {"name": name, "group": group, "job_type": job_type}
        self._on_message = on_message
        self._episode_rows = _RowAverager("episode/", row_interval)
        self._metrics_rows = _RowAverager("train/", row_interval)
        self._client: WandbClient | None = None

    def start(self, run: RunInfo) -> None:
        group, job_type, tags = wandb_placement(run)
        placement = {"name": run.name, "group": group, "job_type": job_type}
        handshake = {
            **self._settings,
            **{key: self._placement[key] or own for key, own in placement.items()},
            "directory": str(run.directory.absolute()),
            "id": run_id(run.directory),
            "tags": list(dict.fromkeys((*tags, *self._tags))),
            "config": run.config,
            "argv": sys.argv or ["python"],
            "pid": os.getpid(),
        }
        self._client = WandbClient(handshake)

    def episode(self, episode: EpisodeRecord) -> None:
        values = {"return": episode.return_, "truncated": float(episode.end == "truncated")}
        values |= {"length": episode.length, "mean_step_reward": episode.mean_step_reward}
        last = {"number": episode.episode, "moving_average": episode.moving_average}
        self._episode_rows.add(episode.env_step, values, last)
        self._send(self._episode_rows.pop_row_if_due())

    def metrics(self, metrics: MetricsRecord) -> None:
        values = metrics.to_dict()
        env_step = values.pop("env_step")
        for key in ("steps_per_second", "updates_per_second"):
            each = values.pop(f"worker_{key}")
            values |= {f"workers/{key}/{worker}": value for worker, value in enumerate(each)}
        last = {key: values.pop(key) for key in ("update", "episode", "wall_time", "moving_average", "recent_return")}
        most = {name: values.pop(name) for name, info in metrics.infos.items() if info.reduction == "max"}
        self._metrics_rows.add(env_step, values, last, most)
        self._send(self._metrics_rows.pop_row_if_due())

    def evaluation(self, evaluation: EvaluationRecord) -> None:
        values = evaluation.to_summary()
        env_step = values.pop("env_step")
        self._send({"env_step": env_step, **{f"eval/{key}": float(value) for key, value in values.items()}})

    def video(self, path: Path, env_step: int) -> None:
        self._send_file("video", path, env_step)

    def screenshot(self, path: Path, env_step: int) -> None:
        self._send_file("picture", path, env_step)

    def _send_file(self, kind: str, path: Path, env_step: int) -> None:
        if self._client:
            self._client.send({"do": kind, "path": str(path.absolute()), "env_step": env_step})
        self._forward_messages()

    def finish(self, status: Status, summary: JsonObject) -> None:
        if not self._client:
            return
        self._send(self._episode_rows.pop_row())
        self._send(self._metrics_rows.pop_row())
        self._client.finish(status, dict(summary))
        self._forward_messages()
        self._client = None

    def _send(self, row: dict[str, Any] | None) -> None:
        if row and self._client:
            self._client.send_row({key: value for key, value in row.items() if value is not None})
        self._forward_messages()

    def _forward_messages(self) -> None:
        for message in self._client.pop_messages() if self._client else ():
            self._on_message(f"W&B {message}")


def wandb_placement(run: RunInfo) -> tuple[str | None, str, tuple[str, ...]]:
    """Place ``run`` so that W&B's own page shows one curve for each arm, over its seeds, under each ablation and control: the
    group (an ablation's name and control, else the sweep), the job type, which all seeds of a curve share (the arm, or the
    sweep's overrides without the seed), and the tags, the run's own and its ablation's."""
    ablation, study = (mapping(run.config.get(key)) for key in ("ablation", "study"))
    parts = [part for part in run.name.split("/")[-1].split(",") if part.partition("=")[0] not in _IGNORED_KEYS]
    overrides = " ".join(parts) if all("=" in part for part in parts) else ""  # workers=4 of workers=4,seed=0
    group, job_type, tags = run.group, overrides if run.group and overrides else run.job_type, list(run.tags)
    if name := ablation.get("name"):
        control, job_type = ablation.get("control"), str(ablation.get("arm") or overrides or run.job_type)
        group = f"{name} ({control})" if control else str(name)
        tags += [f"ablation={name}", *([f"control={control}"] if control else []), f"arm={job_type}"]
    elif name := study.get("name"):
        group, job_type = f"study {name}", "trial"
        tags.append(f"study={name}")
    shortened = dict.fromkeys(tag[:_MAX_LENGTH] for tag in tags if tag)
    return group[: 2 * _MAX_LENGTH] if group else None, job_type[:_MAX_LENGTH], tuple(shortened)


def _check_words(project: str, tags: Sequence[str]) -> None:
    owner, slash, name = project.partition("/")
    if slash:
        raise ConfigError(f"logger.project={project} has a slash in it. Try logger.entity={owner} logger.project={name}")
    if not 1 <= len(project) <= 2 * _MAX_LENGTH or any(char in project for char in _NOT_IN_PROJECTS):
        raise ConfigError(
            f"logger.project is {project[:40]!r}, of {len(project)} characters, but it has 1 to {2 * _MAX_LENGTH}, and none of "
            f"{' '.join(_NOT_IN_PROJECTS)}. Try logger.project=a3c_exp (or another WANDB_PROJECT)"
        )
    for tag in tags:
        if not 1 <= len(tag) <= _MAX_LENGTH:
            raise ConfigError(
                f"logger.tags has {tag[:40]!r}, of {len(tag)} characters, but a tag has 1 to {_MAX_LENGTH}. Shorten it"
            )


def run_id(directory: Path) -> str:
    """The id of a run in W&B: ``WANDB_RUN_ID``, else drawn once and saved in its directory, for a resumed run to have it."""
    path = directory / ID_FILE
    given = os.environ.get("WANDB_RUN_ID", "")
    if not given and path.exists() and (saved := path.read_text().strip()):
        return saved
    directory.mkdir(parents=True, exist_ok=True)
    new = given or "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
    path.write_text(new + "\n")
    return new


class _RowAverager:
    """Merges rows that come faster than ``interval`` into one, with their mean, last or largest value."""

    def __init__(self, prefix: str, interval: float) -> None:
        self._prefix = prefix
        self._interval = interval
        self._next_row_time = 0.0
        self._env_step = 0
        self._values: dict[str, list[float]] = {}
        self._last: dict[str, Any] = {}
        self._maxima: dict[str, float] = {}
        self._count = 0

    def add(self, env_step: int, mean: JsonObject, last: JsonObject, maxima: JsonObject | None = None) -> None:
        self._env_step = max(self._env_step, env_step)
        self._count += 1
        for key, value in mean.items():
            if value is not None:
                self._values.setdefault(key, []).append(float(value))
        self._last.update(last)
        for key, value in (maxima or {}).items():
            self._maxima[key] = max(value, self._maxima.get(key, value))

    def pop_row_if_due(self) -> dict[str, Any] | None:
        now = time.monotonic()
        if now < self._next_row_time:
            return None
        self._next_row_time = now + self._interval
        return self.pop_row()

    def pop_row(self) -> dict[str, Any] | None:
        if not self._count:
            return None
        means = {key: sum(values) / len(values) for key, values in self._values.items()}
        row = {**means, **self._last, **self._maxima, "count": self._count}
        self._values, self._last, self._maxima, self._count = {}, {}, {}, 0
        # A key with a section of its own (workers/...) shares the row: W&B slows down with the number of rows.
        named = {key if "/" in key else f"{self._prefix}{key}": value for key, value in row.items()}
        return {"env_step": self._env_step, **named}
