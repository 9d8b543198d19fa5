"""What the fork server imports once for all workers.

Imported there and nowhere else. Freezing hides everything imported so far from the garbage collector, which would otherwise
write into every page and so give each worker its own copy of them.
"""

from a3c_exp.system.memory import gc_frozen

with gc_frozen():
    import a3c_exp.envs.gymnasium
    import a3c_exp.parallelism.hogwild.worker
    import a3c_exp.parallelism.parameter_server.server
    import a3c_exp.parallelism.parameter_server.worker
    import a3c_exp.parallelism.seed_processes.worker_process  # noqa: F401
