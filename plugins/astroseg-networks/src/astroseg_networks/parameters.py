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
LEAST_ERROR = 0.02  # of a measured flux, relative: isophotes of sources that are no Gaussians
POSITION_ERROR = 0.05  # beams: of the network's positions, on skies that were simulated


def put_parameters(
    catalog: QTable, image: CCDData, grid: Grid, centres: Centres, found: dict[str, np.ndarray], index: np.ndarray
) -> None:
    """Join fluxes and positions by their variances, and take sizes without the beam from the network.

    Of sources that touch others, or whose label is in pieces, what was measured counts for nothing.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
        Of `astroseg.measure`, with the column ``unet_n_parts``; changed in place.
    image : `~astropy.nddata.CCDData`
    grid : Grid
    centres : Centres
    found : dict of `~numpy.ndarray`
        From `astroseg_networks.decoding.source_parameters`.
    index : 1-D `~numpy.ndarray` of int
        Centre of each row.
    """
    found = {name: values[index] for name, values in found.items()}
    alone = (np.asarray(catalog["flags"]) & TOUCHING == 0) & (np.asarray(catalog["unet_n_parts"]) <= 1)
    _put_flux(catalog, image, found, alone)
    _put_position(catalog, image, grid.positions(centres.x[index], centres.y[index]), alone)
    _put_shape(catalog, image, grid.covariances(found["covariance"]))
    for axis in ("major", "minor"):
        catalog[f"unet_{axis}_error"] = found[f"{axis}_error"].astype(np.float32)
        catalog[f"unet_{axis}_error"].info.description = f"Standard error of the logarithm of deconvolved_{axis}"


def _beam_area(image: CCDData) -> float:
    beam = beam_covariance(image.meta.get("beam"), image.wcs)
    return 2 * np.pi * (CANONICAL_BEAM / FWHM_PER_SIGMA) ** 2 if beam is None else 2 * np.pi * np.linalg.det(beam) ** 0.5


def _put_flux(catalog, image, found, alone) -> None:
    factor, _ = flux_scale(image)
    flux = found["flux"] * catalog["local_rms"].value * _beam_area(image) * factor
    measured, error = catalog["flux"].value, catalog["flux_err"].value
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.fmax(error / measured, LEAST_ERROR) ** 2
        usable = alone & (measured > 0) & np.isfinite(variance)
        share = np.where(usable, 1 / (1 + variance / found["flux_error"] ** 2), 0)
        joined = flux * np.exp(share * np.log(np.where(usable, measured / flux, 1)))
    relative = found["flux_error"] * np.sqrt(1 - share)
    catalog["flux"].value[:], catalog["flux_err"].value[:] = joined, joined * relative


def _put_position(catalog, image, place, alone) -> None:
    """Positions; the network's error is one number, that of a centroid the mean of its two."""
    names = _POSITIONS[sky_kind(image.wcs)]
    scale = np.sqrt(np.abs(np.linalg.det(local_matrix(image.wcs, *place))))
    errors = [catalog[f"{name}_err"] for name in names]
    measured = _centroid_error(catalog, errors) / scale
    own = POSITION_ERROR * np.sqrt(_beam_area(image))
    share = np.where(alone & np.isfinite(measured), 1 / (1 + (measured / own) ** 2), 0)
    x, y = (
        share * catalog[name].value + (1 - share) * at for name, at in zip(("x_centroid", "y_centroid"), place, strict=True)
    )
    catalog["x_centroid"].value[:], catalog["y_centroid"].value[:] = x, y
    for name, values, error in zip(names, to_sky(image.wcs, x, y), errors, strict=False):
        catalog[name].value[:] = values * (3600 if name.startswith("hpc") else 1)
        error[:] = np.where(share > 0, np.sqrt(share) * error, own * scale * u.arcsec)


def _centroid_error(catalog, errors) -> np.ndarray:
    """Standard error of the centroid in the unit of the sizes; without a sky about half the width over S/N."""
    if errors:
        return np.hypot(*errors).to_value("arcsec") / np.sqrt(2)
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
