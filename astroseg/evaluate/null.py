"""The null test: how many shifted detections still match, which is what chance gives."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData

from astroseg.errors import UsageError
from astroseg.evaluate.matching import Agreements, match_positions
from astroseg.evaluate.positions import Positions
from astroseg.header import pixel_scale

__all__ = ["match_by_chance", "matching_lengths"]

_SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0))
_PIXELS, _RADII, _LEAST_RADII = 20, 16, 3


def matching_lengths(
    radius: float | u.Quantity, shift: u.Quantity | None, image: CCDData | None, *, on_sky: bool
) -> tuple[u.Quantity, u.Quantity]:
    """Matching radius and shift of the null test, in arcsec on the sky, else in pixels.

    Parameters
    ----------
    radius : float or `~astropy.units.Quantity`
        In beams, an angle, or pixels.
    shift : `~astropy.units.Quantity` or None
        By default 20 pixels (16 radii where the size of a pixel is not known), at least 3 radii.
    image : `~astropy.nddata.CCDData` or None
        For its beam and the size of its pixels.
    on_sky : bool

    Raises
    ------
    UsageError
        When a length cannot be converted for want of a beam or a pixel size, or when the shift is
        below 2 radii, so that a shifted detection could match its own source.
    """
    scale = None if image is None else pixel_scale(image.wcs)
    if not isinstance(radius, u.Quantity):
        radius = radius * _beam(image)
    limit = _convert(radius, scale, "matching radius", on_sky=on_sky)
    if shift is None:
        step = _RADII * limit if on_sky and scale is None else _convert(_PIXELS * u.pix, scale, "shift", on_sky=on_sky)
        return limit, max(step, _LEAST_RADII * limit)
    step = _convert(shift, scale, "shift", on_sky=on_sky)
    if step < 2 * limit:
        msg = f"The null test shifts by {step}, but sources match within {limit}: shift by at least twice as much."
        raise UsageError(msg)
    return limit, step


def _beam(image):
    beam = None if image is None else image.meta.get("beam")
    if beam is None:
        msg = "The matching radius is in beams, but the beam is not known. Give the radius as an angle or in pixels."
        raise UsageError(msg)
    return np.sqrt(beam.major * beam.minor)


def _convert(value, scale, name, *, on_sky):
    unit = u.arcsec if on_sky else u.pix
    if value.unit.is_equivalent(unit):
        return value.to(unit)
    if scale is None or not (value.unit == u.pix or value.unit.is_equivalent(u.arcsec)):
        msg = f"The {name} of {value} cannot be converted to {unit}: give it in {unit}, or an image with a pixel size."
        raise UsageError(msg)
    return (value.value * scale).to(unit) if on_sky else (value / scale).to_value(u.one) * unit


def match_by_chance(
    found: Positions, truth: Positions, radius: u.Quantity, shift: u.Quantity, agreements: Agreements
) -> tuple[np.ndarray, np.ndarray]:
    """Match detections that were shifted to each of four sides.

    Parameters
    ----------
    found, truth : Positions
    radius, shift : `~astropy.units.Quantity`
    agreements : list of (found, truth, factor)
        See `match_positions`.

    Returns
    -------
    true : 1-D `~numpy.ndarray`
        Share of the shifts in which each detection matched.
    hit : 1-D `~numpy.ndarray`
        The same of each true source.
    """
    true, hit = np.zeros(len(found)), np.zeros(len(truth))
    for east, north in _SIDES:
        matches = match_positions(found.shifted(east * shift.value, north * shift.value), truth, radius, agreements)
        true[matches.found] += 1 / len(_SIDES)
        hit[matches.truth] += 1 / len(_SIDES)
    return true, hit
