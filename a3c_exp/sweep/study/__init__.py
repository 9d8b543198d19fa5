"""Optuna studies: their configuration, search space, signature, live table and best configuration."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.sweep.study.best_config import BestConfig as BestConfig
    from a3c_exp.sweep.study.config import StudyConfig as StudyConfig, read_study_config as read_study_config
    from a3c_exp.sweep.study.objective import Objective as Objective
    from a3c_exp.sweep.study.overrides import expand_overrides as expand_overrides, may_be_study as may_be_study
    from a3c_exp.sweep.study.planning import StudyPlan as StudyPlan
    from a3c_exp.sweep.study.search_space import SearchSpace as SearchSpace, read_search_space as read_search_space
    from a3c_exp.sweep.study.study_snapshot import StudySnapshot as StudySnapshot
    from a3c_exp.sweep.study.sweeper import sweep as sweep
