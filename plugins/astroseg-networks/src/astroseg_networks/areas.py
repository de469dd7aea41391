"""Areas of objects: in pixels, on the sky, and on the surface of the Sun."""

from __future__ import annotations

import importlib.util

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable
from scipy.ndimage import find_objects

from astroseg.header import pixel_scale, sky_kind

__all__ = ["put_areas"]

STEEPEST = 0.05  # cosine of the angle to the normal, below which a pixel says nothing of the surface
SUN = 695.7 * u.Mm  # IAU 2015 resolution B3


def put_areas(catalog: QTable, image: CCDData, labels: np.ndarray) -> None:
    """Add the columns of areas, those on the surface of the Sun where sunpy is installed.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
        Gets ``dextr_area`` in arcsec² (pixels, where they have no angular size), ``dextr_solar_area`` in Mm²: pixels
        divided by the cosine of the angle between the line of sight and the normal; ``dextr_hg_lon`` and
        ``dextr_hg_lat``: Stonyhurst heliographic coordinates of the centre of that area, in degrees.
    image : `~astropy.nddata.CCDData`
    labels : 2-D `~numpy.ndarray` of int32
    """
    scale = pixel_scale(image.wcs)
    unit = u.pix if scale is None else (scale**2).to(u.arcsec**2)
    catalog["dextr_area"] = np.asarray(catalog["n_pixels"]) * unit
    catalog["dextr_area"].info.description = "Area in the plane of the image"
    kind = sky_kind(image.wcs)
    if kind not in ("helioprojective", "heliographic") or importlib.util.find_spec("sunpy") is None:
        return
    rows = [_on_surface(image, labels, box, label, kind) for label, box in enumerate(find_objects(labels), start=1)]
    area, longitude, latitude = np.array(rows, dtype=float).reshape(-1, 3).T
    catalog["dextr_solar_area"] = area * u.Mm**2
    catalog["dextr_solar_area"].info.description = "Area on the surface of the Sun, foreshortening taken off"
    catalog["dextr_hg_lon"], catalog["dextr_hg_lat"] = longitude * u.deg, latitude * u.deg
    for name, what in (("lon", "longitude"), ("lat", "latitude")):
        catalog[f"dextr_hg_{name}"].info.description = f"Stonyhurst heliographic {what} of the centre of the area"


def _on_surface(image, labels, box, label, kind) -> tuple[float, float, float]:
    """Area in Mm², longitude and latitude in degrees; NaN off the disk, and where the observer is not known."""
    y, x = np.nonzero(labels[box] == label)
    x, y = x + box[1].start, y + box[0].start
    try:
        surface, area = _surface(image.wcs, pixel_scale(image.wcs), x, y, kind)
    except Exception:  # noqa: BLE001 - sunpy and astropy raise many kinds, all of them mean that a header says too little
        return (np.nan, np.nan, np.nan)
    known = np.isfinite(area)
    if not known.any():
        return (np.nan, np.nan, np.nan)
    longitude, latitude = (angle[known] for angle in surface)
    cosine, weight = np.cos(latitude), area[known]
    vector = np.array([cosine * np.cos(longitude), cosine * np.sin(longitude), np.sin(latitude)]) @ weight
    east, north = np.arctan2(vector[1], vector[0]), np.arctan2(vector[2], np.hypot(vector[0], vector[1]))
    return float(weight.sum()), float(np.degrees(east)), float(np.degrees(north))


def _surface(wcs, scale, x, y, kind) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Stonyhurst longitude and latitude in radians, and area in Mm², of pixels."""
    import sunpy.coordinates  # noqa: F401 - astropy learns the frames of the Sun from it
    from sunpy.coordinates import Heliocentric, HeliographicStonyhurst

    place = wcs.pixel_to_world(x, y)
    sphere = place.transform_to(HeliographicStonyhurst(obstime=place.obstime)).spherical
    angles = sphere.lon.to_value(u.rad), sphere.lat.to_value(u.rad)
    if kind == "heliographic":
        return angles, _cell(wcs, x, y)
    centred = place.transform_to(Heliocentric(observer=place.observer, obstime=place.obstime)).cartesian
    distance = np.sqrt(centred.x**2 + centred.y**2 + centred.z**2)
    cosine = (centred.z / distance).to_value(u.one)
    far = place.observer.radius - centred.z
    side = scale.to_value(u.rad) * far.to_value(u.Mm)
    with np.errstate(invalid="ignore"):
        return angles, np.where(cosine > STEEPEST, side**2 / cosine, np.nan)


def _cell(wcs, x, y) -> np.ndarray:
    """Area in Mm² of pixels of a map in heliographic coordinates: what their corners span on the sphere."""
    corners = []
    for dx, dy in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)):
        longitude, latitude = np.radians(wcs.wcs_pix2world(np.column_stack([x + dx, y + dy]), 0).T)
        cosine = np.cos(latitude)
        corners.append(np.stack([cosine * np.cos(longitude), cosine * np.sin(longitude), np.sin(latitude)], axis=-1))
    span = np.cross(corners[2] - corners[0], corners[3] - corners[1])
    return 0.5 * np.linalg.norm(span, axis=-1) * SUN.to_value(u.Mm) ** 2
