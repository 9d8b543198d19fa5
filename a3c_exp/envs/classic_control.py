"""Environments by gymnasium's own code or, those of classic control, as batched tensors: the same episodes either way."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from a3c_exp.config.type_checks import PositiveInt
from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.frame_skip import require_divisor
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.envs.tensor.tasks import TENSOR_TASKS, make_tensor_env
from a3c_exp.system.errors import ConfigError

if TYPE_CHECKING:
    from a3c_exp.envs.tensor.batch import TensorEnvBatch


_MOST_HELD = 16  # steps in tensors for which an action is held: one step of the run holds as many copies of the operations


class ClassicControlEnvs(EnvBatch):
    """K copies of one environment, stepped one after another by gymnasium or all at once in tensors.

    Both give the same observations, rewards and flags for the same seeds and actions. ``tensor`` is many times faster compiled
    or with many copies, and slower with one or two that are not compiled. A ConfigError says that there is no such environment
    in tensors, or what is refused for one or by ``GymnasiumEnvs``.

    Args:
        id: a registered gymnasium id; one of ``TENSOR_TASKS`` for ``backend="tensor"``.
        num_envs: K.
        backend: ``gymnasium``, ``tensor``, or ``auto``: tensors unless the environment, or what is asked of it, is not there in
            tensors.
        kwargs, wrappers, evaluation_wrappers, log_info: as ``GymnasiumEnvs`` takes them; for gymnasium's code only.
        render_mode: ``rgb_array`` or ``human`` for evaluation; ``None`` in training. Where an action is held for several steps,
            gymnasium's code draws each of them, whatever the backend.
        frame_skip: steps of the environment for which an action is held, and whose rewards are added up.
    """

    on_frame: Callable[[], None] | None  # where an action is held for several steps that are drawn

    def __init__(
        self,
        id: str,
        num_envs: int = 1,
        backend: Literal["auto", "gymnasium", "tensor"] = "gymnasium",
        kwargs: Mapping[str, Any] | None = None,
        wrappers: Sequence[Mapping[str, Any] | str] = (),
        render_mode: str | None = None,
        run_max_episode_steps: int | None = None,
        evaluation_wrappers: Sequence[Mapping[str, Any] | str] | None = None,
        log_info: Sequence[str] = (),
        frame_skip: PositiveInt = 1,
    ) -> None:
        for_gymnasium = {
            "kwargs": kwargs,
            "wrappers": wrappers,
            "evaluation_wrappers": evaluation_wrappers,
            "log_info": log_info,
        }
        if backend == "auto":
            fits = id in TENSOR_TASKS and frame_skip <= _MOST_HELD and not any(for_gymnasium.values())
            backend = "tensor" if fits else "gymnasium"
        draws_each = render_mode is not None and frame_skip > 1
        if backend == "gymnasium" or draws_each:
            envs: GymnasiumEnvs | TensorEnvBatch = GymnasiumEnvs(
                id, num_envs, kwargs, wrappers, render_mode, run_max_episode_steps, evaluation_wrappers, log_info, frame_skip
            )
        else:
            for key, value in for_gymnasium.items():
                if value:
                    raise ConfigError(
                        f"env.{key} is {value}, which is for gymnasium's own code and not for env.backend={backend}. "
                        f"Try env.backend=gymnasium"
                    )
            envs = _make_tensor_envs(id, num_envs, frame_skip, render_mode)
        self._envs = envs
        # All that the environments have becomes this object's own, so that a step costs no call more; a subclass keeps its own.
        for name in dir(envs):
            if not name.startswith("_") and getattr(type(self), name, None) is getattr(ClassicControlEnvs, name, None):
                setattr(self, name, getattr(envs, name))
        if draws_each:
            assert isinstance(envs, GymnasiumEnvs)
            envs.on_frame = self._report_frame

    # For subclasses that add something to these.

    def reset(self, index: int, seed: int) -> None:
        self._envs.reset(index, seed)

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        return self._envs.step(action, active)

    def close(self) -> None:
        self._envs.close()

    def _report_frame(self) -> None:
        if self.on_frame is not None:
            self.on_frame()


def _make_tensor_envs(id: str, num_envs: int, frame_skip: int, render_mode: str | None) -> "TensorEnvBatch":
    # Here, since torch takes seconds to load and processes of a pool that step gymnasium's code need none of it.
    from a3c_exp.envs.tensor.batch import TensorEnvBatch
    from a3c_exp.envs.tensor.frame_skip import FrameSkip

    env = make_tensor_env(id)
    if frame_skip == 1:
        return TensorEnvBatch(env, num_envs, render_mode)
    if frame_skip > _MOST_HELD:
        raise ConfigError(
            f"env.frame_skip={frame_skip} is more than the {_MOST_HELD} steps for which env.backend=tensor holds an action. "
            "Try env.backend=gymnasium"
        )
    require_divisor(frame_skip, env.max_episode_steps, id)
    return TensorEnvBatch(FrameSkip(env, frame_skip), num_envs)
