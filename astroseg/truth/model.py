"""Catalogue and image -> the noise-free image of its sources, and truth labels from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable

from astroseg.background import standardize
from astroseg.catalog import flux_scale
from astroseg.ellipse import PIXEL_VARIANCE, covariance_from_fwhm, fwhm_from_covariance
from astroseg.image import read_map
from astroseg.render import render_gaussians
from astroseg.sky import beam_covariance, pixel_covariance, sky_covariance

__all__ = ["apparent_covariance", "describe_sources", "model_image", "noise_of", "truth_labels"]


def model_image(catalog: QTable, image: CCDData, *, faintest: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw the sources of a catalogue as they would be without noise.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
        With columns of `astroseg.catalog.COLUMNS`; the flux of each row is drawn, convolved with the beam.
    image : `~astropy.nddata.CCDData`
        Gives the grid, the beam and the unit.
    faintest : float, optional
        See `astroseg.render.render_gaussians`.

    Returns
    -------
    model : 2-D `~numpy.ndarray` of float64
        In the unit of the image.
    owner : 2-D `~numpy.ndarray` of int32
        1 + row of the source that is the brightest in a pixel, 0 where none reaches.
    """
    factor, _ = flux_scale(image)
    covariance = apparent_covariance(catalog, image)
    total = catalog["flux"].value / factor
    return render_gaussians(image.shape, *_places(catalog), total, covariance, faintest=faintest)


def apparent_covariance(catalog: QTable, image: CCDData) -> np.ndarray:
    """Shape of each source on the image, in (x, y).

    That is its true size convolved with the beam; where only its size on an image is known, that; and else the beam.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
    image : `~astropy.nddata.CCDData`

    Returns
    -------
    `~numpy.ndarray`, shape (n, 2, 2)
        In pixels squared.
    """
    beam = _beam(image)
    covariance = np.zeros((len(catalog), 2, 2)) + beam
    for kind, names in (("seen", ("fwhm_major", "fwhm_minor", "pa")),
                        ("true", ("deconvolved_major", "deconvolved_minor", "deconvolved_pa"))):  # fmt: skip
        major, minor, pa = (catalog[name].value for name in names)
        # A minor axis that is not known is the major one's, an angle that is not known is 0.
        given = covariance_from_fwhm(major, np.where(np.isfinite(minor), minor, major), np.nan_to_num(pa))
        given = pixel_covariance(given, image.wcs, *_places(catalog))
        known = np.isfinite(major) & (major >= 0) & ((major > 0) | (kind == "true"))
        covariance[known] = given[known] + (beam if kind == "true" else 0)
    return covariance


def _beam(image) -> np.ndarray:
    """The beam in (x, y), pixels squared; zero where there is none."""
    beam = beam_covariance(image.meta.get("beam"), image.wcs)
    return np.zeros((2, 2)) if beam is None else beam


def _places(catalog) -> tuple[np.ndarray, np.ndarray]:
    """Positions in x and in y, 0-based pixels."""
    return catalog["x_centroid"].value, catalog["y_centroid"].value


def describe_sources(catalog: QTable, image: CCDData) -> None:
    """Fill in the columns that follow from others: flux from peak or peak from flux, sizes with and without the beam.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
        Changed in place, where it has NaN.
    image : `~astropy.nddata.CCDData`
    """
    covariance, beam = apparent_covariance(catalog, image), _beam(image)
    _fill_fluxes(catalog, image, covariance)
    sized = np.isfinite(catalog["deconvolved_major"].value) | np.isfinite(catalog["fwhm_major"].value)
    seen, true = (
        fwhm_from_covariance(sky_covariance(part, image.wcs, *_places(catalog)))
        for part in (covariance, covariance - beam)
    )
    _fill(catalog, ("fwhm_major", "fwhm_minor", "pa"), seen, sized | beam.any())
    if beam.any():
        _fill(catalog, ("deconvolved_major", "deconvolved_minor", "deconvolved_pa"), true, sized)


def _fill_fluxes(catalog, image, covariance) -> None:
    factor, _ = flux_scale(image)
    area = 2 * np.pi * np.sqrt(np.fmax(np.linalg.det(covariance), PIXEL_VARIANCE**2)) * factor
    flux, peak = catalog["flux"].value.copy(), catalog["peak_flux"].value.copy()
    catalog["flux"].value[:] = np.where(np.isnan(flux), peak * area, flux)
    catalog["peak_flux"].value[:] = np.where(np.isnan(peak), flux / area, peak)


def _fill(catalog, names, values, where) -> None:
    lacking = np.isnan(catalog[names[0]].value) & where
    for name, new in zip(names, values, strict=True):
        catalog[name].value[lacking] = new[lacking]


def noise_of(image: CCDData, rms: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Noise of each pixel, and where it is known.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
    rms : float, path or 2-D array, optional
        In the unit of the image. By default as `~astroseg.standardize` measured it, or measures it now.

    Returns
    -------
    rms : 2-D `~numpy.ndarray`
    known : 2-D `~numpy.ndarray` of bool
        False where a pixel is blank or has no noise.
    """
    whole = tuple(slice(0, length) for length in image.shape)
    if rms is None:
        image = image if "background" in image.meta else standardize(image)
        noise = image.meta["background"].rms[whole]
    elif np.ndim(rms) == 0 and isinstance(rms, int | float | np.number):
        noise = np.broadcast_to(np.float64(rms), image.shape)
    else:
        noise = read_map(rms, image.shape, "noise map", image.unit)
    known = np.isfinite(noise) & (noise > 0)
    return noise, known if image.mask is None else known & ~image.mask


def truth_labels(model: np.ndarray, owner: np.ndarray, level: np.ndarray | float) -> np.ndarray:
    """Label the pixels of a model above an isophote, each for the source that is the brightest there.

    Parameters
    ----------
    model, owner : 2-D `~numpy.ndarray`
        From `model_image`.
    level : float or 2-D `~numpy.ndarray`
        NaN where nothing is to be labelled.

    Returns
    -------
    2-D `~numpy.ndarray` of int32
    """
    with np.errstate(invalid="ignore"):
        return np.where(model > level, owner, 0).astype(np.int32)
