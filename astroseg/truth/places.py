"""Where the sources of a list lie on an image, and what its primary beam leaves of them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from astropy.nddata import CCDData
from scipy.ndimage import map_coordinates

from astroseg.ellipse import covariance_from_fwhm, fwhm_from_covariance
from astroseg.errors import AstrosegError, AstrosegWarning
from astroseg.header import sky_kind
from astroseg.image import read_image
from astroseg.sky import separation, sky_covariance, to_pixels, to_sky
from astroseg.truth.dialects import Rows

__all__ = ["attenuate", "on_image", "place"]

#: Kind of coordinates -> the columns of a position, and how many of their units make a degree.
SKY = {
    "equatorial": ("ra", "dec", 1.0),
    "helioprojective": ("hpc_x", "hpc_y", 3600.0),
    "heliographic": ("hg_lon", "hg_lat", 1.0),
}


def place(rows: Rows, image: CCDData, name: str) -> None:
    """Add the pixel positions of the rows, or their positions on the sky where they have pixels only.

    A position on the sky goes before one in pixels: these may be another image's.
    """
    kind = sky_kind(image.wcs)
    longitude, latitude, factor = SKY.get(kind, ("", "", 1.0))
    if longitude in rows:
        x, y = to_pixels(image.wcs, rows[longitude] / factor, rows[latitude] / factor)
        if "x_centroid" in rows:  # of rows whose position on the sky is not known
            unknown = ~np.isfinite(rows[longitude])
            x, y = np.where(unknown, rows["x_centroid"], x), np.where(unknown, rows["y_centroid"], y)
        rows["x_centroid"], rows["y_centroid"] = x, y
    elif "x_centroid" in rows:
        if kind != "pixel":
            sky = to_sky(image.wcs, rows["x_centroid"], rows["y_centroid"])
            rows[longitude], rows[latitude] = (values * factor for values in sky)
    else:
        given = next(pair for pair in SKY.values() if pair[0] in rows)
        has = "no world coordinates" if kind == "pixel" else f"{kind} coordinates"
        msg = f"{name} gives {given[0]} and {given[1]}, but {image.meta['name']} has {has}."
        raise AstrosegError(msg)
    if "pixel_major" in rows:
        _turn_ellipses(rows, image)


def _turn_ellipses(rows, image) -> None:
    """Sizes and angles on the sky, of ellipses in pixels."""
    major = rows.pop("pixel_major")
    minor, pa = rows.pop("pixel_minor", major), rows.pop("pixel_pa", np.zeros_like(major))
    mirror = np.diag([-1.0, 1.0])  # the angle runs from +y to -x, as east lies on the sky
    covariance = mirror @ covariance_from_fwhm(major, minor, pa) @ mirror
    sky = sky_covariance(covariance, image.wcs, rows["x_centroid"], rows["y_centroid"])
    rows["fwhm_major"], rows["fwhm_minor"], rows["pa"] = fwhm_from_covariance(sky)


def on_image(rows: Rows, image: CCDData, name: str) -> np.ndarray:
    """Which rows have their centre on the image; an error where none of them has."""
    x, y = np.asarray(rows["x_centroid"]), np.asarray(rows["y_centroid"])
    height, width = image.shape
    with np.errstate(invalid="ignore"):
        inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    if x.size and not inside.any():
        msg = f"None of the {x.size} sources of {name} lies in {image.meta['name']}{_how_far(rows, image)}."
        raise AstrosegError(msg)
    return inside


def _how_far(rows, image) -> str:
    longitude, latitude, factor = SKY.get(sky_kind(image.wcs), ("", "", 1.0))
    if longitude not in rows:
        return ""
    centre = to_sky(image.wcs, (image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2)
    away = separation(rows[longitude] / factor, rows[latitude] / factor, *centre)
    return f"; the nearest is {np.nanmin(away):.3g} deg from its centre" if np.isfinite(away).any() else ""


def attenuate(rows: Rows, source: Any, name: str) -> Rows:
    """Multiply the fluxes by the primary beam, interpolated bilinearly; it becomes the column ``primary_beam``.

    Rows outside of its map are left out.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstrosegWarning)  # of the zeros around the beam, and of a missing unit
        beam = read_image(source, keep_zeros=True)
    if sky_kind(beam.wcs) != "equatorial" or "ra" not in rows:
        msg = f"A primary beam needs positions in ra and dec, in {name} and in {beam.meta['name']}."
        raise AstrosegError(msg)
    x, y = to_pixels(beam.wcs, rows["ra"], rows["dec"])
    factor = map_coordinates(np.asarray(beam.data, dtype=float), [y, x], order=1, cval=np.nan)
    known = np.isfinite(x) & np.isfinite(factor) & (factor > 0)
    if not known.all():
        warnings.warn(
            f"{np.count_nonzero(~known)} of {known.size} rows of {name} lie outside of the primary beam; left out.",
            AstrosegWarning,
            stacklevel=3,
        )
    rows = {key: values[known] for key, values in rows.items()}
    for key in ("flux", "flux_err", "peak_flux"):
        if key in rows:
            rows[key] = rows[key] * factor[known]
    rows["primary_beam"] = factor[known]
    return rows
