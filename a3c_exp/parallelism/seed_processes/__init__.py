"""The seeds of one training, in blocks over several processes."""

from a3c_exp.parallelism.seed_processes.blocks import SeedBlocks
from a3c_exp.parallelism.seed_processes.strategy import SeedProcesses, distribute_seeds

__all__ = ["SeedBlocks", "SeedProcesses", "distribute_seeds"]
