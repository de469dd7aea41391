"""Files of visibilities: tables of RHESSI, of STIX and of ours, and those of xrayvision."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from astropy.utils.exceptions import AstropyWarning

from astroseg.errors import AstrosegWarning, ImageError
from astroseg.file_pixels import trouble
from astroseg.visibilities import PER_ARCSEC, Visibilities

__all__ = ["read_visibilities", "visibilities_in"]


def read_visibilities(source: Any) -> Visibilities:
    """Read visibilities.

    Parameters
    ----------
    source : path, `Visibilities` or a ``Visibilities`` of xrayvision
        A file is a FITS table with the columns of RHESSI (``U``, ``V``, ``OBSVIS``, ``SIGAMP``), or one in FITS or ECSV
        with the columns ``u``, ``v``, ``re``, ``im`` and, where known, ``err``. Files of ``astroseg image`` hold theirs
        in the extension ``VISIBILITIES``. Where the table does not say what its phase centre is, it is the reference
        point of the first image in the file. Rows that are not finite, or whose error is not positive, are left out
        with a warning.

    Raises
    ------
    ImageError
        When there are none; the message says what would work.
    """
    if isinstance(source, Visibilities):
        return source
    if hasattr(source, "visibilities") and hasattr(source, "phase_center"):
        return _from_xrayvision(source)
    path = Path(source)
    if not path.is_file():
        msg = f"There is no file {path}."
        raise ImageError(msg)
    try:
        if path.name.lower().endswith(".ecsv"):
            return _from_table(Table.read(path, format="ascii.ecsv"), fits.Header(), path.name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            hdul = fits.open(path)
        with hdul:
            return visibilities_in(hdul, path.name)
    except (ImageError, AstrosegWarning):
        raise
    except Exception as error:
        msg = f"Cannot read {path}: {trouble(error)}."
        raise ImageError(msg) from error


def visibilities_in(hdul: fits.HDUList, name: str) -> Visibilities:
    """Read the visibilities of an open FITS file; see `read_visibilities`.

    Parameters
    ----------
    hdul : `~astropy.io.fits.HDUList`
    name : str
        Of the file, for messages.
    """
    for hdu in hdul:
        names = {column.name.lower() for column in getattr(hdu, "columns", ())}
        if {"u", "v"} <= names and names & {"re", "obsvis"}:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AstropyWarning)
                table = Table.read(hdu, mask_invalid=False)
            images = (one.header for one in hdul if one.is_image and len(one.shape) == 2)
            return _from_table(table, next(images, hdul[0].header), name)
    msg = (
        f"{name} holds no visibilities: no table with the columns u, v, re, im (and err), "
        "or those of RHESSI (U, V, OBSVIS, SIGAMP)."
    )
    raise ImageError(msg)


def _from_xrayvision(source) -> Visibilities:
    value, times = source.visibilities, getattr(source.meta, "time_range", None)
    error = source.uncertainty
    unit = value.unit
    error = np.full(value.shape, np.nan) if error is None else np.abs(error.to_value(unit))
    latitude, longitude = (float(angle) for angle in source.phase_center.to_value(units.arcsec))  # y comes first there
    along_u, along_v = (np.asarray(column.to_value(PER_ARCSEC)) for column in (source.u, source.v))
    date = "" if times is None else str(Time(times[0]).isot)
    return Visibilities(along_u, along_v, np.asarray(value.value), error, unit, (longitude, latitude), date=date)


def _from_table(table: Table, first: fits.Header, name: str) -> Visibilities:
    """From a table and the header of the first image beside it."""
    columns = {column.lower(): table[column] for column in table.colnames}
    missing = [key for key in ("u", "v", "im" if "re" in columns else "sigamp") if key not in columns]
    if missing:
        msg = f"The visibilities of {name} have no column '{missing[0]}'."
        raise ImageError(msg)
    value, error, unit = _values(columns, name)
    along_u, along_v = (_quantity(columns[key], PER_ARCSEC, name).value for key in ("u", "v"))
    kept = np.isfinite(along_u) & np.isfinite(along_v) & np.isfinite(value) & ~(error <= 0) & ~np.isinf(error)
    _say_what_is_left(kept, name)
    centre, axes, date = _where_and_when(table.meta, columns, first)
    return Visibilities(along_u[kept], along_v[kept], value[kept], error[kept], unit, centre, axes, date, name)


def _values(columns, name) -> tuple[np.ndarray, np.ndarray, units.UnitBase]:
    """Complex values, their errors (NaN where there are none), and the unit."""
    if "obsvis" in columns:  # RHESSI
        value, error = (np.asarray(columns[key]) for key in ("obsvis", "sigamp"))
        text = re.sub(r"!\w", "", str(columns["units"][0])).lower() if "units" in columns else ""
        return value.astype(complex), error.astype(float), units.Unit(text.replace("photons", "photon").strip())
    unit = units.Unit(columns["re"].unit or "")
    real, imaginary = (_quantity(columns[key], unit, name).value for key in ("re", "im"))
    error = _quantity(columns["err"], unit, name).value if "err" in columns else np.full(real.shape, np.nan)
    return real + 1j * imaginary, error, unit


def _quantity(column, unit, name) -> units.Quantity:
    """A column in a unit; without one it is taken to be in it."""
    try:
        return units.Quantity(np.ma.filled(np.ma.asarray(column, dtype=float), np.nan), column.unit or unit).to(unit)
    except units.UnitConversionError as error:
        msg = f"The column '{column.name}' of {name} is in {column.unit}, not in {unit}."
        raise ImageError(msg) from error


def _say_what_is_left(kept, name) -> None:
    if not kept.any():
        msg = f"None of the {kept.size} visibilities of {name} is finite and has a positive error."
        raise ImageError(msg)
    if not kept.all():
        warnings.warn(
            f"{np.count_nonzero(~kept)} of the {kept.size} visibilities of {name} are left out: "
            "not finite, or without a positive error.",
            AstrosegWarning,
            stacklevel=3,
        )


def _where_and_when(meta, columns, first) -> tuple[tuple[float, float], tuple[str, str], str]:
    """Phase centre in arcsec, axes and date, from a table and the header of the file's first image."""
    given = {key.upper(): value for key, value in meta.items()}
    axes = given.get("AXIS1", first.get("CTYPE1", "HPLN-TAN")), given.get("AXIS2", first.get("CTYPE2", "HPLT-TAN"))
    date = given.get("DATE-OBS") or first.get("DATE-OBS") or first.get("DATE-BEG") or first.get("DATE_OBS") or ""
    centre: Any
    if "CENTRE1" in given:
        centre = given["CENTRE1"], given["CENTRE2"]
    elif "xyoffset" in columns:  # RHESSI
        centre = np.asarray(columns["xyoffset"])[0]
    elif "OFFSET_ARCSEC" in given:
        centre, date = given["OFFSET_ARCSEC"], str(given.get("TIME_RANGE", [date])[0])
    else:
        scales = (units.Unit(first.get(f"CUNIT{axis}", "arcsec")).to(units.arcsec) for axis in (1, 2))
        centre = [first.get(f"CRVAL{axis}", 0.0) * scale for axis, scale in zip((1, 2), scales, strict=True)]
    return (float(centre[0]), float(centre[1])), axes, str(date).rstrip("Z")
