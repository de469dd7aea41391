"""The networks that translate a dirty map into a sky, and that judge the translation, as plain torch modules."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

__all__ = ["Adversaries", "Discriminator", "Generator"]

PLANES = 2
LIGHT = (24, 48, 96, 128, 128)
PUBLISHED = (64, 128, 256, 512, 512, 512, 512, 512)
SLOPE = 0.2
SPREAD = 0.02  # of the weights at first


class Generator(nn.Module):
    """A U-Net of convolutions of 4 x 4 pixels, each of half the resolution of the one before.

    Parameters
    ----------
    widths : tuple of int
        Channels at each level, the first at half the resolution of the map.
    normed : int
        1 for a norm with the statistics of the map itself, which is what batch norm is with one map in a batch. With 0
        there is none.
    dropped : int
        Number of levels on the way up, of the deepest, in whose features half is dropped in training.

    Notes
    -----
    Isola et al. 2017, arXiv:1611.07004, appendix 6.1.1: `PUBLISHED`, with ``normed=1, dropped=3``. There the last layer
    is a hyperbolic tangent and gives the restored map. Here it is linear and gives the model of the sky, and the
    restored map is that convolved with the restoring beam: only so can one ask whether it explains what was measured,
    and fluxes have no limit. There is a second plane in the input, the dirty beam, as it differs from one observation
    to the next.
    """

    def __init__(self, widths: tuple[int, ...] = LIGHT, normed: int = 0, dropped: int = 0) -> None:
        super().__init__()
        self.stride = 2 ** len(widths)  # sides of maps are multiples of it
        norms = [normed and 0 < level < len(widths) - 1 for level in range(len(widths))]
        self.down = nn.ModuleList(
            _down(a, b, ramp=level > 0, normed=bool(norms[level]))
            for level, (a, b) in enumerate(pairwise((PLANES, *widths)))
        )
        ways = [(2 * b if level else b, a) for level, (b, a) in enumerate(pairwise(widths[::-1]))]
        self.up = nn.ModuleList(
            _up(b, a, normed=bool(normed), dropped=level < dropped) for level, (b, a) in enumerate(ways)
        )
        self.last = nn.ConvTranspose2d(2 * widths[0], 1, 4, stride=2, padding=1)
        self.apply(_begin)
        if not normed:
            self.apply(_begin_without_norm)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the model of the sky.

        Parameters
        ----------
        image : `torch.Tensor`, shape (n, 2, ny, nx)
            Dirty map, in units of its largest value, and the dirty beam, its peak of 1 in the middle.

        Returns
        -------
        dict of `torch.Tensor`, shape (n, 1, ny, nx)
            ``model``, in the same units per `astroseg_networks.dirty_units.AREA`.
        """
        passed = [image]
        for layer in self.down:
            passed.append(layer(passed[-1]))
        features = passed.pop()
        for layer in self.up:
            features = torch.cat([layer(features), passed.pop()], dim=1)
        with torch.autocast(features.device.type, enabled=False):
            return {"model": self.last(nn.functional.relu(features.float()))}


class Discriminator(nn.Module):
    """Judges whether each patch of 70 x 70 pixels of a restored map is a true one, given the dirty map.

    Parameters
    ----------
    width : int
        Channels of the first layer; 64 as published.

    Notes
    -----
    Isola et al. 2017, arXiv:1611.07004, appendix 6.1.2.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width)
        self.layers = nn.Sequential(
            _down(2, widths[0], ramp=False, normed=False),
            *(_down(a, b, ramp=True, normed=True) for a, b in pairwise(widths)),
            _down(widths[-1], 8 * width, ramp=True, normed=True, stride=1),
            _down(8 * width, 1, ramp=True, normed=False, stride=1),
        )
        self.apply(_begin)

    def forward(self, dirty: torch.Tensor, restored: torch.Tensor) -> torch.Tensor:
        """Logits of the patches, shape (n, 1, my, mx); the maps have the shape (n, 1, ny, nx)."""
        return self.layers(torch.cat([dirty, restored], dim=1))


class Adversaries(nn.Module):
    """Both, for the training. What it returns is what the generator does."""

    def __init__(self, generator: Generator, discriminator: Discriminator) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """See `Generator.forward`."""
        return self.generator(image)


def _down(channels: int, out: int, *, ramp: bool, normed: bool, stride: int = 2) -> nn.Sequential:
    layers: list[nn.Module] = [nn.LeakyReLU(SLOPE)] if ramp else []
    layers.append(nn.Conv2d(channels, out, 4, stride=stride, padding=1))
    return nn.Sequential(*layers, *([nn.InstanceNorm2d(out, affine=True)] if normed else []))


def _up(channels: int, out: int, *, normed: bool, dropped: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.ReLU(), nn.ConvTranspose2d(channels, out, 4, stride=2, padding=1)]
    layers += [nn.InstanceNorm2d(out, affine=True)] if normed else []
    return nn.Sequential(*layers, *([nn.Dropout(0.5)] if dropped else []))


def _begin(layer: nn.Module) -> None:
    """Weights at first, as published."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0, SPREAD)
        nn.init.zeros_(layer.bias)


def _begin_without_norm(layer: nn.Module) -> None:
    """Weights at first that keep the size of features where no norm does (He et al. 2015, arXiv:1502.01852)."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, SLOPE)
    if isinstance(layer, nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0, (2 / (4 * layer.in_channels)) ** 0.5)  # 4 x 4 pixels, every other one
