"""Pixels -> sky, for all sources at once: positions, and the local scale and rotation of the image.

``SkyCoord`` and ``pixel_to_world`` cost about a millisecond a source; arrays through wcslib cost
nothing, and need no sunpy for solar frames.
"""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

from astroseg.beam import FWHM_PER_SIGMA, Beam
from astroseg.header import pixel_scale, sky_kind

__all__ = ["ARCSEC", "beam_covariance", "local_matrix", "sky_frame", "to_sky"]

ARCSEC = float(np.degrees(1) * 3600)  # arcsec in a radian


def sky_frame(wcs: WCS | None) -> str:
    """Name of the frame of the catalogue's positions: ``icrs``, ``fk5``, ``helioprojective``, ..., ``pixel``.

    Galactic, ecliptic and B1950 positions are converted to ICRS; ICRS and FK5 stay what they are.
    """
    kind = sky_kind(wcs)
    if wcs is None or kind != "equatorial":
        return kind
    return "fk5" if wcs_to_celestial_frame(wcs).name == "fk5" and wcs.wcs.equinox in (0, 2000) else "icrs"


def to_sky(wcs: WCS | None, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of pixel positions, in degrees; NaN where there is no sky.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS` or None
    x, y : `~numpy.ndarray`
        0-based pixels.
    """
    x, y = np.atleast_1d(np.asarray(x, dtype=float)), np.atleast_1d(np.asarray(y, dtype=float))
    kind = sky_kind(wcs)
    if wcs is None or kind == "pixel" or x.size == 0:
        return np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    longitude, latitude = wcs.all_pix2world(x, y, 0)
    if kind == "helioprojective":
        return (longitude + 180) % 360 - 180, latitude
    if kind == "equatorial":
        frame = wcs_to_celestial_frame(wcs)
        if frame.name != sky_frame(wcs):
            finite = np.isfinite(longitude)
            sky = SkyCoord(longitude[finite] * u.deg, latitude[finite] * u.deg, frame=frame).icrs
            longitude[finite], latitude[finite] = sky.spherical.lon.deg, sky.spherical.lat.deg
    return longitude % 360, latitude


def local_matrix(wcs: WCS | None, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Derivative of (east, north) on the sky by (x, y) in pixels, at each position.

    Returns
    -------
    `~numpy.ndarray` of shape (n, 2, 2)
        In arcsec per pixel. Without a sky, north is up and east is left, and the unit is arcsec
        where the pixels have an angular size, else pixels.
    """
    if sky_kind(wcs) == "pixel" or np.size(x) == 0:
        scale = pixel_scale(wcs)
        size = 1.0 if scale is None else scale.to_value(u.arcsec)
        return np.broadcast_to(np.diag([-size, size]), (np.size(x), 2, 2))
    longitude, latitude = np.radians(to_sky(wcs, x, y))
    zero = np.zeros_like(longitude)
    east = np.stack([-np.sin(longitude), np.cos(longitude), zero], axis=-1)
    north = np.stack(
        [-np.sin(latitude) * np.cos(longitude), -np.sin(latitude) * np.sin(longitude), np.cos(latitude)], axis=-1
    )
    columns = []
    for dx, dy in ((0.5, 0), (0, 0.5)):
        step = _vector(*to_sky(wcs, x + dx, y + dy)) - _vector(*to_sky(wcs, x - dx, y - dy))
        columns.append(np.stack([np.sum(step * east, axis=-1), np.sum(step * north, axis=-1)], axis=-1))
    return np.stack(columns, axis=-1) * ARCSEC


def beam_covariance(beam: Beam | None, wcs: WCS | None) -> np.ndarray | None:
    """The beam as a covariance matrix in (x, y), pixels squared; `None` where its size in pixels is not known.

    A restoring beam is one and the same everywhere in the plane of the image, and its position angle belongs to
    the image's own axes: neither to the north of another frame, nor to the local north, which turns near a pole.
    """
    widths = None if beam is None else beam.fwhm_pixels(pixel_scale(wcs))
    if beam is None or widths is None:
        return None
    angle = beam.pa.to_value("rad")
    along, across = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
    # (east, north) in pixels of the geometric mean size, from (x, y): the plane's linear part.
    matrix = np.diag([-1.0, 1.0]) if wcs is None or sky_kind(wcs) == "pixel" else wcs.pixel_scale_matrix
    matrix = matrix / np.sqrt(abs(np.linalg.det(matrix)))
    inverse = np.linalg.inv(matrix)
    plane = widths[0] ** 2 * np.outer(along, along) + widths[1] ** 2 * np.outer(across, across)
    return inverse @ plane @ inverse.T / FWHM_PER_SIGMA**2


def _vector(longitude, latitude) -> np.ndarray:
    longitude, latitude = np.radians(longitude), np.radians(latitude)
    return np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=-1
    )
