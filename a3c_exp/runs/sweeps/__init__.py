"""How the runs of a sweep stand, on this machine or in the queue of a cluster."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.runs.sweeps.slurm_jobs import SlurmJobs as SlurmJobs, SubmittedArray as SubmittedArray
    from a3c_exp.runs.sweeps.slurm_queue import QueuedTask as QueuedTask
    from a3c_exp.runs.sweeps.sweep_status import RunStanding as RunStanding, standings as standings
