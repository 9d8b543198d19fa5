"""K workers of one process, stacked: what every parallelism shares."""

import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.episode_tracker import EndedEpisode, EpisodeTracker
from a3c_exp.algorithm.random_streams import env_seed
from a3c_exp.algorithm.rollout import Rollout
from a3c_exp.algorithm.types import Window
from a3c_exp.compile.compiler import Compiler
from a3c_exp.compile.vectorize import VectorizedFunction
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.group_gradient import SharedRowGradient, group_gradient, layers_to_keep
from a3c_exp.parallelism.loss_inputs import LossInputs
from a3c_exp.parallelism.round_result import RoundResult as RoundResult
from a3c_exp.parallelism.worker_noise import WorkerNoise
from a3c_exp.system.errors import EnvInterfaceError

if TYPE_CHECKING:
    from a3c_exp.parallelism.compiled.fused_rollout import FusedRollout


class WorkerId(NamedTuple):
    """One worker: its random streams depend on these two, not on the workers that are stacked with it."""

    seed: int  # root seed of the training it belongs to
    worker: int  # its number in that training


class WorkerGroup:
    """K logical workers with their environments, noise and ``weights [R, P]``: R = K, each worker's own stale copy, or one row
    for all workers of a training, which then have one gradient together, or one each.

    Args:
        worker_ids: the workers, those of a training next to each other.
        rounds, episodes_begun: ``[K]`` counters of those workers, counted up in place (they may be shared memory).
        take_ticket: asked with a worker's index before an episode begins; false when there is none to be had now.
        share_weights: one row of weights serves all workers of a training, whose windows have one gradient.
        equal_weights: all rows of weights will be equal whenever workers act. Then one serves them all, if the model is not
            stackable, and what layers gave in acting serves in learning, which changes rounding.
        keep_actions: so that ``episodes.episode_state`` can tell where each worker stands.
        tickets: how many episodes each worker may begin in the coming round, ``[K]``; ``None``: ``take_ticket`` alone can tell.

    Attributes:
        acting_seconds, learning_seconds: processor time spent so far on rollouts and on gradients.
        loss_inputs: what the loss takes besides a window; who runs rounds has it follow the schedules before each.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        worker_ids: Sequence[WorkerId],
        rounds: NDArray[np.int64],
        episodes_begun: NDArray[np.int64],
        take_ticket: Callable[[int], bool],
        share_weights: bool = False,
        equal_weights: bool = False,
        keep_actions: bool = False,
        compiler: Compiler | None = None,
        tickets: Callable[[], NDArray[np.int64]] | None = None,
    ) -> None:
        self.acting_seconds = self.learning_seconds = 0.0
        self.worker_ids, self._setup = list(worker_ids), setup
        self._rounds, self._episodes_begun, self._take_ticket = rounds, episodes_begun, take_ticket
        self.envs = setup.make_envs(num_envs=len(self.worker_ids))
        model, self.layout = setup.model(self.envs)
        seeds = len({member.seed for member in self.worker_ids})
        k = len(self.worker_ids)
        self._one_row, self._shares = equal_weights and not model.stackable and k > 1, share_weights
        self.gradient_rows = seeds if share_weights else k
        rows = 1 if self._one_row else self.gradient_rows
        self.weights, self.stackable = self.layout.flatten(model).repeat(rows, 1), model.stackable
        self.compiler = (compiler or Compiler(bfloat16=setup.bfloat16)) if setup.compile else None
        self.episodes = EpisodeTracker(self.envs, model, self._begin_episode, setup.device, keep_actions)
        self._parts = model, self.layout, self.weights, self.envs, self.episodes, setup.learner, setup.max_episode_steps
        self._tickets = tickets
        self._kept_layers: Sequence[str] = ()
        if self._one_row:
            observed = torch.from_numpy(self.envs.observation[0]).to(setup.device)
            self._kept_layers = layers_to_keep(model, self.layout, self.weights, observed)
        self.loss_inputs = self._make_loss_inputs(setup)
        try:
            self._fused_rollout = self._make_fused_rollout(self.compiler, self.loss_inputs)
            self._rollout = None if self._fused_rollout else Rollout(*self._parts, self.compiler, self._kept_layers)
        except BaseException:  # compiling was interrupted, or nothing was to be compiled
            self.envs.close()
            raise
        self._shared_gradient: SharedRowGradient | None = None
        self._vectorized_gradient: VectorizedFunction | None = None
        self._noise = WorkerNoise(model.distribution, setup.learner.n_step, self.worker_ids)
        self._upcoming_noise: list[NDArray[np.float32]] = []  # of a burst, the next round's last
        self._begins_round = False  # whether the burst's next round has to be begun
        self._full_windows = np.full(len(self.worker_ids), setup.learner.n_step)
        self._acted: tuple[Window, Sequence[EndedEpisode]] | None = None  # to be learned from

    def use_compiled(self, compiler: Compiler) -> bool:
        """Go on compiled, between two rounds, of which one was uncompiled: with the same weights, environments, episodes and
        random streams, in the same memory. False, and all stays as it was, where something cannot be compiled.

        Raises:
            NotCompiledYet: ``compiler`` only looks for what was compiled before; all stays as it was.
        """
        setup = replace(self._setup, compile=True)
        loss_inputs = self._make_loss_inputs(setup)
        fused, rollout, gradient = self._make_fused_rollout(compiler, loss_inputs), None, None
        if fused is None:
            rollout = Rollout(*self._parts, compiler, self._kept_layers)
            gradient = self._vectorize_gradient(self._learner_inputs(loss_inputs), compiler)
        if compiler.failures:
            return False
        self._setup, self.compiler, self.loss_inputs = setup, compiler, loss_inputs
        self._fused_rollout, self._rollout, self._vectorized_gradient, self._acted = fused, rollout, gradient, None
        return True

    @property
    def has_fused_rounds(self) -> bool:
        """Whether a whole round is compiled, the environments and all."""
        return self._fused_rollout is not None

    @property
    def bursts_outlast_episodes(self) -> bool:
        """Whether ``begin_burst(..., through_ends=True)`` is possible: episodes begin inside a round, as many as there are."""
        return self._fused_rollout is not None and self._fused_rollout.begins_episodes_freely

    @property
    def in_episode(self) -> NDArray[np.bool_]:
        """``[K]`` whether a worker is within an episode."""
        return self.episodes.in_episode

    def progress(self) -> int:
        """A number that changes when environments have stepped."""
        return zlib.crc32(self.envs.observation.tobytes())

    def truncate(self, workers: Iterable[int]) -> list[EndedEpisode]:
        """End the episodes that these workers are in, as a time limit would, between two windows."""
        return [episode for k in workers if (episode := self.episodes.truncate(k)) is not None]

    def round(self, allowed: NDArray[np.int64]) -> RoundResult:
        self.act(allowed)
        return self.learn()

    def act(self, allowed: NDArray[np.int64]) -> None:
        """Act for up to ``allowed [K]`` steps, each worker with its own weights.

        Raises:
            EnvInterfaceError: an environment returned what it must not; says which worker's, in which episode and step.
        """
        began = time.process_time()
        acting = allowed > 0
        noise = self._noise.of_round(self._rounds, acting)
        self._rounds += acting
        if self._fused_rollout is not None:
            self._fused_rollout.begin(allowed)
            with torch.inference_mode():
                self._fused_rollout.act(noise.swapaxes(0, 1))
        else:
            self._roll_out(allowed, noise)
        self.acting_seconds += time.process_time() - began

    def _roll_out(self, allowed: NDArray[np.int64], noise: NDArray[np.float32]) -> None:
        assert self._rollout is not None
        try:
            self._acted = self._rollout.run(allowed, noise)
        except EnvInterfaceError as error:
            own, k = self.worker_ids[error.index], error.index
            seed = f" of seed {own.seed}" if self._setup.num_seeds > 1 else ""
            where = f"worker {own.worker}{seed}, episode {self._episodes_begun[k]}"
            raise EnvInterfaceError(error.problem, k, where, error.step) from error

    def learn(self) -> RoundResult:
        """The gradient of what was just acted, each row's at its own weights."""
        began = time.process_time()
        if self._fused_rollout is not None:
            with torch.inference_mode():
                gradients, window_stats = self._fused_rollout.learn()
            result = RoundResult(gradients, window_stats, *self._fused_rollout.end())
        else:
            result = self._result_of_rollout(*self._differentiate())
        self.learning_seconds += time.process_time() - began
        return result

    def _differentiate(self) -> tuple[Tensor, NDArray[np.float32]]:
        """Gradients and statistics of the windows that were rolled out last."""
        inputs = self._learner_inputs(self.loss_inputs)
        if self._vectorized_gradient is None:
            # Traced at the first window, so that the first environment step does not wait for it.
            self._vectorized_gradient = self._vectorize_gradient(inputs, self.compiler)
        gradients, stats, *discounted_returns = self._vectorized_gradient(*inputs)
        if discounted_returns:
            self.episodes.discounted_return.copy_(discounted_returns[0].view(-1))
        return gradients, stats.cpu().numpy()

    def _learner_inputs(self, loss_inputs: LossInputs) -> tuple[Tensor, ...]:
        assert self._rollout is not None and self._acted is not None, "there is no window yet to learn from"
        window, kept = self._acted[0], self._rollout.kept
        if self._one_row and not self._shares:
            window = Window._make(field.flatten(0, 1) for field in window)
        elif self._one_row:
            kept = [output.unsqueeze(0) for output in kept]
        return *window, *loss_inputs.tensors, *kept

    def _result_of_rollout(self, gradients: Tensor, window_stats: NDArray[np.float32]) -> RoundResult:
        assert self._rollout is not None and self._acted is not None
        return RoundResult(gradients, window_stats, self._rollout.steps_taken, self._acted[1])

    def begin_burst(self, max_rounds: int, through_ends: bool = False) -> int:
        """Prepare rounds of full windows of all workers: how many can follow, at most so many; 0, and nothing was begun, where
        a worker begins an episode. With ``through_ends`` call ``count_ends`` after a round in which an episode ended; others
        may follow."""
        episodes = self.episodes
        if not through_ends and (episodes.any_episode_start or not episodes.in_episode.all()):
            return 0
        n, limit = self._setup.learner.n_step, None if through_ends else self._setup.max_episode_steps
        if limit is not None and (whole := (limit - int(episodes.length.max()) - 1) // n) < max_rounds:
            max_rounds = whole + 1 if whole else 0  # the last is the one in which an episode comes to its limit
        if max_rounds < 1:
            return 0
        self._upcoming_noise = [*self._noise.of_rounds_ahead(self._rounds, max_rounds)][::-1]
        self._begins_round = self._fused_rollout is not None
        return len(self._upcoming_noise)

    def burst_round(self) -> tuple[Tensor, NDArray[np.float32], bool]:
        """The burst's next round: gradients and window statistics as in ``RoundResult``, and whether an episode ended in it,
        which makes it the last without ``through_ends``. Call in inference mode if ``has_fused_rounds``, and only then."""
        fused, noise = self._fused_rollout, self._upcoming_noise.pop()
        if fused is not None:
            if self._begins_round:
                fused.begin(self._full_windows)
                self._begins_round = False
            fused.act(noise)
            gradients, window_stats = fused.learn()
            self._rounds += 1
            return gradients, window_stats, fused.any_episode_ended
        self._rounds += 1
        self._roll_out(self._full_windows, noise.swapaxes(0, 1))
        assert self._acted is not None
        return *self._differentiate(), len(self._acted[1]) > 0

    def count_ends(self) -> Sequence[EndedEpisode]:
        """End the burst's latest round as ``end_burst`` does, but others may follow: the episodes that ended in it."""
        assert self._fused_rollout is not None
        _, ended = self._fused_rollout.end()
        self._begins_round = True
        return ended

    def end_burst(self, gradients: Tensor, window_stats: NDArray[np.float32]) -> RoundResult:
        """End the burst with its latest round, of which these are the gradients and window statistics."""
        if self._fused_rollout is None:
            return self._result_of_rollout(gradients, window_stats)
        return RoundResult(gradients, window_stats, *self._fused_rollout.end())

    def _make_loss_inputs(self, setup: TrainingSetup) -> LossInputs:
        rows, returns = self.gradient_rows, self.episodes.discounted_return
        return LossInputs(setup, self.worker_ids, returns, rows, by_worker=len(self.worker_ids) > rows)

    def _make_fused_rollout(self, compiler: Compiler | None, loss_inputs: LossInputs) -> "FusedRollout | None":
        """Rounds that are compiled as a whole, where environments and model allow it."""
        setup, tickets = self._setup, self._tickets
        if compiler is None or not self.stackable or self.envs.tensor_env is None:
            return None
        if not setup.learner.window_ends_with_episode and setup.budget.max_episodes is not None and tickets is None:
            return None  # episodes begin within the round, and how many may is not known beforehand
        from a3c_exp.parallelism.compiled.fused_rollout import FusedRollout, NextEpisodes

        remaining_tickets = tickets if setup.budget.max_episodes is not None else None
        next_episodes = NextEpisodes(self._upcoming_seed, self._episodes_begun, remaining_tickets)
        fused = FusedRollout(next_episodes, loss_inputs.tensors, *self._parts)
        return fused if fused.compile(compiler) else None

    def _vectorize_gradient(self, inputs: tuple[Tensor, ...], compiler: Compiler | None) -> VectorizedFunction:
        model, layout, weights, *_, learner, _ = self._parts
        if not self._one_row:
            return group_gradient(model, layout, weights, learner, inputs, compiler)
        if self._shared_gradient is None:
            kept, bfloat16 = self._kept_layers, self._setup.bfloat16
            self._shared_gradient = SharedRowGradient(model, layout, weights, learner, inputs, kept, bfloat16)
        return self._shared_gradient.vectorized(inputs, compiler)

    def _begin_episode(self, k: int) -> int | None:
        if not self._take_ticket(k):
            return None
        seed = self._upcoming_seed(k, 0)
        self._episodes_begun[k] += 1
        return seed

    def _upcoming_seed(self, k: int, j: int) -> int:
        """The seed of worker k's next episode after j others."""
        return env_seed(self.worker_ids[k].seed, self.worker_ids[k].worker, int(self._episodes_begun[k]) + j)

    def close(self) -> None:
        self.envs.close()
