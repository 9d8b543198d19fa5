"""The process that talks to MLflow for one run; started by ``ServiceClient``, which sends it commands as JSON.

mlflow takes seconds to import, and waits for a server that does not answer. This process can be killed at any time, and the
training never notices. It ends with its pipe: without a finish command the run was killed. It imports nothing of a3c_exp.
"""

import contextlib
import json
import os
import shutil
import signal
import textwrap
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

JsonObject = dict[str, Any]

STATUSES = {"finished": "FINISHED", "pruned": "FINISHED", "interrupted": "KILLED", "killed": "KILLED"}
GRACE_SECONDS = 5.0
_MAX_PARAM_LENGTH = 6000
_MAX_PARAMS = 100  # in one request


def main() -> None:
    pipe = Connection(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the run decides what they mean
        signal.signal(number, lambda *_: None)
    handshake = json.loads(pipe.recv_bytes())
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # no reports to the makers of mlflow, unless the user wants them
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(max(int(handshake["init_timeout"] / 2), 1)))
    try:
        import mlflow
    except ImportError as error:
        _reply(pipe, "missing", why=str(error))
        return
    _reply(pipe, "imported")
    try:
        client = mlflow.MlflowClient(tracking_uri=handshake["tracking_uri"])
        uri = handshake["tracking_uri"] or mlflow.get_tracking_uri()
        experiment, run = _begin_run(client, handshake)
    except Exception as error:
        _reply(pipe, "failed", why=_error_line(error))
        return
    address = f"{uri}/#/experiments/{experiment}/runs/{run}" if uri.startswith("http") else f"{uri}, run {run}"
    _reply(pipe, "ready", mode="online", why="", directory="", url=address)

    status, tags = _run_commands(client, run, pipe)
    threading.Timer(handshake["finish_timeout"] + GRACE_SECONDS, os._exit, args=[1]).start()
    try:
        _set_tags(client, run, tags | {"status": status})
        client.set_terminated(run, STATUSES.get(status, "FAILED"))
        if handshake["group"]:
            client.set_terminated(Path(handshake["group_id_file"]).read_text().strip(), "FINISHED")
        _reply(pipe, "finished")
    except Exception as error:
        _reply(pipe, "unsent", why=_error_line(error))


def _begin_run(client: Any, handshake: JsonObject) -> tuple[str, str]:
    """The ids of the experiment and of the run, which goes on if the run directory has its id."""
    experiment = _experiment(client, handshake["experiment"])
    if (run := _known_run(client, Path(handshake["id_file"]))) is not None:
        client.update_run(run, status="RUNNING")
        return experiment, run
    tags = dict(handshake["tags"])
    if handshake["group"]:
        tags["mlflow.parentRunId"] = _parent_run(client, experiment, handshake)
    run = client.create_run(experiment, run_name=handshake["name"], tags=tags).info.run_id
    Path(handshake["id_file"]).write_text(f"{run}\n")
    _log_params(client, run, handshake["params"])
    return experiment, run


def _experiment(client: Any, name: str) -> str:
    if (found := client.get_experiment_by_name(name)) is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except Exception:  # another run of a sweep has just made it
        if (found := client.get_experiment_by_name(name)) is None:
            raise
        return str(found.experiment_id)


def _known_run(client: Any, id_file: Path) -> str | None:
    with contextlib.suppress(Exception):  # no file, or a run of another server
        run = id_file.read_text().strip()
        client.get_run(run)
        return run
    return None


def _parent_run(client: Any, experiment: str, handshake: JsonObject) -> str:
    """The run of the sweep, which the first of its runs makes."""
    from filelock import FileLock

    id_file = Path(handshake["group_id_file"])
    with FileLock(id_file.with_name(f".{id_file.name}.lock"), timeout=handshake["init_timeout"]):
        if (run := _known_run(client, id_file)) is None:
            run = str(client.create_run(experiment, run_name=handshake["group"]).info.run_id)
            id_file.write_text(f"{run}\n")
    client.update_run(run, status="RUNNING")
    return run


def _log_params(client: Any, run: str, params: JsonObject) -> None:
    from mlflow.entities import Param

    # An empty text is refused by some stores.
    whole = [Param(_allowed(key), (value or "''")[:_MAX_PARAM_LENGTH]) for key, value in params.items()]
    for first in range(0, len(whole), _MAX_PARAMS):
        client.log_batch(run, params=whole[first : first + _MAX_PARAMS])


def _set_tags(client: Any, run: str, tags: JsonObject) -> None:
    for key, value in tags.items():
        client.set_tag(run, key, value)


def _allowed(name: str) -> str:
    """A name with ``_`` for characters that mlflow refuses."""
    return "".join(char if char.isalnum() or char in "_-. /:" else "_" for char in name)


def _run_commands(client: Any, run: str, pipe: Connection) -> tuple[str, JsonObject]:
    """Carry commands out until the run ends, and report each kind of error once; returns the run's status and last tags."""
    from mlflow.entities import Metric

    reported: set[str] = set()
    while True:
        try:
            command = json.loads(pipe.recv_bytes())
            if command["do"] == "finish":
                return command["status"], command["summary"]
            if command["do"] == "artifact":
                client.log_artifact(run, command["path"], command["folder"] or None)
            elif command["do"] == "note":
                client.set_tag(run, "mlflow.note.content", command["text"])
            else:
                row, now = command["row"], int(time.time() * 1000)
                step = int(row.pop("env_step"))
                client.log_batch(run, metrics=[Metric(_allowed(key), float(value), now, step) for key, value in row.items()])
        except (EOFError, ConnectionError):
            return "killed", {}
        except Exception as error:
            if (kind := type(error).__name__) not in reported:  # its text has the number of the attempt, the address ...
                reported.add(kind)
                _reply(pipe, "problem", why=_error_line(error))


def _reply(pipe: Connection, reply_type: str, **values: Any) -> None:
    with contextlib.suppress(OSError):  # the run is gone; its record still has to be finished
        pipe.send({"type": reply_type, **values})


def _error_line(error: Exception) -> str:
    """One line, since it becomes part of one."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", 240)


if __name__ == "__main__":  # by ServiceClient, with a TMPDIR made for it
    try:
        main()
    finally:
        shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
        os._exit(0)  # not sys.exit: threads that libraries leave behind wait for a network that may not be there
