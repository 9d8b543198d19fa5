"""What a thesis takes from a report: tables as LaTeX, a paragraph on methods, and what to cite."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.report.thesis.document import example_document as example_document
    from a3c_exp.report.thesis.figures import PaperFormats as PaperFormats
    from a3c_exp.report.thesis.latex import table_latex as table_latex
    from a3c_exp.report.thesis.methods import methods_paragraph as methods_paragraph
    from a3c_exp.report.thesis.references import bibliography as bibliography
