"""The network that improves a model of the sky by what the model leaves unexplained, as a plain torch module.

It is run a few times; what the model leaves unexplained is computed in between. It has no norm: fluxes go through it
linearly, and a map may have any size.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

__all__ = ["PLANES", "Unrolled"]

PLANES = 3


class Unrolled(nn.Module):
    """A residual U-Net that takes a model and its residual map, and returns a better model.

    Parameters
    ----------
    widths : tuple of int
        Channels at each level; each level has half the resolution of the one before, the first that of half the map.

    Notes
    -----
    Learned updates from residual maps: Aghabiglou et al. 2024, arXiv:2403.05452 (R2D2), there one network for each
    update. One network for all of them: Putzky & Welling 2017, arXiv:1706.04008.
    """

    stride = 8  # sides of maps are multiples of it

    def __init__(self, widths: tuple[int, ...] = (32, 48, 64)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4 * (PLANES + 1), widths[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        self.encoders = nn.ModuleList(nn.Sequential(_Residual(width), _Residual(width)) for width in widths)
        self.up = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in pairwise(widths))
        self.decoders = nn.ModuleList(_Residual(width) for width in widths[:-1])
        self.last = nn.Conv2d(widths[0], 4, 3, padding=1)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the next model.

        Parameters
        ----------
        image : `torch.Tensor`, shape (n, 3, ny, nx)
            Residual map, model and dirty map, in units of the largest value of the dirty map; the model per
            `astroseg_networks.dirty_units.AREA`.

        Returns
        -------
        dict of `torch.Tensor`, shape (n, 1, ny, nx)
            ``model``, in the same units.
        """
        faint = torch.asinh(50 * image[:, :1]) / 3
        features = self.stem(nn.functional.pixel_unshuffle(torch.cat([image, faint], dim=1), 2))
        passed = []
        for level, encoder in enumerate(self.encoders):
            features = encoder(features if level == 0 else nn.functional.relu(self.down[level - 1](features)))
            passed.append(features)
        for level in reversed(range(len(self.decoders))):
            above = nn.functional.pixel_shuffle(self.up[level](features), 2)
            features = self.decoders[level](passed[level] + above)
        with torch.autocast(features.device.type, enabled=False):
            update = nn.functional.pixel_shuffle(self.last(features.float()), 2)
            return {"model": image[:, 1:2].float() + update}


class _Residual(nn.Module):
    """Two convolutions, and what came in; nothing else at first (Zhang et al. 2019, arXiv:1901.09321)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        inside = self.second(nn.functional.relu(self.first(features)))
        return nn.functional.relu(features + inside)
