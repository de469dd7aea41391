"""Label image and pixels -> catalogue, for all sources at once.

First additive sums per label (`astroseg.sums`), then the columns from the sums.
"""

from __future__ import annotations

import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable

from astroseg.background import standardize
from astroseg.beam import FWHM_PER_SIGMA
from astroseg.catalog import DEGENERATE, TOUCHING, UNTRUSTED, complete, flux_scale
from astroseg.ellipse import PIXEL_VARIANCE, axis_variances, fwhm_from_covariance
from astroseg.header import pixel_scale, sky_kind
from astroseg.isophote import isophote_shares
from astroseg.labels import components
from astroseg.mosaic import Mosaic, Place
from astroseg.sky import beam_covariance, local_matrix, to_sky
from astroseg.sums import Sums, sum_labels

__all__ = ["columns", "measure"]


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
        Correct flux and size for the part of the source outside the isophote, and sharpen the centroid, see Notes.
        Without it the columns are plain sums and moments over the pixels of each label.

    Returns
    -------
    `~astropy.table.QTable`
        One row per label, columns of `astroseg.catalog.COLUMNS`.

    Notes
    -----
    Flux and size are those of the Gaussian that has the moments of the label's pixels once cut off at its
    isophote (`astroseg.isophote`), so that neither the cut, nor the sampling of the peak, nor the choice
    of pixels by their noise biases them. The flag 16 says where this is not to be trusted: more than half of the flux
    would be missing (the correction stops there), or the isophote lies below 1.5 sigma.

    The centroid is weighted by the brightness squared: for a Gaussian nearly as precise as a fit, where the plain
    centroid, which ``correct=False`` gives, is led astray by the noise of the faint outer pixels. Of a lopsided source
    it lies closer to the peak.

    The errors follow Condon (1997, PASP 109, 166, eqs. 20, 21 and 41) with noise correlated over one
    beam, or not correlated where there is no beam; that of the flux is at least that of a sum over the label, that of
    the position includes what a centroid loses to a fit (`centroid_variance`).
    """
    if "background" not in image.meta:
        image = standardize(image)
    sums = sum_labels(image, labels, probability)
    # Positions in a region that was cut out of an image are counted from its own corner, as those of its WCS are.
    sums.y0, sums.x0 = (start - first for start, first in zip((sums.y0, sums.x0), Place.of(image).origin, strict=True))
    islands = _islands(labels, sums) if np.any(sums.flags & TOUCHING) else sums.label
    return columns(sums, image, islands, correct=correct)


def _islands(labels: np.ndarray, sums: Sums) -> np.ndarray:
    """Number of the island of each label: labels that share a border lie in one."""
    connected = components(np.asarray(labels) > 0)
    inside = np.flatnonzero(labels)
    number = np.zeros(int(sums.label.max(initial=0)) + 1, dtype=np.int32)
    number[np.asarray(labels).ravel()[inside]] = connected.ravel()[inside]
    return number[sums.label]


def columns(sums: Sums, image: CCDData | Mosaic, islands: np.ndarray, *, correct: bool = True) -> QTable:
    """Return the catalogue that follows from sums per label; `measure` says how.

    Parameters
    ----------
    sums : `~astroseg.sums.Sums`
    image : `~astropy.nddata.CCDData` or `~astroseg.mosaic.Mosaic`
        With its background.
    islands : 1-D `~numpy.ndarray` of int
        Number of the island of each label.
    correct : bool
        As in `measure`.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        weighted = sums.w > 0
        x = np.where(weighted, sums.x / sums.w, sums.px / sums.count)
        y = np.where(weighted, sums.y / sums.w, sums.py / sums.count)
        covariance = _covariance(sums, x, y, weighted)
        rms = sums.rms / sums.count
        snr = np.where(rms > 0, sums.high / rms, np.nan)
        share, spread, untrusted = _correction(sums, covariance, rms) if correct else (1.0, 1.0, False)
        covariance = covariance / np.broadcast_to(spread, x.shape)[:, None, None]
        relative_position, relative_flux = _condon(covariance, snr, image)
        relative_position = relative_position * centroid_variance(share)
        flags = sums.flags | np.where(untrusted, UNTRUSTED, 0) | np.where(weighted, 0, DEGENERATE)
        if correct:
            x, y = np.where(weighted, sums.qx / sums.q, x), np.where(weighted, sums.qy / sums.q, y)
        x, y = x + sums.x0, y + sums.y0
        values = {
            "label": sums.label,
            "x_centroid": x,
            "y_centroid": y,
            "peak_flux": sums.high,
            **_fluxes(sums, image, rms, share, relative_flux),
            **_shape_columns(covariance, x, y, image),
            **_positions(covariance * relative_position[:, None, None], x, y, image),
            "n_pixels": sums.count,
            "snr": snr,
            "local_rms": rms,
            "probability": sums.score,
            "island": islands,
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
    thin = xx * yy - xy * xy < PIXEL_VARIANCE**2
    xx, yy = (np.where(thin, np.maximum(part, 0) + PIXEL_VARIANCE, part) for part in (xx, yy))
    return np.stack([np.stack([xx, xy], axis=-1), np.stack([xy, yy], axis=-1)], axis=-2)


def centroid_variance(share: np.ndarray | float) -> np.ndarray:
    """Variance of the centroid over that of an optimal fit (Condon's), from the share of flux above the isophote.

    A centroid is a linear functional of the noise: of the pixels, and of the border that the noise moves. For noise of
    the source's own correlation length its variance is an integral over Fourier space, which this formula
    follows to 6 %. With the plain brightness as weight it would grow with ``ln(peak / isophote)`` without limit.
    """
    return 1.5 - 0.7 * np.fmax(1 - np.asarray(share, dtype=float), 0) ** (2 / 3)


def _correction(sums: Sums, covariance, rms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares of flux and variance within the isophote, and where they are not to be trusted."""
    variance = np.prod(axis_variances(covariance), axis=0) ** 0.5
    share, spread = isophote_shares(sums.flux, variance, sums.low, rms)
    # Below 1.5 sigma an island grows along chains of noise: its flux is too high, and no model helps.
    untrusted = ~(share > 0.5) | ((sums.low > 0) & (sums.low < 1.5 * rms))
    return np.fmax(share, 0.5), np.fmax(spread, 0.3), untrusted


def _noise_area(image: CCDData) -> float:
    """Pixels over which the noise is correlated: a beam's area for an interferometer, else one."""
    beam = image.meta.get("beam")
    area = beam.area_pixels(pixel_scale(image.wcs)) if beam is not None else None
    return max(area or 1.0, 1.0)


def _condon(covariance, snr, image: CCDData) -> tuple[np.ndarray, np.ndarray]:
    """Relative variances of position (in units of the source's own variance) and of flux.

    Condon (1997), eqs. 20, 21 and 41; ``noise2`` is the squared FWHM of the kernel that correlates the noise,
    half that of the noise's autocorrelation.
    """
    noise2 = _noise_area(image) * 2 * np.log(2) / np.pi
    major, minor = (np.maximum(part * FWHM_PER_SIGMA**2, 1e-6) for part in axis_variances(covariance))
    # The exponents 5/2 and 1/2 of eq. 41 differ between the axes by a factor near one for shapes
    # that are not very elongated; their mean, 3/2, is that of the peak.
    quality = np.sqrt(major * minor) / (4 * noise2) * (1 + noise2 / major) ** 1.5 * (1 + noise2 / minor) ** 1.5
    single = 2 / (quality * snr**2)
    return single, single * (1 + 2 * noise2 / np.sqrt(major * minor))


def _fluxes(sums: Sums, image: CCDData, rms, share, relative) -> dict[str, np.ndarray]:
    factor, _ = flux_scale(image)
    area = _noise_area(image)
    # Sum of n pixels of noise: n rms within one correlated patch, sqrt(n area) rms over many.
    summed = rms * sums.count * np.sqrt(area / (area + sums.count - 1))
    flux = sums.flux / share
    error = np.fmax(summed / share, np.abs(flux) * np.sqrt(relative))
    return {"flux": flux * factor, "flux_err": error * factor}


def _shape_columns(covariance, x, y, image: CCDData) -> dict[str, np.ndarray]:
    matrix = local_matrix(image.wcs, x, y)
    major, minor, pa = fwhm_from_covariance(matrix @ covariance @ matrix.transpose(0, 2, 1))
    values = {"fwhm_major": major, "fwhm_minor": minor, "pa": pa}
    beam = beam_covariance(image.meta.get("beam"), image.wcs)
    if beam is not None:
        major, minor, pa = fwhm_from_covariance(matrix @ (covariance - beam) @ matrix.transpose(0, 2, 1))
        resolved = major > 0
        values |= {
            "deconvolved_major": major,
            "deconvolved_minor": np.where(resolved, minor, 0),
            "deconvolved_pa": np.where(resolved, pa, np.nan),
        }
    return values


def _positions(error_covariance, x, y, image: CCDData) -> dict[str, np.ndarray]:
    names = {
        "equatorial": ("ra", "dec", 1.0),
        "pixel": ("ra", "dec", 1.0),
        "helioprojective": ("hpc_x", "hpc_y", 3600.0),
        "heliographic": ("hg_lon", "hg_lat", 1.0),
    }
    first, second, factor = names[sky_kind(image.wcs)]
    longitude, latitude = to_sky(image.wcs, x, y)
    matrix = local_matrix(image.wcs, x, y)
    sky = matrix @ error_covariance @ matrix.transpose(0, 2, 1)
    known = np.isfinite(longitude)
    errors = [np.where(known, np.sqrt(sky[:, axis, axis]) / 3600, np.nan) for axis in (0, 1)]
    return {
        first: longitude * factor,
        second: latitude * factor,
        f"{first}_err": errors[0] * factor,
        f"{second}_err": errors[1] * factor,
    }
