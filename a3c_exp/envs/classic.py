"""What gymnasium's own tasks call their actions, and where in their state they keep their speed."""

from collections.abc import Mapping, Sequence

ACTION_NAMES: Mapping[str, Sequence[str]] = {
    "CartPole-v1": ("left", "right"),
    "MountainCar-v0": ("left", "none", "right"),
    "MountainCarContinuous-v0": ("force",),
    "Acrobot-v1": ("torque -1", "torque 0", "torque +1"),
    "Pendulum-v1": ("torque",),
    "LunarLander-v3": ("none", "left engine", "main engine", "right engine"),
}
"""Of the choices of a Discrete action space, or of the numbers of a Box."""

SPEED_STATE_INDEX: Mapping[str, int] = {
    "CartPole-v1": 1,
    "MountainCar-v0": 1,
    "MountainCarContinuous-v0": 1,
    "Pendulum-v1": 1,
}
"""Units: those of the task, metres or radians a second but for the mountain cars', who count steps."""
