"""A mirror of the run in Weights & Biases. Works without an account and without a network, and never asks."""

import os
import secrets
import string
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from a3c_exp.loggers.base import RunInfo, to_stderr
from a3c_exp.loggers.curves import CurveLogger
from a3c_exp.loggers.placement import MAX_TAG_LENGTH, placement
from a3c_exp.loggers.wandb_logger.client import WandbClient
from a3c_exp.runs.log_records import JsonObject, Status
from a3c_exp.runs.run_directories import WANDB_DIR_FILE, WANDB_ID_FILE
from a3c_exp.system.errors import ConfigError

MODES = ("auto", "online", "offline")
VARIABLES = {
    "WANDB_PROJECT": "project",
    "WANDB_ENTITY": "entity",
    "WANDB_NAME": "name",
    "WANDB_RUN_GROUP": "group",
    "WANDB_JOB_TYPE": "job_type",
    "WANDB_TAGS": "tags",
    "WANDB_MODE": "mode",
    "WANDB_DIR": "dir",
}
"""wandb's variables, which conf/logger/wandb.yaml reads, and the keys that they are the defaults of."""
_NOT_IN_PROJECTS = "\\#?%:"


class WandbLogger(CurveLogger):
    """Shows a run in W&B: curves over environment steps, the configuration, a summary, videos, screenshots.

    Online if the user is logged in and W&B answers in time, else offline, below ``<run directory>/wandb``; one line says which,
    and how to send it later. wandb runs in a process of its own, so training neither waits for it nor fails with it.

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
        dir: str | None = None,
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
        self._placement, self._dir = {"name": name, "group": group, "job_type": job_type}, dir
        self.on_message = on_message
        super().__init__(row_interval)
        self._client: WandbClient | None = None

    def start(self, run: RunInfo) -> None:
        for variable, key, value in self._variables_overruled():
            self.on_message(f"W&B: logger.{key}={value} of the configuration counts, not {variable}={os.environ[variable]}")
        group, job_type, tags = placement(run)
        files = Path(self._dir).expanduser().absolute() if self._dir else run.directory.absolute()
        if self._dir:
            (run.directory / WANDB_DIR_FILE).write_text(f"{files}\n")
        places = {"name": run.name, "group": group, "job_type": job_type}
        handshake = {
            **self._settings,
            **{key: self._placement[key] or own for key, own in places.items()},
            "directory": str(files),
            "id": run_id(run.directory),
            "tags": list(dict.fromkeys((*tags, *self._tags))),
            "config": run.config,
            "argv": sys.argv or ["python"],
            "pid": os.getpid(),
        }
        self._client = WandbClient(handshake)

    def _variables_overruled(self) -> Iterator[tuple[str, str, str]]:
        """Variables of wandb's that are set to something else than the configuration says, with the key and its value."""
        settings = {**self._settings, **self._placement, "dir": self._dir, "tags": ",".join(self._tags)}
        for variable, key in VARIABLES.items():
            said = os.environ.get(variable, "").strip()
            if key == "tags":
                said = ",".join(tag.strip() for tag in said.split(",") if tag.strip())
            value = str(settings[key] or "")
            if said and said != value and not (key == "mode" and value == "auto"):
                yield variable, key, value or "null"

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
        self.flush_rows()
        self._client.finish(status, dict(summary))
        self._forward_messages()
        self._client = None

    def send_row(self, row: Mapping[str, Any]) -> None:
        if self._client:
            self._client.send_row(dict(row))
        self._forward_messages()

    def _forward_messages(self) -> None:
        for message in self._client.pop_messages() if self._client else ():
            self.on_message(f"W&B {message}")


def _check_words(project: str, tags: Sequence[str]) -> None:
    owner, slash, name = project.partition("/")
    if slash:
        raise ConfigError(f"logger.project={project} has a slash in it. Try logger.entity={owner} logger.project={name}")
    if not 1 <= len(project) <= 2 * MAX_TAG_LENGTH or any(char in project for char in _NOT_IN_PROJECTS):
        raise ConfigError(
            f"logger.project is {project[:40]!r}, of {len(project)} characters, but it has 1 to {2 * MAX_TAG_LENGTH}, and none "
            f"of {' '.join(_NOT_IN_PROJECTS)}. Try logger.project=a3c_exp (or another WANDB_PROJECT)"
        )
    for tag in tags:
        if not 1 <= len(tag) <= MAX_TAG_LENGTH:
            raise ConfigError(
                f"logger.tags has {tag[:40]!r}, of {len(tag)} characters, but a tag has 1 to {MAX_TAG_LENGTH}. Shorten it"
            )


def run_id(directory: Path) -> str:
    """The id of a run in W&B: ``WANDB_RUN_ID``, else drawn once and saved in its directory, for a resumed run to have it."""
    path = directory / WANDB_ID_FILE
    given = os.environ.get("WANDB_RUN_ID", "")
    if not given and path.exists() and (saved := path.read_text().strip()):
        return saved
    directory.mkdir(parents=True, exist_ok=True)
    new = given or "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
    path.write_text(new + "\n")
    return new
