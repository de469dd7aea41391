"""The columns of every catalogue, declared once, and provenance."""

from __future__ import annotations

import datetime as dt
import platform
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable, Table

from astroseg import __version__
from astroseg.catalog_files import FORMATS, read_catalog, write_catalog
from astroseg.header import pixel_scale, sky_kind
from astroseg.image import checksum
from astroseg.mosaic import Mosaic
from astroseg.sky import sky_frame

if TYPE_CHECKING:
    from astroseg.finder import SourceFinder

__all__ = [
    "BLANK",
    "COLUMNS",
    "CONCAVE",
    "CUT",
    "DEGENERATE",
    "EDGE",
    "FLAGS",
    "FORMATS",
    "FRAGMENTED",
    "SAME",
    "SATURATED",
    "TOUCHING",
    "UNTRAINED",
    "UNTRUSTED",
    "Column",
    "columns_for",
    "complete",
    "flux_scale",
    "provenance",
    "read_catalog",
    "write_catalog",
]

EDGE, BLANK, SATURATED, TOUCHING, UNTRUSTED, DEGENERATE, UNTRAINED = 1, 2, 4, 8, 16, 32, 64
FRAGMENTED, CONCAVE, CUT = 128, 256, 512

#: Bits of the column ``flags``. They have names in this module, in this order: ``EDGE``, ``BLANK``, ``SATURATED``,
#: ``TOUCHING``, ``UNTRUSTED``, ``DEGENERATE``, ``UNTRAINED``, ``FRAGMENTED``, ``CONCAVE``,
#: ``CUT``.
FLAGS = {
    EDGE: "touches the edge of the image",
    BLANK: "next to blank pixels",
    SATURATED: "holds saturated pixels",
    TOUCHING: "shares a border with another source (deblended or blended)",
    UNTRUSTED: "correction of flux and size for the isophote not trusted (faint, or not Gaussian)",
    DEGENERATE: "position or size could not be measured",
    UNTRAINED: "the finder was not trained for images like this one",
    FRAGMENTED: "parts that are not connected with it were left out",
    CONCAVE: "very concave, or in several parts at another level: look at the outline",
    CUT: "lies in an island larger than the region that was searched: seen in part",
}

#: Keys of the provenance that must be the same, beside the identity of the finder, for an earlier answer to be this one.
SAME = (
    "image_sha256",
    "reading",
    "measuring",
    "parameters",
    "package",
    "package_version",
    "astroseg_version",
    "numpy_version",
)

# Distributions that every finder rests on, beside NumPy.
_LIBRARIES = ("astropy", "scipy", "scikit-image", "photutils")


@dataclass(frozen=True)
class Column:
    """One column: what it is called, measured in, and means.

    Parameters
    ----------
    name : str
    unit : str
        A unit, or ``image`` (that of the image), ``flux`` (Jy where the image can be summed to
        it, else the image's unit times pixels) or ``size`` (arcsec where pixels have an angular
        size, else pixels).
    ucd : str
        IVOA unified content descriptor.
    description : str
    dtype : str
    sky : str
        Kind of coordinates that has this column, empty for all.
    """

    name: str
    unit: str
    ucd: str
    description: str
    dtype: str = "f8"
    sky: str = ""


# fmt: off
#: Every column of a catalogue, in order.
COLUMNS = (
    Column("label", "", "meta.id;meta.main", "Number of the source in the label image and the region file", "i4"),
    Column("x_centroid", "pix", "pos.cartesian.x;instr.det", "Centroid weighted by brightness squared, 0-based pixels along the first FITS axis"),
    Column("y_centroid", "pix", "pos.cartesian.y;instr.det", "Centroid weighted by brightness squared, 0-based pixels along the second FITS axis"),
    Column("ra", "deg", "pos.eq.ra;meta.main", "Right ascension", sky="equatorial"),
    Column("dec", "deg", "pos.eq.dec;meta.main", "Declination", sky="equatorial"),
    Column("ra_err", "deg", "stat.error;pos.eq.ra", "Standard error of ra, on the sky (times cos dec)", sky="equatorial"),
    Column("dec_err", "deg", "stat.error;pos.eq.dec", "Standard error of dec", sky="equatorial"),
    Column("hpc_x", "arcsec", "pos.cartesian.x", "Helioprojective longitude, towards solar west", sky="helioprojective"),
    Column("hpc_y", "arcsec", "pos.cartesian.y", "Helioprojective latitude, towards solar north", sky="helioprojective"),
    Column("hpc_x_err", "arcsec", "stat.error;pos.cartesian.x", "Standard error of hpc_x", sky="helioprojective"),
    Column("hpc_y_err", "arcsec", "stat.error;pos.cartesian.y", "Standard error of hpc_y", sky="helioprojective"),
    Column("hg_lon", "deg", "pos.bodyrc.lon", "Heliographic longitude, Carrington or Stonyhurst as in the image", sky="heliographic"),
    Column("hg_lat", "deg", "pos.bodyrc.lat", "Heliographic latitude", sky="heliographic"),
    Column("hg_lon_err", "deg", "stat.error;pos.bodyrc.lon", "Standard error of hg_lon, times cos hg_lat", sky="heliographic"),
    Column("hg_lat_err", "deg", "stat.error;pos.bodyrc.lat", "Standard error of hg_lat", sky="heliographic"),
    Column("peak_flux", "image", "phot.flux.density;stat.max", "Brightest pixel, background off"),
    Column("flux", "flux", "phot.flux.density", "Total flux, corrected for what lies outside the isophote"),
    Column("flux_err", "flux", "stat.error;phot.flux.density", "Standard error of flux from the noise, correlated over the beam"),
    Column("fwhm_major", "size", "phys.angSize.smajAxis", "Major full width at half maximum, of the Gaussian of equal moments"),
    Column("fwhm_minor", "size", "phys.angSize.sminAxis", "Minor full width at half maximum"),
    Column("pa", "deg", "pos.posAng", "Position angle of the major axis, east of north (from +y to -x without a sky)"),
    Column("deconvolved_major", "size", "phys.angSize.smajAxis", "Major axis with the beam taken off, 0 = unresolved"),
    Column("deconvolved_minor", "size", "phys.angSize.sminAxis", "Minor axis with the beam taken off, 0 = unresolved"),
    Column("deconvolved_pa", "deg", "pos.posAng", "Position angle of the deconvolved major axis, east of north"),
    Column("n_pixels", "", "phys.angArea;instr.det", "Number of pixels of the label", "i4"),
    Column("snr", "", "stat.snr", "Brightest pixel over local_rms"),
    Column("local_rms", "image", "stat.stdev;instr.background", "Noise of a pixel, mean over the label"),
    Column("probability", "", "stat.probability", "Probability that the source is real; NaN for finders that give none"),
    Column("island", "", "meta.id.parent", "Number of the island, the connected pixels, that the source lies in", "i4"),
    Column("flags", "", "meta.code.qual", "Bit mask, see astroseg.catalog.FLAGS", "i4"),
)
# fmt: on


def columns_for(image: CCDData) -> list[Column]:
    """Return the columns that a catalogue of this image has."""
    kind = sky_kind(image.wcs)
    kind = "equatorial" if kind == "pixel" else kind
    return [column for column in COLUMNS if column.sky in ("", kind)]


def flux_scale(image: CCDData) -> tuple[float, u.UnitBase]:
    """Factor from a sum over pixels (image unit) to a flux, and the unit of that flux.

    Jy per beam needs the beam, Jy per solid angle the size of a pixel, Jy per pixel nothing.
    """
    scale = pixel_scale(image.wcs)
    beam = image.meta.get("beam")
    area = beam.area_pixels(scale) if beam is not None else None
    if image.unit.is_equivalent(u.Jy / u.beam) and area is not None:
        return image.unit.to(u.Jy / u.beam) / area, u.Jy
    if image.unit.is_equivalent(u.Jy / u.pix):
        return image.unit.to(u.Jy / u.pix), u.Jy
    if image.unit.is_equivalent(u.Jy / u.sr) and scale is not None:
        return image.unit.to(u.Jy / u.sr) * (scale**2).to_value(u.sr), u.Jy
    return 1.0, image.unit * u.pix


def _unit_of(column: Column, image: CCDData) -> u.UnitBase | None:
    if column.unit == "image":
        return image.unit
    if column.unit == "flux":
        return flux_scale(image)[1]
    if column.unit == "size":
        return u.pix if pixel_scale(image.wcs) is None else u.arcsec
    return u.Unit(column.unit) if column.unit else None


def complete(values: Any, image: CCDData) -> QTable:
    """Bring a table (or dict of arrays) into the agreed shape.

    Every column of `columns_for` is there, in order, with type, unit, description and UCD; what is
    missing becomes NaN (0 for integers). Other columns follow. Numbers without a unit are taken
    in the column's own.
    """
    given = values if isinstance(values, Table) else QTable(values)
    table = QTable()
    for column in columns_for(image):
        unit = _unit_of(column, image)
        if column.name in given.colnames:
            data = given[column.name]
            data = (
                u.Quantity(data, unit).value if unit is not None and getattr(data, "unit", None) else np.asarray(data)
            )
            data = data.astype(column.dtype)
        else:
            data = np.full(len(given), 0 if column.dtype.startswith("i") else np.nan, dtype=column.dtype)
        table[column.name] = data if unit is None else u.Quantity(data, unit)
        info = table[column.name].info
        info.description = column.description
        info.meta = {"ucd": column.ucd}
    for name in given.colnames:
        if name not in table.colnames:
            table[name] = given[name]
            table[name].info.description = given[name].info.description
    table.meta = dict(getattr(given, "meta", {}))
    return table


def stamp(catalog: QTable, finder: SourceFinder, image: CCDData | Mosaic) -> None:
    """Note where a catalogue comes from, in its ``meta``."""
    for key, value in provenance(finder, image).items():
        catalog.meta.setdefault(key, value)


def provenance(finder: SourceFinder, image: CCDData | Mosaic) -> dict[str, Any]:
    """Where a catalogue comes from: finder, options, versions, image."""
    from astroseg.plugins import package_of

    package, version = package_of(type(finder))
    background = image.meta.get("background")
    beam = image.meta.get("beam")
    return {
        "backend": finder.name,
        "parameters": _plain(finder.get_params()),
        **finder.identity(),
        "package": package,
        "package_version": version,
        "astroseg_version": __version__,
        "numpy_version": np.__version__,
        "python_version": platform.python_version(),
        "library_versions": _library_versions(finder.uses),
        "image": image.meta["name"],
        "image_path": image.meta.get("path"),
        "reading": _plain(image.meta.get("reading") or {}),
        "image_sha256": checksum(image),
        "image_shape": [int(length) for length in image.shape],
        "image_unit": image.unit.to_string(),
        "frame": sky_frame(image.wcs),
        "beam": None if beam is None else str(beam),
        "background": None if background is None else background.method,
        "median_rms": None if background is None else background.typical_rms(),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }


def _library_versions(uses: tuple[str, ...]) -> dict[str, str]:
    """Versions of the distributions that results depend on, those that a finder names included."""
    versions = {name: _version(name) for name in (*_LIBRARIES, *uses)}
    return {name: version for name, version in versions.items() if version}


@cache
def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _plain(value: Any) -> Any:
    """What JSON and YAML hold; anything else by its repr."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
