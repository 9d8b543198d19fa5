"""A report on a study, as one self-contained page: what was best, how it got there, what mattered, and every trial."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from a3c_exp.report import report_files
from a3c_exp.report.sections import Cell, Description, Table, format_statuses, make_row, make_table
from a3c_exp.report.study.figures import draw_study
from a3c_exp.report.study.reader import StudyRecord, Trial, read_study, session_commands
from a3c_exp.runs.listing import csv_text
from a3c_exp.runs.study_storage import BEST_FOLDER, COMMAND_PREFIX, journal_path
from a3c_exp.runs.tolerant_io import relative_to_cwd
from a3c_exp.system.extras import PROVIDERS
from a3c_exp.system.number_format import NO_VALUE, format_duration, format_mean_std, format_number

_NUMBER: tuple[str, Description[Trial]] = ("trial", lambda trial: str(trial.number))


def make_study_report(directory: Path, out: Path) -> str:
    """Write the report on the study in ``directory`` into ``out``; returns a summary for a terminal. Raises RunDirectoryError
    if the study cannot be read, or ``out`` holds files that are no report; ConfigError if matplotlib is not installed."""
    report_files.check_replaceable(out)
    record = read_study(directory)
    figures, best = draw_study(record), record.best
    html = report_files.render(
        "study.html",
        marker=report_files.MARKER,
        title=f"Study {record.name}",
        study=record,
        statuses=format_statuses(Counter(trial.state for trial in record.counted_trials)) or "none yet",
        best_value=_format_value(best[0], 0) if best and len(record.objectives) == 1 else "",
        warnings=_warnings(record),
        best_table=make_table("Best", 1, best, [_NUMBER, *_value_columns(record), *_param_columns(record)]),
        best_files=[_best_file(record, name, text) for name, text in record.best_files.items()],
        command_prefix=COMMAND_PREFIX,
        figures={name: [figure for figure in figures if figure.section == name] for name in ("course", "importance", "slices")},
        failures=_failure_table([trial for trial in record.trials if trial.state == "failed"]),
        trials=_trial_table(record),
        origins=_origins(record),
    )
    files = {f"figures/{figure.name}.svg": figure.standalone_svg for figure in figures}
    report_files.write(out, html, {"trials.csv": _csv(record), **files})
    return _terminal_summary(record)


def _warnings(record: StudyRecord) -> list[str]:
    found = []
    complete = record.trials_in_state("complete")
    if complete and all(len(trial.seeds) < 2 for trial in complete):
        found.append("One seed a trial: part of what looks better is chance. Give study.seeds or num_seeds.")
    if 0 < len(complete) < 20:
        found.append(f"Only {len(complete)} complete trials: what mattered is hardly known yet.")
    if dead := sum(trial.retry_of is not None for trial in record.trials):
        found.append(f"{dead} trial{'s' * (dead > 1)} tried again after the process of an earlier one was gone.")
    return found


def _value_columns(record: StudyRecord) -> list[tuple[str, Description[Trial]]]:
    return [(name, partial(_format_value, index=index)) for index, (name, _) in enumerate(record.objectives)]


def _param_columns(record: StudyRecord) -> list[tuple[str, Description[Trial]]]:
    return [(one.name, partial(_format_param, name=one.name)) for one in record.parameters]


def _best_file(record: StudyRecord, name: str, text: str) -> dict[str, object]:
    """The experiment that the study wrote of its best trial, and the commands that run it."""
    lines = text.splitlines()
    return {
        "commands": [line.partition(COMMAND_PREFIX)[2] for line in lines if line.startswith(f"# {COMMAND_PREFIX}")],
        "experiment": f"python -m a3c_exp --config-dir {record.path / BEST_FOLDER} +experiment={name}",
        "lines": [line for line in lines if COMMAND_PREFIX not in line],
    }


def _trial_table(record: StudyRecord) -> Table:
    """Complete trials from the best down, then the others by number."""
    way = -1.0 if record.objectives and record.objectives[0][1] == "maximize" else 1.0

    def rank(trial: Trial) -> tuple[bool, float, int]:
        return trial.state != "complete", way * trial.values[0] if trial.values else 0.0, trial.number

    def note(trial: Trial) -> str:
        again = f"trial {trial.retry_of} tried again" if trial.retry_of is not None else ""
        return "; ".join(filter(None, (again, trial.reason))) or NO_VALUE

    columns: list[tuple[str, Description[Trial]]] = [
        _NUMBER,
        ("state", lambda trial: Cell(trial.state, status=trial.state)),
        *_value_columns(record),
        ("seeds", lambda trial: str(len(trial.seeds)) if trial.seeds else NO_VALUE),
        ("time", lambda trial: format_duration(trial.seconds)),
        *_param_columns(record),
        ("note", note),
    ]
    return make_table("Trials", 2, sorted(record.trials, key=rank), columns)


def _failure_table(failed: Sequence[Trial]) -> Table:
    numbers: dict[str, list[str]] = defaultdict(list)
    for trial in failed:
        numbers[trial.reason or "no reason known"].append(str(trial.number))
    rows = [make_row(reason, ", ".join(found[:12]) + (" ..." if len(found) > 12 else ""), str(len(found)))
            for reason, found in sorted(numbers.items(), key=lambda item: -len(item[1]))]  # fmt: skip
    return Table("Failures", ("reason", "trials", "times"), 2, tuple(rows))


def _format_value(trial: Trial, index: int) -> str:
    if trial.values:
        return format_mean_std(trial.values[index], trial.spread[index] if index < len(trial.spread) else math.nan)
    if trial.intermediate and index == 0 and trial.state in ("pruned", "running"):
        return f"({format_number(trial.intermediate[-1][1])})"
    return NO_VALUE


def _format_param(trial: Trial, name: str) -> str:
    value = trial.params.get(name)
    return NO_VALUE if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _origins(record: StudyRecord) -> list[tuple[str, tuple[str, ...]]]:
    kept, storage = record.study_json, record.study_json.get("storage")
    journal = journal_path(storage if isinstance(storage, str) else None, record.path)
    where = str(journal) if journal is not None else str(storage)
    sampler, pruner = (str((kept.get(key) or {}).get("_target_", "none")) for key in ("sampler", "pruner"))
    begun = sorted(trial.started for trial in record.trials if trial.started)
    ended = sorted(trial.ended for trial in record.trials if trial.ended)
    spent = sum(trial.seconds for trial in record.trials if math.isfinite(trial.seconds))
    found = [
        ("Directory", (relative_to_cwd(record.path),)),
        ("Command", session_commands(record)),
        ("Space", tuple(f"{one.name}={one.range_text}" for one in record.parameters)),
        ("Sampler", (sampler,)),
        ("Pruner", (pruner if kept.get("prunes") else "none",)),
        ("Storage", (where,)),
        ("Dashboard", (f"optuna-dashboard {where}", f"which pip install 'a3c_exp[{PROVIDERS['optuna_dashboard'][1]}]' brings")),
        ("Dates", (f"{begun[0]} to {ended[-1]}" if begun and ended else "",)),
        ("Time of all trials together", (format_duration(spent),)),
    ]
    return [(what, answers) for what, answers in found if any(answers)]


def _terminal_summary(record: StudyRecord) -> str:
    counts = format_statuses(Counter(trial.state for trial in record.counted_trials))
    lines = [f"study {record.name}: {len(record.counted_trials)} of {record.n_trials} trials: {counts or 'none yet'}"]
    for trial in record.best[:5]:
        values = ", ".join(_format_value(trial, index) for index in range(len(record.objectives)))
        shown = " ".join(f"{name}={_format_param(trial, name)}" for name in trial.params)
        lines.append(f"best: {values}, trial {trial.number}: {shown}")
    for index, (name, _) in enumerate(record.objectives):
        if known := [(one.name, one.importance[index]) for one in record.parameters if math.isfinite(one.importance[index])]:
            known.sort(key=lambda pair: -pair[1])
            lines.append(f"what mattered for {name}: " + ", ".join(f"{one} {share:.0%}" for one, share in known))
    return "\n".join(lines)


def _csv(record: StudyRecord) -> str:
    names, objectives = [one.name for one in record.parameters], [name for name, _ in record.objectives]
    head = ["trial", "state", *objectives, "spread", "seeds", "seconds", "begun", "ended"]
    rows = [[*head, *(f"param.{name}" for name in names), "reason", "retry_of", "directory", "command"]]
    for trial in record.trials:
        values = list(map(repr, trial.values)) or [""] * len(objectives)
        seeds = " ".join(f"{name}:{'/'.join(map(repr, own))}" for name, own in trial.seeds.items())
        seconds = f"{trial.seconds:.3f}" if math.isfinite(trial.seconds) else ""
        own = [str(trial.number), trial.state, *values, " ".join(map(repr, trial.spread)), seeds, seconds]
        tried = [str(trial.params.get(name, "")) for name in names]
        retry = "" if trial.retry_of is None else str(trial.retry_of)
        rows.append([*own, trial.started, trial.ended, *tried, trial.reason, retry, trial.directory, trial.command])
    return csv_text(rows) + "\n"
