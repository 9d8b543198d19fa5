"""Atari 2600 games of the Arcade Learning Environment."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.envs.atari.envs import AtariEnvs as AtariEnvs
