"""The network that outlines one object from its extreme points, as a plain torch module.

It works at half the resolution of its input, as the U-Net does: 2 x 2 pixels become channels, and channels 2 x 2 pixels
again.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from astroseg_networks.blocks import Residual, Up, convolution

__all__ = ["DEXTR", "GUIDES", "VIEWS"]

VIEWS = 2  # planes for each image
GUIDES = 4  # planes for what the user says


class DEXTR(nn.Module):
    """A residual U-Net with the user's points as further planes of its input.

    Parameters
    ----------
    channels : int
        Images on one grid.
    widths, depths : sequence of int
        Channels, and residual blocks on the way down, at each level; each has half the resolution of the one before,
        the first that of half the input.

    Notes
    -----
    Extreme points as a plane of the input: Maninis et al. 2018, arXiv:1711.09081, with a light encoder and decoder in
    place of a ResNet-101 with a pyramid. Corrections as further planes: Xu et al. 2016, arXiv:1603.04042.
    """

    stride = 32  # sides of inputs are multiples of it

    def __init__(
        self,
        channels: int = 1,
        widths: tuple[int, ...] = (16, 32, 64, 128, 192),
        depths: tuple[int, ...] = (1, 1, 2, 2, 1),
    ) -> None:
        super().__init__()
        self.planes = VIEWS * channels + GUIDES
        self.stem = convolution(4 * self.planes, widths[0])
        self.down = nn.ModuleList(convolution(a, b, stride=2) for a, b in pairwise(widths))
        self.encoders = nn.ModuleList(
            nn.Sequential(*(Residual(width) for _ in range(depth))) for width, depth in zip(widths, depths, strict=True)
        )
        self.up = nn.ModuleList(Up(b, a) for a, b in pairwise(widths))
        self.decoders = nn.ModuleList(Residual(width) for width in widths[:-1])
        self.mix = convolution(widths[0], widths[0])
        self.last = nn.Conv2d(widths[0], 4, 1)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the mask.

        Parameters
        ----------
        image : `torch.Tensor`, shape (n, 2 * channels + 4, ny, nx)
            See `astroseg_networks.dextr_input.network_planes`.

        Returns
        -------
        dict of `torch.Tensor`, shape (n, 1, ny, nx)
            ``segmentation``: logit of each pixel to belong to the object.
        """
        features = self.stem(nn.functional.pixel_unshuffle(image, 2))
        passed = []
        for level, encoder in enumerate(self.encoders):
            features = encoder(features if level == 0 else self.down[level - 1](features))
            passed.append(features)
        for level in reversed(range(len(self.decoders))):
            features = self.decoders[level](passed[level] + self.up[level](features))
        features = self.mix(features)
        with torch.autocast(features.device.type, enabled=False):
            return {"segmentation": nn.functional.pixel_shuffle(self.last(features.float()), 2)}
