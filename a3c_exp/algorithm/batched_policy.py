"""The network's part in acting: the observations of K workers in, their actions out, one step of a window after another."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.window_gradient import functional_forward, padded_forward
from a3c_exp.compile.compiler import BoundFunction, Compiler, TensorFunction, bind
from a3c_exp.compile.shared_layers import KeptOutputs
from a3c_exp.compile.vectorize import PerWorkerFunction, WorkerGrouping, compile_checked, vectorize, vmap_rows
from a3c_exp.models.base import ActorCritic
from a3c_exp.models.distributions import Distribution
from a3c_exp.optimizers.flat_parameters import ParameterLayout


class BatchedPolicy:
    """K workers' policies and values, over weights ``[R, P]`` that are read in place. Steps are recorded; compiled, acting and
    recording are one function.

    Args:
        observation: ``[K, *observation]`` the newest observations, read in place at every step.
        n_step: n, steps of a window.
        deterministic: for evaluation, which needs no values: whether to take the distribution's mode instead of a sample;
            ``None`` in training. An evaluation's actions do not depend on K, to the last bit.
        keep: layers, by the names of their weights, whose outputs are kept; of one row of weights.

    Attributes:
        kept: ``[K, n, *]`` what these layers gave at each step of the latest window, images in channels-last memory.
    """

    def __init__(
        self,
        model: ActorCritic,
        layout: ParameterLayout,
        weights: Tensor,
        observation: NDArray[Any],
        n_step: int,
        compiler: Compiler | None = None,
        deterministic: bool | None = None,
        keep: Sequence[str] = (),
    ) -> None:
        k, device, distribution = len(observation), weights.device, model.distribution
        self._weights, self._observation, self._on_cpu = weights, observation, device.type == "cpu"
        self._rows = rows = WorkerGrouping(k, weights.shape[0], grouped=None if deterministic is None else True)
        self._observation_by_row = rows.by_row(torch.from_numpy(observation))
        self._observation_history = torch.zeros(n_step, *observation.shape, dtype=torch.from_numpy(observation).dtype)
        self._action_history = torch.from_numpy(np.repeat(zero_actions(distribution, k)[np.newaxis], n_step, axis=0))
        self._noise = torch.zeros(n_step, k, distribution.noise_size)
        self._noise_view = self._noise.numpy()
        self._step_noise = self._noise_by_step()
        self._step_actions, self._step_observations = (
            [step.numpy() for step in history] for history in (self._action_history, self._observation_history)
        )
        forward = functional_forward if deterministic is None else padded_forward

        def act(flat: Tensor, observed: Tensor, hidden_state: Tensor, noise: Tensor, *transposed: Tensor) -> tuple[Tensor, ...]:
            parameters = layout.unflatten_transposed(flat, transposed) if transposed else layout.unflatten(flat)
            with KeptOutputs(parameters) if keep else nullcontext() as layers:
                output = forward(model, parameters, observed, hidden_state)
            kept = [layers.outputs[name] for name in keep] if layers is not None else []
            if deterministic:
                return distribution.mode(output.parameters), output.hidden_state
            return distribution.sample(output.parameters, noise), output.hidden_state, *kept

        def value(flat: Tensor, observed: Tensor, hidden_state: Tensor) -> tuple[Tensor]:
            return (functional_forward(model, layout.unflatten(flat), observed, hidden_state).value,)

        hidden_state = rows.by_row(torch.zeros(k, model.hidden_state_size, device=device))
        examples = (self._latest_observation, hidden_state)
        stackable = model.stackable or bool(keep)  # one row is recorded and replayed, too, where that is for a whole training
        if deterministic is None:
            self._value = vectorize(value, weights, examples, stackable, compiler=compiler)
        self._transposed: list[Tensor] = []
        self._compiled_act: TensorFunction | None = None
        self._act_calls: list[BoundFunction] = []  # for each step, where nothing but memory that stays goes in
        if compiler is not None and model.stackable and self._on_cpu:
            self._transposed_views = layout.transposed(weights)  # they stay valid, since weights never move
            self._transposed = [matrix.contiguous() for matrix in self._transposed_views]
            histories = self._observation_history, self._action_history
            self._step_inputs = [
                [self._observation_by_row, self._step_noise[t], *(rows.by_row(log[t]) for log in histories), *self._transposed]
                for t in range(n_step)
            ]
            self._compiled_act = self._compile_act(act, hidden_state, compiler)
            if self._compiled_act is not None and not model.hidden_state_size:
                stays = weights, hidden_state
                self._act_calls = [bind(self._compiled_act, *stays, *inputs) for inputs in self._step_inputs]
        if self._compiled_act is None:
            self._act = vectorize(act, weights, (*examples, self._step_noise[0]), stackable, compiler=compiler)
        self.kept = self._kept_history(n_step, self._act(*examples, self._step_noise[0])[2:]) if keep else []

    def _compile_act(self, act: PerWorkerFunction, hidden_state: Tensor, compiler: Compiler) -> TensorFunction | None:
        """A step of all workers with its recording, compiled; it returns the new recurrent state, if there is one."""
        stacked = vmap_rows(act)

        def step(
            hidden_state: Tensor, observed: Tensor, noise: Tensor, seen: Tensor, done: Tensor, *transposed: Tensor
        ) -> tuple[Tensor, ...]:
            with torch.no_grad():
                action, new_hidden_state = stacked(self._weights, observed, hidden_state, noise, *transposed)
                seen.copy_(observed)
                done.copy_(action)
            return (new_hidden_state,) if hidden_state.numel() else ()

        return compile_checked(step, self._weights, [hidden_state, *self._step_inputs[0]], compiler, "acting")

    def begin(self, noise: NDArray[np.float32]) -> None:
        """A window begins, with the newest weights; ``noise [K, n, noise_size]`` of the policy was drawn beforehand."""
        self._noise_view[:] = noise.swapaxes(0, 1)
        if not self._on_cpu:
            self._step_noise = self._noise_by_step()
        if self._compiled_act is not None:
            for copy, view in zip(self._transposed, self._transposed_views, strict=True):
                copy.copy_(view)

    def act(self, t: int, hidden_state: Tensor) -> tuple[NDArray[Any], Tensor]:
        """Step t of all workers, from the recurrent state ``[K, state]`` before it: actions ``[K, *action]`` and the state."""
        if self._act_calls:
            self._act_calls[t]()
            return self._step_actions[t], hidden_state
        state = self._rows.by_row(hidden_state)
        if self._compiled_act is not None:
            new_state = self._compiled_act(self._weights, state, *self._step_inputs[t])
            return self._step_actions[t], self._rows.by_worker(new_state[0]) if new_state else hidden_state
        self._step_observations[t][:] = self._observation
        action, state, *kept = self._act(self._latest_observation, state, self._step_noise[t])
        for history, output in zip(self.kept, kept, strict=True):
            history[:, t] = output[0]
        actions = self._step_actions[t]
        actions[:] = action.cpu().numpy().reshape(actions.shape)
        return actions, self._rows.by_worker(state)

    def value(self, hidden_state: Tensor) -> NDArray[np.float32]:
        """V ``[K]`` of the newest observations; the recurrent state does not advance."""
        (values,) = self._value(self._latest_observation, self._rows.by_row(hidden_state))
        flat: NDArray[np.float32] = values.cpu().numpy().reshape(-1)
        return flat

    def record(self, observation: NDArray[Any], action: NDArray[Any]) -> None:
        """Write this window's observations and actions into ``[K, n, *observation]`` and ``[K, n, *action]``."""
        observation[:] = self._observation_history.numpy().swapaxes(0, 1)
        action[:] = self._action_history.numpy().swapaxes(0, 1)

    @property
    def _latest_observation(self) -> Tensor:
        return self._observation_by_row if self._on_cpu else self._observation_by_row.to(self._weights.device)

    def _kept_history(self, n_step: int, outputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Zeros ``[K, n, *]`` for outputs like these, ``[1, K, *]``."""
        images_last = [output[0].permute(0, 2, 3, 1) if output.dim() == 5 else output[0] for output in outputs]
        histories = [torch.zeros(len(output), n_step, *output.shape[1:]) for output in images_last]
        return [history.permute(0, 1, 4, 2, 3) if history.dim() == 5 else history for history in histories]

    def _noise_by_step(self) -> Sequence[Tensor]:
        return [self._rows.by_row(noise) for noise in self._noise.to(self._weights.device).unbind()]


def zero_actions(distribution: Distribution, workers: int) -> NDArray[Any]:
    """``[K, *action]`` zeros of the type and shape of actions."""
    action = distribution.sample(torch.zeros(distribution.parameters_size), torch.zeros(distribution.noise_size))
    return np.zeros((workers, *action.shape), np.int64 if action.dtype == torch.int64 else np.float32)
