"""A convolutional autoencoder of 60 x 60 pixels: a patch of sky in, its mask out."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["CAE"]


class CAE(nn.Module):
    """A convolutional autoencoder from sky to mask: two poolings, two transposed convolutions, nothing across.

    Notes
    -----
    The nearest published one is ConvoSource (Lukic, de Gasperin & Brüggen 2020, Galaxies 8, 3), which does not pool
    and finds centres.
    """

    size = 60  # pixels, side of a patch

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            _convolution(1, 32),
            nn.MaxPool2d(2),
            _convolution(32, 64),
            nn.MaxPool2d(2),
            _convolution(64, 128),
        )
        self.decoder = nn.Sequential(_doubled(128, 64), _doubled(64, 32), nn.Conv2d(32, 1, 3, padding=1))

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the mask of each patch.

        Parameters
        ----------
        image : `torch.Tensor`, shape (n, 1, 60, 60), or (skies, patches, 60, 60)
            asinh(image over noise).

        Returns
        -------
        dict of `torch.Tensor`
            ``segmentation``: logits, shape (n, 1, 60, 60).
        """
        patches = image.reshape(-1, 1, self.size, self.size)
        return {"segmentation": self.decoder(self.encoder(patches)).float()}


def _convolution(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU())


def _doubled(channels: int, out: int) -> nn.Sequential:
    """To twice the resolution."""
    layer = nn.ConvTranspose2d(channels, out, 2, stride=2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(out), nn.ReLU())
