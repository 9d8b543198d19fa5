"""The ways to run workers, behind one protocol: hogwild, parameter server, deterministic, synchronous."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.parallelism.base import Parallelism as Parallelism
    from a3c_exp.parallelism.base import TrainingSetup as TrainingSetup
    from a3c_exp.parallelism.deterministic.strategy import Deterministic as Deterministic
    from a3c_exp.parallelism.hogwild.strategy import Hogwild as Hogwild
    from a3c_exp.parallelism.parameter_server.strategy import ParameterServer as ParameterServer
    from a3c_exp.parallelism.single_process.synchronous import Synchronous as Synchronous
    from a3c_exp.parallelism.worker_group import WorkerGroup as WorkerGroup
else:
    __getattr__, __all__ = lazy_exports(
        __name__,
        Deterministic="deterministic.strategy",
        Hogwild="hogwild.strategy",
        Parallelism="base",
        ParameterServer="parameter_server.strategy",
        Synchronous="single_process.synchronous",
        TrainingSetup="base",
        WorkerGroup="worker_group",
    )
