"""Label image and pixels -> catalogue, for all sources at once.

First additive sums per label (count, moments, flux, extrema), then columns from the sums. The sums
are formed on a grid of 256-pixel blocks pinned to the origin of the image and added in raster
order, so that cutting the image into tiles cannot change their last bits.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable

from astroseg.background import Background, standardize
from astroseg.beam import FWHM_PER_SIGMA, Beam
from astroseg.catalog import complete, flux_scale
from astroseg.header import pixel_scale, sky_kind
from astroseg.sky import local_matrix, to_sky

__all__ = ["BLOCK", "Sums", "isophote_shares", "measure", "sum_labels"]

BLOCK = 256
EDGE, BLANK, SATURATED, TOUCHING, UNTRUSTED, DEGENERATE = 1, 2, 4, 8, 16, 32

_NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


@dataclass
class Sums:
    """What is known of each label after one pass over its pixels; every field adds up (or extends).

    Parameters
    ----------
    label : `~numpy.ndarray` of int
    y0, x0 : `~numpy.ndarray` of int
        Origin of the block that holds the label's first pixel; moments are relative to it.
    count, flux, rms : `~numpy.ndarray`
        Number of pixels, sums of the image (background off) and of the noise.
    w, x, y, xx, yy, xy : `~numpy.ndarray`
        Moments, with the image as weight; pixels below zero weigh nothing.
    px, py : `~numpy.ndarray`
        Sums of the pixel positions, for labels without weight.
    low, high, score : `~numpy.ndarray`
        Faintest and brightest pixel, highest probability.
    flags : `~numpy.ndarray` of int
    """

    label: np.ndarray
    y0: np.ndarray
    x0: np.ndarray
    count: np.ndarray
    flux: np.ndarray
    rms: np.ndarray
    w: np.ndarray
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray
    px: np.ndarray
    py: np.ndarray
    low: np.ndarray
    high: np.ndarray
    score: np.ndarray
    flags: np.ndarray

    @classmethod
    def merge(cls, parts: list[Sums]) -> Sums:
        """Add sums of blocks, given in raster order of the blocks."""
        every = {item.name: np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(cls)}
        label, first, index = np.unique(every["label"], return_index=True, return_inverse=True)
        merged: dict[str, Any] = {"label": label, "y0": every["y0"][first], "x0": every["x0"][first]}

        def total(values):
            return np.bincount(index, values, minlength=label.size)

        # Moments of each block, moved to the origin of the label's first block.
        dx = every["x0"] - merged["x0"][index]
        dy = every["y0"] - merged["y0"][index]
        w, x, y, count = every["w"], every["x"], every["y"], every["count"]
        merged["xx"] = total(every["xx"] + 2 * dx * x + dx * dx * w)
        merged["yy"] = total(every["yy"] + 2 * dy * y + dy * dy * w)
        merged["xy"] = total(every["xy"] + dx * y + dy * x + dx * dy * w)
        merged["x"], merged["y"] = total(x + dx * w), total(y + dy * w)
        merged["px"], merged["py"] = total(every["px"] + dx * count), total(every["py"] + dy * count)
        for name in ("count", "flux", "rms", "w"):
            merged[name] = total(every[name])
        for name, extend, start in (("low", np.minimum, np.inf), ("high", np.maximum, -np.inf),
                                    ("score", np.maximum, -np.inf), ("flags", np.bitwise_or, 0)):
            merged[name] = np.full(label.size, start, dtype=every[name].dtype)
            extend.at(merged[name], index, every[name])
        return cls(**merged)


def measure(
    image: CCDData, labels: np.ndarray, *, probability: np.ndarray | None = None, correct: bool = True
) -> QTable:
    """Measure all labels of an image.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        From `~astroseg.read_image`; background and noise are measured unless
        `~astroseg.standardize` did before.
    labels : 2-D `~numpy.ndarray` of int, shape (ny, nx)
    probability : 2-D `~numpy.ndarray`, optional
        The column ``probability`` is its maximum over each label.
    correct : bool, optional
        Correct flux and size for the part of the source outside the isophote, see Notes.

    Returns
    -------
    `~astropy.table.QTable`
        One row per label, columns of `astroseg.catalog.COLUMNS`.

    Notes
    -----
    A Gaussian cut at the fraction ``t`` of its peak keeps the share ``1 - t`` of its flux and
    ``1 + t ln t / (1 - t)`` of its variances. The cut is taken to be the faintest pixel of the label,
    the peak follows from the moments themselves (see `isophote_shares`), so that neither the sampling
    of the peak nor its noise biases the flux. Where the outcome is unlikely the flag 16 is set.

    The errors follow Condon (1997, PASP 109, 166, eqs. 20, 21 and 41) with noise correlated over one
    beam, or not correlated where there is no beam.
    """
    if "background" not in image.meta:
        image = standardize(image)
    sums = sum_labels(image, labels, probability)
    return _columns(sums, image, correct)


def sum_labels(image: CCDData, labels: np.ndarray, probability: np.ndarray | None = None) -> Sums:
    """Return the `Sums` of all labels of an image that has its background."""
    background = image.meta["background"]
    saturation = _saturation(image)
    parts = [
        _strip_sums(image, labels, probability, background, saturation, start)
        for start in range(0, image.shape[0], BLOCK)
    ]
    return Sums.merge(parts)


def _saturation(image: CCDData) -> float:
    """The level from which on a pixel is saturated: the header's, or the largest of its integer type."""
    try:
        return float(image.meta["header"]["SATURATE"])
    except (KeyError, TypeError, ValueError):
        return float(np.iinfo(image.data.dtype).max) if image.data.dtype.kind in "iu" else np.inf


def _strip_sums(image, labels, probability, background: Background, saturation, start) -> Sums:
    """Sums of one row of blocks, sorted by block and label."""
    stop = min(start + BLOCK, image.shape[0])
    width = image.shape[1]
    rows = np.asarray(labels[start:stop])
    inside = np.flatnonzero(rows)
    label = rows.ravel()[inside]
    y, x = np.divmod(inside, width)
    values, rms = _values(image, background, slice(start, stop), y, x)
    # One key per block and label; np.unique sorts them, bincount adds in raster order.
    block = x // BLOCK
    n_labels = int(label.max(initial=0)) + 1
    keys, first, index = np.unique(block * n_labels + label, return_index=True, return_inverse=True)

    def total(weights):
        return np.bincount(index, weights, minlength=keys.size)

    def extreme(extend, start_value, what):
        result = np.full(keys.size, start_value)
        extend.at(result, index, what)
        return result

    local_x = (x - block * BLOCK).astype(float)
    weight = np.maximum(values, 0)
    wx, wy = weight * local_x, weight * y
    raw = image.data[start:stop][y, x] if np.isfinite(saturation) else None
    flags = _pixel_flags(image, labels, start, y, x, label, raw, saturation)
    union = np.zeros(keys.size, dtype=np.int64)
    flagged = np.flatnonzero(flags)
    np.bitwise_or.at(union, index[flagged], flags[flagged])
    return Sums(
        label=label[first],
        y0=np.full(keys.size, start),
        x0=block[first] * BLOCK,
        count=np.bincount(index, minlength=keys.size).astype(float),
        flux=total(values),
        rms=total(rms),
        w=total(weight),
        x=total(wx),
        y=total(wy),
        xx=total(wx * local_x),
        yy=total(wy * y),
        xy=total(wx * y),
        px=total(local_x),
        py=total(y.astype(float)),
        low=extreme(np.minimum, np.inf, values),
        high=extreme(np.maximum, -np.inf, values),
        score=np.full(keys.size, np.nan) if probability is None
        else extreme(np.maximum, -np.inf, np.asarray(probability[start:stop])[y, x].astype(float)),
        flags=union,
    )


def _values(image, background, rows, y, x) -> tuple[np.ndarray, np.ndarray]:
    """Image without background, and noise, at the pixels; blank pixels count as 0."""
    if x.size == 0:
        return np.zeros(0), np.zeros(0)
    region = (rows, slice(0, image.shape[1]))
    values = image.data[rows][y, x].astype(np.float64) - background.level[region][y, x]
    rms = background.rms[region][y, x].astype(np.float64)
    values[~np.isfinite(values)] = 0
    if image.mask is not None:
        values[image.mask[rows][y, x]] = 0
    return values, np.where(np.isfinite(rms), rms, 0)


def _pixel_flags(image, labels, start, y, x, label, raw, saturation) -> np.ndarray:
    """Edge, blank, saturated and touching, for each pixel of a label."""
    height, width = image.shape
    row = y + start
    flags = np.where((row == 0) | (row == height - 1) | (x == 0) | (x == width - 1), EDGE, 0)
    around = _bordered(labels, start)
    touching = np.zeros(label.size, dtype=bool)
    for dy, dx in _NEIGHBOURS:
        neighbour = around[y + 1 + dy, x + 1 + dx]
        touching |= (neighbour != label) & (neighbour != 0)
    flags[touching] |= TOUCHING
    if image.mask is not None:
        around = _bordered(image.mask, start)
        if around.any():
            blank = np.zeros(label.size, dtype=bool)
            for dy, dx in [*_NEIGHBOURS, (0, 0)]:
                blank |= around[y + 1 + dy, x + 1 + dx]
            flags[blank] |= BLANK
    if raw is not None:
        flags[raw >= saturation] |= SATURATED
    return flags


def _bordered(array, start) -> np.ndarray:
    """A strip with one row or column more on each side, zero beyond the image."""
    low, high = max(start - 1, 0), min(start + BLOCK + 1, array.shape[0])
    below = 0 if low < start else 1
    above = 0 if high == start + BLOCK + 1 else 1
    return np.pad(array[low:high], ((below, above), (1, 1)))


def isophote_shares(flux: np.ndarray, variance: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of flux and of variance that a Gaussian source keeps above its isophote.

    Parameters
    ----------
    flux : `~numpy.ndarray`
        Sum of the pixels above the isophote.
    variance : `~numpy.ndarray`
        Geometric mean of the two variances above the isophote, in pixels squared.
    level : `~numpy.ndarray`
        The isophote, in the unit of a pixel. At or below zero nothing is cut off.

    Returns
    -------
    flux_share, variance_share : `~numpy.ndarray`
        Both in 0 to 1; NaN where no Gaussian has such moments.

    Notes
    -----
    With ``u = ln(peak / level)`` the shares are ``f = 1 - exp(-u)`` and ``v = 1 - u exp(-u) / f``, and
    ``flux / (2 pi variance level) = exp(u) f / v`` rises with ``u`` from its limit 2: a table is inverted.
    """
    level = np.asarray(level, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(flux / (2 * np.pi * variance * level))
    u = np.interp(ratio, _LOG_RATIO, _U, left=np.nan, right=_U[-1])
    share, spread = _shares(u)
    whole = ~(level > 0)
    return np.where(whole, 1.0, share), np.where(whole, 1.0, spread)


def _shares(u):
    share = -np.expm1(-u)
    return share, 1 - u * np.exp(-u) / share


_U = np.geomspace(1e-3, 60, 4000)
_LOG_RATIO = _U + np.log(_shares(_U)[0] / _shares(_U)[1])


def _columns(sums: Sums, image: CCDData, correct: bool) -> QTable:
    with np.errstate(divide="ignore", invalid="ignore"):
        weighted = sums.w > 0
        x = np.where(weighted, sums.x / sums.w, sums.px / sums.count)
        y = np.where(weighted, sums.y / sums.w, sums.py / sums.count)
        covariance = _covariance(sums, x, y, weighted)
        rms = sums.rms / sums.count
        snr = np.where(rms > 0, sums.high / rms, np.nan)
        share, spread, untrusted = _correction(sums, covariance) if correct else (1.0, 1.0, False)
        covariance = covariance / np.broadcast_to(spread, x.shape)[:, None, None]
        flags = sums.flags | np.where(untrusted, UNTRUSTED, 0) | np.where(weighted, 0, DEGENERATE)
        x, y = x + sums.x0, y + sums.y0
        values = {
            "label": sums.label,
            "x_centroid": x,
            "y_centroid": y,
            "peak_flux": sums.high,
            **_fluxes(sums, image, rms, share),
            **_shape_columns(covariance, x, y, image),
            **_positions(covariance, x, y, snr, image),
            "n_pixels": sums.count,
            "snr": snr,
            "local_rms": rms,
            "probability": sums.score,
            "island": sums.label,
            "flags": flags,
        }
    return complete(values, image)


def _covariance(sums: Sums, x, y, weighted) -> np.ndarray:
    """Covariance matrix in (x, y), in pixels squared, of shape (n, 2, 2).

    A source thinner than a pixel gets a pixel's own variance, 1/12, as in SExtractor and photutils.
    """
    xx = np.where(weighted, sums.xx / sums.w - x * x, 0)
    yy = np.where(weighted, sums.yy / sums.w - y * y, 0)
    xy = np.where(weighted, sums.xy / sums.w - x * y, 0)
    thin = xx * yy - xy * xy < (1 / 12) ** 2
    xx, yy = (np.where(thin, np.maximum(part, 0) + 1 / 12, part) for part in (xx, yy))
    return np.stack([np.stack([xx, xy], axis=-1), np.stack([xy, yy], axis=-1)], axis=-2)


def _correction(sums: Sums, covariance) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares of flux and variance within the isophote, and where they are not to be trusted."""
    variance = np.sqrt(np.linalg.det(covariance))
    share, spread = isophote_shares(sums.flux, variance, sums.low)
    untrusted = ~(share > 0.5)
    return np.fmax(share, 0.5), np.where(untrusted, _shares(np.log(2))[1], spread), untrusted


def _noise_area(image: CCDData) -> float:
    """Pixels over which the noise is correlated: a beam's area for an interferometer, else one."""
    beam = image.meta.get("beam")
    area = beam.area_pixels(pixel_scale(image.wcs)) if beam is not None else None
    return max(area or 1.0, 1.0)


def _fluxes(sums: Sums, image: CCDData, rms, share) -> dict[str, np.ndarray]:
    factor, _ = flux_scale(image)
    area = _noise_area(image)
    # Sum of n pixels of noise: n rms within one correlated patch, sqrt(n area) rms over many.
    error = rms * sums.count * np.sqrt(area / (area + sums.count - 1))
    return {"flux": sums.flux / share * factor, "flux_err": error / share * factor}


def _shape_columns(covariance, x, y, image: CCDData) -> dict[str, np.ndarray]:
    matrix = local_matrix(image.wcs, x, y)
    sky = matrix @ covariance @ matrix.transpose(0, 2, 1)
    major, minor, pa = _ellipse(sky)
    values = {"fwhm_major": major, "fwhm_minor": minor, "pa": pa}
    beam = image.meta.get("beam")
    beam_matrix = None if beam is None else _beam_covariance(beam, image)
    if beam_matrix is not None:
        major, minor, pa = _ellipse(sky - beam_matrix)
        resolved = major > 0
        values |= {
            "deconvolved_major": major,
            "deconvolved_minor": np.where(resolved, minor, 0),
            "deconvolved_pa": np.where(resolved, pa, np.nan),
        }
    return values


def _ellipse(covariance) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """FWHM along both axes (0 where the variance is negative) and PA of an (east, north) covariance."""
    east, north, cross = covariance[:, 0, 0], covariance[:, 1, 1], covariance[:, 0, 1]
    middle = (east + north) / 2
    half = np.hypot((east - north) / 2, cross)
    pa = np.degrees(0.5 * np.arctan2(2 * cross, north - east)) % 180
    major, minor = (FWHM_PER_SIGMA * np.sqrt(np.maximum(part, 0)) for part in (middle + half, middle - half))
    return major, minor, pa


def _beam_covariance(beam: Beam, image: CCDData) -> np.ndarray | None:
    """The beam as an (east, north) covariance, in the unit of the sizes."""
    scale = pixel_scale(image.wcs)
    if beam.fwhm_pixels(scale) is None:
        return None
    unit = 1.0 if scale is None else scale.to_value("arcsec")
    widths = np.array(beam.fwhm_pixels(scale)) * unit / FWHM_PER_SIGMA
    pa = beam.pa.to_value("rad")
    along, across = np.array([np.sin(pa), np.cos(pa)]), np.array([np.cos(pa), -np.sin(pa)])
    return widths[0] ** 2 * np.outer(along, along) + widths[1] ** 2 * np.outer(across, across)


def _positions(covariance, x, y, snr, image: CCDData) -> dict[str, np.ndarray]:
    names = {
        "equatorial": ("ra", "dec", 1.0),
        "pixel": ("ra", "dec", 1.0),
        "helioprojective": ("hpc_x", "hpc_y", 3600.0),
        "heliographic": ("hg_lon", "hg_lat", 1.0),
    }
    first, second, factor = names[sky_kind(image.wcs)]
    longitude, latitude = to_sky(image.wcs, x, y)
    # Condon's signal to noise for positions; theta_n is the width of the noise's smoothing kernel.
    area = _noise_area(image)
    theta_n = area / (np.pi / (2 * np.log(2)))
    eigen = np.linalg.eigvalsh(covariance) * FWHM_PER_SIGMA**2
    minor, major = np.maximum(eigen, 1e-6).T
    quality = np.sqrt(major * minor) / (4 * theta_n) * (1 + theta_n / major) ** 1.5 * (1 + theta_n / minor) ** 1.5
    error_matrix = covariance * (2 / (quality * snr**2))[:, None, None]
    matrix = local_matrix(image.wcs, x, y)
    sky = matrix @ error_matrix @ matrix.transpose(0, 2, 1)
    known = np.isfinite(longitude)
    errors = [np.where(known, np.sqrt(sky[:, axis, axis]) / 3600, np.nan) for axis in (0, 1)]
    return {
        first: longitude * factor,
        second: latitude * factor,
        f"{first}_err": errors[0] * factor,
        f"{second}_err": errors[1] * factor,
    }
