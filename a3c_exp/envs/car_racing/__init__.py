"""CarRacing from pixels: the environment, its actions and frames, and a renderer of what the network sees."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.envs.car_racing.envs import CarRacingEnvs as CarRacingEnvs
    from a3c_exp.envs.car_racing.game import CarRacingGame as CarRacingGame
    from a3c_exp.envs.car_racing.renderer import CarRacingRenderer as CarRacingRenderer
else:
    __getattr__, __all__ = lazy_exports(__name__, CarRacingEnvs="envs", CarRacingGame="game", CarRacingRenderer="renderer")
