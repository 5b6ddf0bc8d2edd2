"""Residual networks for colour images of 32 × 32 pixels given as bytes.

He et al. (2016): the CIFAR form of section 4.2 (ResNet-20), and the ImageNet form of ResNet-18
whose first layer keeps the resolution, as is usual for images this small.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ResNet18", "ResNet20"]

_MEAN, _DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of CIFAR-10's training


class Pixels(nn.Module):
    """Bytes `[b, 3, 32, 32]` as standardised floats: images need a quarter of the memory."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("mean", _MEAN), ("deviation", _DEVIATION)):
            value = 255.0 * torch.tensor(values).view(3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images.to(self.mean.dtype) - self.mean) / self.deviation


class Block(nn.Module):
    """relu(x + norm conv relu norm conv x); where the shape changes, x is projected.

    With `projected` a 1 × 1 convolution does it; otherwise pixels are skipped and channels
    of zeros added, which needs no parameters.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, *, projected: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.stride, self.added = stride, outputs - inputs
        self.projection = (
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )
            if projected and (stride > 1 or self.added)
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        inside = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(inside)) + self._passed(x))

    def _passed(self, x: Tensor) -> Tensor:
        if self.projection is not None:
            return self.projection(x)
        if self.stride == 1 and not self.added:
            return x
        skipped = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(skipped, (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))


class _ResNet(nn.Module):
    """A convolution, stages of blocks that halve the resolution, a mean and a linear layer."""

    def __init__(self, widths: Sequence[int], depth: int, *, projected: bool, classes: int) -> None:
        super().__init__()
        self.pixels = Pixels()
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        blocks, inputs = [], widths[0]
        for stage, outputs in enumerate(widths):
            for number in range(depth):
                stride = 2 if stage and not number else 1
                blocks.append(Block(inputs, outputs, stride, projected=projected))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        x = functional.relu(self.stem_norm(self.stem(self.pixels(images))))
        return self.head(self.blocks(x).mean(dim=(2, 3)))


class ResNet20(_ResNet):
    """Three stages of three blocks, 16 to 64 channels: 269,722 parameters for ten classes."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__((16, 32, 64), 3, projected=False, classes=classes)


class ResNet18(_ResNet):
    """Four stages of two blocks, 64 to 512 channels: 11,173,962 parameters for ten classes."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__((64, 128, 256, 512), 2, projected=True, classes=classes)
