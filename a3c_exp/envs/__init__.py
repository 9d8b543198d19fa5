"""Environments in batches: any gymnasium id, classic control, CarRacing, and environments written in tensors."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.envs.base import EnvBatch as EnvBatch
    from a3c_exp.envs.car_racing.envs import CarRacingEnvs as CarRacingEnvs
    from a3c_exp.envs.classic_control import ClassicControlEnvs as ClassicControlEnvs
    from a3c_exp.envs.gymnasium import GymnasiumEnvs as GymnasiumEnvs
else:
    __getattr__, __all__ = lazy_exports(
        __name__,
        CarRacingEnvs="car_racing.envs",
        ClassicControlEnvs="classic_control",
        EnvBatch="base",
        GymnasiumEnvs="gymnasium",
    )
