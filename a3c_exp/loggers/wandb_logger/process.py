"""The process that talks to Weights & Biases for one run; started by ``client.py``, which sends it commands as JSON.

wandb replaces ``sys.exit`` and ``sys.excepthook`` of the process that imports it, waits without a limit for its service at
exit, needs a second to import and a millisecond a row. This one can be killed at any time, and the training never notices. It
ends with its pipe: without a finish command the run was killed, and so W&B shows it. It imports nothing of a3c_exp.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import textwrap
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

JsonObject = dict[str, Any]

EXIT_CODES = {"finished": 0, "pruned": 0, "interrupted": 255}  # 255 is what wandb itself reports after Ctrl-C
GRACE_SECONDS = 5.0


def _reply(pipe: Connection, reply_type: str, **values: Any) -> None:
    with contextlib.suppress(OSError):  # the run is gone; its record still has to be finished
        pipe.send({"type": reply_type, **values})


def _error_line(error: Exception) -> str:
    """One line, since it becomes part of one."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", 240)


def main() -> None:
    pipe = Connection(os.dup(0))
    # wandb starts a process of its own, which inherits 0: were that still the pipe, its end would go unnoticed.
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    # Ctrl-C and a scheduler's SIGTERM reach all processes of a run. It is the run that decides what they mean.
    # A function, not SIG_IGN: wandb's own process would inherit that.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    # No usage and crash reports to the makers of wandb, unless the user wants them.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.pop("WANDB_SERVICE", None)  # set by a wandb in the training's own process, whose service must not be used

    handshake = json.loads(pipe.recv_bytes())
    # What W&B shows as the program and its arguments should be what the user typed.
    sys.argv = handshake["argv"]
    os.environ.setdefault("WANDB_PROGRAM", sys.argv[0])
    try:
        import wandb
    except ImportError as error:
        _reply(pipe, "missing", why=str(error))
        return
    _reply(pipe, "imported")
    try:
        mode, why = _resolve_mode(handshake["mode"])
        if mode == "disabled":
            _reply(pipe, "disabled", why=why)
            return
        run = _init_run(handshake, mode)
    except Exception as error:
        _reply(pipe, "failed", why=_error_line(error))
        return
    _reply(pipe, "ready", mode=mode, why=why, directory=str(Path(run.dir).parent), url=run.url)

    status, summary = _run_commands(run, pipe)
    threading.Timer(handshake["finish_timeout"] + GRACE_SECONDS, os._exit, args=[1]).start()
    try:
        run.summary.update({**summary, "status": status})
        run.finish(exit_code=EXIT_CODES.get(status, 1))
        _reply(pipe, "finished")
    except Exception as error:  # TimeoutError, or whatever a service that broke down causes
        _reply(pipe, "unsent", why=_error_line(error))
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

    names = ("project", "entity", "id", "name", "group", "job_type", "tags", "config")
    run = wandb.init(
        **{name: handshake[name] for name in names},
        dir=handshake["directory"],
        resume="allow",
        mode="online" if mode == "online" else "offline",
        settings=wandb.Settings(
            **{name: handshake[name] for name in ("init_timeout", "finish_timeout")},
            silent=True,
            console="off",
            finish_timeout_raises=True,
            x_stats_pid=handshake["pid"],  # the load that matters is the training's, workers included
            x_stats_track_process_tree=True,
        ),
    )
    # An offline run that is resumed begins at W&B's step 0 again; the environment steps of the run go on.
    run.define_metric("*", step_metric="env_step")
    return run


def _run_commands(run: Any, pipe: Connection) -> tuple[str, JsonObject]:
    """Carry commands out until the run ends, and report each kind of error once; returns the run's status and summary."""
    import wandb

    reported: set[str] = set()
    while True:
        try:
            command = json.loads(pipe.recv_bytes())
            if command["do"] == "finish":
                return command["status"], command["summary"]
            if command["do"] == "video":
                run.log({"env_step": command["env_step"], "video": wandb.Video(command["path"])})
            elif command["do"] == "picture":
                run.log({"env_step": command["env_step"], "screenshot": wandb.Image(command["path"])})
            else:
                run.log(command["row"])
        except (EOFError, ConnectionError):
            return "killed", {}
        except Exception as error:
            if (line := _error_line(error)) not in reported:
                reported.add(line)
                _reply(pipe, "problem", why=line)


if __name__ == "__main__":  # by client.py, with a TMPDIR made for it
    try:
        main()
    finally:
        # A run that was killed cannot tidy up what it made for this process.
        shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
        # Not sys.exit: hooks that wandb and its libraries leave behind wait for a network that may not be there.
        os._exit(0)
