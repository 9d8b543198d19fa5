"""Hydra imports this at every start: the typed schema and the resolvers are then known wherever a configuration is composed,
in the command line, in a notebook and in the processes of a launcher. Keep it light: no torch, no optuna."""

from a3c_exp.config.schema import register
from a3c_exp.runs.run_directories import register_resolvers

register()
register_resolvers()
