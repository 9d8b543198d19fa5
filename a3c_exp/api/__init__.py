"""The Python API: what ``import a3c_exp`` offers, without Hydra's command line."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.api.hub import load_from_hub as load_from_hub, push_to_hub as push_to_hub
    from a3c_exp.api.policy import ActionDistribution as ActionDistribution, Policy as Policy, load as load
    from a3c_exp.api.run_data import Run as Run
    from a3c_exp.api.training import train as train
