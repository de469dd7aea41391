"""What a FITS header says, and what it meant to say: unit, world coordinates, beam."""

from __future__ import annotations

import contextlib
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

# Spellings seen in archives that astropy does not read, in lower case. What is counted may be given
# per second, flux densities per beam or pixel: the two patterns below.
_UNITS = {
    "gauss": u.G,
    "kelvin": u.K,
    "mx/cm^2": u.G,
    "km/s": u.km / u.s,
    "m/s": u.m / u.s,
}
_NONE = ("arbitrary intensity units", "arbitrary units", "arbitrary", "arb", "unknown", "none", "undefined")
_UNITS |= dict.fromkeys(_NONE, u.dimensionless_unscaled)
_COUNTED = {
    "dn": u.DN,
    "adu": u.adu,
    "count": u.ct,
    "counts": u.ct,
    "cts": u.ct,
    "electron": u.electron,
    "electrons": u.electron,
    "e-": u.electron,
    "photon": u.ph,
    "photons": u.ph,
}
_RATE = re.compile(r"(?P<what>[a-z]+-?)\s*(?P<pixel>/\s*pix(?:el)?)?\s*(?P<rate>/\s*s(?:ec)?|s\^?-1)?")
_FLUX = re.compile(
    r"(?P<prefix>[munk\u00b5\u03bc]?)(?P<jansky>jy)\s*(?:(?:/|\.|per\s)?\s*(?P<per>beam|bm|pixel|pix)(?:\^?-1|/)?)?"
    r"(?:(?:\s|\.|\*)+(?P<times>.+))?",
    re.IGNORECASE,
)


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
    rate = _RATE.fullmatch(text.lower())
    if rate and rate["what"] in _COUNTED:
        counted = _COUNTED[rate["what"]]
        return counted / u.s if rate["rate"] else counted
    flux = _FLUX.fullmatch(text)
    if flux:
        density = _flux_density(flux)
        return density * parse_unit(flux["times"]) if flux["times"] else density
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)
        unit = u.Unit(text)
    if not isinstance(unit, u.UnitBase) or (not unit.bases and unit.scale != 1):
        msg = "logarithmic, or a number"
        raise ValueError(msg)
    return unit


def _flux_density(match: re.Match) -> u.UnitBase:
    prefix = match["prefix"].replace("\u00b5", "u").replace("\u03bc", "u")
    if prefix == "M" and match["jansky"] == "JY":
        msg = "ambiguous: mJy or MJy"
        raise ValueError(msg)
    jansky = u.Unit(f"{prefix if prefix == 'M' else prefix.lower()}Jy")
    if not match["per"]:
        return jansky
    return jansky / (u.beam if match["per"].lower() in ("beam", "bm") else u.pix)


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


def find_wcs(header: fits.Header, name: str, fobj: fits.HDUList | None = None) -> WCS | None:
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
            _refuse_words(header)
            wcs = WCS(header, fobj=fobj)
            wcs.wcs.set()
            corner = wcs.wcs_pix2world(np.zeros((1, wcs.naxis)) + wcs.wcs.crpix - 1, 0)
            usable = np.all(np.isfinite(corner)) and _has_scale(wcs)
        reason = "not finite"
    except Exception as error:  # noqa: BLE001 - wcslib raises a dozen kinds, all of them mean the same here
        usable = False
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    if usable:
        return wcs
    warnings.warn(
        f"The world coordinates of {name} cannot be used ({reason.rstrip('.')}); positions are in pixels.",
        AstrosegWarning,
        stacklevel=3,
    )
    return None


def _refuse_words(header: fits.Header) -> None:
    """Raise `ValueError` where a number is text; wcslib would take the default in its place."""
    for key in header:
        if re.fullmatch(r"(CRVAL|CRPIX|CDELT)\d|(CD|PC)\d_\d", key) and isinstance(header[key], str):
            msg = f"{key} is '{header[key]}'"
            raise ValueError(msg)


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
    # Taking the celestial axes copies the WCS.
    plane = wcs.celestial if wcs.has_celestial and wcs.naxis > 2 else wcs
    area = abs(float(np.linalg.det(plane.pixel_scale_matrix)))
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
    for major, minor, pa in (("BMAJ", "BMIN", "BPA"), ("CLEANBMJ", "CLEANBMN", "CLEANBPA")):
        # A keyword without a value is not a number; a missing minor axis means a round beam.
        with contextlib.suppress(KeyError, TypeError, ValueError):
            widths = float(header[major]), float(header.get(minor, header[major]))
            return *(width * u.deg for width in widths), float(header.get(pa, 0.0)) * u.deg
    return None


def _beam_from_table(hdul, plane):
    """CASA writes one beam per channel into a table extension named BEAMS."""
    for hdu in hdul or ():
        columns = {column.name.upper(): column for column in getattr(hdu, "columns", ())}
        if not {"BMAJ", "BMIN", "BPA"} <= set(columns) or len(hdu.data) == 0:
            continue
        row = hdu.data[min(plane, len(hdu.data) - 1)]
        defaults = {"BMAJ": "arcsec", "BMIN": "arcsec", "BPA": "deg"}
        return tuple(float(row[key]) * u.Unit(columns[key].unit or unit) for key, unit in defaults.items())
    return None


_NUMBER = r"\s*=\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[ED][-+]?\d+)?)"
_HISTORY = re.compile(rf"BMAJ{_NUMBER}\s+BMIN{_NUMBER}\s+BPA{_NUMBER}", re.IGNORECASE)


def _beam_from_history(header):
    """AIPS notes the beam of its last CLEAN in HISTORY, in degrees."""
    for line in reversed(list(header.get("HISTORY", ()))):
        match = _HISTORY.search(str(line))
        if match:
            return tuple(float(text.upper().replace("D", "E")) * u.deg for text in match.groups())
    return None
