"""Layers of which one set of weights serves K workers: all their rows are one batch, and each worker has its own gradient.

That a layer's weights have a gradient a worker costs convolutions and products of one size the same as one gradient of all of
them, while what flows back through the layers is computed once for all. The outputs that layers had when workers acted, with
the same weights, need not be computed again.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_KEPT_SIZE = 1 << 16  # weights of a linear layer from which keeping its outputs pays; convolutions always do


class SharedLayers(TorchFunctionMode):
    """While entered, convolutions, linear layers, group norms and PReLUs of images that have these very tensors as ``weights``
    give their gradients to ``rows``, and none to the ``weights``. Inputs must be sorted by worker.

    Args:
        workers: K.
        weights: each parameter, by name.
        rows: ``[K, *shape]`` the same numbers once for each worker, by name.
        kept: ``[K * n, *]`` outputs that need not be computed, by the name of the layer's weight.

    Attributes:
        called: how many rows each layer had in each of its calls, by the name of its weight; of layers worth keeping only.
    """

    current: ClassVar["SharedLayers | None"] = None

    def __init__(
        self,
        workers: int,
        weights: Mapping[str, Tensor],
        rows: Mapping[str, Tensor],
        kept: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.workers, self._rows, self._kept = workers, rows, kept or {}
        self._names = {id(weight): name for name, weight in weights.items()}
        self.called: dict[str, list[int]] = {}
        self._handlers: dict[Any, tuple[Callable[..., Any], slice]] = {  # and which arguments are weights
            torch.conv2d: (self._conv2d, slice(1, 3)),
            functional.linear: (self._linear, slice(1, 3)),
            functional.group_norm: (self._group_norm, slice(2, 4)),
            torch.prelu: (self._prelu, slice(1, 2)),
        }

    def __enter__(self) -> "SharedLayers":
        super().__enter__()  # type: ignore[no-untyped-call]
        SharedLayers.current = self
        return self

    def __exit__(self, *error: Any) -> None:
        SharedLayers.current = None
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is functional.group_norm:  # which comes with its weights by name
            args, kwargs = (*args, *(kwargs or {}).values()), None
        handler, operands = self._handlers.get(func, (func, slice(0)))
        if len(args) < operands.stop or any(id(weight) not in self._names for weight in args[operands]):
            handler = func  # gives what it gives, and the weights a gradient, which tells that a layer was not shared
        return handler(*args, **(kwargs or {}))

    def rows_of(self, weight: Tensor) -> Tensor:
        """``[K, *shape]`` a parameter once for each worker."""
        return self._rows[self._names[id(weight)]]

    def output(self, weight: Tensor, rows: int, compute: Callable[[], Tensor]) -> Tensor:
        """What a layer gives for so many rows of inputs: kept, or computed without a graph."""
        name = self._names[id(weight)]
        self.called.setdefault(name, []).append(rows)
        kept = self._kept.get(name)
        if kept is not None and len(kept) == rows:
            return kept
        with torch.no_grad():
            return compute()

    def _conv2d(
        self,
        images: Tensor,
        weight: Tensor,
        bias: Tensor,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        shape = stride, padding, dilation, groups
        output = self.output(weight, len(images), lambda: functional.conv2d(images, weight, bias, *shape))
        own = images, self.rows_of(weight), self.rows_of(bias), output, *shape
        result: Tensor = _SharedConv.apply(*own)  # type: ignore[no-untyped-call]
        return result

    def _linear(self, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        flat = inputs.reshape(-1, inputs.shape[-1])

        def compute() -> Tensor:
            return functional.linear(flat, weight, bias)

        if weight.numel() < _KEPT_SIZE:
            with torch.no_grad():
                output = compute()
        else:
            output = self.output(weight, len(flat), compute)
        result: Tensor = _SharedLinear.apply(  # type: ignore[no-untyped-call]
            flat, self.rows_of(weight), self.rows_of(bias), output
        )
        return result.view(*inputs.shape[:-1], -1)

    def _group_norm(self, images: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
        normalized = functional.group_norm(images, groups, eps=eps)
        by_worker = normalized.view(self.workers, -1, *normalized.shape[1:])
        scale, shift = (self.rows_of(vector)[:, None, :, None, None] for vector in (weight, bias))
        return torch.addcmul(shift, by_worker, scale).flatten(0, 1)

    def _prelu(self, images: Tensor, weight: Tensor) -> Tensor:
        result: Tensor = _SharedPReLU.apply(images, self.rows_of(weight))  # type: ignore[no-untyped-call]
        return result


class KeptOutputs(TorchFunctionMode):
    """While entered, ``outputs`` is filled with what the layers with these ``weights`` give, by name; of others nothing."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._names = {id(weight): name for name, weight in weights.items()}
        self.outputs: dict[str, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.conv2d, functional.linear) and (name := self._names.get(id(args[1]))) is not None:
            self.outputs[name] = result if func is torch.conv2d else result.reshape(-1, result.shape[-1])
        return result


class _SharedConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, kernels: Tensor, biases: Tensor, output: Tensor, *shape: Any) -> Tensor:
        ctx.save_for_backward(images, kernels)
        stride, padding, dilation, groups = shape
        ctx.shape = stride, padding, dilation, False, (0, 0), groups
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        images, kernels = ctx.saved_tensors
        kernel, gradient = kernels[0], torch.ops.aten.convolution_backward
        d_images = None
        if ctx.needs_input_grad[0]:
            d_images = gradient(grad_output, images, kernel, None, *ctx.shape, (True, False, False))[0]
        sizes, mask = [len(kernel)], (False, True, True)
        by_worker = zip(grad_output.chunk(len(kernels)), images.chunk(len(kernels)), strict=True)
        parts = [gradient(d_own, own, kernel, sizes, *ctx.shape, mask)[1:] for d_own, own in by_worker]
        d_kernels, d_biases = (torch.stack(part) for part in zip(*parts, strict=True))
        return d_images, d_kernels, d_biases, None, None, None, None, None


class _SharedLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weights: Tensor, biases: Tensor, output: Tensor) -> Tensor:
        ctx.save_for_backward(inputs, weights)
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weights = ctx.saved_tensors
        d_inputs = grad_output @ weights[0] if ctx.needs_input_grad[0] else None
        own, d_own = (rows.unflatten(0, (len(weights), -1)) for rows in (inputs, grad_output))
        return d_inputs, torch.bmm(d_own.transpose(1, 2), own), d_own.sum(1), None


class _SharedPReLU(torch.autograd.Function):
    """See ``PReLUFunction`` of the models."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, slopes: Tensor) -> Tensor:
        ctx.save_for_backward(images, slopes)
        return functional.prelu(images, slopes[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, Tensor]:
        images, slopes = ctx.saved_tensors
        above: Tensor = torch.ops.aten.threshold_backward(grad_output, images, 0.0)
        below = grad_output - above
        by_worker = zip(*(part.permute(0, 2, 3, 1).reshape(len(slopes), -1).unbind() for part in (images, below)), strict=True)
        d_slopes = torch.stack([torch.dot(own, d_own) for own, d_own in by_worker])
        return torch.addcmul(above, below, slopes[0]), d_slopes.unsqueeze(1)
