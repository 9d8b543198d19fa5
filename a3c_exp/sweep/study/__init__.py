"""Optuna studies: their configuration, search space, signature, live table and best configuration."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.sweep.study.best_config import BestConfig as BestConfig
    from a3c_exp.sweep.study.config import StudyConfig as StudyConfig
    from a3c_exp.sweep.study.config import read_study_config as read_study_config
    from a3c_exp.sweep.study.objective import Objective as Objective
    from a3c_exp.sweep.study.overrides import expand_overrides as expand_overrides
    from a3c_exp.sweep.study.overrides import may_be_study as may_be_study
    from a3c_exp.sweep.study.planning import StudyPlan as StudyPlan
    from a3c_exp.sweep.study.search_space import SearchSpace as SearchSpace
    from a3c_exp.sweep.study.search_space import read_search_space as read_search_space
    from a3c_exp.sweep.study.study_snapshot import StudySnapshot as StudySnapshot
    from a3c_exp.sweep.study.sweeper import sweep as sweep
else:
    __getattr__, __all__ = lazy_exports(
        __name__,
        BestConfig="best_config",
        Objective="objective",
        SearchSpace="search_space",
        StudyConfig="config",
        StudyPlan="planning",
        StudySnapshot="study_snapshot",
        expand_overrides="overrides",
        may_be_study="overrides",
        read_search_space="search_space",
        read_study_config="config",
        sweep="sweeper",
    )
