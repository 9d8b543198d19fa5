"""The tasks that are written in tensors, by their ids in gymnasium; importing this does not load torch."""

from importlib import import_module
from typing import TYPE_CHECKING

from a3c_exp.system.errors import ConfigError

if TYPE_CHECKING:
    from a3c_exp.envs.tensor.base import TensorEnv

TENSOR_TASKS = {
    "Acrobot-v1": "acrobot.Acrobot",
    "CartPole-v1": "cartpole.CartPole",
    "MountainCar-v0": "mountain_car.MountainCar",
    "MountainCarContinuous-v0": "mountain_car_continuous.MountainCarContinuous",
    "Pendulum-v1": "pendulum.Pendulum",
}


def make_tensor_env(id: str) -> "TensorEnv":
    """The task of this id; a ConfigError says that it is not written in tensors."""
    if id not in TENSOR_TASKS:
        raise ConfigError(
            f"env.id={id} is not written in tensors, only {', '.join(TENSOR_TASKS)} are. Try env.backend=gymnasium, "
            "or write it yourself: docs/tensor-environments.md"
        )
    module, _, name = TENSOR_TASKS[id].partition(".")
    env: TensorEnv = getattr(import_module(f"a3c_exp.envs.tensor.{module}"), name)()
    return env
