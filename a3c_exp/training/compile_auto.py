"""Whether a run is long enough for compiling to pay: ``compile=auto``."""

import math

from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.system.number_format import format_duration

# What a run costs uncompiled, roughly, on one core of 2.8 GHz: a fixed price a step and one for each weight.
_SECONDS_PER_STEP = 60e-6
_SECONDS_PER_STEP_AND_WEIGHT = 6e-9
# From how much work on it is made: a minute of compiling, against rounds that become many times faster as a whole, or
# acting and learning that gain a third.
_MIN_SECONDS_FUSED_ROUNDS = 60.0
_MIN_SECONDS_FUNCTIONS = 600.0


def should_compile(setup: TrainingSetup, num_weights: int, fused_rounds: bool, windows_per_update: int) -> tuple[bool, str]:
    """The choice, and a sentence that says why.

    Args:
        num_weights: P.
        fused_rounds: environments and model allow rounds to be compiled as a whole.
        windows_per_update: 1, or all workers' where they make one update together.
    """
    steps = max_env_steps_in_budget(setup, windows_per_update)
    seconds = steps * (_SECONDS_PER_STEP + _SECONDS_PER_STEP_AND_WEIGHT * num_weights)
    pays = setup.device == "cpu" and seconds >= (_MIN_SECONDS_FUSED_ROUNDS if fused_rounds else _MIN_SECONDS_FUNCTIONS)
    work = "no bound on the work" if math.isinf(seconds) else f"about {format_duration(seconds)} of work uncompiled"
    if pays:
        return True, f"compile=auto: {work}, so it is compiled first"
    reason = "only for device=cpu" if setup.device != "cpu" else work
    return False, f"compile=auto: not compiled ({reason}); compile=true compiles it"


def max_env_steps_in_budget(setup: TrainingSetup, windows_per_update: int) -> float:
    """Environment steps of all seeds that the budget allows, at most; infinite where nothing bounds them."""
    budget, steps = setup.budget, math.inf
    if budget.max_env_steps is not None:
        steps = budget.max_env_steps
    if budget.max_updates is not None:
        steps = min(steps, budget.max_updates * windows_per_update * setup.learner.n_step)
    if budget.max_episodes is not None and setup.max_episode_steps is not None:
        steps = min(steps, budget.max_episodes * setup.max_episode_steps)
    return steps * setup.num_seeds
