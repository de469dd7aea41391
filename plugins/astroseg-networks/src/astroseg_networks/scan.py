"""A network over a whole image, patch by patch, always on the same grid of patches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from astroseg_networks.normalisation import network_input
from astroseg_networks.weights import WeightsError

__all__ = ["HALO", "OWN", "scan"]

OWN = 1280  # pixels that each patch answers for, in both directions
HALO = 160  # pixels around them that it sees: all that an answer of the U-Net depends on
STRIDE = 16


def scan(
    run: Callable[[np.ndarray], dict[str, np.ndarray]],
    significance: np.ndarray,
    beam: float,
    maps: dict[str, np.ndarray],
) -> None:
    """Fill maps with what a network says of an image.

    Parameters
    ----------
    run : callable
        (1, 2, ny, nx) -> dict of (1, channels, ny, nx).
    significance : `~numpy.ndarray` of float32, shape (ny, nx)
        The image in units of its noise, 0 where blank.
    beam : float, pixels
    maps : dict of `~numpy.ndarray` of float32, shape (channels, ny, nx)
        Filled in place; others that the network returns are left out.

    Raises
    ------
    WeightsError
        The network answers with something that is not a finite number.
    """
    height, width = significance.shape
    for top in range(0, height, OWN):
        for left in range(0, width, OWN):
            rows, columns = (_patch(start, length) for start, length in ((top, height), (left, width)))
            patch = np.zeros([_rounded(part.stop - part.start) for part in (rows, columns)], dtype=np.float32)
            seen = significance[rows, columns]
            patch[: seen.shape[0], : seen.shape[1]] = seen
            answer = run(network_input(patch, beam)[np.newaxis])
            own = slice(top, min(top + OWN, height)), slice(left, min(left + OWN, width))
            crop = tuple(
                slice(part.start - read.start, part.stop - read.start)
                for part, read in zip(own, (rows, columns), strict=True)
            )
            for name, values in maps.items():
                values[:, *own] = _finite(answer[name][0])[:, *crop]


def _patch(start: int, length: int) -> slice:
    return slice(max(start - HALO, 0), min(start + OWN + HALO, length))


def _rounded(length: int) -> int:
    return -(-length // STRIDE) * STRIDE


def _finite(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        msg = "The network answers with something that is not a finite number: its weights are damaged."
        raise WeightsError(msg)
    return values
