"""Every class that a config group can name, beside the protocol it must keep: mypy checks this file with the package."""

from a3c_examples.airship import Airships
from a3c_examples.bulk_synchronous import BulkSynchronous
from a3c_examples.evaluation_table import EvaluationTable
from a3c_examples.fourier import FourierActorCritic
from a3c_examples.lion import Lion

from a3c_exp.envs.atari.envs import AtariEnvs
from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.car_racing.envs import CarRacingEnvs
from a3c_exp.envs.classic_control import ClassicControlEnvs
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.envs.process_pool.envs import SubprocessEnvs
from a3c_exp.envs.tensor.batch import TensorEnvBatch
from a3c_exp.loggers.base import Logger, NullLogger
from a3c_exp.loggers.console import ConsoleLogger
from a3c_exp.loggers.csv_logger import CsvLogger
from a3c_exp.loggers.jsonl import JsonlLogger
from a3c_exp.loggers.logger_list import LoggerList
from a3c_exp.loggers.mlflow_logger.logger import MlflowLogger
from a3c_exp.loggers.tensorboard_logger import TensorboardLogger
from a3c_exp.loggers.wandb_logger.logger import WandbLogger
from a3c_exp.models.base import ActorCritic
from a3c_exp.models.conv_gru import ConvGRU
from a3c_exp.models.conv_net import ConvNet, RecurrentConvNet
from a3c_exp.models.multi_input import MultiInputNet
from a3c_exp.models.recurrent_mlp import RecurrentMLP
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.models.shared_mlp import SharedMLP
from a3c_exp.optimizers.adam import Adam
from a3c_exp.optimizers.base import Optimizer
from a3c_exp.optimizers.rmsprop import RMSprop
from a3c_exp.optimizers.sgd import SGD
from a3c_exp.parallelism.base import Parallelism
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.parallelism.parameter_server.strategy import ParameterServer
from a3c_exp.parallelism.ray.strategy import RayParameterServer
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from a3c_exp.sweep.trials.trial import PruningCallback
from a3c_exp.training.run import StopCallback

ENVIRONMENTS: tuple[type[EnvBatch], ...] = (
    GymnasiumEnvs,
    ClassicControlEnvs,
    TensorEnvBatch,
    SubprocessEnvs,
    CarRacingEnvs,
    AtariEnvs,
    Airships,
)
MODELS: tuple[type[ActorCritic], ...] = (
    SeparateMLP,
    SharedMLP,
    RecurrentMLP,
    ConvGRU,
    ConvNet,
    RecurrentConvNet,
    MultiInputNet,
    FourierActorCritic,
)
OPTIMIZERS: tuple[type[Optimizer], ...] = (Adam, RMSprop, SGD, Lion)
PARALLELISMS: tuple[type[Parallelism], ...] = (
    Hogwild, ParameterServer, RayParameterServer, Synchronous, Deterministic, BulkSynchronous,
)  # fmt: skip
LOGGERS: tuple[type[Logger], ...] = (
    NullLogger, JsonlLogger, ConsoleLogger, WandbLogger, TensorboardLogger, MlflowLogger, CsvLogger, LoggerList,
    EvaluationTable,
)  # fmt: skip
STOP_CALLBACKS: tuple[type[StopCallback], ...] = (PruningCallback,)

_PICTURES = ["env=gymnasium", "env.id=tests.support.pictures:Pictures-v0"]
BESIDE: dict[str, list[str]] = {
    "model=conv_gru": _PICTURES,
    "model=multi_input": ["env=gymnasium", "env.id=tests.support.pictures:PictureAndNumbers-v0"],
    **{f"model={name}": [*_PICTURES, "env.kwargs={shape:[2,36,40]}"] for name in ("nature_cnn", "a3c_ff", "a3c_lstm")},
}
"""What must stand beside an option that does not fit the default task."""
