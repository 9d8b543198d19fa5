"""A report on run directories: one self-contained page, its figures as files, and all runs as CSV. No torch here."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from string import Template

from a3c_exp import __version__
from a3c_exp.analysis import page, provenance, tables, workers
from a3c_exp.analysis.aggregate import Comparison, compare
from a3c_exp.analysis.figures import Drawing, colours, draw
from a3c_exp.analysis.plots import HEADINGS, PLOTS
from a3c_exp.analysis.results import Outcome, outcomes
from a3c_exp.analysis.runs import read_runs
from a3c_exp.core.errors import RunDirectoryError

MARKER = "<!-- made by a3c_exp.report; making the report again replaces this folder's index.html, runs.csv and figures -->"


@dataclass(frozen=True, eq=False)
class Report:
    """A report that was written.

    Attributes:
        index: the page.
        comparison: the runs it is about.
        text: the summary table for a terminal.
    """

    index: Path
    comparison: Comparison
    text: str


def write_report(paths: Sequence[Path | str], out: Path | str, ignore: Iterable[str] = ()) -> Path:
    """Write the report on all runs at or below ``paths`` into ``out``; returns the path of its page.

    Raises:
        RunDirectoryError: no such directory, no runs there, or ``out`` holds files that are no report.
        A3CError: matplotlib is not installed.
    """
    return make_report(paths, out, ignore).index


def make_report(paths: Sequence[Path | str], out: Path | str, ignore: Iterable[str] = ()) -> Report:
    """As ``write_report``, with what there is to tell about it.

    ``ignore`` names configuration values that do not make a configuration of their own, besides seeds and names.
    """
    out = Path(out)
    check_replaceable(out)
    comparison = compare(read_runs(paths), ignore)
    found = outcomes(comparison.configurations)
    inks = colours(comparison, [item.mean(lambda one: one.moving_average) for item in found])
    drawings = draw(comparison, inks)
    html = _page(_title(paths), comparison, found, inks, drawings)
    _write(out, html, tables.runs_csv(comparison), drawings)
    return Report(out / "index.html", comparison, tables.as_text(comparison, found))


def check_replaceable(out: Path) -> None:
    """Refuse to write into a place that holds anything which a report would overwrite and did not make.

    Raises:
        RunDirectoryError: it does.
    """
    if out.exists() and not out.is_dir():
        raise RunDirectoryError(f"{out}: is a file; name a folder for the report with --out DIR")
    index = out / "index.html"
    if index.is_file():
        with index.open(encoding="utf-8", errors="replace") as file:
            if MARKER in file.read(1000):
                return
    for name in ("index.html", "runs.csv", "figures"):
        if (out / name).exists():
            raise RunDirectoryError(
                f"{out / name}: is there already and was not made by this command; choose another folder: --out DIR"
            )


def _page(title: str, comparison: Comparison, found: Sequence[Outcome], inks: page.Inks, drawings: Sequence[Drawing]) -> str:
    legend = page.legend(comparison, inks)
    curves = page.figures(drawings, "learning", heading=False)
    diagnostics = "\n".join(filter(None, (page.figures(drawings, name) for name in HEADINGS if name != "learning")))
    own = workers.own_values(comparison)
    troubles = tables.trouble_table(comparison)
    sections = (
        page.section("summary", "Summary", page.table(tables.summary_table(comparison, found), inks)),
        page.section("learning", HEADINGS["learning"], curves and legend + curves),
        page.section("diagnostics", "Diagnostics", diagnostics and legend + diagnostics),
        page.section("workers", "What each worker has of its own", page.table(own, inks)) if own.rows else "",
        page.section("troubles", "What did not finish, or misses something", page.table(troubles, inks))
        if troubles.rows
        else "",
        page.section("runs", "Single runs", page.table(tables.run_table(comparison), inks)),
        page.section("origins", "What was run", page.origin_list(provenance.origins(comparison.runs))),
    )
    template = Template(files("a3c_exp.analysis").joinpath("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        marker=MARKER,
        title=page.safe(title),
        lead=_lead(comparison),
        notices=page.notices(provenance.warnings(comparison, found)),
        sections="\n".join(filter(None, sections)),
        colour_rules=page.colour_rules(),
        footer=page.safe(f"Made {datetime.now():%Y-%m-%d %H:%M} by a3c_exp {__version__}."),
    )


def _lead(comparison: Comparison) -> str:
    runs, configurations = comparison.runs, comparison.configurations
    seeds = sorted({item.seeds for item in configurations})
    span = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    noun = "seed" if seeds[-1] == 1 else "seeds"
    each = "" if len(configurations) == 1 else " each"
    lead = f"<b>{len(runs)} run{'s' * (len(runs) > 1)}</b> of "
    lead += f"<b>{len(configurations)} configuration{'s' * (len(configurations) > 1)}</b>"
    lead += f", {span} {noun}{each}: {page.safe(tables.statuses_in_words(Counter(run.status for run in runs)))}."
    if comparison.varying:
        shown = ", ".join(f"<code>{page.safe(name)}</code>" for name in comparison.varying[:8])
        more = len(comparison.varying) - 8
        lead += f" They differ in {shown}{f' and {more} more' if more > 0 else ''}."
    shared = set.intersection(*(set(run.overrides) for run in runs))
    same = [text for text in runs[0].overrides if text in shared and not text.startswith("seed=")]
    if same and len(configurations) > 1:
        lead += f" The same in all: {', '.join(f'<code>{page.safe(text)}</code>' for text in same)}."
    return lead


def _title(paths: Sequence[Path | str]) -> str:
    names = list(dict.fromkeys(Path(path).resolve().name for path in paths))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _write(out: Path, html: str, csv: str, drawings: Sequence[Drawing]) -> None:
    """The page first: should the rest fail, the folder is known as a report's and can be written again."""
    try:
        folder = out / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        _replace(out / "index.html", html)
        _replace(out / "runs.csv", csv)
        for drawing in drawings:
            _replace(folder / f"{drawing.plot.name}.svg", drawing.file)
        for name in {plot.name for plot in PLOTS} - {drawing.plot.name for drawing in drawings}:
            (folder / f"{name}.svg").unlink(missing_ok=True)  # an earlier report's, of what these runs do not have
    except OSError as error:
        raise RunDirectoryError(f"{out}: the report cannot be written here: {error.strerror or error}") from error


def _replace(path: Path, text: str) -> None:
    """Write ``path`` whole or not at all: someone may be looking at the earlier one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
