"""The report on an Optuna study: its trials, what mattered, and its page."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.report.study.figures import draw_study as draw_study
    from a3c_exp.report.study.page import make_study_report as make_study_report
    from a3c_exp.report.study.reader import StudyRecord as StudyRecord
    from a3c_exp.report.study.reader import read_study as read_study
else:
    __getattr__, __all__ = lazy_exports(
        __name__, make_study_report="page", read_study="reader", StudyRecord="reader", draw_study="figures"
    )
