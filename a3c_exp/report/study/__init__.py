"""The report on an Optuna study: its trials, what mattered, and its page."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.report.study.page import make_study_report as make_study_report
    from a3c_exp.report.study.reader import StudyRecord as StudyRecord, read_study as read_study
