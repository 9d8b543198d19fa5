"""The figures of a report: what they show, their style, and how they become SVG."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.report.figures.curve_figures import draw_plots as draw_plots
    from a3c_exp.report.figures.plot_specs import PLOTS as PLOTS, Plot as Plot
