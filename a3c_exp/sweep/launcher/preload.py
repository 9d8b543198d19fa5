"""What the fork server imports once for all jobs. None of it runs a tensor operation, or torch's threads would be forked."""

from a3c_exp.system.memory import gc_frozen

with gc_frozen():
    from hydra.core.plugins import Plugins

    import a3c_exp.sweep.launcher.job
    import a3c_exp.training.run  # noqa: F401

    Plugins.instance()  # finds and imports all plugins of Hydra: a third of a second that no job has to spend
