"""The network's part in acting: everybody's observation in, everybody's action out, one step of a window after another."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.window_gradient import functional_forward
from a3c_exp.compile.compiler import Compiler, TensorFunction
from a3c_exp.compile.vectorize import compile_checked, vectorize, vmap_rows
from a3c_exp.compile.worker_rows import WorkerGrouping
from a3c_exp.models.base import ActorCritic
from a3c_exp.optimizers.flat_parameters import ParameterLayout


class BatchedPolicy:
    """K workers' policies and values, over weights ``[R, P]`` that are read in place.

    What everybody saw and did is written down step by step; as machine code that, too, is done in one piece.

    Args:
        model, layout, weights: the network, and its weights in the flat vector.
        observation: ``[K, *observation]`` the newest observations, read in place at every step.
        zero_action: ``[K, *action]`` zeros of the kind that actions are.
        n_step: steps of a window.
        compiler: makes machine code; ``None`` leaves it alone.
    """

    def __init__(
        self,
        model: ActorCritic,
        layout: ParameterLayout,
        weights: Tensor,
        observation: NDArray[np.float32],
        zero_action: NDArray[Any],
        n_step: int,
        compiler: Compiler | None,
    ) -> None:
        k, device, family = len(observation), weights.device, model.distribution
        self._weights, self._observation = weights, observation
        self._rows = rows = WorkerGrouping(k, weights.shape[0])
        self._on_cpu = device.type == "cpu"
        self._observation_by_row = rows.by_row(torch.from_numpy(observation))
        self._observation_history = torch.zeros(n_step, *observation.shape)
        self._action_history = torch.from_numpy(np.repeat(zero_action[np.newaxis], n_step, axis=0))
        self._noise = torch.zeros(n_step, k, family.noise_size)
        self._step_noise = self._noise_by_step()
        self._step_actions, self._step_observations = (
            [page.numpy() for page in pages] for pages in (self._action_history, self._observation_history)
        )

        def act(flat: Tensor, seen: Tensor, memory: Tensor, noise: Tensor, *turned: Tensor) -> tuple[Tensor, Tensor]:
            output = functional_forward(
                model, layout.unflatten_transposed(flat, turned) if turned else layout.unflatten(flat), seen, memory
            )
            return family.sample(output.parameters, noise), output.hidden_state

        def value(flat: Tensor, seen: Tensor, memory: Tensor) -> tuple[Tensor]:
            return (functional_forward(model, layout.unflatten(flat), seen, memory).value,)

        memory = rows.by_row(torch.zeros(k, model.hidden_state_size, device=device))
        self._value = vectorize(value, weights, (self._latest_observation, memory), model.stackable, compiler=compiler)
        self._transposed: list[Tensor] = []
        self._compiled_act: TensorFunction | None = None
        if compiler is not None and model.stackable and self._on_cpu:
            self._transposed_views = layout.transposed(weights)  # views of what never moves
            self._transposed = [matrix.contiguous() for matrix in self._transposed_views]
            self._step_inputs = [
                [
                    self._observation_by_row,
                    self._step_noise[t],
                    rows.by_row(self._observation_history[t]),
                    rows.by_row(self._action_history[t]),
                    *self._transposed,
                ]
                for t in range(n_step)
            ]
            self._compiled_act = self._compile_act(act, memory, compiler)
        if self._compiled_act is None:
            self._act = vectorize(
                act, weights, (self._latest_observation, memory, self._step_noise[0]), model.stackable, compiler=compiler
            )

    def _compile_act(self, act: Any, hidden_state: Tensor, compiler: Compiler) -> TensorFunction | None:
        """A step of everybody, written down, as machine code; it returns what is remembered of it."""
        stacked = vmap_rows(act)

        def step(flat: Tensor, memory: Tensor, seen: Tensor, noise: Tensor, page: Tensor, done: Tensor, *turned: Tensor) -> Any:
            with torch.no_grad():
                action, remembered = stacked(flat, seen, memory, noise, *turned)
                page.copy_(seen)
                done.copy_(action)
            return (remembered,) if memory.numel() else ()

        return compile_checked(
            partial(step, self._weights), self._weights, [hidden_state, *self._step_inputs[0]], compiler, "acting"
        )

    def begin(self, noise: NDArray[np.float32]) -> None:
        """A window begins, with the newest weights; ``noise [K, n, noise]`` of the policy was drawn beforehand."""
        self._noise.numpy()[:] = noise.swapaxes(0, 1)
        if not self._on_cpu:
            self._step_noise = self._noise_by_step()
        if self._compiled_act is not None:
            for place, matrix in zip(self._transposed, self._transposed_views, strict=True):
                place.copy_(matrix)

    def act(self, t: int, hidden_state: Tensor) -> tuple[NDArray[Any], Tensor]:
        """Everybody acts at step t: the actions ``[K, *action]``, and what a recurrent model remembers ``[K, state]``.

        Args:
            hidden_state: ``[K, state]`` what it remembered before.
        """
        recalled = self._rows.by_row(hidden_state)
        if self._compiled_act is not None:
            remembered = self._compiled_act(self._weights, recalled, *self._step_inputs[t])
            return self._step_actions[t], self._rows.by_worker(remembered[0]) if remembered else hidden_state
        self._step_observations[t][:] = self._observation
        action, state = self._act(self._latest_observation, recalled, self._step_noise[t])
        actions = self._step_actions[t]
        actions[:] = action.cpu().numpy().reshape(actions.shape)
        return actions, self._rows.by_worker(state)

    def value(self, hidden_state: Tensor) -> NDArray[np.float32]:
        """V ``[K]`` of the newest observations; asking does not advance what is remembered."""
        values: NDArray[np.float32] = (
            self._value(self._latest_observation, self._rows.by_row(hidden_state))[0].cpu().numpy().reshape(-1)
        )
        return values

    def record(self, observation: NDArray[np.float32], action: NDArray[Any]) -> None:
        """What everybody saw and did in this window: ``[K, n, *observation]``, ``[K, n, *action]``."""
        observation[:] = self._observation_history.numpy().swapaxes(0, 1)
        action[:] = self._action_history.numpy().swapaxes(0, 1)

    @property
    def _latest_observation(self) -> Tensor:
        """The newest observations, by row of weights."""
        return self._observation_by_row if self._on_cpu else self._observation_by_row.to(self._weights.device)

    def _noise_by_step(self) -> Sequence[Tensor]:
        return [self._rows.by_row(noise) for noise in self._noise.to(self._weights.device).unbind()]
