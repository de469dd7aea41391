"""Visibilities: what an interferometer, or a telescope with grids, measures; and the maps they make.

A visibility is the sum over the sky of ``brightness * exp(2 pi i (u x + v y))``, x and y being the distances from the
phase centre along the two axes of the image (towards solar west and north, or towards the east and north of the sky),
as in Hurford et al. (2002, Sol. Phys. 210, 61) and Massa et al. (2023, Sol. Phys. 298, 114).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from astropy import units
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.wcs import WCS

from astroseg.beam import Beam
from astroseg.errors import ImageError, UsageError
from astroseg.header import pixel_scale

__all__ = [
    "Visibilities",
    "choose_grid",
    "dirty_beam",
    "dirty_map",
    "grid",
    "predict",
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
        """As a table, the way `~astroseg.visibility_files.read_visibilities` reads it."""
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
