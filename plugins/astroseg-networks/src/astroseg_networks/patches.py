"""A network of small patches over a whole image: overlapping patches, their answers averaged."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

__all__ = ["BEAMS", "average_patches", "logistic", "patch_weights"]

#: Pixels: full widths at half maximum of the beams that the networks of patches are trained on.
BEAMS = (2.0, 6.0)


def average_patches(
    run: Callable[[np.ndarray], dict[str, np.ndarray]], image: np.ndarray, *, size: int, step: int, batch: int
) -> dict[str, np.ndarray]:
    """Run a network on all patches of an image, and average its answers where they overlap.

    The patches lie on a grid that is pinned to the origin of the image, and the network always gets the same number of
    them, so that nothing but the image decides what comes out.

    Parameters
    ----------
    run : callable
        Patches of shape (batch, size, size) -> dict of maps of that shape.
    image : `~numpy.ndarray` of float32, shape (ny, nx)
        It goes on as 0 beyond its edges.
    size, step : int, pixels
        Side of a patch, and from one to the next; ``size`` is a multiple of ``step``.
    batch : int
        Number of patches that the network gets at once; the last ones are filled up with 0.

    Returns
    -------
    dict of `~numpy.ndarray` of float32, shape (ny, nx)

    Examples
    --------
    >>> import numpy as np
    >>> from astroseg_networks.patches import average_patches
    >>> image = np.arange(12, dtype="f4").reshape(3, 4)
    >>> average_patches(lambda patches: {"same": patches}, image, size=4, step=2, batch=8)["same"].round(3)
    array([[ 0.,  1.,  2.,  3.],
           [ 4.,  5.,  6.,  7.],
           [ 8.,  9., 10., 11.]], dtype=float32)
    """
    before = size - step  # so that pixels at the edge are in as many patches as all others
    counts = [-(-(length + before) // step) for length in image.shape]
    after = [(count - 1) * step + size - before - length for count, length in zip(counts, image.shape, strict=True)]
    padded = np.pad(image, [(before, more) for more in after])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))[::step, ::step]
    weights = patch_weights(size, step)
    sums: dict[str, np.ndarray] = {}
    for first in range(0, math.prod(counts), batch):
        rows, columns = np.divmod(np.arange(first, min(first + batch, math.prod(counts))), counts[1])
        patches = np.zeros((batch, size, size), dtype=np.float32)
        patches[: rows.size] = windows[rows, columns]
        for name, values in run(patches).items():
            total = sums.setdefault(name, np.zeros(padded.shape, dtype=np.float32))
            for y, x, value in zip(rows * step, columns * step, values * weights, strict=False):
                total[y : y + size, x : x + size] += value
    inside = tuple(slice(before, before + length) for length in image.shape)
    return {name: total[inside] for name, total in sums.items()}


def patch_weights(size: int, step: int) -> np.ndarray:
    """Weights of the pixels of a patch: smooth, least at its edges, and 1 over all patches that hold a pixel.

    Parameters
    ----------
    size, step : int, pixels
        See `average_patches`.

    Returns
    -------
    `~numpy.ndarray` of float32, shape (size, size)
        The product of two Hann windows (Harris 1978, Proc. IEEE 66, 51, eq. 27), divided by their sum over the patches.
    """
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    window /= np.tile(window.reshape(-1, step).sum(axis=0), size // step)
    return np.outer(window, window).astype(np.float32)


def logistic(logit: np.ndarray) -> np.ndarray:
    """Logits -> probabilities."""
    return 1 / (1 + np.exp(-np.clip(logit, -80, 80)))
