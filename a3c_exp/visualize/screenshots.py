"""Single frames of an episode as PNG files: of a run while it trains, and of one episode at an interval."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor

from a3c_exp.envs.base import EnvBatch
from a3c_exp.evaluate.evaluator import Evaluator, EvaluatorConfig, PolicyStep
from a3c_exp.models.base import ActorCritic
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.system.atomic_write import atomic_write
from a3c_exp.system.errors import ConfigError
from a3c_exp.visualize.episode_frames import EpisodeFrames, unused_path, use_headless_display
from a3c_exp.visualize.frame import FrameComposer


class FrameSaver(EpisodeFrames):
    """Saves frames as ``folder/<name>.png``, their ``paths`` in order: at each step for which ``frame_name`` gives a name."""

    def __init__(self, envs: EnvBatch, model: ActorCritic, folder: Path, frame_name: Callable[[int], str | None]) -> None:
        super().__init__(envs, model.distribution, FrameComposer(model))
        self._folder = folder
        self._frame_name = frame_name
        self.paths: list[Path] = []

    def before_step(self, policy_step: PolicyStep) -> None:
        super().before_step(policy_step)
        if (name := self._frame_name(self.step)) is not None:
            self.save(name)

    def save(self, name: str) -> None:
        """Save the current frame, completely or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}.png"
        with atomic_write(path, durable=False) as file:
            Image.fromarray(self.frame()).save(file, format="png", optimize=True)
        self.paths.append(path)


def save_frames(
    setup: TrainingSetup, weights: Tensor, config: EvaluatorConfig, seed: int, folder: Path, interval: int
) -> Sequence[Path]:
    """Save every ``interval``-th frame of the first evaluation episode as ``folder/episode_<n>/step_<step>.png``, all new, with
    what the network sees and which pixels matter."""
    use_headless_display()
    with closing(setup.make_evaluation_envs(num_envs=1, render_mode="rgb_array")) as envs:
        model, layout = setup.model(envs)
        saver = FrameSaver(envs, model, unused_path(folder), lambda step: None if step % interval else f"step_{step}")
        one_episode = EvaluatorConfig(1, config.deterministic, config.max_episode_steps)
        Evaluator(model, layout, envs, one_episode, seed, observer=saver).evaluate(weights.to(setup.device), 0, 0, 0.0)
    return saver.paths


@dataclass(eq=False)
class Screenshots:
    """Frames of what a run's weights do while they are trained, always at the same step of the same episode, in an environment
    that training does not use. Raises ConfigError if it cannot be rendered."""

    setup: TrainingSetup
    deterministic: bool  #: take the policy's mode instead of a sample
    seed: int  #: root of the episode's seeds
    folder: Path  #: for the files ``step_<env steps>.png``
    after_steps: int  #: the step of the episode; its last, if the episode ends sooner
    between_steps: Callable[[], None]  #: called before every step; may raise an exception to stop

    def __post_init__(self) -> None:
        use_headless_display()
        self._envs = self.setup.make_evaluation_envs(num_envs=1, render_mode="rgb_array")
        self._model, self._layout = self.setup.model(self._envs)

    def take(self, weights: Tensor, env_step: int) -> Path:
        """Save a frame of the policy with ``weights [P]``, which training had at ``env_step``. May raise OSError."""
        name = f"step_{env_step}"
        saver = FrameSaver(self._envs, self._model, self.folder, lambda step: name if step == self.after_steps else None)
        config = EvaluatorConfig(1, self.deterministic, self.after_steps + 1)
        evaluator = Evaluator(self._model, self._layout, self._envs, config, self.seed, self.between_steps, saver)
        evaluator.evaluate(weights.to(self.setup.device), env_step, 0, 0.0)
        if not saver.paths:
            saver.save(name)
        return saver.paths[-1]

    def close(self) -> None:
        self._envs.close()


def require_rendering(setup: TrainingSetup) -> None:
    """Raises ConfigError if the environment renders no picture in color."""
    use_headless_display()
    with closing(setup.make_evaluation_envs(num_envs=1, render_mode="rgb_array")) as envs:
        envs.reset(0, setup.seed)
        shape = list(envs.render().shape)
    if len(shape) != 3 or shape[2] < 3:
        raise ConfigError(f"this environment renders no picture in color, but {shape}. Try screenshots.every_env_steps=null")
