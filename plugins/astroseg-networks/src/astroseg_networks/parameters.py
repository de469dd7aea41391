"""What was measured and what the network says of a source, joined in the columns of a catalogue."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable

from astroseg.beam import FWHM_PER_SIGMA
from astroseg.catalog import flux_scale
from astroseg.ellipse import fwhm_from_covariance
from astroseg.header import sky_kind
from astroseg.sky import beam_covariance, local_matrix, to_sky
from astroseg_networks.decoding import Centres
from astroseg_networks.grid import Grid
from astroseg_networks.normalisation import CANONICAL_BEAM

__all__ = ["put_parameters"]

TOUCHING = 8  # bit of the column flags: the label shares a border with another one
LEAST_ERROR = 0.02  # of a measured flux, relative: sources are no Gaussians
SHAPE_ERROR = 0.3  # of the flux outside the label as the network's shape has it, relative
ISOPHOTE_ERROR = 1.5  # over S/N, of the flux: what a pixel of noise does to the isophote
LEAST_SHARE = 0.5  # of the flux that falls on the label; more is not added than was seen
POSITION_ERROR = 0.05  # beams: of the network's positions of small sources, on skies that were simulated
# The same of large ones, over the excess of the size without the beam over the beam, and that of the two centroids.
POSITION_ERROR_BY_SIZE = np.array([[0.05], [0.05], [0.015]])


def put_parameters(
    catalog: QTable,
    image: CCDData,
    labels: np.ndarray,
    significance: np.ndarray,
    grid: Grid,
    centres: Centres,
    found: dict[str, np.ndarray],
    index: np.ndarray,
) -> None:
    """Join fluxes and positions by their variances, and take sizes without the beam from the network.

    What was measured of the flux is the sum over the label, over the share of the source that falls on it. How much
    that is says the network's shape, and of bright sources the faintest pixel, as for `astroseg.measure`: of faint
    ones it is noise, for the outline of the label is no isophote of the image. Of sources that touch others, or whose
    label is in pieces, the flux that was measured counts for nothing.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
        Of `astroseg.measure`, with the column ``unet_n_parts``; changed in place.
    image : `~astropy.nddata.CCDData`
    labels : 2-D `~numpy.ndarray` of int32
    significance : 2-D `~numpy.ndarray`
        The image in units of its noise.
    grid : Grid
    centres : Centres
    found : dict of `~numpy.ndarray`
        From `astroseg_networks.decoding.source_parameters`.
    index : 1-D `~numpy.ndarray` of int
        Centre of each row.
    """
    found = {name: values[index] for name, values in found.items()}
    place, covariance = grid.positions(centres.x[index], centres.y[index]), grid.covariances(found["covariance"])
    alone = (np.asarray(catalog["flags"]) & TOUCHING == 0) & (np.asarray(catalog["unet_n_parts"]) <= 1)
    summed, share = _on_labels(labels, significance, place, covariance + _beam(image))
    _put_flux(catalog, image, found, alone, summed / _beam_area(image), share)
    _put_position(catalog, image, labels, significance, place, np.fmax(_width(covariance) - _width(_beam(image)), 0))
    _put_shape(catalog, image, covariance)
    for axis in ("major", "minor"):
        catalog[f"unet_{axis}_error"] = found[f"{axis}_error"].astype(np.float32)
        catalog[f"unet_{axis}_error"].info.description = f"Standard error of the logarithm of deconvolved_{axis}"


def _beam(image: CCDData) -> np.ndarray:
    """Covariance of the beam, pixels squared."""
    beam = beam_covariance(image.meta.get("beam"), image.wcs)
    return np.eye(2) * (CANONICAL_BEAM / FWHM_PER_SIGMA) ** 2 if beam is None else beam


def _width(covariance: np.ndarray) -> np.ndarray:
    """Largest full width at half maximum, pixels."""
    return FWHM_PER_SIGMA * np.sqrt(np.linalg.eigvalsh(covariance)[..., -1])


def _beam_area(image: CCDData) -> float:
    """Pixels."""
    return 2 * np.pi * float(np.sqrt(np.linalg.det(_beam(image))))


def _on_labels(labels, values, place, covariance) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the values on each label, and the share of a Gaussian of given place and covariance that falls on it."""
    inside = np.flatnonzero(labels)
    source = labels.ravel()[inside] - 1
    row, column = np.divmod(inside, labels.shape[1])
    x, y = column - place[0][source], row - place[1][source]
    (xx, xy), (_, yy) = np.moveaxis(np.linalg.inv(covariance), 0, -1)
    height = np.exp(-0.5 * (xx[source] * x * x + 2 * xy[source] * x * y + yy[source] * y * y))
    height /= (2 * np.pi * np.sqrt(np.linalg.det(covariance)))[source]
    summed, share = (np.bincount(source, what, place[0].size) for what in (values.ravel()[inside], height))
    return summed, np.clip(share, LEAST_SHARE, 1)


def _put_flux(catalog, image, found, alone, summed, share) -> None:
    factor = catalog["local_rms"].value * _beam_area(image) * flux_scale(image)[0]
    flux = found["flux"] * factor
    with np.errstate(divide="ignore", invalid="ignore"):
        measured, variance = _measured_flux(catalog, summed * factor, share)
        usable = alone & (measured > 0) & np.isfinite(variance)
        weight = np.where(usable, 1 / (1 + variance / found["flux_error"] ** 2), 0)
        joined = flux * np.exp(weight * np.log(np.where(usable, measured / flux, 1)))
        relative = np.where(usable, np.sqrt(weight * variance), found["flux_error"])
    catalog["flux"].value[:], catalog["flux_err"].value[:] = joined, joined * relative


def _measured_flux(catalog, summed, share) -> tuple[np.ndarray, np.ndarray]:
    """Sum over the label with what lies outside, by the network's shape and by the isophote, and relative variance."""
    by_shape, by_isophote = (SHAPE_ERROR * (1 - share)) ** 2, (ISOPHOTE_ERROR / catalog["snr"].value) ** 2
    weight = by_isophote / (by_shape + by_isophote)
    measured = np.exp(weight * np.log(summed / share) + (1 - weight) * np.log(catalog["flux"].value))
    noise = np.fmax(catalog["flux_err"].value / measured, LEAST_ERROR)
    return measured, noise**2 + weight * by_shape


def _put_position(catalog, image, labels, significance, place, excess) -> None:
    """Positions: the network's and that of the better of two centroids, by their variances.

    The one centroid is that of `astroseg.measure`, weighted by the brightness squared: hardly moved by noise and by a
    fainter neighbour, but drawn to the brighter lobe of a double. The other one is plain: right for whatever source
    has its label to itself. What noise does not explain of all errors grows with the excess (pixels) of the source's
    size over the beam.
    """
    names = _POSITIONS[sky_kind(image.wcs)]
    scale = np.sqrt(np.abs(np.linalg.det(local_matrix(image.wcs, *place))))
    errors = [catalog[f"{name}_err"] for name in names]
    touching = np.asarray(catalog["flags"]) & TOUCHING != 0
    plain, noise = _plain_centroid(labels, significance, _beam_area(image))
    x, y = (np.stack(at) for at in zip(place, [catalog[f"{axis}_centroid"].value for axis in "xy"], plain, strict=True))
    noise = np.stack([
        np.full(excess.shape, POSITION_ERROR**2 * _beam_area(image)),
        (_centroid_error(catalog, errors) / scale) ** 2,
        np.where(touching, np.inf, noise),
    ])  # fmt: skip
    weight = 1 / np.nan_to_num(noise + (POSITION_ERROR_BY_SIZE * excess) ** 2, nan=np.inf)
    weight[1:][weight[1:] < weight[1:].max(axis=0)] = 0
    x, y = (np.sum(weight * np.where(weight > 0, at, 0), axis=0) / weight.sum(axis=0) for at in (x, y))
    catalog["x_centroid"].value[:], catalog["y_centroid"].value[:] = x, y
    for name, values, error in zip(names, to_sky(image.wcs, x, y), errors, strict=False):
        catalog[name].value[:] = values * (3600 if name.startswith("hpc") else 1)
        error[:] = scale / np.sqrt(weight.sum(axis=0)) * u.arcsec


def _plain_centroid(labels, significance, beam_area) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Centroid of the flux on each label, and its variance (mean of both axes) from noise that a beam correlates."""
    inside = np.flatnonzero(labels)
    source, value = labels.ravel()[inside] - 1, significance.ravel()[inside]
    row, column = np.divmod(inside, labels.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        flux = np.bincount(source, value)
        x, y = (np.bincount(source, value * at) / flux for at in (column, row))
        spread = np.bincount(source, (column - x[source]) ** 2 + (row - y[source]) ** 2 + 1 / 6) / 2
        variance = np.where(flux > 0, beam_area * spread / flux**2, np.inf)
    return (x, y), variance


def _centroid_error(catalog, errors) -> np.ndarray:
    """Standard error of the centroid in the unit of the sizes; without a sky about half the width over S/N."""
    if errors:
        return np.hypot(*errors).to_value("arcsec") / np.sqrt(2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(catalog["fwhm_major"] * catalog["fwhm_minor"]).value / (2 * catalog["snr"])


_POSITIONS = {
    "equatorial": ("ra", "dec"),
    "helioprojective": ("hpc_x", "hpc_y"),
    "heliographic": ("hg_lon", "hg_lat"),
    "pixel": (),
}


def _put_shape(catalog, image, true) -> None:
    """Sizes and angle without the beam, from covariances in pixels squared."""
    matrix = local_matrix(image.wcs, catalog["x_centroid"].value, catalog["y_centroid"].value)
    widths = fwhm_from_covariance(matrix @ true @ matrix.transpose(0, 2, 1))
    for name, values in zip(("major", "minor", "pa"), widths, strict=True):
        catalog[f"deconvolved_{name}"].value[:] = values
