"""CarRacing from pixels: the environment, its actions and frames, and a renderer of what the network sees."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.envs.car_racing.envs import CarRacingEnvs as CarRacingEnvs
    from a3c_exp.envs.car_racing.game import CarRacingGame as CarRacingGame
    from a3c_exp.envs.car_racing.renderer import CarRacingRenderer as CarRacingRenderer
