"""The process that talks to MLflow for one run, or for a study; started by ``ServiceClient``, which sends it commands as JSON.

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
_LEASE_SECONDS = 60.0  # after which whoever should have touched it is gone
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

    status, tags = _run_commands(client, experiment, run, handshake, pipe)
    threading.Timer(handshake["finish_timeout"] + GRACE_SECONDS, os._exit, args=[1]).start()
    try:
        _set_tags(client, run, tags | {"status": status})
        if status != "running":  # a study that others go on with
            client.set_terminated(run, STATUSES.get(status, "FAILED"))
        if handshake["parents"] and (ended := _sweep_status(Path(handshake["parents"][0]["id_file"]), handshake, status)):
            client.set_terminated(_id_in(handshake["parents"][0]), ended)
        _reply(pipe, "finished")
    except Exception as error:
        _reply(pipe, "unsent", why=_error_line(error))


def _begin_run(client: Any, handshake: JsonObject) -> tuple[str, str]:
    """The ids of the experiment and of the run, which goes on if the run directory has its id."""
    experiment, parent, wait = _experiment(client, handshake["experiment"]), None, handshake["init_timeout"]
    for above in handshake["parents"]:  # the first run of a sweep makes it
        parent = _shared_run(client, experiment, above, parent, wait)
    known, own = _known_run(client, Path(handshake["id_file"])), {key: handshake[key] for key in ("name", "id_file", "tags")}
    if known is not None and not handshake["shared"]:
        client.update_run(known, status="RUNNING")
        return experiment, known
    if handshake["shared"]:
        run = _shared_run(client, experiment, own, parent, wait)
        _set_tags(client, run, handshake["tags"])
    else:
        run = _create_run(client, experiment, own, parent)
    _log_params(client, run, handshake["params"])
    return experiment, run


def _create_run(client: Any, experiment: str, place: JsonObject, parent: str | None) -> str:
    tags = {**place.get("tags", {}), **({"mlflow.parentRunId": parent} if parent else {})}
    run = str(client.create_run(experiment, run_name=place["name"], tags=tags).info.run_id)
    Path(place["id_file"]).write_text(f"{run}\n")
    return run


def _shared_run(client: Any, experiment: str, place: JsonObject, parent: str | None, wait: float) -> str:
    """The run of a folder that several processes write to."""
    from filelock import FileLock

    id_file = Path(place["id_file"])
    with FileLock(id_file.with_name(f".{id_file.name}.lock"), timeout=wait):
        known = _known_run(client, id_file)
        run = known or _create_run(client, experiment, place, parent)
    client.update_run(run, status="RUNNING")
    if known is None and (plan := id_file.with_name("sweep.json")).is_file():
        client.log_artifact(run, str(plan))
    return run


def _id_in(place: JsonObject) -> str:
    return Path(place["id_file"]).read_text().strip()


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


def _sweep_status(id_file: Path, handshake: JsonObject, own: str) -> str | None:
    """How a sweep has ended, by its plan and the records of its runs; ``None`` if it has not, or is a study, whose command says
    so. The run that ends here is ``own``."""
    folder = id_file.parent
    if (folder / "study.json").exists():
        return None
    planned = [folder / job["folder"] for job in _read_json(folder / "sweep.json").get("jobs", [])]
    found = [path.parent for path in folder.glob("**/run.json")]  # of several seeds, theirs too
    runs = planned or [run for run in found if not (run.parent / "run.json").exists()]
    statuses = [_read_json(run / "run.json").get("status") for run in runs if run / id_file.name != Path(handshake["id_file"])]
    stopped = own in ("interrupted", "killed")
    if "running" in statuses or (None in statuses and not stopped and _is_worked_on(folder)):  # the next run comes
        return None
    ends = [STATUSES.get(status or "killed", "FAILED") for status in (own, *statuses)]
    return next((end for end in ("FAILED", "KILLED") if end in ends), "FINISHED")


def _is_worked_on(folder: Path) -> bool:
    """Whether the sweep's command runs, which keeps a file fresh, or its runs wait for Slurm."""
    with contextlib.suppress(OSError):
        return time.time() - (folder / ".lease").stat().st_mtime < _LEASE_SECONDS
    return (folder / "slurm").is_dir()


def _read_json(path: Path) -> JsonObject:
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(path.read_text())
        return content if isinstance(content, dict) else {}
    return {}


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


def _run_commands(client: Any, experiment: str, run: str, handshake: JsonObject, pipe: Connection) -> tuple[str, JsonObject]:
    """Carry commands out until the run ends, and report each kind of error once; returns the run's status and last tags."""
    from mlflow.entities import Metric

    reported: set[str] = set()
    while True:
        try:
            command = json.loads(pipe.recv_bytes())
            if command["do"] == "finish":
                return command["status"], command["summary"]
            if command["do"] == "artifact":
                log = client.log_artifacts if Path(command["path"]).is_dir() else client.log_artifact
                log(run, command["path"], command["folder"] or None)
            elif command["do"] == "tags":
                _set_tags(client, run, command["tags"])
            elif command["do"] == "trial":
                _log_trial(client, experiment, run, handshake["init_timeout"], command)
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


def _log_trial(client: Any, experiment: str, study: str, wait: float, trial: JsonObject) -> None:
    """Complete the run of a trial that has ended, once; it is made if the trial did not come to make it."""
    from mlflow.entities import Metric, RunTag

    id_file, state = Path(trial["id_file"]), trial["tags"]["state"]
    known = _known_run(client, id_file)
    if known is not None and client.get_run(known).data.tags.get("state") == state:
        return
    run = _shared_run(client, experiment, trial, study, wait)
    now = int(time.time() * 1000)
    metrics = [Metric(_allowed(key), float(value), now, 0) for key, value in trial["values"].items()]
    client.log_batch(run, metrics=metrics, tags=[RunTag(key, value) for key, value in trial["tags"].items()])
    if not client.get_run(run).data.params:  # those of the run that the trial consists of, else
        _log_params(client, run, trial["params"])
    client.set_terminated(run, "FINISHED" if state in ("complete", "pruned") else "FAILED")


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
