"""The figures of a report: what they show, their style, and how they become SVG."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.report.figures.curve_figures import draw_plots as draw_plots
    from a3c_exp.report.figures.multi_panel import CaptionedFigure as CaptionedFigure
    from a3c_exp.report.figures.plot_specs import PLOTS as PLOTS
    from a3c_exp.report.figures.plot_specs import Plot as Plot
else:
    __getattr__, __all__ = lazy_exports(
        __name__, PLOTS="plot_specs", Plot="plot_specs", draw_plots="curve_figures", CaptionedFigure="multi_panel"
    )
