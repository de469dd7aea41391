"""Visibilities: what an interferometer, or a telescope with grids, measures; and the maps they make.

A visibility is the sum over the sky of ``brightness * exp(2 pi i (u x + v y))``, x and y being the distances from the
phase centre along the two axes of the image (towards solar west and north, or towards the east and north of the sky),
as in Hurford et al. (2002, Sol. Phys. 210, 61) and Massa et al. (2023, Sol. Phys. 298, 114).
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable, Table
from astropy.time import Time
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from astroseg.beam import Beam
from astroseg.errors import AstrosegWarning, ImageError, UsageError
from astroseg.file_pixels import trouble
from astroseg.header import pixel_scale

__all__ = [
    "Visibilities",
    "choose_grid",
    "dirty_beam",
    "dirty_map",
    "grid",
    "predict",
    "read_visibilities",
    "visibilities_in",
]

LARGEST = 513  # pixels: side of a map that nobody asked for
PER_ARCSEC = units.arcsec**-1


@dataclass(frozen=True, eq=False)
class Visibilities:
    """What an instrument measures in the (u, v) plane.

    Parameters
    ----------
    u, v : 1-D `~numpy.ndarray`, 1 / arcsec
        Spatial frequencies along the two axes of the image.
    value : 1-D `~numpy.ndarray` of complex
        Sum of ``brightness * exp(2 pi i (u x + v y))``.
    error : 1-D `~numpy.ndarray`
        Standard error of the real and of the imaginary part; NaN where it is not known.
    unit : `~astropy.units.UnitBase`
        Of ``value`` and ``error``.
    centre : (float, float), arcsec
        World coordinates of the phase centre, from which x and y are measured.
    axes : (str, str)
        ``CTYPE`` of the world coordinates.
    date : str
        Begin of the observation, ISO 8601; empty where it is not known.
    name : str
        What to call them in messages and file names.

    Raises
    ------
    ImageError
        Lengths differ, there are none, or one of them is not finite.
    """

    u: np.ndarray
    v: np.ndarray
    value: np.ndarray
    error: np.ndarray
    unit: units.UnitBase = units.ct
    centre: tuple[float, float] = (0.0, 0.0)
    axes: tuple[str, str] = ("HPLN-TAN", "HPLT-TAN")
    date: str = ""
    name: str = "visibilities"

    def __post_init__(self) -> None:
        columns = self.u, self.v, self.value, self.error
        if any(column.shape != (self.u.size,) for column in columns) or self.u.size == 0:
            sizes = ", ".join(str(column.shape) for column in columns)
            msg = f"u, v, value and error of {self.name} must be arrays of one and the same length, not {sizes}."
            raise ImageError(msg)
        if not all(np.isfinite(column).all() for column in columns[:3]):
            msg = f"Some of {self.name} are not finite; leave them out."
            raise ImageError(msg)

    @property
    def resolution(self) -> np.ndarray:
        """Half a period of each, in arcsec: what a pair of grids resolves. Infinite at the origin."""
        with np.errstate(divide="ignore"):
            return 0.5 / np.hypot(self.u, self.v)

    @property
    def beam(self) -> Beam:
        """What to restore with: as wide as the finest of them resolves.

        The core of a dirty beam whose frequencies are few and spread over a decade is far wider than that, and no
        Gaussian.
        """
        width = float(self.resolution.min()) * units.arcsec
        return Beam(width, width)

    def choose(self, rows: np.ndarray) -> Visibilities:
        """Those of the given rows (indices, or a mask)."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ("u", "v", "value", "error")})

    def resolving(self, finest: float) -> Visibilities:
        """Those that resolve no more than ``finest`` arcsec; `ImageError` where there are none."""
        rows = self.resolution >= finest
        if not rows.any():
            msg = f"All of {self.name} resolve more than {finest:g} arcsec; the coarsest {self.resolution.max():.3g}."
            raise ImageError(msg)
        return self.choose(rows)

    def table(self) -> QTable:
        """As a table, the way `read_visibilities` reads it again."""
        columns = {"u": self.u, "v": self.v, "re": self.value.real, "im": self.value.imag, "err": self.error}
        kinds = {"u": PER_ARCSEC, "v": PER_ARCSEC, "re": self.unit, "im": self.unit, "err": self.unit}
        meta = {"CENTRE1": self.centre[0], "CENTRE2": self.centre[1], "AXIS1": self.axes[0], "AXIS2": self.axes[1]}
        meta |= {"DATE-OBS": self.date} if self.date else {}
        return QTable({name: column * kinds[name] for name, column in columns.items()}, meta=meta)


def grid(visibilities: Visibilities, size: int, pixel: float) -> WCS:
    """World coordinates of a square map whose middle is the phase centre.

    Parameters
    ----------
    visibilities : Visibilities
    size : int, pixels
    pixel : float, arcsec
    """
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = list(visibilities.axes)
    wcs.wcs.cunit = ["arcsec", "arcsec"]
    wcs.wcs.crval = list(visibilities.centre)
    wcs.wcs.crpix = [(size + 1) / 2] * 2
    wcs.wcs.cdelt = [-pixel if visibilities.axes[0].startswith("RA") else pixel, pixel]
    wcs.wcs.dateobs = visibilities.date
    wcs.wcs.set()
    return wcs


def choose_grid(visibilities: Visibilities, size: int | None = None, pixel: float | None = None) -> tuple[int, float]:
    """Choose what the user did not: an odd size and a pixel that suit the visibilities.

    Parameters
    ----------
    visibilities : Visibilities
    size : int, optional, pixels
        By default the map is as wide as the diagonal of what the coarsest of them resolve.
    pixel : float, optional, arcsec
        By default a seventh of what the finest of them resolve, to two digits.

    Raises
    ------
    UsageError
        The pixel is not positive, or too coarse to sample the finest of them.
    """
    finest, coarsest = (float(width) for width in np.sort(visibilities.resolution)[[0, -1]])
    pixel = float(f"{finest / 7:.1e}") if pixel is None else pixel
    if not 0 < pixel < finest:
        msg = f"The pixel is {pixel:g} arcsec; it must be positive, and less than the resolution, {finest:.3g} arcsec."
        raise UsageError(msg)
    if size is None:
        widest = np.sqrt(2) * coarsest if np.isfinite(coarsest) else 128 * pixel
        size = min(2 * int(np.ceil(widest / pixel / 2)) + 1, LARGEST)
    return size, pixel


def dirty_map(visibilities: Visibilities, shape: tuple[int, int], wcs: WCS) -> CCDData:
    """Make the dirty map by the direct transform: the mean of ``V exp(-2 pi i (u x + v y))``, natural weights.

    Parameters
    ----------
    visibilities : Visibilities
    shape : (int, int)
        (ny, nx).
    wcs : `~astropy.wcs.WCS`
        Where the pixels are: any size, orientation and centre.

    Returns
    -------
    `~astropy.nddata.CCDData`
        float32, in the unit of the visibilities: a point source of flux S has a peak of S. Its ``psf`` is
        `dirty_beam`, its ``meta["visibilities"]`` the visibilities, its ``meta["beam"]`` their ``beam``.
    """
    frequencies, origin = _on_pixels(visibilities, wcs)
    x, y = (np.arange(length) - start for length, start in zip(shape[::-1], origin, strict=True))
    image = CCDData(_transform(frequencies, visibilities.value, x, y), unit=visibilities.unit, wcs=wcs)
    image.psf = dirty_beam(visibilities, shape, wcs)
    image.meta.update(beam=visibilities.beam, name=visibilities.name, path=None, header=None, visibilities=visibilities)
    return image


def dirty_beam(visibilities: Visibilities, shape: tuple[int, int], wcs: WCS) -> np.ndarray:
    """The dirty map of a point source of flux 1 in the middle, as wide as needed to move it over the whole map.

    Parameters
    ----------
    visibilities : Visibilities
    shape : (int, int)
        Of the map, (ny, nx).
    wcs : `~astropy.wcs.WCS`

    Returns
    -------
    2-D `~numpy.ndarray` of float32, shape (2 ny - 1, 2 nx - 1)
        Its peak, 1, is in the middle.
    """
    frequencies, _ = _on_pixels(visibilities, wcs)
    x, y = (np.arange(1 - length, length) for length in shape[::-1])
    return _transform(frequencies, np.ones(visibilities.u.size), x, y)


def predict(visibilities: Visibilities, model: np.ndarray, wcs: WCS) -> np.ndarray:
    """Visibilities that a model would give.

    Parameters
    ----------
    visibilities : Visibilities
        Whose u and v are taken.
    model : 2-D `~numpy.ndarray`
        Flux per pixel.
    wcs : `~astropy.wcs.WCS`

    Returns
    -------
    1-D `~numpy.ndarray` of complex128
    """
    frequencies, origin = _on_pixels(visibilities, wcs)
    x, y = (np.arange(length) - start for length, start in zip(model.shape[::-1], origin, strict=True))
    along_x, along_y = (
        np.exp(2j * np.pi * np.outer(each, steps)) for each, steps in zip(frequencies, (x, y), strict=True)
    )
    return np.einsum("ky,ky->k", along_y, along_x @ np.asarray(model, dtype=float).T)


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


def _on_pixels(visibilities, wcs) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies along the pixel axes (cycles per pixel, shape (2, n)), and the pixel of the phase centre."""
    if wcs is None or pixel_scale(wcs) is None:
        msg = f"{visibilities.name} cannot be mapped: the image has no world coordinates in angles."
        raise ImageError(msg)
    kinds = [(kind or "no name").split("-TAN")[0].split("-SIN")[0] for kind in (*wcs.wcs.ctype, *visibilities.axes)]
    if kinds[:2] != kinds[2:]:
        msg = (
            f"The axes of the image are {wcs.wcs.ctype[0]} and {wcs.wcs.ctype[1]}, "
            f"those of {visibilities.name} {visibilities.axes[0]} and {visibilities.axes[1]}."
        )
        raise ImageError(msg)
    scales = [unit.to(units.arcsec) for unit in wcs.wcs.cunit]
    centre = [angle / scale for angle, scale in zip(visibilities.centre, scales, strict=True)]
    origin = np.array([float(place) for place in wcs.all_world2pix(*centre, 0)])
    matrix = wcs.pixel_scale_matrix * np.array(scales)[:, None]
    return matrix.T @ np.stack([visibilities.u, visibilities.v]), origin


def _transform(frequencies, value, x, y) -> np.ndarray:
    """Mean of ``value * exp(-2 pi i f.(x, y))`` on a grid: separable, whatever the orientation of the pixels."""
    along_x, along_y = (
        np.exp(-2j * np.pi * np.outer(steps, each)) for each, steps in zip(frequencies, (x, y), strict=True)
    )
    return ((along_y * value) @ along_x.T).real.astype(np.float32) / np.float32(value.size)


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
