"""A report on a study, as one self-contained page: what was best, how it got there, what mattered, and every trial."""

import csv
import io
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from string import Template

from a3c_exp import __version__
from a3c_exp.report import html_page as page
from a3c_exp.report.builder import MARKER, check_replaceable
from a3c_exp.report.study.figures import Section, StudyDrawing, draw_study
from a3c_exp.report.study.reader import StudyRecord, Trial, commands, read_study
from a3c_exp.report.tables import NONE, Cell, Table, duration, plus_minus, rounded, statuses_in_words
from a3c_exp.runs.study_storage import BEST_FOLDER, COMMAND_PREFIX, journal_path
from a3c_exp.runs.tolerant_io import shown
from a3c_exp.system.errors import RunDirectoryError


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
    drawings = draw_study(record)
    _write(out, _page(record, drawings), _csv(record), drawings)
    return StudyReport(out / "index.html", _text(record))


def _page(record: StudyRecord, drawings: Sequence[StudyDrawing]) -> str:
    failed = [trial for trial in record.trials if trial.state == "failed"]
    sections = (
        page.section("best", "Best", _best(record)),
        page.section("course", "How it went", _figures(drawings, "course")),
        page.section("importance", "What mattered", _figures(drawings, "importance")),
        page.section("slices", "Parameter by parameter", _figures(drawings, "slices", "small")),
        page.section("failures", "What failed", page.table(_failures(failed), {})) if failed else "",
        page.section("trials", "All trials", page.table(_trials(record), {})) if record.trials else "",
        page.section("origins", "What was run", page.origin_list(_origins(record))),
    )
    head, _, rest = _own("report.html").partition('<section id="method">')
    return Template(f"{head}$method{rest.partition('</section>')[2]}").substitute(
        marker=MARKER,
        title=page.safe(f"Study {record.name}"),
        lead=_lead(record),
        notices=page.notices(_doubts(record)),
        sections="\n".join(filter(None, sections)),
        colour_rules=page.colour_rules(),
        method=_own("study.html"),
        footer=page.safe(f"Made {datetime.now():%Y-%m-%d %H:%M} by a3c_exp {__version__}."),
    )


def _own(name: str) -> str:
    return files("a3c_exp.report").joinpath("templates", name).read_text(encoding="utf-8")


def _lead(record: StudyRecord) -> str:
    counts = statuses_in_words(Counter(trial.state for trial in record.counted))
    goal = " and ".join(f"{way} <code>{page.safe(name)}</code>" for name, way in record.objectives)
    lead = f"<b>{len(record.counted)} of {record.n_trials} trials</b> to {goal}: {page.safe(counts or 'none yet')}."
    if record.best and len(record.objectives) == 1:
        best = record.best[0]
        lead += f" Best: <b>{page.safe(_value(best, 0))}</b> in trial {best.number}."
    elif record.best:
        lead += f" <b>{len(record.best)}</b> of them are beaten by no other in everything."
    return lead


def _doubts(record: StudyRecord) -> list[str]:
    found = []
    complete = record.of("complete")
    if complete and all(len(trial.seeds) < 2 for trial in complete):
        found.append("One seed a trial: part of what looks better is luck. Give study.seeds or num_seeds.")
    if 0 < len(complete) < 20:
        found.append(f"Only {len(complete)} complete trials: what mattered is hardly known yet.")
    if dead := sum(trial.retry_of is not None for trial in record.trials):
        found.append(f"{dead} trial{'s' * (dead > 1)} tried again after the process of an earlier one was gone.")
    return found


def _best(record: StudyRecord) -> str:
    best = record.best
    if not best:
        return "<p>No trial is complete yet.</p>"
    columns = ("trial", *(name for name, _ in record.objectives), *(one.name for one in record.parameters))
    rows = [
        (
            Cell(str(trial.number)),
            *(Cell(_value(trial, index)) for index in range(len(record.objectives))),
            *(Cell(_param(trial, one.name)) for one in record.parameters),
        )
        for trial in best
    ]
    parts = [page.table(Table("Best", columns, 1, tuple(rows)), {})]
    folder = record.path / BEST_FOLDER
    for name, text in record.best_files.items():
        command = f"python -m a3c_exp --config-dir {folder} +experiment={name}"
        typed = [line.partition(COMMAND_PREFIX)[2] for line in text.splitlines() if line.startswith(f"# {COMMAND_PREFIX}")]
        lines = "\n".join(page.safe(line) for line in text.splitlines() if COMMAND_PREFIX not in line)
        parts += [f"<p>{COMMAND_PREFIX}<code>{page.safe(line)}</code></p>" for line in typed]
        parts.append(f"<p>As an experiment: <code>{page.safe(command)}</code></p>\n<pre>{lines}</pre>")
    return "\n".join(parts)


def _figures(drawings: Sequence[StudyDrawing], section: Section, size: str = "large") -> str:
    def figure(item: StudyDrawing) -> str:
        return f"<figure>{item.inline}<figcaption>{page.safe(item.caption)}</figcaption></figure>"

    chosen = [item for item in drawings if item.section == section]
    beside = "\n".join(figure(item) for item in chosen if not item.wide)
    wide = "\n".join(f'<div class="wide">{figure(item)}</div>' for item in chosen if item.wide)
    return (f'<div class="{size}">\n{beside}\n</div>\n' if beside else "") + wide


def _trials(record: StudyRecord) -> Table:
    names = [one.name for one in record.parameters]
    columns = ("trial", "state", *(name for name, _ in record.objectives), "seeds", "time", *names, "note")
    rows = [
        (
            Cell(str(trial.number)),
            Cell(trial.state, status=trial.state),
            *(Cell(_value(trial, index)) for index in range(len(record.objectives))),
            Cell(str(len(trial.seeds)) if trial.seeds else NONE),
            Cell(duration(trial.seconds)),
            *(Cell(_param(trial, name)) for name in names),
            Cell(_note(trial)),
        )
        for trial in _by_worth(record)
    ]
    return Table("Trials", columns, 2, tuple(rows))


def _by_worth(record: StudyRecord) -> list[Trial]:
    """Complete trials from the best down, then the others by number."""
    way = -1.0 if record.objectives and record.objectives[0][1] == "maximize" else 1.0
    return sorted(
        record.trials,
        key=lambda trial: (trial.state != "complete", way * trial.values[0] if trial.values else 0.0, trial.number),
    )


def _failures(failed: Sequence[Trial]) -> Table:
    reasons = Counter(trial.reason or "no reason known" for trial in failed)
    numbers = {reason: [str(t.number) for t in failed if (t.reason or "no reason known") == reason] for reason in reasons}
    rows = [(Cell(reason), Cell(", ".join(numbers[reason][:12]) + (" ..." if times > 12 else "")), Cell(str(times)))
            for reason, times in reasons.most_common()]  # fmt: skip
    return Table("Failures", ("reason", "trials", "times"), 2, tuple(rows))


def _note(trial: Trial) -> str:
    again = f"trial {trial.retry_of} tried again" if trial.retry_of is not None else ""
    return "; ".join(filter(None, (again, trial.reason))) or NONE


def _value(trial: Trial, index: int) -> str:
    if trial.values:
        spread = trial.spread[index] if index < len(trial.spread) else math.nan
        return plus_minus(trial.values[index], spread)
    if trial.intermediate and index == 0 and trial.state in ("pruned", "running"):
        return f"({rounded(trial.intermediate[-1][1])})"
    return NONE


def _param(trial: Trial, name: str) -> str:
    value = trial.params.get(name)
    return NONE if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _origins(record: StudyRecord) -> list[tuple[str, tuple[str, ...]]]:
    kept, storage = record.content, record.content.get("storage")
    journal = journal_path(storage if isinstance(storage, str) else None, record.path)
    where = str(journal) if journal is not None else str(storage)
    space = tuple(f"{one.name}={one.text}" for one in record.parameters)
    sampler, pruner = (str((kept.get(key) or {}).get("_target_", "none")) for key in ("sampler", "pruner"))
    begun = sorted(trial.begun for trial in record.trials if trial.begun)
    ended = sorted(trial.ended for trial in record.trials if trial.ended)
    spent = sum(trial.seconds for trial in record.trials if math.isfinite(trial.seconds))
    found = [
        ("Directory", (shown(record.path),)),
        ("Command", commands(record)),
        ("Space", space),
        ("Sampler", (sampler,)),
        ("Pruner", (pruner if kept.get("prunes") else "none",)),
        ("Storage", (where,)),
        ("Dashboard", (f"optuna-dashboard {where}",)),
        ("Dates", (f"{begun[0]} to {ended[-1]}" if begun and ended else "",)),
        ("Time of all trials together", (duration(spent),)),
    ]
    return [(what, answers) for what, answers in found if any(answers)]


def _text(record: StudyRecord) -> str:
    counts = statuses_in_words(Counter(trial.state for trial in record.counted))
    lines = [f"study {record.name}: {len(record.counted)} of {record.n_trials} trials: {counts or 'none yet'}"]
    for trial in record.best[:5]:
        values = ", ".join(_value(trial, index) for index in range(len(record.objectives)))
        shown = " ".join(f"{name}={_param(trial, name)}" for name in trial.params)
        lines.append(f"best: {values}, trial {trial.number}: {shown}")
    for index, (name, _) in enumerate(record.objectives):
        known = [(one.name, one.importance[index]) for one in record.parameters if math.isfinite(one.importance[index])]
        if known:
            known.sort(key=lambda pair: -pair[1])
            lines.append(f"what mattered for {name}: " + ", ".join(f"{one} {share:.0%}" for one, share in known))
    return "\n".join(lines).replace("\N{MINUS SIGN}", "-")


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
        own = [trial.number, trial.state, *values, " ".join(map(repr, trial.spread)), seeds, seconds, trial.begun, trial.ended]
        retry = "" if trial.retry_of is None else trial.retry_of
        tried = [trial.params.get(name, "") for name in names]
        writer.writerow([*own, *tried, trial.reason, retry, trial.directory, trial.command])
    return target.getvalue()


def _write(out: Path, html: str, table: str, drawings: Sequence[StudyDrawing]) -> None:
    """The page first: should the rest fail, the folder is known as a report's and can be written again."""
    try:
        folder = out / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        _replace(out / "index.html", html)
        _replace(out / "trials.csv", table)
        for drawing in drawings:
            _replace(folder / f"{drawing.name}.svg", drawing.file)
    except OSError as error:
        raise RunDirectoryError(f"{out}: the report cannot be written here: {error.strerror or error}") from error


def _replace(path: Path, text: str) -> None:
    """Write ``path`` whole or not at all: someone may be looking at the earlier one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
