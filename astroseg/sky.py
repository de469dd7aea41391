"""Pixels <-> sky, for all sources at once: positions, and the local scale and rotation of the image.

``SkyCoord`` and ``pixel_to_world`` cost about a millisecond a source; arrays through wcslib cost
nothing, and need no sunpy for solar frames.
"""

from __future__ import annotations

import warnings

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

from astroseg.beam import Beam
from astroseg.ellipse import covariance_from_fwhm
from astroseg.header import pixel_scale, sky_kind

__all__ = [
    "ARCSEC",
    "beam_covariance",
    "local_matrix",
    "pixel_covariance",
    "separation",
    "sky_covariance",
    "sky_frame",
    "to_pixels",
    "to_sky",
]

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


def to_pixels(wcs: WCS, longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of positions on the sky; the inverse of `to_sky`.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`
    longitude, latitude : 1-D `~numpy.ndarray`
        Degrees, in the frame of `sky_frame`.

    Returns
    -------
    x, y : 1-D `~numpy.ndarray`
        0-based, NaN where the projection does not show the position.
    """
    longitude, latitude = np.array(longitude, dtype=float), np.array(latitude, dtype=float)
    x, y = np.full(longitude.shape, np.nan), np.full(longitude.shape, np.nan)
    usable = np.flatnonzero(np.isfinite(longitude) & np.isfinite(latitude))
    if usable.size == 0:
        return x, y
    native = _native_frame(wcs, longitude[usable], latitude[usable])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # far positions do not converge: they are not on the image
        x[usable], y[usable] = wcs.all_world2pix(*native, 0, quiet=True)
    # A tangential projection may put the far side of the sky on the near one.
    back = to_sky(wcs, x[usable], y[usable])
    lost = usable[~(separation(longitude[usable], latitude[usable], *back) < 1e-3)]
    x[lost] = y[lost] = np.nan
    return x, y


def _native_frame(wcs, longitude, latitude) -> tuple[np.ndarray, np.ndarray]:
    if sky_kind(wcs) != "equatorial":
        return longitude, latitude
    frame = wcs_to_celestial_frame(wcs)
    if frame.name == sky_frame(wcs):
        return longitude, latitude
    there = SkyCoord(longitude * u.deg, latitude * u.deg, frame="icrs").transform_to(frame)
    return there.spherical.lon.deg, there.spherical.lat.deg


def separation(
    longitude: np.ndarray, latitude: np.ndarray, other_longitude: np.ndarray, other_latitude: np.ndarray
) -> np.ndarray:
    """Angle between positions, all in degrees (haversine)."""
    longitude, latitude, other_longitude, other_latitude = (
        np.radians(angle) for angle in (longitude, latitude, other_longitude, other_latitude)
    )
    half = np.sin((latitude - other_latitude) / 2) ** 2
    half = half + np.cos(latitude) * np.cos(other_latitude) * np.sin((longitude - other_longitude) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1))))


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


def pixel_covariance(covariance: np.ndarray, wcs: WCS | None, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Covariances in (x, y), pixels squared, of those in (east, north), arcsec squared.

    Parameters
    ----------
    covariance : `~numpy.ndarray`, shape (n, 2, 2)
    wcs : `~astropy.wcs.WCS` or None
        Without one, or without angular pixels, the covariances are in pixels already, east being -x.
    x, y : 1-D `~numpy.ndarray`
        Where the sources are, 0-based pixels.

    Returns
    -------
    `~numpy.ndarray`, shape (n, 2, 2)
    """
    inverse = np.linalg.inv(_finite_matrix(wcs, x, y))
    return inverse @ covariance @ np.swapaxes(inverse, -1, -2)


def sky_covariance(covariance: np.ndarray, wcs: WCS | None, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Covariances in (east, north), arcsec squared, of those in (x, y); the inverse of `pixel_covariance`.

    Parameters
    ----------
    covariance : `~numpy.ndarray`, shape (n, 2, 2)
    wcs : `~astropy.wcs.WCS` or None
    x, y : 1-D `~numpy.ndarray`

    Returns
    -------
    `~numpy.ndarray`, shape (n, 2, 2)
    """
    matrix = _finite_matrix(wcs, x, y)
    return matrix @ covariance @ np.swapaxes(matrix, -1, -2)


def _finite_matrix(wcs, x, y) -> np.ndarray:
    """Local derivative of the sky by pixels; north up where a source lies beyond the edge of the sky."""
    matrix = np.array(local_matrix(wcs, x, y))
    scale = pixel_scale(wcs)
    size = 1.0 if scale is None else scale.to_value("arcsec")
    matrix[~np.isfinite(matrix).all(axis=(1, 2))] = np.diag([-size, size])
    return matrix


def beam_covariance(beam: Beam | None, wcs: WCS | None) -> np.ndarray | None:
    """The beam as a covariance matrix in (x, y), pixels squared; `None` where its size in pixels is not known.

    A restoring beam is one and the same everywhere in the plane of the image, and its position angle belongs to
    the image's own axes: neither to the north of another frame, nor to the local north, which turns near a pole.
    """
    widths = None if beam is None else beam.fwhm_pixels(pixel_scale(wcs))
    if beam is None or widths is None:
        return None
    # (east, north) in pixels of the geometric mean size, from (x, y): the plane's linear part.
    matrix = np.diag([-1.0, 1.0]) if wcs is None or sky_kind(wcs) == "pixel" else wcs.pixel_scale_matrix
    matrix = matrix / np.sqrt(abs(np.linalg.det(matrix)))
    inverse = np.linalg.inv(matrix)
    return inverse @ covariance_from_fwhm(*widths, beam.pa.to_value("deg")) @ inverse.T


def _vector(longitude, latitude) -> np.ndarray:
    longitude, latitude = np.radians(longitude), np.radians(latitude)
    return np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=-1
    )
