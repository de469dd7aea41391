"""A variational autoencoder of 16 x 16 pixels: a patch of sky in, its mask out, through sixteen numbers.

What the mask may look like is what the decoder can make of sixteen numbers that are spread like standard normals. It
is trained in one of two ways: as a whole, or the decoder first, on masks alone (`astroseg_networks.patch_task`).
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["VAE"]


class VAE(nn.Module):
    """A variational autoencoder from sky to mask.

    Attributes
    ----------
    encoder : `torch.nn.Module`
        Image of shape (n, 1, 16, 16) -> mean and ln variance of the latent vector, shape (n, 32).
    decoder : `torch.nn.Module`
        Latent vectors of shape (n, 16) -> logits of the mask, shape (n, 1, 16, 16).

    Notes
    -----
    Kingma & Welling 2014, arXiv:1312.6114, eqs. 9 and 10. A decoder of masks as an anatomical prior: Dalca, Guttag &
    Sabuncu 2018, arXiv:1903.03148; without their prior of the place, as a source may lie anywhere.
    """

    size = 16  # pixels, side of a patch
    latent = 16

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            _convolution(1, 32),
            nn.MaxPool2d(2),
            _convolution(32, 64),
            nn.MaxPool2d(2),
            nn.Flatten(),
            _spread(64 * 4 * 4, self.latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(self.latent, 64 * 4 * 4),
            nn.Unflatten(1, (64, 4, 4)),
            nn.ReLU(),
            _doubled(64, 64),
            _doubled(64, 32),
            nn.Conv2d(32, 1, 3, padding=1),
        )

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the mask of each patch.

        Parameters
        ----------
        image : `torch.Tensor`, shape (n, 2, 16, 16), or (skies, 2 times patches, 16, 16)
            Of each patch asinh(image over noise), and a plane whose first row says how many standard deviations each of
            the sixteen numbers is off its mean: 0 for the best mask, drawn from a standard normal for a sample. As a
            part of the input it makes one graph of both, and leaves nothing to chance.

        Returns
        -------
        dict of `torch.Tensor`
            ``segmentation``: logits, shape (n, 1, 16, 16). ``mean`` and ``log_variance`` of the latent vector, shape
            (n, 16, 1, 1).
        """
        image = image.reshape(-1, 2, self.size, self.size)
        mean, log_variance = self.encoder(image[:, :1]).float().chunk(2, dim=1)
        vector = mean + torch.exp(log_variance / 2) * image[:, 1, 0]
        return {
            "segmentation": self.decoder(vector).float(),
            "mean": mean[:, :, None, None],
            "log_variance": log_variance[:, :, None, None],
        }


def _convolution(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU())


def _doubled(channels: int, out: int) -> nn.Sequential:
    """To twice the resolution. No batch norm: a frozen decoder must not go on counting."""
    layer = nn.ConvTranspose2d(channels, out, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(layer, nn.ReLU())


def _spread(features: int, latent: int) -> nn.Linear:
    """Mean and ln variance, the variance small at first: the decoder learns nothing from noise alone."""
    layer = nn.Linear(features, 2 * latent)
    nn.init.constant_(layer.bias[latent:], -4.0)
    return layer
