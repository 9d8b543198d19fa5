"""Environments that step in processes of their own, over shared memory."""

from a3c_exp.envs.process_pool.envs import SubprocessEnvs

__all__ = ["SubprocessEnvs"]
