"""Environments that step in processes of their own, over shared memory."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.envs.process_pool.envs import SubprocessEnvs as SubprocessEnvs
