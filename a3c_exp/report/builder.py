"""A report on run directories: one self-contained page, its figures as files, its tables as CSV."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from a3c_exp.report import compare, provenance, report_files, tables
from a3c_exp.report.ablations.section import build_ablation_section
from a3c_exp.report.aggregate import Comparison, group_by_configuration, runs_by_task
from a3c_exp.report.figures.curve_figures import Colors, assign_colors, draw_plots
from a3c_exp.report.figures.panels import FigureFiles, render_figure
from a3c_exp.report.figures.plot_specs import HEADINGS
from a3c_exp.report.figures.style import Figure, figure_style
from a3c_exp.report.run_reader import RunData, read_runs
from a3c_exp.report.sections import Section, Table, format_statuses
from a3c_exp.report.thesis.document import example_document
from a3c_exp.report.thesis.figures import PaperFormats
from a3c_exp.report.thesis.latex import table_latex
from a3c_exp.report.thesis.methods import methods_paragraph
from a3c_exp.report.thesis.references import bibliography

_TITLES = {
    "summary": "Summary", "learning": HEADINGS["learning"], "diagnostics": "Diagnostics", "workers": "Workers",
    "incomplete": "What failed", "runs": "Single runs",
}  # fmt: skip
_LAST_TITLES = {"origins": "What was run", "method": "How to read this"}
_Sides = tuple[str, str] | None  # to compare, as typed


@dataclass(frozen=True, eq=False)
class Report:
    """A report that was written."""

    index: Path  #: the page
    title: str  #: its title
    comparison: Comparison  #: the runs it is about
    text: str  #: the summary table for a terminal, and below it what the sections say first
    notices: tuple[str, ...] = ()  #: what was asked for and left out, and why; a line each


def make_report(
    paths: Sequence[Path | str],
    out: Path | str,
    ignore: Iterable[str] = (),
    compared_sides: _Sides = None,
    png: bool = True,
    thesis: bool = False,
) -> Report:
    """Write the report on the run directories at or below ``paths`` into the folder ``out``, figures as PNG too if ``png``;
    for a ``thesis`` figures as PDF and PGF, tables for LaTeX, a paragraph on methods, a bibliography, and a document that shows
    them all, as well.

    To ``ignore`` are names of configuration values that make no difference, in addition to seeds and names; the
    ``compared_sides`` are as in ``compare.resolve_sides``.

    Raises RunDirectoryError for no such directory, no runs there, or an ``out`` that holds files that are no report;
    ConfigError for a side that means no runs, or if matplotlib is not installed.
    """
    out, ignored = Path(out), tuple(ignore)
    report_files.check_replaceable(out)
    runs = read_runs(paths)
    comparison = group_by_configuration(runs, ignored)
    sections: dict[str, Section] = {}  # with verdicts, by their ids, in the order of the page
    if compared_sides is not None:
        sections["versus"] = compare.build_comparison_section(*compare.resolve_sides(compared_sides, runs), ignored)
    if (ablations := build_ablation_section(runs)) is not None:
        sections["ablations"] = ablations
    paper = PaperFormats() if thesis else None
    save = paper.save if paper is not None else None
    with figure_style():
        drawn = {html_id: [render_figure(figure, png, save) for figure in part.figures] for html_id, part in sections.items()}
        parts = [_build_part(task, of_task, ignored, png, save) for task, of_task in runs_by_task(runs).items()]
    files = _files(parts, sections, drawn, thesis)
    files |= {"runs.csv": tables.runs_csv(comparison), "tables/summary.csv": tables.summary_csv(comparison)}
    if thesis:
        files |= _thesis_files(comparison, parts, "ablations" in sections)
        files["thesis/example.tex"] = example_document(files, _captions(parts, sections, drawn))
    shared = set.intersection(*(set(run.overrides) for run in runs))
    html = report_files.render(
        "report.html",
        marker=f"{report_files.MARKER}\n{report_files.manifest(list(files))}",
        title=_title(paths),
        comparison=comparison,
        seeds=_seeds(comparison),
        statuses=format_statuses(Counter(run.status for run in runs)),
        shared_overrides=[text for text in runs[0].overrides if text in shared and not text.startswith("seed=")],
        warnings=provenance.comparison_warnings(comparison),
        contents=_contents(sections, parts),
        sections=sections,
        drawn=drawn,
        parts=parts,
        headings=HEADINGS,
        origins=provenance.origins(comparison),
    )
    report_files.write(out, html, files)
    leads = [f"\n{section.title}: {section.lead}" for section in sections.values()]
    texts = [(part.task, tables.summary_text(part.comparison)) for part in parts]
    summaries = [f"{task}\n{text}\n" if task else text for task, text in texts]
    notices = tuple(paper.notices) if paper is not None else ()
    return Report(out / "index.html", _title(paths), comparison, "\n".join([*summaries, *leads]), notices)


@dataclass(frozen=True, eq=False)
class _Part:
    """What the page has of one task, or of all runs where they are of one."""

    task: str  #: empty where there is but one
    comparison: Comparison
    colors: Colors
    tables: dict[str, Table | None]  #: by the section that each stands in; ``None`` for one without rows
    figures: dict[str, list[FigureFiles]]  #: by heading

    @property
    def suffix(self) -> str:
        """Of the ids of its places on the page."""
        return f"_{report_files.slug(self.task)}" if self.task else ""


def _files(
    parts: Sequence[_Part], sections: Mapping[str, Section], drawn: Mapping[str, Sequence[FigureFiles]], latex: bool
) -> dict[str, str | bytes]:
    """Figures and tables by the names of their files; tables for LaTeX too if ``latex``."""
    files: dict[str, str | bytes] = {}
    for part in parts:
        rounded = [table for name, table in part.tables.items() if table is not None and name not in ("runs", "summary")]
        files |= report_files.collect_files([*chain(*part.figures.values())], [])
        files |= report_files.collect_files([], rounded, _prefix(part.task), latex)
    for html_id, section in sections.items():
        files |= report_files.collect_files(drawn[html_id], section.tables, f"{html_id}_", latex)
    return files


def _thesis_files(comparison: Comparison, parts: Sequence[_Part], has_verdicts: bool) -> dict[str, str | bytes]:
    """What only a thesis needs, by name; the summary stands beside the other tables."""
    summaries = {part.task: part.tables["summary"] for part in parts}
    files = {f"tables/{_prefix(task)}summary.tex": table_latex(table) for task, table in summaries.items() if table is not None}
    return {
        **files,
        "thesis/methods.tex": methods_paragraph(comparison, has_verdicts),
        "thesis/references.bib": bibliography(comparison.runs, has_verdicts),
    }


def _captions(
    parts: Sequence[_Part], sections: Mapping[str, Section], drawn: Mapping[str, Sequence[FigureFiles]]
) -> dict[str, str]:
    """What figures and tables are, by the names of their files without suffixes."""
    tables = {(_prefix(part.task), name): table for part in parts for name, table in part.tables.items()}
    found = {f"tables/{prefix}{report_files.slug(table.name)}": table.name for (prefix, _), table in tables.items() if table}
    found |= {f"tables/{_prefix(part.task)}summary": f"Summary {part.task}".strip() for part in parts}
    found |= {
        f"figures/{report_files.slug(figure.name)}": figure.caption
        for part in parts
        for figure in chain(*part.figures.values())
    }
    for html_id, section in sections.items():
        found |= {f"tables/{html_id}_{report_files.slug(table.name)}": table.name for table in section.tables}
        found |= {f"figures/{report_files.slug(f'{html_id}_{figure.name}')}": figure.caption for figure in drawn[html_id]}
    return found


def _prefix(task: str) -> str:
    """Of the names of a part's files."""
    return f"{report_files.slug(task)}_" if task else ""


def _build_part(
    task: str,
    runs: Sequence[RunData],
    ignored: Sequence[str],
    png: bool,
    save_for_paper: Callable[[Figure], Mapping[str, bytes]] | None,
) -> _Part:
    comparison = group_by_configuration(runs, ignored)
    colors = assign_colors(comparison, [item.mean("moving_average") for item in comparison.configurations])
    figures: dict[str, list[FigureFiles]] = {name: [] for name in HEADINGS}
    for drawn in draw_plots(comparison, colors, task):
        figures[drawn.section].append(render_figure(replace(drawn, name=_prefix(task) + drawn.name), png, save_for_paper))
    made = {
        "summary": tables.summary_table(comparison),
        "diagnostics": tables.diagnostics_table(comparison),
        "workers": tables.worker_hyperparameter_table(comparison),
        "incomplete": tables.incomplete_runs_table(comparison),
        "runs": tables.run_table(comparison),
    }
    filled = {name: table if table.rows else None for name, table in made.items()}
    return _Part(task, comparison, colors, filled, {name: shown for name, shown in figures.items() if shown})


def _contents(sections: Mapping[str, Section], parts: Sequence[_Part]) -> list[tuple[str, str]]:
    """``(id, title)`` of what the page has, for the list of contents."""
    found = [(html_id, section.title) for html_id, section in sections.items()]
    for part in parts:
        missing = {name for name, table in part.tables.items() if table is None} | ({"learning"} - part.figures.keys())
        if part.figures.keys() <= {"learning"}:
            missing.add("diagnostics")
        of = f": {part.task}" if part.task else ""
        found += [(f"{name}{part.suffix}", f"{title}{of}") for name, title in _TITLES.items() if name not in missing]
    return found + list(_LAST_TITLES.items())


def _seeds(comparison: Comparison) -> str:
    """``3 seeds``, ``1 to 3 seeds``."""
    numbers = sorted({item.num_seeds for item in comparison.configurations})
    span = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return f"{span} {'seed' if numbers[-1] == 1 else 'seeds'}"


def _title(paths: Sequence[Path | str]) -> str:
    names = list(dict.fromkeys(Path(path).resolve().name for path in paths))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
