"""From templates to HTML: a Jinja2 environment that escapes every text from a file, and the page's colors."""

from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from a3c_exp import __version__
from a3c_exp.report.figures import svg
from a3c_exp.runs.tolerant_io import printable
from a3c_exp.system.number_format import typographic

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
