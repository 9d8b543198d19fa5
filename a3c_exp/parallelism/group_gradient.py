"""The gradients of K stacked workers: each at its own row of weights, or at one row that serves them all."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.func import vmap

from a3c_exp.algorithm.types import LearnerConfig, Window
from a3c_exp.algorithm.window_gradient import clip_gradients, functional_forward, replay, window_loss, window_outcome
from a3c_exp.compile.compiler import Compiler
from a3c_exp.compile.shared_layers import KeptOutputs, SharedLayers
from a3c_exp.compile.vectorize import VectorizedFunction, equal_to_bfloat16, equal_to_rounding, replayed, vectorize
from a3c_exp.models.base import ActorCritic
from a3c_exp.optimizers.flat_parameters import ParameterLayout

_REWARD = Window._fields.index("reward")


def group_gradient(
    model: ActorCritic,
    layout: ParameterLayout,
    weights: Tensor,
    learner: LearnerConfig,
    inputs: tuple[Tensor, ...],
    compiler: Compiler | None = None,
) -> VectorizedFunction:
    """``inputs -> (gradients [R, P], window statistics [R, S], ...)`` at ``weights [R, P]``, clipped if asked for; ``inputs``
    are those of ``window_loss``, one of each row."""
    return vectorize(
        window_loss(model, layout, learner),
        weights,
        inputs,
        model.stackable,
        differentiate=True,
        compiler=compiler,
        output_transform=partial(clip_gradients, table=learner.statistics, max_norm=learner.max_grad_norm),
    )


class SharedRowGradient:
    """``inputs -> (gradients [K, P], window statistics [K, S], ...)`` of K windows at one row ``weights [1, P]``.

    What is the same for all of them, all but the gradients of weights, is computed for all at once, where that gives
    what windows one by one give, to rounding: a model may have layers that cannot be shared, or mix up rows.

    Args:
        inputs: the first windows ``[K, n, ...]``, or ``[1, G, n, ...]`` for one gradient of G windows, with what
            ``window_loss`` takes besides; then outputs of layers ``[K, n, *]`` or ``[1, G, n, *]``, as they were in acting with
            these very weights.
        kept: the names of these layers.
        bfloat16: they were convolved in bfloat16.
    """

    def __init__(
        self,
        model: ActorCritic,
        layout: ParameterLayout,
        weights: Tensor,
        learner: LearnerConfig,
        inputs: tuple[Tensor, ...],
        kept: Sequence[str],
        bfloat16: bool = False,
    ) -> None:
        self._model, self._layout, self._weights, self._learner, self._kept = model, layout, weights, learner, kept
        self._outcome = window_outcome(model, learner)
        self._clip = partial(clip_gradients, table=learner.statistics, max_norm=learner.max_grad_norm)
        try:
            pairs = zip(self._together(weights, *inputs), self._one_by_one(inputs, None)(*inputs), strict=True)
            equal = equal_to_bfloat16 if bfloat16 else equal_to_rounding
            self.is_shared = all(equal(own, alone) for own, alone in pairs)
        except (NotImplementedError, RuntimeError):  # a custom layer may not be made for many windows at all
            self.is_shared = False

    def vectorized(self, inputs: tuple[Tensor, ...], compiler: Compiler | None) -> VectorizedFunction:
        """The function of ``inputs`` like these, compiled if that is possible."""
        failures = len(compiler.failures) if compiler is not None else 0
        if self.is_shared:
            together = partial(self._together, self._weights)
            gradient = replayed(together, self._weights, inputs, "the gradient of windows that share weights", compiler)
            if compiler is None or len(compiler.failures) == failures:
                return gradient
            del compiler.failures[failures:]
        return self._one_by_one(inputs, compiler)

    def _together(self, flat: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        workers, fields = len(inputs[0]), inputs[: len(inputs) - len(self._kept)]
        last = fields[_REWARD].dim() - 1
        outputs = {name: output.flatten(0, last) for name, output in zip(self._kept, inputs[len(fields) :], strict=True)}
        with torch.enable_grad():
            row, rows = flat[0].detach().requires_grad_(), flat.detach().expand(workers, -1).requires_grad_()
            parameters = self._layout.unflatten(row)
            with SharedLayers(workers, parameters, self._layout.unflatten_rows(rows), outputs):
                window = Window._make(fields[: len(Window._fields)])
                output = replay(self._model, parameters, window, self._learner.bptt)
            by_worker = vmap(self._outcome, in_dims=(None, *[0] * (1 + len(fields))))
            losses, *rest = by_worker(row.detach(), output, *fields)
            found: Sequence[Tensor | None] = torch.autograd.grad(losses.sum(), (rows, row), allow_unused=True)
        gradients, lost = found
        if gradients is None or lost is not None:
            raise NotImplementedError("a layer uses its weights in a way that cannot be shared")
        with torch.no_grad():
            return self._clip(gradients, *(part.detach() for part in rest))

    def _one_by_one(self, inputs: tuple[Tensor, ...], compiler: Compiler | None) -> VectorizedFunction:
        count = len(inputs) - len(self._kept)
        first = tuple(tensor[:1] for tensor in inputs[:count])
        gradient = group_gradient(self._model, self._layout, self._weights, self._learner, first, compiler)

        def gradients(*inputs: Tensor) -> tuple[Tensor, ...]:
            windows = zip(*(torch.split(tensor, 1) for tensor in inputs[:count]), strict=True)
            return tuple(torch.cat(parts) for parts in zip(*(gradient(*window) for window in windows), strict=True))

        return gradients


def layers_to_keep(model: ActorCritic, layout: ParameterLayout, weights: Tensor, observation: Tensor) -> Sequence[str]:
    """The layers, by their weights, whose outputs in acting are those in learning, so that they need not be computed again:
    convolutions and large linear layers that see each observation, such as ``observation``, once."""
    row = weights[0].detach()
    parameters, state = layout.unflatten(row), torch.zeros(model.hidden_state_size)
    shared = SharedLayers(1, parameters, layout.unflatten_rows(weights[:1]))
    zeros, acting = torch.zeros(1, 2), KeptOutputs(parameters)
    window = Window._make([observation.expand(1, 2, *observation.shape), *[zeros] * 7, state.unsqueeze(0)])
    try:
        with torch.no_grad():
            with shared:
                replay(model, parameters, window)
            with acting:
                functional_forward(model, parameters, observation.unsqueeze(0), state.unsqueeze(0))
    except (NotImplementedError, RuntimeError):
        return ()
    return [name for name, rows in shared.called.items() if rows == [2] and name in acting.outputs]
