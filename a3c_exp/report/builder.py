"""A report on run directories: one self-contained page, its figures as files, its tables as CSV. No torch here."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from string import Template

from a3c_exp import __version__
from a3c_exp.report import compare as versus
from a3c_exp.report import html_page as page
from a3c_exp.report import provenance, report_files, tables
from a3c_exp.report.ablations import section as ablations
from a3c_exp.report.aggregate import Comparison, group_by_configuration
from a3c_exp.report.diagnostics import diagnostics_table
from a3c_exp.report.figures.curve_figures import RenderedFigure, assign_colors, draw_plots
from a3c_exp.report.figures.plot_specs import HEADINGS
from a3c_exp.report.quantities import worker_hyperparameters as workers
from a3c_exp.report.report_files import MARKER, check_replaceable
from a3c_exp.report.run_reader import RunData, read_runs
from a3c_exp.report.run_results import ConfigResult, config_results
from a3c_exp.report.sections import RenderedSection, Section, render_section

__all__ = ["MARKER", "Report", "check_replaceable", "make_report", "write_report"]


_SHORT_TITLES = {"workers": "Workers", "troubles": "What failed"}  # titles as the list of contents has them


@dataclass(frozen=True, eq=False)
class Report:
    """A report that was written.

    Attributes:
        index: the page.
        title: its title.
        comparison: the runs it is about.
        text: the summary table for a terminal, and below it what the sections say first.
    """

    index: Path
    title: str
    comparison: Comparison
    text: str


def write_report(
    paths: Sequence[Path | str],
    out: Path | str,
    ignore: Iterable[str] = (),
    compared_sides: tuple[str, str] | None = None,
    png: bool = True,
) -> Path:
    """Write the report on all runs at or below ``paths`` into ``out``; returns the path of its page.

    Args:
        paths: run directories, or folders of them.
        out: the report's own folder.
        ignore: names of configuration values that do not make a configuration of their own, besides seeds and names.
        compared_sides: two sides to hold against each other, each a folder of runs or conditions, as in ``versus.sides``.
        png: whether to write the figures as PNG too, a third of the time.

    Raises:
        RunDirectoryError: no such directory, no runs there, or ``out`` holds files that are no report.
        ConfigError: a side means no runs.
        A3CError: matplotlib is not installed.
    """
    return make_report(paths, out, ignore, compared_sides, png).index


def make_report(
    paths: Sequence[Path | str],
    out: Path | str,
    ignore: Iterable[str] = (),
    compared_sides: tuple[str, str] | None = None,
    png: bool = True,
) -> Report:
    """As ``write_report``, with what there is to tell about it."""
    out, ignored = Path(out), tuple(ignore)
    check_replaceable(out)
    runs = read_runs(paths)
    comparison = group_by_configuration(runs, ignored)
    found = config_results(comparison.configurations)
    inks = assign_colors(comparison, [item.mean(lambda one: one.moving_average) for item in found])
    parts = [render_section(identity, section, png) for identity, section in _sections(runs, ignored, compared_sides).items()]
    drawings = draw_plots(comparison, inks, png)
    shown = _tables(comparison, found)
    content = _Content(_title(paths), comparison, found, inks, drawings, parts, shown)
    in_full = {"runs.csv": tables.runs_csv(comparison), "tables/summary.csv": tables.summary_csv(comparison, found)}
    written = (
        report_files.collect_files(drawings, parts, [shown[name] for name in shown if name not in ("runs", "summary")])
        | in_full
    )
    report_files.write(out, _page(content, list(written)), written)
    told = [f"\n{part.section.title}: {part.section.lead}" for part in parts]
    return Report(out / "index.html", content.title, comparison, "\n".join([tables.summary_text(comparison, found), *told]))


def _sections(runs: Sequence[RunData], ignored: Sequence[str], compared_sides: tuple[str, str] | None) -> dict[str, Section]:
    """What has verdicts, by its place on the page, in the order in which it stands there."""
    found: dict[str, Section | None] = {
        "versus": versus.build_comparison_section(*versus.resolve_sides(compared_sides, runs), ignored)
        if compared_sides is not None
        else None,
        "ablations": ablations.build_ablation_section(runs),
    }
    return {identity: section for identity, section in found.items() if section is not None}


@dataclass(frozen=True, eq=False)
class _Content:
    """All that stands on the page."""

    title: str
    comparison: Comparison
    results: Sequence[ConfigResult]
    colors: page.ConfigurationColors
    rendered_figures: Sequence[RenderedFigure]
    rendered_sections: Sequence[RenderedSection]
    tables: dict[str, tables.Table]


def _tables(comparison: Comparison, results: Sequence[ConfigResult]) -> dict[str, tables.Table]:
    """The tables of the page that have rows, by the section that each stands in."""
    made = {
        "summary": tables.summary_table(comparison, results),
        "diagnostics": diagnostics_table(comparison, results),
        "workers": workers.worker_hyperparameter_table(comparison),
        "troubles": tables.incomplete_runs_table(comparison),
        "runs": tables.run_table(comparison),
    }
    return {name: table for name, table in made.items() if table.rows}


def _page(content: _Content, written: Sequence[str]) -> str:
    comparison, inks, drawings = content.comparison, content.colors, content.rendered_figures
    legend = page.legend(comparison, inks)
    curves = page.figures(drawings, "learning", heading=False)
    figures = "\n".join(filter(None, (page.figures(drawings, name) for name in HEADINGS if name != "learning")))
    drawn = {name: page.html_table(table, inks) for name, table in content.tables.items()}
    bodies = [
        ("summary", "Summary", drawn.get("summary", "")),
        ("learning", HEADINGS["learning"], curves and legend + curves),
        ("diagnostics", "Diagnostics", figures and f"{drawn.get('diagnostics', '')}\n{legend}{figures}"),
        ("workers", "What each worker has of its own", drawn.get("workers", "")),
        ("troubles", "What did not finish, or misses something", drawn.get("troubles", "")),
        ("runs", "Single runs", drawn.get("runs", "")),
        ("origins", "What was run", page.origin_list(provenance.origins(comparison.runs))),
    ]
    titles = [(part.html_id, part.section.title) for part in content.rendered_sections]
    titles += [(identity, _SHORT_TITLES.get(identity, title)) for identity, title, body in bodies if body.strip()]
    sections = [page.rendered_section(part, inks) for part in content.rendered_sections]
    sections += [page.section(identity, title, body) for identity, title, body in bodies]
    template = Template(files("a3c_exp.report").joinpath("templates/report.html").read_text(encoding="utf-8"))
    return template.substitute(
        marker=f"{MARKER}\n{report_files.manifest(written)}",
        title=page.escape_text(content.title),
        lead=_lead(comparison),
        notices=page.notices(provenance.comparison_warnings(comparison, content.results))
        + page.table_of_contents([*titles, ("method", "How to read this")]),
        sections="\n".join(filter(None, sections)),
        color_rules=page.color_rules(),
        footer=page.escape_text(f"Made {datetime.now():%Y-%m-%d %H:%M} by a3c_exp {__version__}."),
    )


def _lead(comparison: Comparison) -> str:
    runs, configurations = comparison.runs, comparison.configurations
    seeds = sorted({item.num_seeds for item in configurations})
    span = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    noun = "seed" if seeds[-1] == 1 else "seeds"
    each = "" if len(configurations) == 1 else " each"
    lead = f"<b>{len(runs)} run{'s' * (len(runs) > 1)}</b> of "
    lead += f"<b>{len(configurations)} configuration{'s' * (len(configurations) > 1)}</b>"
    lead += f", {span} {noun}{each}: {page.escape_text(tables.format_statuses(Counter(run.status for run in runs)))}."
    if comparison.varying_keys:
        shown = ", ".join(f"<code>{page.escape_text(name)}</code>" for name in comparison.varying_keys[:8])
        more = len(comparison.varying_keys) - 8
        lead += f" They differ in {shown}{f' and {more} more' if more > 0 else ''}."
    shared = set.intersection(*(set(run.overrides) for run in runs))
    same = [text for text in runs[0].overrides if text in shared and not text.startswith("seed=")]
    if same and len(configurations) > 1:
        lead += f" The same in all: {', '.join(f'<code>{page.escape_text(text)}</code>' for text in same)}."
    return lead


def _title(paths: Sequence[Path | str]) -> str:
    names = list(dict.fromkeys(Path(path).resolve().name for path in paths))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
