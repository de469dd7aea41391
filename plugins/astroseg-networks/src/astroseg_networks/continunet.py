"""ContinUNet: the plain U-Net that was published for radio continuum images, one convolution a level."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

__all__ = ["ContinUNet"]

#: Channels at each level; each level has half the resolution of the one before.
WIDTHS = (16, 32, 64, 128, 256)


class ContinUNet(nn.Module):
    """A U-Net of 1.18 million parameters: four poolings, four transposed convolutions, one convolution a level.

    Notes
    -----
    Stewart et al. 2024, RAS Techniques and Instruments 3, 315. U-Net: Ronneberger, Fischer & Brox 2015,
    arXiv:1505.04597.
    """

    size = 256  # pixels, side of a patch to train on; sides of images are multiples of 16

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(_convolution(a, b) for a, b in pairwise((1, *WIDTHS)))
        self.up = nn.ModuleList(_doubled(b, a) for a, b in pairwise(WIDTHS))
        self.decoders = nn.ModuleList(_convolution(2 * width, width) for width in WIDTHS[:-1])
        self.dropout = nn.Dropout(0.05)
        self.last = nn.Conv2d(WIDTHS[0], 1, 1)
        # Few pixels lie on a source: begin with 5 % (Lin et al. 2017, arXiv:1708.02002, section 4.1).
        nn.init.constant_(self.last.bias, -3.0)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the mask of each image.

        Parameters
        ----------
        image : `torch.Tensor`, shape (n, 1, ny, nx)
            (image - minimum) / (maximum - minimum).

        Returns
        -------
        dict of `torch.Tensor`
            ``segmentation``: logits, shape (n, 1, ny, nx).
        """
        features, passed = self.encoders[0](image), []
        for encoder in self.encoders[1:]:
            passed.append(features)
            features = encoder(self.dropout(functional.max_pool2d(features, 2)))
        for up, decoder, same in reversed(list(zip(self.up, self.decoders, passed, strict=True))):
            features = decoder(self.dropout(torch.cat([up(features), same], dim=1)))
        return {"segmentation": self.last(features).float()}


def _convolution(channels: int, out: int) -> nn.Sequential:
    # Noise fills all of the range of an empty image, and a thousandth of it beside a bright source: a smaller eps would
    # hide in training how little that is. It is Keras's, which the published network is written in.
    norm = nn.BatchNorm2d(out, eps=1e-3)
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1, bias=False), norm, nn.ReLU())


def _doubled(channels: int, out: int) -> nn.ConvTranspose2d:
    """To twice the resolution."""
    return nn.ConvTranspose2d(channels, out, 3, stride=2, padding=1, output_padding=1)
