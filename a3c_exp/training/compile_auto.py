"""Whether a run is long enough for machine code to pay: ``compile=auto``."""

import math

from a3c_exp.parallelism.base import Task

# What a run costs without machine code, roughly, on one core of 2.8 GHz: a fixed price a step and one for each weight.
_SECONDS_A_STEP = 60e-6
_SECONDS_A_WEIGHT = 6e-9
# From how much work on it is made: a minute of compiling, against rounds that become many times faster as a whole, or
# acting and learning that gain a third.
_WHOLE_ROUNDS = 60.0
_FUNCTIONS = 600.0


def compiling_pays(task: Task, weights: int, whole_rounds: bool, windows_an_update: int) -> tuple[bool, str]:
    """The choice, and a sentence that says why.

    Args:
        weights: P.
        whole_rounds: environments and model allow rounds to be compiled as a whole.
        windows_an_update: 1, or all workers' where they make one update together.
    """
    steps = env_steps_ahead(task, windows_an_update)
    seconds = steps * (_SECONDS_A_STEP + _SECONDS_A_WEIGHT * weights)
    pays = task.device == "cpu" and seconds >= (_WHOLE_ROUNDS if whole_rounds else _FUNCTIONS)
    work = "no end of work" if math.isinf(seconds) else f"about {_duration(seconds)} of work without it"
    if pays:
        return True, f"compile=auto: {work}, so machine code is made first"
    reason = "only for device=cpu" if task.device != "cpu" else work
    return False, f"compile=auto: no machine code ({reason}); compile=true makes it"


def env_steps_ahead(task: Task, windows_an_update: int) -> float:
    """Environment steps of all seeds that the budget allows, at most; infinite where nothing bounds them."""
    budget, steps = task.budget, math.inf
    if budget.max_env_steps is not None:
        steps = budget.max_env_steps
    if budget.max_updates is not None:
        steps = min(steps, budget.max_updates * windows_an_update * task.learner.n_step)
    if budget.max_episodes is not None and task.max_episode_steps is not None:
        steps = min(steps, budget.max_episodes * task.max_episode_steps)
    return steps * task.num_seeds


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"
