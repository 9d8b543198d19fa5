"""What the page asks about sweeps and studies: how far they are, and what goes on with them."""

import math
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

from a3c_exp.dashboard.outputs_index import IndexedRun, OutputsIndex, Snapshot
from a3c_exp.dashboard.run_views import Json, Query
from a3c_exp.runs.listing import budget_share
from a3c_exp.runs.run_directories import natural_sort_key
from a3c_exp.runs.run_summary import RunSummary
from a3c_exp.runs.status import format_problem
from a3c_exp.runs.study_storage import STUDY_FILE
from a3c_exp.runs.sweep_plan import PlannedJob, SweepPlan, find_rest, read_sweep_plan
from a3c_exp.runs.tolerant_io import mapping, number, read_json_object, strings
from a3c_exp.system.errors import ConfigError, RunDirectoryError
from a3c_exp.system.number_format import format_mean_std, format_number, typographic

_ENDED = ("finished", "pruned", "complete")


class SweepViews:
    """Answers about sweeps, from their plans and the runs that there are."""

    def __init__(self, index: OutputsIndex) -> None:
        self._index = index

    def list_sweeps(self, query: Query) -> Json:
        """Every sweep, the newest first: how many of its runs have which status."""
        snapshot, rows = self._index.snapshot(), []
        for id, path in snapshot.sweeps.items():
            try:
                plan = self._plan(path)
            except RunDirectoryError as error:
                rows.append({"id": id, "path": str(path), "problem": str(error), "made": 0.0, "total": 0, "statuses": []})
                continue
            statuses = Counter(self._status(snapshot, plan, job) for job in plan.jobs)
            made = plan.path.stat().st_mtime
            rows.append(
                {"id": id, "path": str(path), "problem": "", "made": made, "total": len(plan.jobs),
                 "statuses": statuses.most_common()}
            )  # fmt: skip
        return {"sweeps": sorted(rows, key=lambda row: -row["made"])}

    def show_sweep(self, query: Query) -> Json:
        """One sweep by its plan, runs that have not begun included; ``rest`` says what is left and the command that goes on.
        Raises ConfigError for an ``id`` that is none, RunDirectoryError for a plan that cannot be read."""
        snapshot = self._index.snapshot()
        path = _folder(snapshot.sweeps, query, "sweep")
        plan, id = self._plan(path), query["id"][-1]
        jobs = [self._job(snapshot, plan, id, job) for job in plan.jobs]
        rest = find_rest(plan)
        return {
            "id": id,
            "path": str(path),
            "command": plan.command,
            "statuses": Counter(job["status"] for job in jobs).most_common(),
            "rest": rest and {"text": rest.text, "command": rest.command, "queue_command": rest.queue_command},
            "jobs": jobs,
            "runs": [run.id for run in snapshot.below(id)],
            "report": snapshot.report_of(id),
            "report_command": f"python -m a3c_exp.report {shlex.quote(str(path))}",
        }

    def _plan(self, path: Path) -> SweepPlan:
        plan = read_sweep_plan(path)
        if strange := [job.folder for job in plan.jobs if not self._is_below(path, path / job.folder)]:
            raise RunDirectoryError(f"{path}: sweep.json names {strange[0]}, which is no folder of the sweep. Mend the file")
        return plan

    def _is_below(self, sweep: Path, folder: Path) -> bool:
        return folder.is_relative_to(sweep) and ".." not in folder.parts and self._index.folder.contains(folder)

    def _status(self, snapshot: Snapshot, plan: SweepPlan, job: PlannedJob) -> str:
        run = snapshot.runs.get(self._index.folder.id_of(plan.directory / job.folder))
        return (run.summary.status if run is not None else plan.status_of(job)) or "missing"

    def _job(self, snapshot: Snapshot, plan: SweepPlan, id: str, job: PlannedJob) -> Json:
        runs = snapshot.below(self._index.folder.id_of(plan.directory / job.folder))
        evaluations = [value for run in runs if math.isfinite(value := run.summary.result("evaluation"))]
        text = ""
        if len(runs) == 1:
            text = runs[0].cells["evaluation"][0]
        elif evaluations:  # of seeds that trained together
            text = f"{typographic(format_number(sum(evaluations) / len(evaluations)))}, mean of {len(evaluations)} seeds"
        shares = [share for run in runs if (share := _share(run)) is not None]
        return {
            "folder": job.folder,
            "status": self._status(snapshot, plan, job),
            "share": sum(shares) / len(shares) if shares else 0.0,
            "evaluation": text,
            "runs": [run.id for run in runs],
        }


class StudyViews:
    """Answers about Optuna studies, from ``study.json`` and the folders of trials: their storage, which may be a database
    that others write to, is not opened."""

    def __init__(self, index: OutputsIndex) -> None:
        self._index = index

    def list_studies(self, query: Query) -> Json:
        """Every study, the newest first."""
        snapshot, rows = self._index.snapshot(), []
        for id, path in snapshot.studies.items():
            study = self._study(snapshot, id, path)
            kept = ("id", "path", "name", "objectives", "n_trials", "statuses", "best", "made")
            rows.append({key: study[key] for key in kept})
        return {"studies": sorted(rows, key=lambda row: -row["made"])}

    def show_study(self, query: Query) -> Json:
        """One study with its trials. Raises ConfigError for an ``id`` that is none."""
        snapshot = self._index.snapshot()
        return self._study(snapshot, query.get("id", [""])[-1], _folder(snapshot.studies, query, "study"))

    def _study(self, snapshot: Snapshot, id: str, path: Path) -> Json:
        problems: list[str] = []
        content = mapping(read_json_object(path / STUDY_FILE, problems))
        if problem := format_problem(content):
            problems.append(f"{STUDY_FILE} {problem}")
        objectives = [list(pair) for one in _list(content.get("objectives")) if len(pair := strings(one)) == 2]
        space = {str(name): str(text) for name, text in mapping(content.get("space")).items()}
        folders = sorted(path.glob("trial=*"), key=lambda folder: natural_sort_key(folder.name))
        trials = [self._trial(snapshot, folder, list(space)) for folder in folders if folder.is_dir()]
        repeated = {trial["retry_of"] for trial in trials}
        counted = [trial for trial in trials if trial["number"] not in repeated]
        complete = [trial for trial in counted if trial["state"] == "complete" and trial["values"]]
        best = None
        if len(objectives) == 1 and complete:
            choose = max if objectives[0][1] == "maximize" else min
            best = choose(complete, key=lambda trial: float(trial["values"][0]))
        commands = [str(mapping(one).get("command") or "") for one in _list(content.get("sessions"))]
        n_trials = number(content.get("n_trials"))
        return {
            "id": id,
            "path": str(path),
            "made": (path / STUDY_FILE).stat().st_mtime,
            "name": str(content.get("study_name") or path.name),
            "objectives": objectives,
            "space": space,
            "n_trials": int(n_trials) if math.isfinite(n_trials) else len(counted),
            "statuses": Counter(trial["state"] for trial in counted).most_common(),
            "best": best and {"number": best["number"], "text": best["text"], "params": best["params"]},
            "trials": trials,
            "problems": problems,
            "command": commands[-1] if commands else "",
            "report": snapshot.report_of(id),
            "report_command": f"python -m a3c_exp.report {shlex.quote(str(path))}",
        }

    def _trial(self, snapshot: Snapshot, folder: Path, names: list[str]) -> Json:
        """What ``trial.json`` says of a trial that has ended, else how its runs stand."""
        ours = snapshot.below(self._index.folder.id_of(folder))
        file = folder / "trial.json"
        said = mapping(read_json_object(file, [], required=False)) if self._index.folder.contains(file) else {}
        values = [value for value in map(number, _list(said.get("values"))) if math.isfinite(value)]
        spread = [value for value in map(number, _list(said.get("spread"))) if math.isfinite(value)]
        latest = [value for run in ours if math.isfinite(value := run.summary.result("evaluation"))]
        text = ", ".join(format_mean_std(*pair) for pair in zip(values, [*spread, *[math.nan] * len(values)], strict=False))
        if not values and latest:
            text = f"({format_number(sum(latest) / len(latest))})"  # where it stands, or stood when it was given up
        running = any(run.summary.status == "running" for run in ours)
        digits = folder.name.removeprefix("trial=")
        retry = said.get("retry_of")
        return {
            "number": int(digits) if digits.isdecimal() else -1,
            "state": "running" if running else str(said.get("state") or _unfinished(ours)),
            "values": values,
            "text": typographic(text),
            "params": _params(said, ours[0].summary if ours else None, names),
            "reason": str(said.get("reason") or (ours[0].summary.reason if ours and not said else "")),
            "retry_of": retry if isinstance(retry, int) else None,
            "runs": [run.id for run in ours],
        }


def _params(said: Any, run: RunSummary | None, names: list[str]) -> dict[str, str]:
    """The values that a trial tries; of one that still runs from its configuration."""
    params = dict(mapping(said.get("params")))
    if not params and run is not None:
        params = {name: value for name in names if (value := run.value(name)) is None or value or value == 0}
    return {str(name): f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in params.items()}


def _unfinished(runs: list[IndexedRun]) -> str:
    """The state of a trial that has not said how it ended."""
    statuses = [run.summary.status for run in runs]
    return next((status for status in statuses if status not in _ENDED), "unknown")


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _share(run: IndexedRun) -> float | None:
    return 1.0 if run.summary.status in _ENDED else budget_share(run.summary)


def _folder(known: Any, query: Query, what: str) -> Path:
    id = query.get("id", [""])[-1]
    if id not in known:
        raise ConfigError(f"there is no {what} {id}. Go back to the list")
    path: Path = known[id]
    return path
