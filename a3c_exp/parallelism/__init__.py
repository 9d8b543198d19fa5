"""The ways to run workers, behind one protocol: hogwild, parameter server, deterministic, synchronous."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.parallelism.base import Parallelism as Parallelism, TrainingSetup as TrainingSetup
    from a3c_exp.parallelism.deterministic.strategy import Deterministic as Deterministic
    from a3c_exp.parallelism.hogwild.strategy import Hogwild as Hogwild
    from a3c_exp.parallelism.parameter_server.strategy import ParameterServer as ParameterServer
    from a3c_exp.parallelism.single_process.synchronous import Synchronous as Synchronous
    from a3c_exp.parallelism.worker_group import WorkerGroup as WorkerGroup
