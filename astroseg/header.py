"""What a FITS header says, and what it meant to say: unit, world coordinates, beam."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_area

from astroseg.beam import Beam
from astroseg.errors import AstrosegWarning, ImageError, UsageError

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["find_beam", "find_unit", "find_wcs", "parse_unit", "pixel_scale", "sky_kind"]

# Spellings seen in archives that astropy does not read, in lower case. Flux densities per beam are
# recognised by the pattern below.
_UNITS = {
    "dn": u.DN,
    "dn/s": u.DN / u.s,
    "dn/pixel": u.DN,
    "counts": u.ct,
    "counts/s": u.ct / u.s,
    "electrons": u.electron,
    "electrons/s": u.electron / u.s,
    "electron/s": u.electron / u.s,
    "gauss": u.G,
    "kelvin": u.K,
    "mx/cm^2": u.G,
    "arbitrary intensity units": u.dimensionless_unscaled,
    "arbitrary units": u.dimensionless_unscaled,
    "arbitrary": u.dimensionless_unscaled,
    "arb": u.dimensionless_unscaled,
    "unknown": u.dimensionless_unscaled,
    "none": u.dimensionless_unscaled,
    "undefined": u.dimensionless_unscaled,
}
_PER_BEAM = re.compile(r"(?P<prefix>[munk\u00b5\u03bc]?)jy\s*(?:/|\.?per\s)?\s*(?P<per>beam|bm|pixel|pix)(?:\^?-1|/)?", re.IGNORECASE)


def parse_unit(text: str) -> u.UnitBase:
    """Read a unit as FITS files spell it, ``JY/BEAM`` and ``Jy/beam/`` included.

    Raises
    ------
    ValueError
        When the unit is unknown, or ambiguous: ``MJY/BEAM`` in capitals may be milli or mega.
    """
    text = text.strip()
    if text.lower() in _UNITS:
        return _UNITS[text.lower()]
    match = _PER_BEAM.fullmatch(text)
    if match and match["prefix"] == "M" and text.isupper():
        msg = "ambiguous: mJy or MJy"
        raise ValueError(msg)
    if match:
        prefix = match["prefix"].replace("\u00b5", "u").replace("\u03bc", "u")
        prefix = prefix if prefix == "M" else prefix.lower()
        return u.Unit(f"{prefix}Jy") / (u.beam if match["per"].lower() in ("beam", "bm") else u.pix)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)
        return u.Unit(text)


def find_unit(header: fits.Header, name: str) -> u.UnitBase | None:
    """The unit of the pixels, or `None` where the header has none.

    Raises
    ------
    ImageError
        When ``BUNIT`` is there but cannot be read.
    """
    text = str(header.get("BUNIT", "")).strip()
    if not text:
        return None
    try:
        return parse_unit(text)
    except (ValueError, TypeError) as error:
        why = f" ({error})" if "ambiguous" in str(error) else ""
        msg = f"Cannot read the unit '{text}' of {name}{why}. Give it with --unit, for example --unit Jy/beam."
        raise ImageError(msg) from error


def find_wcs(header: fits.Header, name: str, fobj=None) -> WCS | None:
    """The world coordinates of the image, all axes, or `None` (with a warning where they are broken).

    Headers of solar software that name the axes ``solar_x`` or ``arcsec`` are read as
    helioprojective, plural units (``arcsecs``) as singular.
    """
    if not any(key in header for key in ("CTYPE1", "CRVAL1", "CD1_1", "CDELT1")):
        return None
    header = _repair_wcs(header)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wcs = WCS(header, fobj=fobj)
            wcs.wcs.set()
            corner = wcs.wcs_pix2world(np.zeros((1, wcs.naxis)) + wcs.wcs.crpix - 1, 0)
    except Exception as error:  # noqa: BLE001 - wcslib raises a dozen kinds, all of them mean the same here
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        warnings.warn(
            f"The world coordinates of {name} cannot be used ({reason}); positions are in pixels.",
            AstrosegWarning,
            stacklevel=3,
        )
        return None
    if not (np.all(np.isfinite(corner)) and _has_scale(wcs)):
        warnings.warn(
            f"The world coordinates of {name} are not finite; positions are in pixels.", AstrosegWarning, stacklevel=3
        )
        return None
    return wcs


def _has_scale(wcs: WCS) -> bool:
    if not wcs.has_celestial:
        return True
    area = proj_plane_pixel_area(wcs.celestial)
    return bool(np.isfinite(area) and area > 0)


def _repair_wcs(header: fits.Header) -> fits.Header:
    header = header.copy()
    kinds = [str(header.get(f"CTYPE{axis}", "")).strip().lower() for axis in (1, 2)]
    if kinds in (["solar_x", "solar_y"], ["solar-x", "solar-y"], ["arcsec", "arcsec"]):
        for axis, kind in ((1, "HPLN-TAN"), (2, "HPLT-TAN")):
            header[f"CTYPE{axis}"] = kind
            header.setdefault(f"CUNIT{axis}", "arcsec")
    for key in [key for key in header if key.startswith("CUNIT")]:
        unit = str(header[key]).strip().lower()
        header[key] = {"arcsecs": "arcsec", "degrees": "deg", "degree": "deg"}.get(unit, header[key])
    return header


def sky_kind(wcs: WCS | None) -> str:
    """``"equatorial"``, ``"helioprojective"``, ``"heliographic"``, or ``"pixel"`` for all else."""
    if wcs is None or not wcs.has_celestial:
        return "pixel"
    prefix = wcs.wcs.ctype[wcs.wcs.lng][:2]
    return {"HP": "helioprojective", "CR": "heliographic", "HG": "heliographic"}.get(prefix, "equatorial")


def pixel_scale(wcs: WCS | None) -> u.Quantity | None:
    """Side of a square pixel of the same area at the reference point (an angle), or `None`."""
    if wcs is None:
        return None
    area = abs(float(np.linalg.det(wcs.celestial.pixel_scale_matrix if wcs.has_celestial else wcs.pixel_scale_matrix)))
    unit = u.Unit(wcs.wcs.cunit[wcs.wcs.lng if wcs.has_celestial else 0])
    if not unit.is_equivalent(u.arcsec) or not area > 0:
        return None
    return (np.sqrt(area) * unit).to(u.arcsec)


def find_beam(header: fits.Header, hdul: fits.HDUList | None, plane: int, name: str) -> Beam | None:
    """The beam from ``BMAJ`` and the like, a CASA beam table, or the AIPS history, in this order."""
    for candidate in (_beam_from_keys(header), _beam_from_table(hdul, plane), _beam_from_history(header)):
        if candidate is None:
            continue
        try:
            return Beam(*candidate)
        except UsageError:
            warnings.warn(
                f"The beam in the header of {name} is not usable "
                f"({candidate[0]:.3g}, {candidate[1]:.3g}); give it with --beam.",
                AstrosegWarning,
                stacklevel=3,
            )
            return None
    return None


def _beam_from_keys(header):
    try:
        major = float(header["BMAJ"])
        minor = float(header.get("BMIN", major))
        return major * u.deg, minor * u.deg, float(header.get("BPA", 0.0)) * u.deg
    except (KeyError, TypeError, ValueError):
        return None


def _beam_from_table(hdul, plane):
    """CASA writes one beam per channel into a table extension named BEAMS."""
    for hdu in hdul or ():
        columns = {column.name.upper(): column for column in getattr(hdu, "columns", ())}
        if not {"BMAJ", "BMIN", "BPA"} <= set(columns) or len(hdu.data) == 0:
            continue
        row = hdu.data[min(plane, len(hdu.data) - 1)]
        widths = [float(row[name]) * u.Unit(columns[name].unit or default) for name, default in
                  (("BMAJ", "arcsec"), ("BMIN", "arcsec"), ("BPA", "deg"))]
        return tuple(widths)
    return None


_HISTORY = re.compile(r"BMAJ\s*=\s*([-+.\dEeDd]+)\s+BMIN\s*=\s*([-+.\dEeDd]+)\s+BPA\s*=\s*([-+.\dEeDd]+)")


def _beam_from_history(header):
    """AIPS notes the beam of its last CLEAN in HISTORY, in degrees."""
    for line in reversed(list(header.get("HISTORY", ()))):
        match = _HISTORY.search(str(line))
        if match:
            return tuple(float(text.upper().replace("D", "E")) * u.deg for text in match.groups())
    return None
