"""A report on run directories: one self-contained page, its figures as files, its tables as CSV."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from a3c_exp.report import compare, html_page, provenance, report_files, tables
from a3c_exp.report.ablations.section import build_ablation_section
from a3c_exp.report.aggregate import Comparison, group_by_configuration
from a3c_exp.report.figures.curve_figures import Colors, assign_colors, draw_plots
from a3c_exp.report.figures.panels import FigureFiles, render_figure
from a3c_exp.report.figures.plot_specs import HEADINGS
from a3c_exp.report.figures.style import figure_style
from a3c_exp.report.run_reader import RunData, read_runs
from a3c_exp.report.sections import Section, Table, format_statuses

_TITLES = {
    "summary": "Summary", "learning": HEADINGS["learning"], "diagnostics": "Diagnostics", "workers": "Workers",
    "incomplete": "What failed", "runs": "Single runs",
}  # fmt: skip
_LAST_TITLES = {"origins": "What was run", "method": "How to read this"}


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
        compared_sides: two sides to compare, as in ``compare.resolve_sides``.
        png: whether to write the figures as PNG too, a third of the time.

    Raises RunDirectoryError for no such directory, no runs there, or an ``out`` that holds files that are no report;
    ConfigError for a side that means no runs; A3CError if matplotlib is not installed.
    """
    out, ignored = Path(out), tuple(ignore)
    report_files.check_replaceable(out)
    runs = read_runs(paths)
    comparison = group_by_configuration(runs, ignored)
    sections = _sections(runs, ignored, compared_sides)
    with figure_style():
        drawn = {html_id: [render_figure(figure, png) for figure in part.figures] for html_id, part in sections.items()}
        parts = [_build_part(task, of_task, ignored, png) for task, of_task in _by_task(runs).items()]
    files: dict[str, str | bytes] = {}
    for part in parts:
        rounded = [table for name, table in part.tables.items() if table is not None and name not in ("runs", "summary")]
        files |= report_files.collect_files([*chain(*part.figures.values())], [])
        files |= report_files.collect_files([], rounded, _prefix(part.task))
    for html_id, section in sections.items():
        files |= report_files.collect_files(drawn[html_id], section.tables, f"{html_id}_")
    files |= {"runs.csv": tables.runs_csv(comparison), "tables/summary.csv": tables.summary_csv(comparison)}
    html = html_page.render(
        "report.html",
        marker=f"{report_files.MARKER}\n{report_files.manifest(list(files))}",
        title=_title(paths),
        comparison=comparison,
        seeds=_seeds(comparison),
        statuses=format_statuses(Counter(run.status for run in runs)),
        shared_overrides=_shared_overrides(comparison.runs),
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
    summaries = [
        f"{part.task}\n{text}\n" if part.task else text for part in parts for text in [tables.summary_text(part.comparison)]
    ]
    return Report(out / "index.html", _title(paths), comparison, "\n".join([*summaries, *leads]))


@dataclass(frozen=True, eq=False)
class _Part:
    """What the page has of one task, or of all runs where they are of one."""

    task: str  #: empty where there is but one
    comparison: Comparison
    colors: Colors
    tables: dict[str, Table | None]
    figures: dict[str, list[FigureFiles]]  #: by heading

    @property
    def suffix(self) -> str:
        """Of the ids of its places on the page."""
        return f"_{report_files.slug(self.task)}" if self.task else ""


def _prefix(task: str) -> str:
    """Of the names of a part's files."""
    return f"{report_files.slug(task)}_" if task else ""


def _by_task(runs: Sequence[RunData]) -> dict[str, list[RunData]]:
    """The runs of each task, whose numbers have nothing in common; all by an empty name where they are of one."""
    found: dict[str, list[RunData]] = defaultdict(list)
    for run in runs:
        found[run.task or "task unknown"].append(run)
    return dict(sorted(found.items())) if len({run.task for run in runs} - {""}) > 1 else {"": list(runs)}


def _build_part(task: str, runs: Sequence[RunData], ignored: Sequence[str], png: bool) -> _Part:
    comparison = group_by_configuration(runs, ignored)
    colors = assign_colors(comparison, [item.mean("moving_average") for item in comparison.configurations])
    figures: dict[str, list[FigureFiles]] = {name: [] for name in HEADINGS}
    for drawn in draw_plots(comparison, colors, task):
        figures[drawn.section].append(render_figure(replace(drawn, name=_prefix(task) + drawn.name), png))
    return _Part(task, comparison, colors, _tables(comparison), {name: shown for name, shown in figures.items() if shown})


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
