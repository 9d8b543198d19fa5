"""A report on a study, as one self-contained page: what was best, how it got there, what mattered, and every trial."""

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from a3c_exp.report import html_page
from a3c_exp.report.figures.multi_panel import FigureFiles
from a3c_exp.report.report_files import MARKER, check_replaceable
from a3c_exp.report.study.figures import draw_study
from a3c_exp.report.study.reader import StudyRecord, Trial, read_study, session_commands
from a3c_exp.report.tables import Cell, Table, format_statuses
from a3c_exp.runs.study_storage import BEST_FOLDER, COMMAND_PREFIX, journal_path
from a3c_exp.runs.tolerant_io import relative_to_cwd
from a3c_exp.system.atomic_write import write_atomically
from a3c_exp.system.errors import RunDirectoryError
from a3c_exp.system.number_format import NO_VALUE, format_duration, format_mean_std, format_number


@dataclass(frozen=True)
class StudyReport:
    """A report that was written: its page, and a summary for a terminal."""

    index: Path
    text: str


def make_study_report(directory: Path, out: Path) -> StudyReport:
    """Write the report on the study in ``directory`` into ``out``.

    Raises:
        RunDirectoryError: the study cannot be read, or ``out`` holds files that are no report.
        A3CError: matplotlib is not installed.
    """
    check_replaceable(out)
    record = read_study(directory)
    figures = draw_study(record)
    _write(out, _page(record, figures), _csv(record), figures)
    return StudyReport(out / "index.html", _terminal_summary(record))


def _page(record: StudyRecord, figures: Sequence[FigureFiles]) -> str:
    best = record.best
    return html_page.render(
        "study.html",
        marker=MARKER,
        title=f"Study {record.name}",
        study=record,
        statuses=format_statuses(Counter(trial.state for trial in record.counted_trials)) or "none yet",
        best_value=_format_value(best[0], 0) if best and len(record.objectives) == 1 else "",
        warnings=_warnings(record),
        best_table=_best_table(record),
        best_files=[_best_file(record, name, text) for name, text in record.best_files.items()],
        command_prefix=COMMAND_PREFIX,
        figures={name: [figure for figure in figures if figure.section == name] for name in ("course", "importance", "slices")},
        failures=_failure_table([trial for trial in record.trials if trial.state == "failed"]),
        trials=_trial_table(record),
        origins=_origins(record),
    )


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


def _best_table(record: StudyRecord) -> Table:
    columns = ("trial", *(name for name, _ in record.objectives), *(parameter.name for parameter in record.parameters))
    rows = [
        (
            Cell(str(trial.number)),
            *(Cell(_format_value(trial, index)) for index in range(len(record.objectives))),
            *(Cell(_format_param(trial, parameter.name)) for parameter in record.parameters),
        )
        for trial in record.best
    ]
    return Table("Best", columns, 1, tuple(rows))


def _best_file(record: StudyRecord, name: str, text: str) -> dict[str, object]:
    """The experiment that the study wrote of its best trial, and the commands that run it."""
    lines = text.splitlines()
    return {
        "commands": [line.partition(COMMAND_PREFIX)[2] for line in lines if line.startswith(f"# {COMMAND_PREFIX}")],
        "experiment": f"python -m a3c_exp --config-dir {record.path / BEST_FOLDER} +experiment={name}",
        "lines": [line for line in lines if COMMAND_PREFIX not in line],
    }


def _trial_table(record: StudyRecord) -> Table:
    names = [one.name for one in record.parameters]
    columns = ("trial", "state", *(name for name, _ in record.objectives), "seeds", "time", *names, "note")
    rows = [
        (
            Cell(str(trial.number)),
            Cell(trial.state, status=trial.state),
            *(Cell(_format_value(trial, index)) for index in range(len(record.objectives))),
            Cell(str(len(trial.seeds)) if trial.seeds else NO_VALUE),
            Cell(format_duration(trial.seconds)),
            *(Cell(_format_param(trial, name)) for name in names),
            Cell(_note(trial)),
        )
        for trial in _best_first(record)
    ]
    return Table("Trials", columns, 2, tuple(rows))


def _best_first(record: StudyRecord) -> list[Trial]:
    """Complete trials from the best down, then the others by number."""
    way = -1.0 if record.objectives and record.objectives[0][1] == "maximize" else 1.0
    return sorted(
        record.trials,
        key=lambda trial: (trial.state != "complete", way * trial.values[0] if trial.values else 0.0, trial.number),
    )


def _failure_table(failed: Sequence[Trial]) -> Table:
    reasons = Counter(trial.reason or "no reason known" for trial in failed)
    numbers = {reason: [str(t.number) for t in failed if (t.reason or "no reason known") == reason] for reason in reasons}
    rows = [(Cell(reason), Cell(", ".join(numbers[reason][:12]) + (" ..." if times > 12 else "")), Cell(str(times)))
            for reason, times in reasons.most_common()]  # fmt: skip
    return Table("Failures", ("reason", "trials", "times"), 2, tuple(rows))


def _note(trial: Trial) -> str:
    again = f"trial {trial.retry_of} tried again" if trial.retry_of is not None else ""
    return "; ".join(filter(None, (again, trial.reason))) or NO_VALUE


def _format_value(trial: Trial, index: int) -> str:
    if trial.values:
        spread = trial.spread[index] if index < len(trial.spread) else math.nan
        return format_mean_std(trial.values[index], spread)
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
    space = tuple(f"{one.name}={one.range_text}" for one in record.parameters)
    sampler, pruner = (str((kept.get(key) or {}).get("_target_", "none")) for key in ("sampler", "pruner"))
    begun = sorted(trial.started for trial in record.trials if trial.started)
    ended = sorted(trial.ended for trial in record.trials if trial.ended)
    spent = sum(trial.seconds for trial in record.trials if math.isfinite(trial.seconds))
    found = [
        ("Directory", (relative_to_cwd(record.path),)),
        ("Command", session_commands(record)),
        ("Space", space),
        ("Sampler", (sampler,)),
        ("Pruner", (pruner if kept.get("prunes") else "none",)),
        ("Storage", (where,)),
        ("Dashboard", (f"optuna-dashboard {where}",)),
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
        known = [(one.name, one.importance[index]) for one in record.parameters if math.isfinite(one.importance[index])]
        if known:
            known.sort(key=lambda pair: -pair[1])
            lines.append(f"what mattered for {name}: " + ", ".join(f"{one} {share:.0%}" for one, share in known))
    return "\n".join(lines)


def _csv(record: StudyRecord) -> str:
    target = io.StringIO()
    names = [one.name for one in record.parameters]
    columns = ["trial", "state", *(name for name, _ in record.objectives), "spread", "seeds", "seconds", "begun", "ended"]
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow([*columns, *(f"param.{name}" for name in names), "reason", "retry_of", "directory", "command"])
    for trial in record.trials:
        values = [repr(value) for value in trial.values] or [""] * len(record.objectives)
        seeds = " ".join(f"{name}:{'/'.join(map(repr, own))}" for name, own in trial.seeds.items())
        seconds = f"{trial.seconds:.3f}" if math.isfinite(trial.seconds) else ""
        own = [
            trial.number,
            trial.state,
            *values,
            " ".join(map(repr, trial.spread)),
            seeds,
            seconds,
            trial.started,
            trial.ended,
        ]
        retry = "" if trial.retry_of is None else trial.retry_of
        tried = [trial.params.get(name, "") for name in names]
        writer.writerow([*own, *tried, trial.reason, retry, trial.directory, trial.command])
    return target.getvalue()


def _write(out: Path, html: str, table: str, figures: Sequence[FigureFiles]) -> None:
    """The page first: should the rest fail, the folder is known as a report's and can be written again."""
    try:
        folder = out / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(out / "index.html", html, durable=False)
        write_atomically(out / "trials.csv", table, durable=False)
        for figure in figures:
            write_atomically(folder / f"{figure.name}.svg", figure.standalone_svg, durable=False)
    except OSError as error:
        raise RunDirectoryError(f"{out}: the report cannot be written here: {error.strerror or error}") from error
