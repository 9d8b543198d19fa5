"""The process that talks to Weights & Biases for one run; started by ``wandb_pipe.py``, fed with lines of JSON.

It is a process of its own because of what wandb does to the one that it lives in: it replaces ``sys.exit`` and
``sys.excepthook``, waits without a limit for its service at exit, needs a second to import and a millisecond a row.
This one can be killed at any time, and the training never notices.

It lives as long as the pipe that feeds it. When the pipe ends without a last word, the run was killed, and that is what
W&B is told. It imports nothing of a3c_exp (and so no torch).
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any, BinaryIO

JsonObject = dict[str, Any]

EXIT_CODES = {"finished": 0, "pruned": 0, "interrupted": 255}  # 255 is what wandb itself reports after Ctrl-C
GRACE_SECONDS = 5.0


class _ReplySender:
    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._reported_problems: set[str] = set()

    def send(self, reply_type: str, **values: Any) -> None:
        with contextlib.suppress(OSError):  # the run is gone; its record is still to be brought to an end
            self._pipe.write(json.dumps({"word": reply_type, **values}).encode() + b"\n")

    def send_problem(self, error: Exception) -> None:
        text = _error_line(error)
        if text not in self._reported_problems:
            self._reported_problems.add(text)
            self.send("problem", why=text)


def _error_line(error: Exception) -> str:
    """One line, since it becomes part of one."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", 240)


def main() -> None:
    # wandb starts a process of its own, which inherits 0, 1 and 2: were those the pipes, their end would go unnoticed.
    commands, replies = os.fdopen(os.dup(0), "rb"), _ReplySender(os.fdopen(os.dup(1), "wb", buffering=0))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    # Ctrl-C and a scheduler's SIGTERM reach the whole family. What they mean is for the run to say, or for its end.
    # A function, not SIG_IGN: wandb's own process would inherit that.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    # No usage and crash reports to the makers of wandb, unless the person wants them.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.pop("WANDB_SERVICE", None)  # left there by a wandb in the training's own process; its end is not ours

    hello = json.loads(commands.readline())
    # What W&B shows as the program and its arguments should be what the person typed.
    sys.argv = hello["argv"]
    os.environ.setdefault("WANDB_PROGRAM", sys.argv[0])
    try:
        import wandb
    except ImportError as error:
        replies.send("missing", why=str(error))
        return
    replies.send("imported")
    try:
        mode, why = _resolve_mode(hello["mode"])
        if mode == "disabled":
            replies.send("disabled", why=why)
            return
        run = _init_run(hello, mode)
    except Exception as error:
        replies.send("failed", why=_error_line(error))
        return
    replies.send("ready", mode=mode, why=why, directory=str(Path(run.dir).parent), url=run.url)

    status, summary = _run_commands(run, commands, replies)
    threading.Timer(hello["finish_timeout"] + GRACE_SECONDS, os._exit, args=[1]).start()
    try:
        run.summary.update({**summary, "status": status})
        run.finish(exit_code=EXIT_CODES.get(status, 1))
        replies.send("finished")
    except Exception as error:  # TimeoutError, or whatever a service that broke down leads to
        replies.send("unsent", why=_error_line(error))
    wandb.teardown()


def _resolve_mode(requested: str) -> tuple[str, str]:
    """Online or offline, and why. Looks for a login where wandb looks for one, but never asks for it."""
    if requested == "offline":
        return "offline", ""
    from wandb.sdk import wandb_setup
    from wandb.sdk.lib import wbauth

    settings = wandb_setup.singleton().settings  # of the environment and of wandb's own settings files
    if requested == "auto" and settings.mode == "disabled":
        return "disabled", "switched off by WANDB_MODE or by `wandb disabled`"
    if requested == "auto" and settings.mode in ("offline", "dryrun"):
        return "offline", "by WANDB_MODE or by `wandb offline`"
    try:
        login = wbauth.authenticate_session(host=settings.base_url, source="a3c_exp", prompt=False)
    except Exception as error:  # a key of the wrong form, two that contradict each other
        return "offline", str(error)
    return ("online", "") if login else ("offline", "not logged in")


def _init_run(handshake: JsonObject, mode: str) -> Any:
    import wandb

    run = wandb.init(
        dir=handshake["directory"],
        project=handshake["project"],
        entity=handshake["entity"],
        id=handshake["id"],
        name=handshake["name"],
        group=handshake["group"],
        job_type=handshake["job_type"],
        tags=handshake["tags"],
        config=handshake["config"],
        resume="allow",
        mode="online" if mode == "online" else "offline",
        settings=wandb.Settings(
            silent=True,
            console="off",
            init_timeout=handshake["init_timeout"],
            finish_timeout=handshake["finish_timeout"],
            finish_timeout_raises=True,
            x_stats_pid=handshake["pid"],  # the load that matters is the training's, workers included
            x_stats_track_process_tree=True,
        ),
    )
    # An offline run that is resumed begins at W&B's step 0 again; the environment steps of the run go on.
    run.define_metric("*", step_metric="env_step")
    return run


def _run_commands(run: Any, commands: BinaryIO, replies: _ReplySender) -> tuple[str, JsonObject]:
    import wandb

    for line in commands:
        try:
            command = json.loads(line)
            if command["do"] == "finish":
                return command["status"], command["summary"]
            if command["do"] == "video":
                run.log({"env_step": command["env_step"], "video": wandb.Video(command["path"])})
            elif command["do"] == "picture":
                run.log({"env_step": command["env_step"], "screenshot": wandb.Image(command["path"])})
            else:
                run.log(command["row"])
        except Exception as error:
            replies.send_problem(error)
    return "killed", {}


if __name__ == "__main__":  # by wandb_pipe.py, with a TMPDIR made for it
    try:
        main()
    finally:
        # A run that was killed cannot tidy up what it made for this process.
        shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
        # Not sys.exit: hooks that wandb and its libraries leave behind wait for a network that may not be there.
        os._exit(0)
