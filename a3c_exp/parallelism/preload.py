"""What the fork server imports once for all workers.

Imported there and nowhere else. Freezing takes everything imported so far out of the garbage collector's rounds, which would
otherwise write into every page and so give each worker its own copy of them.
"""

from a3c_exp.core.collecting import uncollected

with uncollected():
    import a3c_exp.envs.gymnasium
    import a3c_exp.parallelism.block_process
    import a3c_exp.parallelism.hogwild_worker
    import a3c_exp.parallelism.main_agent
    import a3c_exp.parallelism.parameter_server_worker  # noqa: F401
