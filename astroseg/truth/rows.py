"""Rows as they come from a file -> rows that can be trusted: units, ranges, repetitions; what is wrong is said."""

from __future__ import annotations

import warnings

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.wcs import WCS

from astroseg.beam import Beam
from astroseg.catalog import COLUMNS, complete
from astroseg.errors import AstrosegError, AstrosegWarning
from astroseg.truth.dialects import POSITIONS, Rows

__all__ = ["check_rows", "in_units_of", "numbered", "select", "stand_in"]

_COUNTED = (u.ct, u.adu, u.DN, u.electron, u.photon)
_AXES = (
    ("fwhm_major", "fwhm_minor", "pa"),
    ("deconvolved_major", "deconvolved_minor", "deconvolved_pa"),
    ("pixel_major", "pixel_minor", "pixel_pa"),
)
# Where the catalogue has angles, sizes in pixels have other names: they are converted once their position is known.
_PIXEL_SIZES = {"fwhm_major": "pixel_major", "fwhm_minor": "pixel_minor", "pa": "pixel_pa"}
_OURS = {column.name: column for column in COLUMNS}


def stand_in(rows: Rows) -> CCDData:
    """An image of the kind that the rows belong to, for the units of their catalogue where none is given."""
    kinds = {"ra": ("RA---TAN", "DEC--TAN"), "hpc_x": ("HPLN-TAN", "HPLT-TAN"), "hg_lon": ("CRLN-CAR", "CRLT-CAR")}
    kinds["glon"] = kinds["ra"]
    flux, size = (getattr(rows.get(name), "unit", None) for name in ("flux", "fwhm_major"))
    unit = u.Jy / u.beam if flux is None or flux.is_equivalent(u.Jy) or flux.is_equivalent(u.deg) else flux / u.pix
    wcs = None
    kind = next((kinds[name] for name in rows if name in kinds), None)
    if kind is not None and size != u.pix:
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.cunit, wcs.wcs.cdelt = kind, ["deg", "deg"], [-1 / 3600, 1 / 3600]
    beam = Beam(1 * u.arcsec, 1 * u.arcsec) if wcs is not None and unit == u.Jy / u.beam else None
    return CCDData(np.zeros((1, 1)), unit=unit, wcs=wcs, meta={"beam": beam, "name": ""})


def in_units_of(rows: Rows, image: CCDData, name: str) -> Rows:
    """Convert every column of ours to the unit of the image's catalogue, as plain numbers.

    A position in a wrong unit is an error; any other column is left out with a warning. Sizes in pixels become
    ``pixel_major``, ``pixel_minor`` and ``pixel_pa`` where the catalogue has angles.
    """
    wanted = {key: column.unit for key, column in complete({}, image).columns.items()}
    wanted |= {key: u.Unit(_OURS[key].unit) for pair in POSITIONS for key in pair if key in _OURS}
    wanted |= {"glon": u.deg, "glat": u.deg}
    converted = {}
    if getattr(rows.get("fwhm_major"), "unit", None) == u.pix != wanted["fwhm_major"]:
        rows = {_PIXEL_SIZES.get(key, key): values for key, values in rows.items()}
        wanted |= {"pixel_major": u.pix, "pixel_minor": u.pix, "pixel_pa": u.deg}
    for key, values in rows.items():
        unit = getattr(values, "unit", None)
        if key not in wanted or wanted[key] is None or unit is None:
            converted[key] = values.value if key in wanted and isinstance(values, u.Quantity) else values
            continue
        number = _converted(values, wanted[key])
        if number is not None:
            converted[key] = number
        elif any(key in pair for pair in POSITIONS):
            msg = f"The {key} of {name} is in {unit}, but should be in {wanted[key]}."
            raise AstrosegError(msg)
        else:
            text = f"The {key} of {name} is in {unit}, which does not convert to {wanted[key]}; it is left out."
            warnings.warn(text, AstrosegWarning, stacklevel=3)
    return _to_icrs(converted)


def _converted(values: u.Quantity, unit: u.UnitBase) -> np.ndarray | None:
    """In a unit, or from one that differs by a beam or a pixel; counts of any kind are in the image's own."""
    for step in (u.dimensionless_unscaled, u.beam**-1, u.beam, u.pix**-1, u.pix):
        if (values.unit * step).is_equivalent(unit):
            return (values * step).to_value(unit)
    arbitrary = [part in _COUNTED or part in (u.pix, u.beam, u.s) for one in (values.unit, unit) for part in one.bases]
    return values.value if all(arbitrary) else None


def _to_icrs(rows: Rows) -> Rows:
    if "glon" not in rows or "ra" in rows:
        return rows
    usable = np.isfinite(rows["glon"]) & (np.abs(rows["glat"]) <= 90)
    longitude, latitude = (np.where(usable, rows[key], 0.0) for key in ("glon", "glat"))
    sky = SkyCoord(longitude * u.deg, latitude * u.deg, frame="galactic").icrs
    rows["ra"], rows["dec"] = np.where(usable, sky.ra.deg, np.nan), np.where(usable, sky.dec.deg, np.nan)
    return rows


def select(rows: Rows, keep: np.ndarray) -> Rows:
    """The rows where ``keep`` is True."""
    return {key: values[keep] for key, values in rows.items()}


def check_rows(rows: Rows, name: str) -> Rows:
    """Leave out what cannot be used, mend what can, and say so.

    Parameters
    ----------
    rows : dict
        In the units of the catalogue.
    name : str
        What to call the file in messages.

    Returns
    -------
    dict

    Raises
    ------
    AstrosegError
        When no row is left of those that were there.
    """
    number = len(next(iter(rows.values())))
    rows = _with_positions(rows, number, name)
    for major, minor, pa in _AXES:
        for key in (major, minor):
            if key in rows:
                rows[key] = _without(rows[key], rows[key] < 0, f"a negative {key}", name)
        _longer_first(rows, major, minor, pa)
    for key in ("flux", "peak_flux"):
        if key in rows and len(rows[key]):
            values = rows[key]
            rows[key] = _without(values, np.isinf(values), f"an infinite {key}", name)
            _say(np.isnan(values), f"have no {key}", name)
            _say(values < 0, f"have a negative {key}, which is kept", name)
    for key in [key for key in rows if key.endswith("_err")]:
        rows[key] = np.where(rows[key] < 0, np.nan, rows[key])  # -1 says that there is none
    _check_identities(rows, name)
    return rows


def _with_positions(rows, number, name) -> Rows:
    bad = np.zeros(number, dtype=bool)
    for first, second in POSITIONS:
        if first in rows and second in rows and first != "x_centroid":
            bad |= ~(np.isfinite(rows[first]) & np.isfinite(rows[second]))
    if "x_centroid" in rows and "y_centroid" in rows:  # an image without a sky has these alone
        there = np.isfinite(rows["x_centroid"]) & np.isfinite(rows["y_centroid"])
        bad = ~there if not any(key in rows for pair in POSITIONS[:-1] for key in pair) else bad & ~there
    _say(bad, "have no position, and are left out", name)
    beyond = np.zeros(number, dtype=bool)
    if "dec" in rows:
        with np.errstate(invalid="ignore"):
            beyond = (np.abs(rows["dec"]) > 90) | (np.abs(rows["ra"]) > 360)
        _say(beyond, "have a position beyond 360 or 90 degrees, and are left out", name)
    if number and (bad | beyond).all():
        why = "a position" if bad.all() else "a position on the sky"
        msg = f"None of the {number} rows of {name} has {why}; is it the right file, in degrees?"
        raise AstrosegError(msg)
    return select(rows, ~(bad | beyond))


def _without(values, bad, what, name):
    _say(bad, f"have {what}, which is ignored", name)
    values = values.copy()
    values[bad] = np.nan
    return values


def _longer_first(rows, major, minor, pa) -> None:
    if major not in rows or minor not in rows:
        return
    swapped = rows[minor] > rows[major]
    rows[major], rows[minor] = np.where(swapped, rows[minor], rows[major]), np.where(swapped, rows[major], rows[minor])
    if pa in rows:
        rows[pa] = np.where(swapped, rows[pa] + 90, rows[pa]) % 180


def _check_identities(rows, name) -> None:
    identity = rows.get("identity")
    if identity is not None:
        repeated = len(identity) - len(np.unique(np.ma.filled(identity, "") if np.ma.isMA(identity) else identity))
        if repeated:
            warnings.warn(f"{repeated} rows of {name} repeat the name or number of another; all are kept.",
                          AstrosegWarning, stacklevel=4)  # fmt: skip


def _say(which, what, name) -> None:
    number = int(np.count_nonzero(which))
    if number:
        warnings.warn(f"{number} of {len(which)} rows of {name} {what}.", AstrosegWarning, stacklevel=5)


def numbered(rows: Rows, name: str) -> Rows:
    """Give every row its label: 1, 2, ... in the order of the file, or the file's own where these will do."""
    number = len(next(iter(rows.values())))
    own = rows.get("label")
    if own is not None:
        own = np.nan_to_num(np.asarray(own, dtype=float), nan=0.0)
        if number == len(np.unique(own)) and (own >= 1).all() and (own == np.rint(own)).all():
            return {**rows, "label": own.astype(np.int32)}
        warnings.warn(f"The labels of {name} are not different positive numbers; its rows are numbered anew.",
                      AstrosegWarning, stacklevel=3)  # fmt: skip
    return {**rows, "label": np.arange(1, number + 1, dtype=np.int32)}
