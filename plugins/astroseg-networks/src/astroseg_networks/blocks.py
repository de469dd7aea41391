"""What the residual networks are built of."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["Residual", "Up", "convolution"]


def convolution(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    """A convolution of 3 x 3 pixels, batch norm and a ramp."""
    layer = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(out), nn.ReLU())


class Residual(nn.Module):
    """Two convolutions, and what came in (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """The same number of channels."""
        return nn.functional.relu(features + self.norm(self.second(self.first(features))))


class Up(nn.Module):
    """To twice the resolution, and to fewer channels first, where it is cheap."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, out, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Twice as high and wide."""
        return nn.functional.interpolate(self.mix(features), scale_factor=2, mode="nearest")
