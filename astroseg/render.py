"""Gaussian sources -> pixels: the model image, and which source is the brightest in each pixel.

Sources are elliptical Gaussians already convolved with the beam; the drawing knows nothing of the sky.
"""

from __future__ import annotations

import numpy as np

from astroseg.ellipse import PIXEL_VARIANCE

__all__ = ["render_gaussians"]

REACH = 5.0  # sigmas out to which a source is drawn: the flux beyond is 4e-6 of it
LEAST_REACH = 3.5  # of sources too faint to matter further out; the flux beyond is 0.2 %
MOST_REACH = 9.0
NARROW = 0.6  # pixels: a thinner sigma makes the sum over pixel centres miss the flux by 0.2 % and soon by far more
FINER = 4  # samples a pixel, along each axis, of such sources


def render_gaussians(
    shape: tuple[int, int],
    x: np.ndarray,
    y: np.ndarray,
    total: np.ndarray,
    covariance: np.ndarray,
    *,
    faintest: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw Gaussian sources, and note the brightest one in each pixel.

    Parameters
    ----------
    shape : (int, int)
        Of the image, (ny, nx).
    x, y : 1-D `~numpy.ndarray`
        Centres, 0-based pixels; they may lie between pixels and outside of the image.
    total : 1-D `~numpy.ndarray`
        Sum over all pixels of each source, may be negative. What is not finite is not drawn.
    covariance : `~numpy.ndarray`, shape (n, 2, 2)
        In (x, y), pixels squared. Sources thinner than a pixel get a pixel's own variance.
    faintest : float, optional
        Brightness of a pixel below which a source need not be drawn, which saves time. By default each is drawn to 5
        sigma; with it to between 3.5 (0.2 % of the flux is lost) and 9.

    Returns
    -------
    model : 2-D `~numpy.ndarray` of float64
        Sum of all sources.
    owner : 2-D `~numpy.ndarray` of int32
        1 + index of the brightest source, 0 where none reaches.

    Notes
    -----
    A pixel has the brightness at its centre, as in an image in Jy/beam, whose beam is sampled; where a source is too
    thin for that (sigma below 0.6 pixels) it has the mean over its area, so that the sum is right in any case.

    Examples
    --------
    >>> import numpy as np
    >>> from astroseg.render import render_gaussians
    >>> model, owner = render_gaussians((32, 32), np.array([15.3]), np.array([16.0]), np.array([7.0]), np.eye(2)[None])
    >>> float(model.sum().round(3)), int(owner[16, 15])
    (7.0, 1)
    """
    model, brightest = np.zeros(shape), np.zeros(shape, dtype=np.float32)
    owner = np.zeros(shape, dtype=np.int32)
    drawable = np.isfinite(total) & (total != 0) & np.isfinite(x) & np.isfinite(y)
    index = np.flatnonzero(drawable & np.isfinite(covariance).all(axis=(1, 2)))
    covariance, narrow = _thick_enough(covariance[index])
    peak = total[index] / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))
    # In units of the brightest source, so that float32 holds any physical unit.
    unit = float(np.max(np.abs(peak), initial=0)) or 1.0
    reach = _reach(np.abs(peak), faintest)
    low, high = _boxes(shape, x[index], y[index], covariance, reach, narrow)
    inverse = np.linalg.inv(covariance)
    inside = np.flatnonzero((low < high).all(axis=1))
    for source in inside.tolist():
        number = index[source]
        part = tuple(
            slice(start, stop) for start, stop in zip(low[source].tolist(), high[source].tolist(), strict=True)
        )
        draw = _averaged if narrow[source] else _sampled
        drawn = draw(part, x[number], y[number], peak[source] / unit, inverse[source])
        model[part] += drawn
        ahead = drawn > brightest[part]
        np.copyto(brightest[part], drawn, where=ahead)
        np.copyto(owner[part], np.int32(number + 1), where=ahead)
    return model * unit, owner


def _thick_enough(covariance) -> tuple[np.ndarray, np.ndarray]:
    """Covariances of at least a pixel's variance, and which of them are too thin to be sampled at pixel centres."""
    least = np.linalg.eigvalsh(covariance)[:, 0]
    lacking = np.fmax(PIXEL_VARIANCE - least, 0)
    return covariance + lacking[:, None, None] * np.eye(2), least < NARROW**2


def _reach(peak, faintest) -> np.ndarray:
    if not faintest > 0:
        return np.full(peak.shape, REACH)
    return np.clip(np.sqrt(2 * np.log(np.fmax(peak / faintest, 1))), LEAST_REACH, MOST_REACH)


def _boxes(shape, x, y, covariance, reach, narrow) -> tuple[np.ndarray, np.ndarray]:
    """First and last + 1 pixel (y, x) of the box around each ellipse at its reach, cut at the edges of the image."""
    half = reach[:, None] * np.sqrt(np.stack([covariance[:, 1, 1], covariance[:, 0, 0]], axis=-1))
    half += np.where(narrow, 0.5, 0)[:, None]  # of these a pixel has the mean over its area
    centre, size = np.stack([y, x], axis=-1), np.array(shape)
    low = np.clip(np.ceil(centre - half), 0, size)
    high = np.clip(np.floor(centre + half) + 1, 0, size)
    return low.astype(np.intp), high.astype(np.intp)


def _sampled(part, x, y, peak, inverse) -> np.ndarray:
    """Brightness at the centres of the pixels."""
    rows, columns = (np.arange(side.start, side.stop) for side in part)
    return _gaussian(rows, columns, x, y, peak, inverse)


def _averaged(part, x, y, peak, inverse) -> np.ndarray:
    """Mean brightness over the area of each pixel."""
    steps = (np.arange(FINER) + 0.5) / FINER - 0.5
    rows, columns = ((np.arange(side.start, side.stop)[:, None] + steps).ravel() for side in part)
    fine = _gaussian(rows, columns, x, y, peak, inverse)
    return fine.reshape(rows.size // FINER, FINER, columns.size // FINER, FINER).mean(axis=(1, 3))


def _gaussian(rows, columns, x, y, peak, inverse) -> np.ndarray:
    dy, dx = ((values - centre).astype(np.float32) for values, centre in ((rows, y), (columns, x)))
    (xx, xy), (_, yy) = (inverse * -0.5).astype(np.float32)
    values = np.multiply.outer(2 * xy * dy, dx)
    values += xx * dx * dx
    values += (yy * dy * dy)[:, None]
    np.exp(values, out=values)
    values *= np.float32(peak)
    return values
