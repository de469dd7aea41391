"""The restorer: a dirty image, translated into a sky at once."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Interval

from astroseg.dirty import DirtyImage
from astroseg_networks.dirty_units import AREA
from astroseg_networks.network_restorer import STEPS, NetworkRestorer
from astroseg_networks.runtime import Runtime

__all__ = ["Pix2PixRestorer"]

LEVELS = 5  # of the light network, whose card does not say


class Pix2PixRestorer(NetworkRestorer):
    """A network that translates a dirty image into a model of the sky at once.

    Parameters
    ----------
    weights : str
        A name that ships with the package, or a file: ``.onnx`` or ``.safetensors``.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    steps : int
        In which the model is corrected towards what was measured; see `astroseg_networks.consistency.corrected`.
    residuals : bool
        Add what is left unexplained to the restored image, as CLEAN does.
    """

    name = "pix2pix"
    citation = "Isola et al. 2017, arXiv:1611.07004 (pix2pix)"

    def __init__(
        self,
        *,
        weights: str = "pix2pix",
        device: str = "auto",
        steps: Annotated[int, Interval(ge=0, le=1000)] = STEPS,
        residuals: bool = False,
    ) -> None:
        self.weights = weights
        self.device = device
        self.steps = steps
        self.residuals = residuals

    @staticmethod
    def build(arguments: dict[str, Any]) -> Any:
        """The network, in torch."""
        from astroseg_networks.pix2pix import Generator

        return Generator(**arguments)

    def model(self, network: Runtime, dirty: DirtyImage, scale: float) -> np.ndarray:
        """See `NetworkRestorer.model`."""
        stride = 2 ** len(network.card["architecture"].get("widths", range(LEVELS)))
        ny, nx = dirty.data.shape
        sides = fitting(ny, stride), fitting(nx, stride)
        planes = np.stack([placed(dirty.data / scale, sides), placed(dirty.psf, sides, centred=True)])
        model = network(planes[np.newaxis])["model"][0, 0] / AREA
        return placed(model, (ny, nx))


def fitting(length: int, stride: int) -> int:
    """Side of what the network sees: a multiple of its stride. Of an odd image the last pixel is left out."""
    return length - 1 if length > stride and length % stride == 1 else length + -length % stride


def placed(values: np.ndarray, sides: tuple[int, int], *, centred: bool = False) -> np.ndarray:
    """An image of other sides: cut off, or 0 beyond.

    Parameters
    ----------
    values : 2-D `~numpy.ndarray`
    sides : (int, int)
    centred : bool
        The middle of ``values``, of odd sides, comes to pixel ``sides // 2``; otherwise corner comes on corner.
    """
    offset = [side // 2 - length // 2 if centred else 0 for side, length in zip(sides, values.shape, strict=True)]
    out = np.zeros(sides, dtype=np.float32)
    here, there = [], []
    for start, length, side in zip(offset, values.shape, sides, strict=True):
        low, high = max(start, 0), min(start + length, side)
        here.append(slice(low, high))
        there.append(slice(low - start, high - start))
    out[tuple(here)] = values[tuple(there)]
    return out
