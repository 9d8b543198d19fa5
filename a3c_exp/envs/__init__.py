"""Environments in batches: any gymnasium id, classic control, CarRacing, Atari, and environments written in tensors."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.envs.atari.envs import AtariEnvs as AtariEnvs
    from a3c_exp.envs.base import EnvBatch as EnvBatch
    from a3c_exp.envs.car_racing.envs import CarRacingEnvs as CarRacingEnvs
    from a3c_exp.envs.classic_control import ClassicControlEnvs as ClassicControlEnvs
    from a3c_exp.envs.gymnasium import GymnasiumEnvs as GymnasiumEnvs
