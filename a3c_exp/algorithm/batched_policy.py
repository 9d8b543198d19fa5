"""The network's part in acting: everybody's observation in, everybody's action out, one step of a window after another."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.window_gradient import call
from a3c_exp.compile.compiler import Compiled, Compiler
from a3c_exp.compile.vectorize import compiled_for, over_rows, stack
from a3c_exp.compile.worker_rows import Rows
from a3c_exp.models.base import ActorCritic
from a3c_exp.optimizers.flat_parameters import FlatLayout


class Acting:
    """K workers' policies and values, over weights ``[R, P]`` that are read in place.

    What everybody saw and did is written down step by step; as machine code that, too, is done in one piece.

    Args:
        model, layout, weights: the network, and its weights in the flat vector.
        observed: ``[K, *observation]`` the newest observations, read in place at every step.
        no_action: ``[K, *action]`` zeros of the kind that actions are.
        n: steps of a window.
        compiler: makes machine code; ``None`` leaves it alone.
    """

    def __init__(
        self,
        model: ActorCritic,
        layout: FlatLayout,
        weights: Tensor,
        observed: NDArray[np.float32],
        no_action: NDArray[Any],
        n: int,
        compiler: Compiler | None,
    ) -> None:
        k, device, family = len(observed), weights.device, model.family
        self._weights, self._observed = weights, observed
        self._rows = rows = Rows(k, weights.shape[0])
        self._on_cpu = device.type == "cpu"
        self._shared = rows.by_row(torch.from_numpy(observed))
        self._seen = torch.zeros(n, *observed.shape)
        self._done = torch.from_numpy(np.repeat(no_action[np.newaxis], n, axis=0))
        self._drawn = torch.zeros(n, k, family.noise_size)
        self._noise_at = self._noise_by_step()
        self._actions, self._pages = ([page.numpy() for page in pages] for pages in (self._done, self._seen))

        def act(flat: Tensor, seen: Tensor, memory: Tensor, noise: Tensor, *turned: Tensor) -> tuple[Tensor, Tensor]:
            output = call(model, layout.unflatten_turned(flat, turned) if turned else layout.unflatten(flat), seen, memory)
            return family.sample(output.parameters, noise), output.state

        def value(flat: Tensor, seen: Tensor, memory: Tensor) -> tuple[Tensor]:
            return (call(model, layout.unflatten(flat), seen, memory).value,)

        memory = rows.by_row(torch.zeros(k, model.state_size, device=device))
        self._value = stack(value, weights, (self._latest, memory), model.stackable, compiler=compiler)
        self._turned: list[Tensor] = []
        self._code: Compiled | None = None
        if compiler is not None and model.stackable and self._on_cpu:
            self._narrow = layout.turned(weights)  # views of what never moves
            self._turned = [matrix.contiguous() for matrix in self._narrow]
            self._given = [
                [self._shared, self._noise_at[t], rows.by_row(self._seen[t]), rows.by_row(self._done[t]), *self._turned]
                for t in range(n)
            ]
            self._code = self._compiled(act, memory, compiler)
        if self._code is None:
            self._act = stack(act, weights, (self._latest, memory, self._noise_at[0]), model.stackable, compiler=compiler)

    def _compiled(self, act: Any, memory: Tensor, compiler: Compiler) -> Compiled | None:
        """A step of everybody, written down, as machine code; it returns what is remembered of it."""
        stacked = over_rows(act)

        def step(flat: Tensor, memory: Tensor, seen: Tensor, noise: Tensor, page: Tensor, done: Tensor, *turned: Tensor) -> Any:
            with torch.no_grad():
                action, remembered = stacked(flat, seen, memory, noise, *turned)
                page.copy_(seen)
                done.copy_(action)
            return (remembered,) if memory.numel() else ()

        return compiled_for(partial(step, self._weights), self._weights, [memory, *self._given[0]], compiler, "acting")

    def begin(self, noise: NDArray[np.float32]) -> None:
        """A window begins, with the newest weights; ``noise [K, n, noise]`` of the policy was drawn beforehand."""
        self._drawn.numpy()[:] = noise.swapaxes(0, 1)
        if not self._on_cpu:
            self._noise_at = self._noise_by_step()
        if self._code is not None:
            for place, matrix in zip(self._turned, self._narrow, strict=True):
                place.copy_(matrix)

    def act(self, t: int, memory: Tensor) -> tuple[NDArray[Any], Tensor]:
        """Everybody acts at step t: the actions ``[K, *action]``, and what a recurrent model remembers ``[K, state]``.

        Args:
            memory: ``[K, state]`` what it remembered before.
        """
        recalled = self._rows.by_row(memory)
        if self._code is not None:
            remembered = self._code(self._weights, recalled, *self._given[t])
            return self._actions[t], self._rows.by_worker(remembered[0]) if remembered else memory
        self._pages[t][:] = self._observed
        action, state = self._act(self._latest, recalled, self._noise_at[t])
        actions = self._actions[t]
        actions[:] = action.cpu().numpy().reshape(actions.shape)
        return actions, self._rows.by_worker(state)

    def value(self, memory: Tensor) -> NDArray[np.float32]:
        """V ``[K]`` of the newest observations; asking does not advance what is remembered."""
        values: NDArray[np.float32] = self._value(self._latest, self._rows.by_row(memory))[0].cpu().numpy().reshape(-1)
        return values

    def write_down(self, observation: NDArray[np.float32], action: NDArray[Any]) -> None:
        """What everybody saw and did in this window: ``[K, n, *observation]``, ``[K, n, *action]``."""
        observation[:] = self._seen.numpy().swapaxes(0, 1)
        action[:] = self._done.numpy().swapaxes(0, 1)

    @property
    def _latest(self) -> Tensor:
        """The newest observations, by row of weights."""
        return self._shared if self._on_cpu else self._shared.to(self._weights.device)

    def _noise_by_step(self) -> Sequence[Tensor]:
        return [self._rows.by_row(noise) for noise in self._drawn.to(self._weights.device).unbind()]
