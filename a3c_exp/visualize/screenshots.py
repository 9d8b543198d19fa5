"""Single pictures: of what the policy does in training, at an interval, and of one episode."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from a3c_exp.envs.base import EnvBatch
from a3c_exp.evaluate.evaluator import Evaluator, EvaluatorConfig, PolicyStep
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.system.atomic_write import atomic_write
from a3c_exp.system.errors import ConfigError
from a3c_exp.visualize.episode_info import EpisodeHistory
from a3c_exp.visualize.frame import FrameComposer
from a3c_exp.visualize.headless import use_headless_display


class FrameSaver:
    """A spectator that takes a figure of some moments of an episode.

    Args:
        envs: rendered.
        history: of the episode.
        compose_frame: draws.
        folder: where ``<name>.png`` files go; made when the first is taken.
        frame_name: of the picture of a step, or ``None`` for no picture of it.
    """

    def __init__(
        self,
        envs: EnvBatch,
        history: EpisodeHistory,
        compose_frame: FrameComposer,
        folder: Path,
        frame_name: Callable[[int], str | None],
    ) -> None:
        self._envs = envs
        self._history = history
        self._compose_frame = compose_frame
        self._folder = folder
        self._frame_name = frame_name
        self._policy_step: PolicyStep | None = None
        self._step = 0
        self.paths: list[Path] = []

    def before_step(self, policy_step: PolicyStep) -> None:
        self._policy_step = policy_step
        self._history.before_step(policy_step)
        name = self._frame_name(self._step)
        if name is not None:
            self.save_frame(name)

    def after_step(self, reward: float) -> None:
        self._step += 1
        self._history.after_step(reward)

    def save_frame(self, name: str) -> None:
        """What can be seen now, with the latest decision beside it."""
        assert self._policy_step is not None, "nothing was decided yet"
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}.png"
        save_png(self._compose_frame(self._envs.render(), self._history.frame_info(), self._policy_step), path)
        self.paths.append(path)


class Screenshots:
    """Pictures of what a run's weights do while they are trained, always of the same moment of the same episode.

    They are taken in an environment of their own, so that training does not change by it.

    Args:
        setup: what is trained.
        deterministic: take the policy's mode instead of a sample.
        seed: root of the episode's own seeds.
        folder: where ``step_<env steps>.png`` files go.
        after_steps: of the episode; its end, if that comes sooner.
        between_steps: called before every step; may raise to break off.

    Raises:
        ConfigError: the task draws no picture.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        deterministic: bool,
        seed: int,
        folder: Path,
        after_steps: int,
        between_steps: Callable[[], None] = lambda: None,
    ) -> None:
        use_headless_display()
        self._setup = setup
        self._spec = EvaluatorConfig(1, deterministic, after_steps + 1)
        self._seed = seed
        self._folder = folder
        self._after_steps = after_steps
        self._between_steps = between_steps
        self._envs = setup.make_evaluation_envs(num_envs=1, render_mode="rgb_array")
        self._model, self._layout = setup.model(self._envs)

    def take(self, weights: Tensor, env_step: int) -> Path:
        """A picture of ``weights [P]``, which training had at ``env_step``.

        Raises:
            OSError: it could not be written.
        """
        name = f"step_{env_step}"
        photographer = FrameSaver(
            self._envs,
            EpisodeHistory(self._envs, self._model.distribution),
            FrameComposer(self._model),
            self._folder,
            lambda step: name if step == self._after_steps else None,
        )
        evaluator = Evaluator(self._model, self._layout, self._envs, self._spec, self._seed, self._between_steps, photographer)
        evaluator.evaluate(weights.to(self._setup.device), env_step, 0, 0.0)
        if not photographer.paths:
            photographer.save_frame(name)
        return photographer.paths[-1]

    def close(self) -> None:
        self._envs.close()


def require_rendering(setup: TrainingSetup) -> None:
    """Refuse to promise pictures of a task that draws none.

    Raises:
        ConfigError: it does not.
    """
    use_headless_display()
    envs = setup.make_evaluation_envs(num_envs=1, render_mode="rgb_array")
    try:
        envs.reset(0, setup.seed)
        picture = envs.render()
        if picture.ndim != 3 or picture.shape[2] < 3:
            raise ConfigError(
                f"this task draws no picture in colour, but {list(picture.shape)}. Try screenshots.every_env_steps=null"
            )
    finally:
        envs.close()


def save_png(image: NDArray[np.uint8], path: Path) -> None:
    """Write a PNG, all of it or nothing."""
    with atomic_write(path, durable=False) as file:
        Image.fromarray(image).save(file, format="png", optimize=True)
