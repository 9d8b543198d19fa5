"""Any gymnasium environment by its id, K copies side by side in one process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import isfinite
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from a3c_exp.config.type_checks import PositiveInt
from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.frame_skip import FrameSkip, require_divisor
from a3c_exp.envs.info_means import episode_info
from a3c_exp.envs.registry import drawing_arguments, is_mujoco, make_environment, registered_spec
from a3c_exp.envs.returned_values import PLAIN_NUMBERS, Call, check_flag, check_reward, describe_mistake
from a3c_exp.envs.wrappers import build_arguments, compose_wrappers, describe_error, time_limit
from a3c_exp.spaces.checks import describe_space, numeric_array
from a3c_exp.spaces.codecs import action_decoder, observation_encoder
from a3c_exp.spaces.flatten import describe_unsupported, leaf_spaces
from a3c_exp.spaces.pictures import is_bytes
from a3c_exp.system.cli import print_notice
from a3c_exp.system.errors import ConfigError, EnvInterfaceError

ACTION_NAMES: Mapping[str, Sequence[str]] = {
    "CartPole-v1": ("left", "right"),
    "MountainCar-v0": ("left", "none", "right"),
    "MountainCarContinuous-v0": ("force",),
    "Acrobot-v1": ("torque -1", "torque 0", "torque +1"),
    "Pendulum-v1": ("torque",),
    "LunarLander-v3": ("none", "left engine", "main engine", "right engine"),
}
"""What gymnasium's environments call the choices of a Discrete action space, or the numbers of a Box."""

SPEED_IN_STATE = frozenset({"CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1"})
"""Those with their speed in place 1 of their state, in m/s or rad/s, but for the mountain cars, which count steps."""
_MEND = "Mend the environment or wrap it (env.wrappers)"


class GymnasiumEnvs(EnvBatch):
    """K copies of one registered gymnasium environment, stepped in a plain loop.

    The environment's own time limit is taken off (the rollout keeps the one that the run asks for) and so are the wrappers that
    only check a programmer's calls; wrappers that belong to the environment stay, and so do those that are listed here.

    Actions and observations may be Box, Discrete, MultiDiscrete, MultiBinary, and Tuple or Dict of these, nested. A network
    sees one float32 array: bytes from 0 to 255 (images) with channels first and divided by 255, choices as one-hot vectors,
    nested spaces flattened. Until the network reads them, bytes are kept as bytes.

    Args:
        id: a registered id such as ``Pendulum-v1``, or ``module:id``, where importing the module registers the environment.
        num_envs: how many copies.
        kwargs: passed on to ``gymnasium.make``; ``build_arguments`` says how they name a function or an object.
        wrappers: around each copy, the first one innermost: dotted names, or mappings of ``_target_`` and the arguments.
        render_mode: ``rgb_array`` or ``human`` for evaluation; ``None`` in training.
        run_max_episode_steps: the run's time limit, for wrappers that ask the environment for it; ``None``: its own.
        evaluation_wrappers: take the place of ``wrappers`` in evaluations and videos, such as to play whole games for their own
            scores; they must leave the same spaces. ``None``: the same wrappers.
        log_info: keys of ``info`` whose mean over each episode is logged.
        frame_skip: steps of the environment for which an action is held, and whose rewards are added up. The wrappers see
            one step.

    Raises:
        ConfigError: no such id or wrapper, arguments that either refuses, spaces that no model supports, or a
            ``frame_skip`` that does not divide the environment's time limit.
    """

    def __init__(
        self,
        id: str,
        num_envs: int = 1,
        kwargs: Mapping[str, Any] | None = None,
        wrappers: Sequence[Mapping[str, Any] | str] = (),
        render_mode: str | None = None,
        run_max_episode_steps: int | None = None,
        evaluation_wrappers: Sequence[Mapping[str, Any] | str] | None = None,
        log_info: Sequence[str] = (),
        frame_skip: PositiveInt = 1,
    ) -> None:
        spec = registered_spec(id)
        self.num_envs, self._id, wrap = num_envs, id, compose_wrappers(wrappers, log_info)
        if frame_skip > 1:
            self.on_frame: Callable[[], None] | None = None
        bare = replace(spec, max_episode_steps=None, order_enforce=False, disable_env_checker=True)
        arguments = build_arguments(kwargs or {}, "env.kwargs")
        arguments |= drawing_arguments(spec, render_mode, arguments)
        own_limit = arguments.get("max_episode_steps") or spec.max_episode_steps
        require_divisor(frame_skip, own_limit, id)
        limit_seen = run_max_episode_steps or (spec.max_episode_steps and spec.max_episode_steps // frame_skip)
        self.envs: list[gymnasium.Env[Any, Any]] = []
        try:
            for _ in range(num_envs):
                made = make_environment(id, bare, arguments)
                assert made.unwrapped.spec is not None
                made.unwrapped.spec.max_episode_steps = limit_seen
                held = made if frame_skip == 1 else FrameSkip(made, frame_skip, None if self.envs else self._report_frame)
                self.envs.append(wrap(held))
            self.action_space, self.raw_observation_space = self.envs[0].action_space, self.envs[0].observation_space
            self._require_supported_spaces()
            self.default_max_episode_steps = time_limit(own_limit, made, self.envs[0])
            box, self._encode = observation_encoder(self.raw_observation_space)
            self.observation_space: Box = box
            self._decode = action_decoder(self.action_space)
            if evaluation_wrappers is not None:
                self._require_same_spaces(GymnasiumEnvs(id, 1, kwargs, evaluation_wrappers, frame_skip=frame_skip))
                self.evaluation_kwargs = {"wrappers": evaluation_wrappers, "evaluation_wrappers": None}
        except BaseException:
            self.close()
            raise
        self.episode_info = episode_info(self.envs)
        self.action_names = ACTION_NAMES.get(id.rpartition(":")[2])
        self.frames_per_second = float(self.envs[0].metadata.get("render_fps") or 30)
        self.observation = np.zeros((num_envs, *box.shape), np.uint8 if is_bytes(self.raw_observation_space) else np.float32)
        flat = self.observation.reshape(-1)
        # Not finite if anything is not: one call for all environments, of whose rows those that rest may hold anything.
        self._sum = partial(sum, flat.data) if flat.size <= 32 else partial(flat.dot, flat)
        self._any_flag = False  # whether any of ``terminated`` and ``truncated`` may be set
        leaves = [leaf for _, leaf in leaf_spaces(self.raw_observation_space)]
        self._may_be_infinite = any(isinstance(leaf, Box) and leaf.dtype.kind == "f" for leaf in leaves)
        # A memory view takes an array of its own type and shape and nothing else: a check that costs nothing.
        plain = self._encode is None and len(box.shape) == 1
        self._rows = [row.data for row in self.observation] if plain else None
        self._dtype: np.dtype[Any] | None = None  # of the latest observation, if it can be written as it is
        self._short_seeds = False  # whether the environment refused one of more than 32 bits
        self.reward = np.zeros(num_envs, np.float64)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)

    def _require_supported_spaces(self) -> None:
        assert self.raw_observation_space is not None
        for does, space in (("observes", self.raw_observation_space), ("acts in", self.action_space)):
            if unsupported := describe_unsupported(space):
                raise ConfigError(
                    f"env.id={self._id} {does} {unsupported}. This program takes Box, Discrete, MultiDiscrete, MultiBinary, "
                    "and Tuple or Dict of these. Try a wrapper (env.wrappers) that turns it into one of them"
                )

    def _require_same_spaces(self, evaluated: "GymnasiumEnvs") -> None:
        evaluated.close()
        for what in ("observation_space", "action_space"):
            ours, theirs = getattr(self, what), getattr(evaluated, what)
            if ours != theirs:
                raise ConfigError(
                    f"with env.evaluation_wrappers the {what.replace('_', ' ')} is {describe_space(theirs)}, but the policy is "
                    f"trained for {describe_space(ours)}. Try env.evaluation_wrappers=null, or wrappers that leave it the same"
                )

    def reset(self, index: int, seed: int) -> None:
        """Begin a new episode in one environment; one that takes no seed as large as this gets ``seed % 2**31``. An
        EnvInterfaceError says that what it returned is not what gymnasium and its own space say."""
        returned = self._reset(index, seed)
        try:
            if not isinstance(returned, tuple | list):
                raise TypeError("no pair")  # but an array of two numbers, for instance
            observed, _ = returned
            self._write_observation(index, observed)
        except (TypeError, ValueError, LookupError) as error:
            raise self._mistake(index, "reset", returned, error) from error
        if self._may_be_infinite and not isfinite(self._sum()):
            self._check_finite(index, "reset")

    def _reset(self, index: int, seed: int) -> Any:
        env = self.envs[index]
        if self._short_seeds and seed >= 2**32:
            seed %= 2**31
        try:
            return env.reset(seed=seed)
        except (TypeError, ValueError, OverflowError) as error:
            if "unexpected keyword argument 'seed'" in str(error):
                raise EnvInterfaceError(
                    f"env.id={self._id}: {error}, but gymnasium expects reset(self, *, seed=None, options=None). {_MEND}", index
                ) from error
            if seed < 2**31:
                raise
            # Many a generator takes 31 or 32 bits. Which seed an episode gets must not depend on those before it.
            try:
                returned = env.reset(seed=seed % 2**31)
            except Exception:
                raise error from None
            self._short_seeds = self._short_seeds or seed >= 2**32
            return returned

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        """One step of every environment that is ``active [K]``; errors as of ``reset``."""
        envs, actions, rows, reward = self.envs, self._decode(action), self._rows, self.reward
        if self._any_flag:
            self.terminated &= ~active
            self.truncated &= ~active
            self._any_flag = bool(self.terminated.any() or self.truncated.any())
        any_end = False
        # The quickest way to ask whether all are active.
        everyone = np.count_nonzero(active) == self.num_envs
        for k in range(self.num_envs) if everyone else active.nonzero()[0].tolist():
            returned = envs[k].step(actions[k])
            try:
                observed, paid, terminated, truncated, _ = returned
                if paid.__class__ not in PLAIN_NUMBERS:
                    paid = check_reward(paid)
                if not isfinite(paid):
                    raise ValueError(f"the reward is not finite: {paid}")
                reward[k] = paid
                if rows is None:
                    self._write_observation(k, observed)
                else:
                    try:
                        rows[k][:] = observed
                    except (TypeError, ValueError):
                        self._write_observation(k, observed)
                # Few steps end anything, so that flags are only written then.
                if terminated is not False or truncated is not False:
                    self.terminated[k] = check_flag("terminated", terminated)
                    self.truncated[k] = check_flag("truncated", truncated)
                    any_end = any_end or bool(self.terminated[k] or self.truncated[k])
            except (TypeError, ValueError, LookupError, OverflowError) as error:
                raise self._mistake(k, "step", returned, error) from error
        self._any_flag |= any_end
        if self._may_be_infinite and not isfinite(self._sum()):
            for k in (active & ~self.terminated).nonzero()[0].tolist():
                self._check_finite(k, "step")
        return any_end

    def _write_observation(self, k: int, observed: Any) -> None:
        """Write an observation of any type into row k; a ValueError if it is not of its space."""
        if observed.__class__ is np.ndarray and observed.dtype is self._dtype and observed.shape == self.observation.shape[1:]:
            self.observation[k] = observed
            return
        try:
            if isinstance(self.raw_observation_space, Box):
                observed = numeric_array(observed, self.raw_observation_space)
            if self._encode is not None:
                self._encode(observed, self.observation[k, ...])
                return
        except (TypeError, ValueError, LookupError) as error:
            raise ValueError(f"the observation {error}") from error
        self.observation[k] = observed
        self._dtype = observed.dtype
        if observed.dtype != np.float32:
            self._rows = None

    def _check_finite(self, k: int, call: Call) -> None:
        """Refuse what is NaN, or infinite where the space is not, in the latest observation of one environment."""
        row, box = self.observation[k], self.observation_space
        allowed = np.isfinite(row) | (np.isposinf(row) & np.isposinf(box.high)) | (np.isneginf(row) & np.isneginf(box.low))
        if not allowed.all():
            place = np.argwhere(~allowed)[0].tolist()
            problem = f"the observation is not finite: {row[tuple(place)]} at {place}, of shape {list(row.shape)}"
            raise EnvInterfaceError(f"env.id={self._id}: {call}(): {problem}. {_MEND}", k)

    def _mistake(self, k: int, call: Call, returned: Any, error: Exception) -> EnvInterfaceError:
        return EnvInterfaceError(f"env.id={self._id}: {describe_mistake(call, returned, error)}. {_MEND}", k)

    def _report_frame(self) -> None:
        if self.on_frame is not None:
            self.on_frame()

    def render(self) -> NDArray[np.uint8]:
        """The picture ``[height, width, 3]`` of the first environment; a ConfigError if it draws none, or cannot here."""
        try:
            frame: Any = self.envs[0].render()
        except NotImplementedError:
            frame = None
        except Exception as error:  # of any kind: drawing is a third party's
            spec, advice = self.envs[0].spec, "Leave out pictures of it"
            if spec is not None and is_mujoco(spec):
                advice = "Try MUJOCO_GL=egl before the command, or MUJOCO_GL=osmesa"
            raise ConfigError(f"env.id={self._id} cannot be rendered here: {describe_error(error)}. {advice}") from error
        if not isinstance(frame, np.ndarray) or frame.ndim != 3:
            raise ConfigError(
                f"env.id={self._id} renders no image (render_mode=rgb_array). "
                "Leave out pictures of it: evaluation.video, screenshots, --video"
            )
        return frame

    def info(self) -> dict[str, float]:
        """The first environment's speed, if it is one of those in ``SPEED_IN_STATE``."""
        state: Any = getattr(self.envs[0].unwrapped, "state", None)
        known = self._id.rpartition(":")[2] in SPEED_IN_STATE and state is not None
        return {"speed": abs(float(np.asarray(state)[1]))} if known else {}

    def close(self) -> None:
        for env in self.envs:
            try:
                env.close()
            except Exception as error:  # the last thing that it does: nothing depends on it
                print_notice(f"the environment's close() raised {describe_error(error)}; what was trained is not affected")
