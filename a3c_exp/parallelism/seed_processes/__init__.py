"""The seeds of one training, in blocks over several processes."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.parallelism.seed_processes.blocks import SeedBlocks as SeedBlocks
    from a3c_exp.parallelism.seed_processes.strategy import SeedProcesses as SeedProcesses, distribute_seeds as distribute_seeds
