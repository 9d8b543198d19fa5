"""Single pictures: of what the policy does in training, at an interval, and of one episode."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from a3c_exp.envs.base import Environments
from a3c_exp.evaluate.evaluator import Decision, EvaluationSpec, Evaluator
from a3c_exp.parallelism.base import Task
from a3c_exp.system.errors import ConfigError
from a3c_exp.visualize.episode_info import Story
from a3c_exp.visualize.frame import Figure
from a3c_exp.visualize.headless import draw_into_memory


class Photographer:
    """A spectator that takes a figure of some moments of an episode.

    Args:
        envs: rendered.
        story: of the episode.
        figure: draws.
        folder: where ``<name>.png`` files go; made when the first is taken.
        name: of the picture of a step, or ``None`` for no picture of it.
    """

    def __init__(
        self, envs: Environments, story: Story, figure: Figure, folder: Path, name: Callable[[int], str | None]
    ) -> None:
        self._envs = envs
        self._story = story
        self._figure = figure
        self._folder = folder
        self._name = name
        self._decision: Decision | None = None
        self._step = 0
        self.taken: list[Path] = []

    def decided(self, decision: Decision) -> None:
        self._decision = decision
        self._story.decided(decision)
        name = self._name(self._step)
        if name is not None:
            self.take(name)

    def stepped(self, reward: float) -> None:
        self._step += 1
        self._story.stepped(reward)

    def take(self, name: str) -> None:
        """What can be seen now, with the latest decision beside it."""
        assert self._decision is not None, "nothing was decided yet"
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}.png"
        save(self._figure(self._envs.render(), self._story.glance(), self._decision), path)
        self.taken.append(path)


class Screenshots:
    """Pictures of what a run's weights do while they are trained, always of the same moment of the same episode.

    They are taken in an environment of their own, so that training does not change by it.

    Args:
        task: what is trained.
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
        task: Task,
        deterministic: bool,
        seed: int,
        folder: Path,
        after_steps: int,
        between_steps: Callable[[], None] = lambda: None,
    ) -> None:
        draw_into_memory()
        self._task = task
        self._spec = EvaluationSpec(1, deterministic, after_steps + 1)
        self._seed = seed
        self._folder = folder
        self._after = after_steps
        self._between_steps = between_steps
        self._envs = task.make_evaluation_envs(num_envs=1, render_mode="rgb_array")
        self._model, self._layout = task.model(self._envs)

    def take(self, weights: Tensor, env_step: int) -> Path:
        """A picture of ``weights [P]``, which training had at ``env_step``.

        Raises:
            OSError: it could not be written.
        """
        name = f"step_{env_step}"
        photographer = Photographer(
            self._envs,
            Story(self._envs, self._model.family),
            Figure(self._model),
            self._folder,
            lambda step: name if step == self._after else None,
        )
        evaluator = Evaluator(self._model, self._layout, self._envs, self._spec, self._seed, self._between_steps, photographer)
        evaluator.evaluate(weights.to(self._task.device), env_step, 0, 0.0)
        if not photographer.taken:
            photographer.take(name)
        return photographer.taken[-1]

    def close(self) -> None:
        self._envs.close()


def require_pictures(task: Task) -> None:
    """Refuse to promise pictures of a task that draws none.

    Raises:
        ConfigError: it does not.
    """
    draw_into_memory()
    envs = task.make_evaluation_envs(num_envs=1, render_mode="rgb_array")
    try:
        envs.reset(0, task.seed)
        picture = envs.render()
        if picture.ndim != 3 or picture.shape[2] < 3:
            raise ConfigError(
                f"this task draws no picture in colour, but {list(picture.shape)}. Try screenshots.every_env_steps=null"
            )
    finally:
        envs.close()


def save(figure: NDArray[np.uint8], path: Path) -> None:
    """Write a PNG, all of it or nothing."""
    unfinished = path.with_name(f".{path.name}.part")
    try:
        Image.fromarray(figure).save(unfinished, format="png", optimize=True)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
