"""The residual U-Net with several heads, as a plain torch module.

Every image that it sees has a round beam of `BEAMS` pixels (`astroseg_networks.grid` sees to that) and is in units of
its noise. It works at half the resolution of the image: 2 x 2 pixels become four channels, and four channels 2 x 2
pixels again, so that nothing is lost and a convolution costs a quarter.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from astroseg_networks.blocks import Residual, Up, convolution

__all__ = ["HEADS", "UNet"]

#: Name of each map that comes out, and its number of channels.
HEADS = {
    "segmentation": 1,  # logit: the pixel lies above the isophote of the noise-free sky
    "centre": 1,  # logit: the centre of a source lies in this pixel
    "vote": 2,  # pixels in x and y from here to the centre of the source that the pixel belongs to
    "log_flux": 2,  # ln of the flux over the noise, less asinh(half the pixel); ln of its variance
    "log_major": 2,  # ln of the deconvolved full width at half maximum over the beam; ln of its variance
    "log_minor": 2,
    "angle": 2,  # cosine and sine of twice the angle of the major axis from +x towards +y
}


class UNet(nn.Module):
    """A residual U-Net.

    Parameters
    ----------
    widths : tuple of int
        Channels at each level; each level has half the resolution of the one before, the first that of half the image.
    depths : tuple of int
        Residual blocks on the way down at each level.

    Notes
    -----
    U-Net: Ronneberger, Fischer & Brox 2015, arXiv:1505.04597. Residual blocks: He et al. 2016, arXiv:1512.03385.
    Centres as peaks of a map: Zhou, Wang & Krähenbühl 2019, arXiv:1904.07850. Pixels that vote for the centre of
    their object: Cheng et al. 2020, arXiv:1911.10194.
    """

    stride = 16  # sides of images are multiples of it

    def __init__(self, widths: tuple[int, ...] = (32, 64, 96, 128), depths: tuple[int, ...] = (1, 1, 2, 2)) -> None:
        super().__init__()
        self.stem = convolution(8, widths[0])
        self.down = nn.ModuleList(convolution(a, b, stride=2) for a, b in pairwise(widths))
        self.encoders = nn.ModuleList(
            nn.Sequential(*(Residual(width) for _ in range(depth))) for width, depth in zip(widths, depths, strict=True)
        )
        self.up = nn.ModuleList(Up(b, a) for a, b in pairwise(widths))
        self.decoders = nn.ModuleList(Residual(width) for width in widths[:-1])
        self.places = _Head(widths[0], [HEADS[name] for name in PLACES])
        self.shapes = _Head(widths[0], [HEADS[name] for name in SHAPES])
        # Few pixels hold a centre: begin with 1 % (Lin et al. 2017, arXiv:1708.02002, section 4.1).
        nn.init.constant_(self.places.last.bias[4:8], -4.6)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the maps.

        Parameters
        ----------
        image : `torch.Tensor`, shape (n, 2, ny, nx)
            asinh(image over noise), and a plane with ln(beam / 2.5 pixels).

        Returns
        -------
        dict of `torch.Tensor`, shape (n, channels, ny, nx)
            By the names of `HEADS`.
        """
        features = self.stem(nn.functional.pixel_unshuffle(image, 2))
        passed = []
        for level, encoder in enumerate(self.encoders):
            features = encoder(features if level == 0 else self.down[level - 1](features))
            passed.append(features)
        for level in reversed(range(len(self.decoders))):
            features = self.decoders[level](passed[level] + self.up[level](features))
        return dict(zip(PLACES + SHAPES, self.places(features) + self.shapes(features), strict=True))


PLACES = ["segmentation", "centre", "vote"]
SHAPES = ["log_flux", "log_major", "log_minor", "angle"]


class _Head(nn.Module):
    """Maps at the resolution of the image. The last convolution is in float32: in bfloat16 neighbours tie."""

    def __init__(self, width: int, channels: list[int]) -> None:
        super().__init__()
        self.channels = channels
        self.mix = convolution(width, width)
        self.last = nn.Conv2d(width, 4 * sum(channels), 1)

    def forward(self, features: torch.Tensor) -> list[torch.Tensor]:
        features = self.mix(features)
        with torch.autocast(features.device.type, enabled=False):
            maps = nn.functional.pixel_shuffle(self.last(features.float()), 2)
        return list(torch.split(maps, self.channels, dim=1))
