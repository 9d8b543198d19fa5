"""The files of a report: its page, where they may be written, and that none of an earlier one stays behind."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from a3c_exp import __version__
from a3c_exp.report.figures import svg
from a3c_exp.report.figures.panels import FigureFiles
from a3c_exp.report.sections import Table, table_csv
from a3c_exp.report.thesis.latex import table_latex
from a3c_exp.runs.tolerant_io import printable
from a3c_exp.system.atomic_write import write_atomically
from a3c_exp.system.errors import RunDirectoryError
from a3c_exp.system.number_format import typographic

MARKER = (
    "<!-- made by a3c_exp.report; making the report again replaces this folder's index.html, runs.csv, figures and tables -->"
)
_MANIFEST = re.compile(r"<!-- files: ([^>]*) -->")
_OWN_FILES = re.compile(r"(figures|tables|thesis)/[\w-]+\.(svg|png|pdf|pgf|csv|tex|bib)")
_CSS_CLASSES = {color: f"s{index}" for index, color in enumerate((*svg.SERIES_COLORS, svg.OTHER_COLOR))}
_LIGHT, _DARK = (
    "".join(f".{name}{{background:{getattr(color, theme)}}}" for color, name in _CSS_CLASSES.items())
    for theme in ("light", "dark")
)
_ENVIRONMENT = Environment(
    loader=PackageLoader("a3c_exp.report"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=lambda value: printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.tests["of_verdicts"] = lambda table: table.name.startswith("Verdicts")
_ENVIRONMENT.filters |= {"typographic": typographic, "css_class": _CSS_CLASSES.__getitem__}
_ENVIRONMENT.globals |= {
    "version": __version__,
    "newline": Markup("\n"),
    "color_rules": f"{_LIGHT}@media screen and (prefers-color-scheme:dark){{{_DARK}}}{svg.dark_rules()}",
    "other_color": svg.OTHER_COLOR,
}


def render(template: str, **content: Any) -> str:
    """The page that ``templates/<template>`` makes of ``content``; texts are shown as they are, never obeyed."""
    return _ENVIRONMENT.get_template(template).render(content, now=datetime.now())


def collect_files(
    figures: Sequence[FigureFiles], tables: Sequence[Table], prefix: str = "", latex: bool = False
) -> dict[str, str | bytes]:
    """The content of each file by its name: figures as they were rendered, tables as CSV and, if ``latex``, for LaTeX."""
    files: dict[str, str | bytes] = {}
    for figure in figures:
        files[f"figures/{slug(prefix + figure.name)}.svg"] = figure.standalone_svg
        if figure.png:
            files[f"figures/{slug(prefix + figure.name)}.png"] = figure.png
        files |= {f"figures/{slug(prefix + figure.name)}.{suffix}": data for suffix, data in figure.paper.items()}
    if latex:
        files |= {f"tables/{prefix}{slug(table.name)}.tex": table_latex(table) for table in tables}
    return files | {f"tables/{prefix}{slug(table.name)}.csv": table_csv(table) for table in tables}


def manifest(names: Sequence[str]) -> str:
    """A comment for the page that names its files, so that the next report in this place knows what to take away."""
    return f"<!-- files: {' '.join(sorted(name for name in names if _OWN_FILES.fullmatch(name)))} -->"


def check_replaceable(out: Path) -> None:
    """Raises RunDirectoryError for a place that holds anything which a report would overwrite and did not make."""
    if out.exists() and not out.is_dir():
        raise RunDirectoryError(f"{out}: is a file; name a folder for the report with --out DIR")
    if MARKER in _page_head(out):
        return
    for name in ("index.html", "runs.csv", "figures", "tables", "thesis"):
        if (out / name).exists():
            raise RunDirectoryError(f"{out / name}: was not made by this command; choose another folder: --out DIR")


def write(out: Path, html: str, content: Mapping[str, str | bytes]) -> None:
    """The page first: should the rest fail, the folder is known as a report's. Raises RunDirectoryError if the disk refuses."""
    match = _MANIFEST.search(_page_head(out))
    before = {name for name in (match[1].split() if match else ()) if _OWN_FILES.fullmatch(name)}
    try:
        for name, data in {"index.html": html, **content}.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out / name, data, durable=False)
        for name in before - content.keys():
            (out / name).unlink(missing_ok=True)  # an earlier report's, of what these runs do not have
    except OSError as error:
        raise RunDirectoryError(
            f"{out}: the report cannot be written here: {error.strerror or error}. Choose another folder: --out DIR"
        ) from error


def _page_head(out: Path) -> str:
    try:
        with (out / "index.html").open(encoding="utf-8", errors="replace") as file:
            return file.read(20_000)
    except OSError:
        return ""


def slug(name: str) -> str:
    """A file's name from a title: ``what_differs``."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
