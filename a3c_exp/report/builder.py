"""A report on run directories: one self-contained page, its figures as files, its tables as CSV."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from a3c_exp.report import compare, html_page, provenance, report_files, tables
from a3c_exp.report.ablations.section import build_ablation_section
from a3c_exp.report.aggregate import Comparison, group_by_configuration
from a3c_exp.report.figures.curve_figures import assign_colors, draw_plots
from a3c_exp.report.figures.panels import render_figure
from a3c_exp.report.figures.plot_specs import HEADINGS
from a3c_exp.report.figures.style import figure_style
from a3c_exp.report.run_reader import RunData, read_runs
from a3c_exp.report.sections import Section, Table, format_statuses

_TITLES = {
    "summary": "Summary", "learning": HEADINGS["learning"], "diagnostics": "Diagnostics", "workers": "Workers",
    "incomplete": "What failed", "runs": "Single runs", "origins": "What was run", "method": "How to read this",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Report:
    """A report that was written."""

    index: Path  #: the page
    title: str  #: its title
    comparison: Comparison  #: the runs it is about
    text: str  #: the summary table for a terminal, and below it what the sections say first


def make_report(
    paths: Sequence[Path | str],
    out: Path | str,
    ignore: Iterable[str] = (),
    compared_sides: tuple[str, str] | None = None,
    png: bool = True,
) -> Report:
    """Write the report on all runs at or below ``paths`` into ``out``.

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
    out, ignored = Path(out), tuple(ignore)
    report_files.check_replaceable(out)
    runs = read_runs(paths)
    comparison = group_by_configuration(runs, ignored)
    colors = assign_colors(comparison, [item.mean("moving_average") for item in comparison.configurations])
    sections = _sections(runs, ignored, compared_sides)
    with figure_style():
        drawn = {html_id: [render_figure(figure, png) for figure in part.figures] for html_id, part in sections.items()}
        figures = [render_figure(figure, png) for figure in draw_plots(comparison, colors)]
    made = _tables(comparison)
    rounded = [table for name, table in made.items() if table is not None and name not in ("runs", "summary")]
    files = report_files.collect_files(figures, rounded)
    for html_id, section in sections.items():
        files |= report_files.collect_files(drawn[html_id], section.tables, f"{html_id}_")
    files |= {"runs.csv": tables.runs_csv(comparison), "tables/summary.csv": tables.summary_csv(comparison)}
    by_heading = {name: [figure for figure in figures if figure.section == name] for name in HEADINGS}
    by_heading = {name: shown for name, shown in by_heading.items() if shown}
    html = html_page.render(
        "report.html",
        marker=f"{report_files.MARKER}\n{report_files.manifest(list(files))}",
        title=_title(paths),
        comparison=comparison,
        seeds=_seeds(comparison),
        statuses=format_statuses(Counter(run.status for run in runs)),
        shared_overrides=_shared_overrides(comparison.runs),
        warnings=provenance.comparison_warnings(comparison),
        contents=_contents(sections, made, {*by_heading}),
        sections=sections,
        drawn=drawn,
        tables=made,
        figures=by_heading,
        headings=HEADINGS,
        colors=colors,
        origins=provenance.origins(comparison),
    )
    report_files.write(out, html, files)
    leads = [f"\n{section.title}: {section.lead}" for section in sections.values()]
    return Report(out / "index.html", _title(paths), comparison, "\n".join([tables.summary_text(comparison), *leads]))


def _tables(comparison: Comparison) -> dict[str, Table | None]:
    """The tables of the page by the section that each stands in; ``None`` for one without rows."""
    made = {
        "summary": tables.summary_table(comparison),
        "diagnostics": tables.diagnostics_table(comparison),
        "workers": tables.worker_hyperparameter_table(comparison),
        "incomplete": tables.incomplete_runs_table(comparison),
        "runs": tables.run_table(comparison),
    }
    return {name: table if table.rows else None for name, table in made.items()}


def _contents(sections: Mapping[str, Section], made: Mapping[str, Table | None], headings: set[str]) -> list[tuple[str, str]]:
    """``(id, title)`` of what the page has, for the list of contents."""
    missing = {name for name, table in made.items() if table is None} | ({"learning"} - headings)
    if headings <= {"learning"}:
        missing.add("diagnostics")
    own = [(html_id, section.title) for html_id, section in sections.items()]
    return own + [(name, title) for name, title in _TITLES.items() if name not in missing]


def _sections(runs: Sequence[RunData], ignored: Sequence[str], compared_sides: tuple[str, str] | None) -> dict[str, Section]:
    """The sections with verdicts, by their ids, in the order of the page."""
    sections: dict[str, Section] = {}
    if compared_sides is not None:
        sections["versus"] = compare.build_comparison_section(*compare.resolve_sides(compared_sides, runs), ignored)
    ablations = build_ablation_section(runs)
    return sections | ({"ablations": ablations} if ablations is not None else {})


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
