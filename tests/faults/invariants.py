"""What must hold after a fault, whatever it was: each violation is a line."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from a3c_exp.runs.study_storage import open_storage
from a3c_exp.system.errors import A3CError
from a3c_exp.training.checkpoint import read
from tests.faults.injection import PATIENCE, STOPS, Injected
from tests.faults.subject import EXACT, RUNS, Subject, is_finished
from tests.support.command import session_members

BUDGET = 2500
_CLEAN_UP = re.compile(r"Traceback .*\n  File .*multiprocessing/util\.py.*, in _run_finalizers\n(?:  .*\n)*.*\n?")
"""What Python writes where it cannot remove a temporary folder at its very end, and goes on."""
Digests = list[tuple[str, str]]


def digests(subject: Subject) -> Digests:
    summaries = [json.loads((run / "summary.json").read_text()) for run in subject.run_directories()]
    return [(summary.get("weights_digest", ""), summary.get("episodes_digest", "")) for summary in summaries]


def after_the_fault(subject: Subject, injected: Injected) -> Iterator[str]:
    """Bounded end, exit code, nobody and nothing left behind, true records, whole lines, checkpoints that load."""
    code = injected.code
    if code is None:
        yield f"did not end within {PATIENCE:g} s"
        return
    assert subject.process is not None
    if code not in injected.codes and (code or injected.must_stop):
        yield f"exit code {code}"
    errors = _CLEAN_UP.sub("", subject.errors[-1])
    before_first_line = "init_import_site" in errors  # Python itself had not started; docs/reliability.md says so
    if "Traceback" in errors and "a3c_exp" in errors and not (injected.may_trace or before_first_line):
        yield "a traceback"
    deadline = time.monotonic() + 60
    while (left := session_members(subject.process.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        yield f"{len(left)} processes are left behind"
        subject.kill_all()
    if not injected.main_killed and (files := [path.name for path in subject.temporary.iterdir()]):
        yield f"left among temporary files: {files}"
    expected = {0: {"finished"}, 1: {"failed", "finished"}} | {key: {"interrupted", "finished"} for key in STOPS.values()}
    for run in subject.run_directories() if not injected.damaged else ():
        try:
            status = json.loads((run / "run.json").read_text())["status"]
        except ValueError:
            yield "run.json is no JSON"
            continue
        silent = injected.main_killed or injected.unwritable
        if not silent and subject.name in RUNS and status not in expected.get(code, {status}):
            yield f"exit code {code}, but run.json says {status}"
        yield from _logs(run, injected.main_killed)
        yield from _checkpoints(run)


def _logs(run: Path, may_be_cut: bool) -> Iterator[str]:
    for log in run.glob("*.jsonl"):
        *whole, last = log.read_bytes().split(b"\n")
        if last and not may_be_cut:
            yield f"{log.name} ends in the middle of a line"
        try:
            records: list[Any] = [json.loads(line) for line in whole]
        except ValueError:
            yield f"{log.name} has a line that is none"
            continue
        numbers = [record["episode"] for record in records] if log.name == "episodes.jsonl" else []
        if numbers != list(range(1, len(numbers) + 1)):
            yield "episodes are missing or doubled"


def _checkpoints(run: Path) -> Iterator[str]:
    for path in run.glob("checkpoints/*.pt"):
        try:
            read(path)
        except A3CError as error:
            yield f"a checkpoint does not load: {error}"


def after_going_on(subject: Subject, injected: Injected, reference: Digests | None) -> Iterator[str]:
    """What was stopped can be gone on with to its end; where the parallelism repeats, to the reference's bits."""
    if subject.name == "study":
        yield from _study(subject)
        return
    if subject.name in RUNS and injected.code != 0 and (injected.damaged or not is_finished(subject.directory)):
        yield from _resume(subject, subject.directory, injected)
    elif subject.name == "sweep":
        for run in subject.run_directories():
            if not is_finished(run):
                yield from _resume(subject, run, injected)
    if injected.damaged or "holds no checkpoint" in subject.errors[-1]:
        return
    for run in subject.run_directories():
        yield from _logs(run, may_be_cut=False)
        if list(run.rglob(".*.part")):
            yield "half-written files are left"
        try:
            summary = json.loads((run / "summary.json").read_text())
        except (OSError, ValueError):
            yield "no summary at the end"
            return
        if summary["status"] != "finished" or summary["env_steps"] != BUDGET:
            yield f"ended as {summary['status']} after {summary.get('env_steps')} steps"
    if subject.name in EXACT and reference is not None and digests(subject) != reference:
        yield "other digests than a run that was never disturbed"


def _resume(subject: Subject, directory: Path, injected: Injected) -> Iterator[str]:
    (subject.folder / "break").unlink(missing_ok=True)
    if not (directory / "run.json").exists() and not injected.damaged:
        subject.start()  # it was stopped before there was anything to go on with
    else:
        subject.start(f"resume={directory.relative_to(subject.folder)}")
    code = subject.end(PATIENCE)
    error = subject.errors[-1]
    if code is None:
        yield f"its resume did not end within {PATIENCE:g} s"
    elif "Traceback" in error:
        yield f"its resume ended with a traceback: {error.strip().splitlines()[-1]}"
    elif code != 0 and not (code == 2 and (injected.damaged or "holds no checkpoint" in error)):
        yield f"its resume ended with {code}: {error.strip().splitlines()[-1:]}"


def _study(subject: Subject) -> Iterator[str]:
    subject.start()
    code = subject.end(PATIENCE)
    if code not in (0, 1):  # 1: a trial that was killed has failed
        yield f"the same command again ended with {code}: {subject.errors[-1].strip().splitlines()[-1:]}"
        return
    study = optuna.load_study(study_name="s", storage=open_storage(None, subject.directory))
    retried = {trial.user_attrs["retry_of"] for trial in study.trials if "retry_of" in trial.user_attrs}
    distinct = [trial for trial in study.trials if trial.number not in retried]
    if len(distinct) != 2 or any(trial.state not in (TrialState.COMPLETE, TrialState.FAIL) for trial in distinct):
        yield f"the study's trials are {[trial.state.name for trial in study.trials]}"
