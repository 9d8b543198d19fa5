"""From tables and drawings to HTML. The only place that makes markup: every text from a file is escaped here."""

from collections.abc import Mapping, Sequence
from html import escape

from a3c_exp.report.aggregate import Comparison, Configuration
from a3c_exp.report.columns import printable
from a3c_exp.report.figures import svg
from a3c_exp.report.figures.curve_figures import Drawing
from a3c_exp.report.figures.plot_specs import HEADINGS, Section
from a3c_exp.report.provenance import Origin
from a3c_exp.report.sections import Placed
from a3c_exp.report.tables import Cell, Table

Inks = Mapping[Configuration, svg.Ink]
_LONG_NOTE = 28  # characters, from which on it may take several lines
_CLASSES = {ink: f"s{index}" for index, ink in enumerate((*svg.SERIES, svg.OTHER))}


def safe(text: str) -> str:
    """``text`` as a browser should show it, never obey it."""
    return escape(printable(text), quote=True)


def table(content: Table, inks: Inks) -> str:
    """A table in a container of its own that scrolls sideways; the first column stays in sight."""
    heads = "".join(
        f'<th scope="col"{_numeric(index, content)}>{safe(name)}</th>' for index, name in enumerate(content.columns)
    )
    rows = "\n".join(
        "<tr>" + "".join(_cell(cell, index, content, inks) for index, cell in enumerate(row)) + "</tr>" for row in content.rows
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{safe(content.name)}">\n'
        f"<table><thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def legend(comparison: Comparison, inks: Inks) -> str:
    """What each colour stands for; nothing for a single configuration."""
    if len(comparison.configurations) == 1:
        return ""
    named = [item for item in comparison.configurations if inks[item] != svg.OTHER]
    others = len(comparison.configurations) - len(named)
    items = [f"<li>{_swatch(inks[item])}{safe(item.short)}</li>" for item in named]
    if others:
        items.append(f"<li>{_swatch(svg.OTHER)}{others} others, with a lower moving average</li>")
    title = f"<li><b>{safe(comparison.title)}</b></li>" if comparison.title else ""
    return f'<ul class="legend" aria-label="Colours">{title}{"".join(items)}</ul>'


def figures(drawings: Sequence[Drawing], section: Section, heading: bool = True) -> str:
    """The figures of one section, side by side where there is room; nothing without any."""
    items = [
        f"<figure>{item.inline}<figcaption>{safe(item.caption)}</figcaption></figure>"
        for item in drawings
        if item.plot.section == section
    ]
    size = "large" if any(item.plot.large for item in drawings if item.plot.section == section) else "small"
    title = f"<h3>{safe(HEADINGS[section])}</h3>\n" if heading else ""
    return f'{title}<div class="{size}">\n' + "\n".join(items) + "\n</div>" if items else ""


def part(content: Placed, inks: Inks) -> str:
    """A section with something to say of its own: words, verdicts, what to doubt, pictures, then what it all rests on."""
    found = content.section
    drawn = [f"<figure>{item.inline}<figcaption>{safe(item.caption)}</figcaption></figure>" for item in content.pictures]
    body = [
        f'<p class="lead">{safe(found.lead)}</p>' if found.lead else "",
        *(f"{_heading(one.name)}{table(one, inks)}" for one in content.verdicts),
        notices(found.notes),
        f'<div class="large">\n{chr(10).join(drawn)}\n</div>' if drawn else "",
        *(f"{_heading(one.name)}{table(one, inks)}" for one in content.grounds),
    ]
    return section(content.identity, found.title, "\n".join(filter(None, body)))


def _heading(name: str) -> str:
    return "" if name == "Verdicts" else f"<h3>{safe(name)}</h3>\n"


def contents(titles: Sequence[tuple[str, str]]) -> str:
    """Links to the sections, ``(identity, title)`` each; nothing for a few."""
    if len(titles) < 3:
        return ""
    links = "".join(f'<li><a href="#{safe(identity)}">{safe(title)}</a></li>' for identity, title in titles)
    return f'<nav aria-label="On this page"><ul>{links}</ul></nav>'


def notices(sentences: Sequence[str]) -> str:
    """Reasons for doubt, as a list; nothing without any."""
    items = "".join(f"<li>{safe(sentence)}</li>" for sentence in sentences)
    return f'<ul class="notices">{items}</ul>' if items else ""


def section(identity: str, title: str, body: str) -> str:
    """A section with a heading; nothing without a body."""
    return f'<section id="{identity}">\n<h2>{safe(title)}</h2>\n{body}\n</section>' if body.strip() else ""


def origin_list(origins: Sequence[Origin]) -> str:
    """What was run, as terms and their answers."""
    items = (
        f"<dt>{safe(what)}</dt>" + "".join(f"<dd><code>{safe(answer)}</code></dd>" for answer in answers)
        for what, answers in origins
    )
    return "<dl>" + "\n".join(items) + "</dl>"


def colour_rules() -> str:
    """The style sheet's part that follows from the palette."""
    light = "".join(f".{name}{{background:{ink.light}}}" for ink, name in _CLASSES.items())
    dark = "".join(f".{name}{{background:{ink.dark}}}" for ink, name in _CLASSES.items())
    return f"{light}@media screen and (prefers-color-scheme:dark){{{dark}}}{svg.dark_rules()}"


def _cell(cell: Cell, index: int, content: Table, inks: Inks) -> str:
    body = safe(cell.text)
    if cell.configuration is not None and len(inks) > 1:
        body = _swatch(inks[cell.configuration]) + body
    if cell.status:
        body = f'<span class="status {safe(cell.status)}">{body}</span>'
    if cell.note:
        kind = ' class="long"' if len(cell.note) > _LONG_NOTE else ""
        body += f" <small{kind}>{safe(cell.note)}</small>"
    if index == 0:
        return f'<th scope="row">{body}</th>'
    return f"<td{_numeric(index, content)}>{body}</td>"


def _numeric(index: int, content: Table) -> str:
    return ' class="n"' if index >= content.words else ""


def _swatch(ink: svg.Ink) -> str:
    return f'<i class="swatch {_CLASSES[ink]}"></i>'
