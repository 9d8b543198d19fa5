"""From tables and drawings to HTML. The only place that makes markup: every text from a file is escaped here."""

from collections.abc import Mapping, Sequence
from html import escape

from a3c_exp.report.aggregate import Comparison, Configuration
from a3c_exp.report.columns import printable
from a3c_exp.report.figures import svg
from a3c_exp.report.figures.curve_figures import RenderedFigure
from a3c_exp.report.figures.plot_specs import HEADINGS, PlotSection
from a3c_exp.report.provenance import Origin
from a3c_exp.report.sections import RenderedSection
from a3c_exp.report.tables import Cell, Table
from a3c_exp.system.number_format import typographic

ConfigurationColors = Mapping[Configuration, svg.ThemeColor]
_LONG_NOTE_LENGTH = 28  # characters, from which on it may take several lines
_CSS_CLASSES = {ink: f"s{index}" for index, ink in enumerate((*svg.SERIES_COLORS, svg.OTHER_COLOR))}


def escape_text(text: str) -> str:
    """``text`` as a browser should show it, never obey it."""
    return escape(printable(text), quote=True)


def html_table(table: Table, colors: ConfigurationColors) -> str:
    """A table in a container of its own that scrolls sideways; the first column stays in sight."""
    heads = "".join(
        f'<th scope="col"{_number_class(index, table)}>{escape_text(name)}</th>' for index, name in enumerate(table.columns)
    )
    rows = "\n".join(
        "<tr>" + "".join(_cell(cell, index, table, colors) for index, cell in enumerate(row)) + "</tr>" for row in table.rows
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape_text(table.name)}">\n'
        f"<table><thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def legend(comparison: Comparison, colors: ConfigurationColors) -> str:
    """What each colour stands for; nothing for a single configuration."""
    if len(comparison.configurations) == 1:
        return ""
    named = [item for item in comparison.configurations if colors[item] != svg.OTHER_COLOR]
    others = len(comparison.configurations) - len(named)
    items = [f"<li>{_swatch(colors[item])}{escape_text(item.short_label)}</li>" for item in named]
    if others:
        items.append(f"<li>{_swatch(svg.OTHER_COLOR)}{others} others, with a lower moving average</li>")
    title = f"<li><b>{escape_text(comparison.title)}</b></li>" if comparison.title else ""
    return f'<ul class="legend" aria-label="Colours">{title}{"".join(items)}</ul>'


def figures(rendered_figures: Sequence[RenderedFigure], section: PlotSection, heading: bool = True) -> str:
    """The figures of one section, side by side where there is room; nothing without any."""
    items = [
        f"<figure>{item.inline_svg}<figcaption>{escape_text(item.caption)}</figcaption></figure>"
        for item in rendered_figures
        if item.plot.section == section
    ]
    size = "large" if any(item.plot.large for item in rendered_figures if item.plot.section == section) else "small"
    title = f"<h3>{escape_text(HEADINGS[section])}</h3>\n" if heading else ""
    return f'{title}<div class="{size}">\n' + "\n".join(items) + "\n</div>" if items else ""


def rendered_section(rendered: RenderedSection, colors: ConfigurationColors) -> str:
    """A section with something to say of its own: words, verdicts, what to doubt, pictures, then what it all rests on."""
    found = rendered.section
    drawn = [
        f"<figure>{item.inline_svg}<figcaption>{escape_text(item.caption)}</figcaption></figure>" for item in rendered.figures
    ]
    body = [
        f'<p class="lead">{escape_text(found.lead)}</p>' if found.lead else "",
        *(f"{_heading(one.name)}{html_table(one, colors)}" for one in rendered.verdict_tables),
        notices(found.notes),
        f'<div class="large">\n{chr(10).join(drawn)}\n</div>' if drawn else "",
        *(f"{_heading(one.name)}{html_table(one, colors)}" for one in rendered.supporting_tables),
    ]
    return section(rendered.html_id, found.title, "\n".join(filter(None, body)))


def _heading(name: str) -> str:
    return "" if name == "Verdicts" else f"<h3>{escape_text(name)}</h3>\n"


def table_of_contents(titles: Sequence[tuple[str, str]]) -> str:
    """Links to the sections, ``(identity, title)`` each; nothing for a few."""
    if len(titles) < 3:
        return ""
    links = "".join(f'<li><a href="#{escape_text(identity)}">{escape_text(title)}</a></li>' for identity, title in titles)
    return f'<nav aria-label="On this page"><ul>{links}</ul></nav>'


def notices(messages: Sequence[str]) -> str:
    """Reasons for doubt, as a list; nothing without any."""
    items = "".join(f"<li>{escape_text(sentence)}</li>" for sentence in messages)
    return f'<ul class="notices">{items}</ul>' if items else ""


def section(html_id: str, title: str, body: str) -> str:
    """A section with a heading; nothing without a body."""
    return f'<section id="{html_id}">\n<h2>{escape_text(title)}</h2>\n{body}\n</section>' if body.strip() else ""


def origin_list(origins: Sequence[Origin]) -> str:
    """What was run, as terms and their answers."""
    items = (
        f"<dt>{escape_text(what)}</dt>" + "".join(f"<dd><code>{escape_text(answer)}</code></dd>" for answer in answers)
        for what, answers in origins
    )
    return "<dl>" + "\n".join(items) + "</dl>"


def color_rules() -> str:
    """The style sheet's part that follows from the palette."""
    light = "".join(f".{name}{{background:{ink.light}}}" for ink, name in _CSS_CLASSES.items())
    dark = "".join(f".{name}{{background:{ink.dark}}}" for ink, name in _CSS_CLASSES.items())
    return f"{light}@media screen and (prefers-color-scheme:dark){{{dark}}}{svg.dark_rules()}"


def _cell(cell: Cell, index: int, table: Table, colors: ConfigurationColors) -> str:
    body = escape_text(typographic(cell.text))
    if cell.configuration is not None and len(colors) > 1:
        body = _swatch(colors[cell.configuration]) + body
    if cell.status:
        body = f'<span class="status {escape_text(cell.status)}">{body}</span>'
    if cell.note:
        kind = ' class="long"' if len(cell.note) > _LONG_NOTE_LENGTH else ""
        body += f" <small{kind}>{escape_text(typographic(cell.note))}</small>"
    if index == 0:
        return f'<th scope="row">{body}</th>'
    return f"<td{_number_class(index, table)}>{body}</td>"


def _number_class(index: int, table: Table) -> str:
    return ' class="n"' if index >= table.num_text_columns else ""


def _swatch(color: svg.ThemeColor) -> str:
    return f'<i class="swatch {_CSS_CLASSES[color]}"></i>'
