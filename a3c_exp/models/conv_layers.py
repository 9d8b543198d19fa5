"""Layers over images whose gradients are quicker on a CPU than torch's, which take longer than the convolutions."""

from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from a3c_exp.compile.shared_layers import SharedLayers


class NormKind(StrEnum):
    """How each image is normalized. ``instance``: each channel over its own pixels, as a BatchNorm does in training if a batch
    is one image. ``layer``: all channels together, which keeps differences between channels. ``none``: not at all."""

    instance = "instance"
    layer = "layer"
    none = "none"


class Norm(nn.Module):
    """Each image's channels to mean 0 and variance 1, then a scale and a shift a channel, as in a BatchNorm."""

    def __init__(self, channels: int, kind: NormKind) -> None:
        super().__init__()
        self.groups = {NormKind.instance: channels, NormKind.layer: 1, NormKind.none: 0}[kind]
        if self.groups:
            self.weight = nn.Parameter(torch.ones(channels))
            self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, images: Tensor) -> Tensor:
        if self.groups == 0:
            return images
        return functional.group_norm(images, self.groups, self.weight, self.bias)


class PReLU(nn.PReLU):
    """``torch.nn.PReLU`` with one slope, whose gradient torch computes five times as slowly as needed on a CPU."""

    def __init__(self) -> None:
        super().__init__(num_parameters=1)

    def forward(self, images: Tensor) -> Tensor:
        if not torch.is_grad_enabled() or images.device.type != "cpu" or SharedLayers.current is not None:
            return super().forward(images)
        output: Tensor = PReLUFunction.apply(images, self.weight)  # type: ignore[no-untyped-call]
        return output


class PReLUFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(images, slope)
        return functional.prelu(images, slope)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, Tensor]:
        images, slope = ctx.saved_tensors
        above: Tensor = torch.ops.aten.threshold_backward(grad_output, images, 0.0)  # of where() this is the fast half
        below = grad_output - above
        return torch.addcmul(above, below, slope), torch.dot(
            _flatten_channels_last(below), _flatten_channels_last(images)
        ).unsqueeze(0)


def _flatten_channels_last(images: Tensor) -> Tensor:
    """All numbers in a row, in an order that needs no copy in channels-last memory."""
    return images.permute(0, 2, 3, 1).reshape(-1)


class NormedConv(nn.Module):
    """A norm and the convolution behind it, for the first layers. The gradient with respect to the image, as costly as the
    convolution, would only serve the norm's scale and shift, which follow from the gradient of the kernel."""

    def __init__(self, norm: Norm, conv: nn.Conv2d) -> None:
        super().__init__()
        self.norm, self.conv = norm, conv

    def forward(self, images: Tensor) -> Tensor:
        norm, conv = self.norm, self.conv
        if norm.groups == 0 or images.requires_grad or not torch.is_grad_enabled():
            output: Tensor = conv(norm(images).contiguous(memory_format=torch.channels_last))
            return output
        normalized = functional.group_norm(images, norm.groups).contiguous(memory_format=torch.channels_last)
        assert conv.bias is not None
        parameters, shape = (norm.weight, norm.bias, conv.weight, conv.bias), (conv.stride, conv.padding)
        if SharedLayers.current is None:
            scaled: Tensor = ScaledConvFunction.apply(  # type: ignore[no-untyped-call]
                normalized, *parameters, *shape
            )
            return scaled
        shared = SharedLayers.current
        scale, shift, kernel, bias = (parameter.detach() for parameter in parameters)  # which are not shared once more
        output = shared.output(conv.weight, len(images), lambda: _scaled_conv(normalized, scale, shift, kernel, bias, *shape))
        rows = (shared.rows_of(parameter) for parameter in parameters)
        own: Tensor = SharedScaledConvFunction.apply(normalized, *rows, output, *shape)  # type: ignore[no-untyped-call]
        return own


class ScaledConvFunction(torch.autograd.Function):
    """``conv2d(scale x + shift)``.

    With ``g`` the gradient of the output, ``G`` that of a kernel over x itself, and ``T`` that of a kernel over an image of
    ones (which differs between taps, because padding is not shifted)::

        d kernel = scale G + shift T      d scale = sum(kernel G)      d shift = sum(kernel T)
    """

    @staticmethod
    def forward(
        ctx: Any,
        normalized: Tensor,
        scale: Tensor,
        shift: Tensor,
        kernel: Tensor,
        bias: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(normalized, scale, shift, kernel)
        ctx.stride, ctx.padding = stride, padding
        return _scaled_conv(normalized, scale, shift, kernel, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        return None, *_scaled_conv_gradients(ctx, grad_output, *ctx.saved_tensors), None, None


class SharedScaledConvFunction(torch.autograd.Function):
    """The same for images of K workers, sorted by worker, and parameters that have one equal row for each: the ``output`` is
    given, and each row has its own gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        normalized: Tensor,
        scales: Tensor,
        shifts: Tensor,
        kernels: Tensor,
        _: Tensor,
        output: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(normalized, scales, shifts, kernels)
        ctx.stride, ctx.padding = stride, padding
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        normalized, *rows = ctx.saved_tensors
        workers = len(rows[0])
        by_worker = zip(grad_output.chunk(workers), normalized.chunk(workers), strict=True)
        gradients = [_scaled_conv_gradients(ctx, d_own, own, *(row[0] for row in rows)) for d_own, own in by_worker]
        return None, *(torch.stack(parts) for parts in zip(*gradients, strict=True)), None, None, None


def _scaled_conv(
    normalized: Tensor,
    scale: Tensor,
    shift: Tensor,
    kernel: Tensor,
    bias: Tensor,
    stride: tuple[int, ...],
    padding: Any,
) -> Tensor:
    scaled = torch.addcmul(shift.view(-1, 1, 1), normalized, scale.view(-1, 1, 1))
    return functional.conv2d(scaled, kernel, bias, stride, padding)


def _scaled_conv_gradients(
    ctx: Any, grad_output: Tensor, normalized: Tensor, scale: Tensor, shift: Tensor, kernel: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of scale, shift, kernel and bias."""
    d_kernel_normalized = _kernel_gradient(grad_output, normalized, kernel, ctx)
    # Summed over images as a matrix, which torch does twenty times as fast as a channels-last tensor.
    grad_output = grad_output.contiguous(memory_format=torch.channels_last)
    d_sum = grad_output.permute(0, 2, 3, 1).flatten(1).sum(0).view(1, *grad_output.shape[2:], -1).permute(0, 3, 1, 2)
    ones = normalized.new_ones(1, 1, *normalized.shape[2:])
    d_kernel_ones = _kernel_gradient(d_sum, ones, kernel[:, :1], ctx)
    d_kernel = d_kernel_normalized * scale.view(-1, 1, 1) + d_kernel_ones * shift.view(-1, 1, 1)
    d_scale = (kernel * d_kernel_normalized).sum((0, 2, 3))
    d_shift = (kernel * d_kernel_ones).sum((0, 2, 3))
    return d_scale, d_shift, d_kernel, d_sum.permute(0, 2, 3, 1).flatten(0, 2).sum(0)


def _kernel_gradient(grad_output: Tensor, images: Tensor, kernel: Tensor, ctx: Any) -> Tensor:
    shape = (ctx.stride, ctx.padding, (1, 1), False, (0, 0), 1)
    gradient: Tensor = torch.ops.aten.convolution_backward(grad_output, images, kernel, None, *shape, (False, True, False))[1]
    return gradient
