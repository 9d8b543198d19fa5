"""A report on run directories: one self-contained page, its figures as files, its tables as CSV."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from a3c_exp.report import compare, html_page, provenance, report_files, tables
from a3c_exp.report.ablations.section import build_ablation_section
from a3c_exp.report.aggregate import Comparison, group_by_configuration
from a3c_exp.report.diagnostics import diagnostics_table
from a3c_exp.report.figures.curve_figures import assign_colors, draw_plots
from a3c_exp.report.figures.plot_specs import HEADINGS
from a3c_exp.report.quantities.worker_hyperparameters import worker_hyperparameter_table
from a3c_exp.report.report_files import MARKER, check_replaceable
from a3c_exp.report.run_reader import RunData, read_runs
from a3c_exp.report.run_results import ConfigResult, config_results
from a3c_exp.report.sections import RenderedSection, Section, render_section


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
        ignore: names of configuration values that do not make a configuration of their own, in addition to seeds and names.
        compared_sides: two sides to compare, each a folder of runs or conditions, as in ``compare.resolve_sides``.
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
    """As ``write_report``, with what a terminal shows of it."""
    out, ignored = Path(out), tuple(ignore)
    check_replaceable(out)
    runs = read_runs(paths)
    comparison = group_by_configuration(runs, ignored)
    results = config_results(comparison.configurations)
    colors = assign_colors(comparison, [result.mean(lambda run: run.moving_average) for result in results])
    sections = [render_section(html_id, section, png) for html_id, section in _sections(runs, ignored, compared_sides).items()]
    figures = draw_plots(comparison, colors, png)
    page_tables = _tables(comparison, results)
    files = report_files.collect_files(
        figures,
        sections,
        [table for name, table in page_tables.items() if table is not None and name not in ("runs", "summary")],
    )
    files |= {"runs.csv": tables.runs_csv(comparison), "tables/summary.csv": tables.summary_csv(comparison, results)}
    by_heading = {name: [figure for figure in figures if figure.section == name] for name in HEADINGS}
    by_heading = {name: shown for name, shown in by_heading.items() if shown}
    html = html_page.render(
        "report.html",
        marker=f"{MARKER}\n{report_files.manifest(list(files))}",
        title=_title(paths),
        comparison=comparison,
        seeds=_seeds(comparison),
        statuses=tables.format_statuses(Counter(run.status for run in runs)),
        shared_overrides=_shared_overrides(comparison.runs),
        warnings=provenance.comparison_warnings(comparison, results),
        contents=_contents(sections, page_tables, [*by_heading]),
        rendered_sections=sections,
        tables=page_tables,
        figures=by_heading,
        headings=HEADINGS,
        colors=colors,
        origins=provenance.origins(comparison.runs),
    )
    report_files.write(out, html, files)
    leads = [f"\n{part.section.title}: {part.section.lead}" for part in sections]
    return Report(out / "index.html", _title(paths), comparison, "\n".join([tables.summary_text(comparison, results), *leads]))


def _sections(runs: Sequence[RunData], ignored: Sequence[str], compared_sides: tuple[str, str] | None) -> dict[str, Section]:
    """The sections with verdicts, by their ids, in the order of the page."""
    sections: dict[str, Section] = {}
    if compared_sides is not None:
        sections["versus"] = compare.build_comparison_section(*compare.resolve_sides(compared_sides, runs), ignored)
    ablations = build_ablation_section(runs)
    return sections | ({"ablations": ablations} if ablations is not None else {})


def _tables(comparison: Comparison, results: Sequence[ConfigResult]) -> dict[str, tables.Table | None]:
    """The tables of the page by the section that each stands in; ``None`` for one without rows."""
    made = {
        "summary": tables.summary_table(comparison, results),
        "diagnostics": diagnostics_table(comparison, results),
        "workers": worker_hyperparameter_table(comparison),
        "incomplete": tables.incomplete_runs_table(comparison),
        "runs": tables.run_table(comparison),
    }
    return {name: table if table.rows else None for name, table in made.items()}


def _contents(
    sections: Sequence[RenderedSection], shown: Mapping[str, tables.Table | None], headings: Collection[str]
) -> list[tuple[str, str]]:
    """``(id, title)`` of what the page has, for the list of contents."""
    titles = {"summary": "Summary", "learning": HEADINGS["learning"], "diagnostics": "Diagnostics", "workers": "Workers"}
    titles |= {"incomplete": "What failed", "runs": "Single runs", "origins": "What was run", "method": "How to read this"}
    missing = {name for name, table in shown.items() if table is None} | ({"learning"} - {*headings})
    if {*headings} <= {"learning"}:
        missing.add("diagnostics")
    names = [(part.html_id, part.section.title) for part in sections]
    return names + [(name, title) for name, title in titles.items() if name not in missing]


def _seeds(comparison: Comparison) -> str:
    """``3 seeds``, ``1 to 3 seeds``."""
    numbers = sorted({item.num_seeds for item in comparison.configurations})
    span = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return f"{span} {'seed' if numbers[-1] == 1 else 'seeds'}"


def _shared_overrides(runs: Sequence[RunData]) -> list[str]:
    shared = set.intersection(*(set(run.overrides) for run in runs))
    return [text for text in runs[0].overrides if text in shared and not text.startswith("seed=")]


def _title(paths: Sequence[Path | str]) -> str:
    names = list(dict.fromkeys(Path(path).resolve().name for path in paths))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
