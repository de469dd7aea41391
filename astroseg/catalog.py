"""The columns of every catalogue, declared once; provenance; reading and writing."""

from __future__ import annotations

import datetime as dt
import json
import platform
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable, Table

from astroseg import __version__
from astroseg.errors import AstrosegError, UsageError
from astroseg.header import pixel_scale, sky_kind
from astroseg.image import checksum
from astroseg.sky import sky_frame

__all__ = [
    "COLUMNS",
    "FLAGS",
    "FORMATS",
    "Column",
    "columns_for",
    "complete",
    "flux_scale",
    "read_catalog",
    "write_catalog",
]

#: Bits of the column ``flags``.
FLAGS = {
    1: "touches the edge of the image",
    2: "next to blank pixels",
    4: "holds saturated pixels",
    8: "shares a border with another source (deblended or blended)",
    16: "correction of flux and size for the isophote not trusted (faint, or not Gaussian)",
    32: "position or size could not be measured",
}


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
    Column("island", "", "meta.id.parent", "Number of the finder's island that the source lies in", "i4"),
    Column("flags", "", "meta.code.qual", "Bit mask, see astroseg.catalog.FLAGS", "i4"),
)
# fmt: on

#: Format of a catalogue -> ending of its file.
FORMATS = {"ecsv": ".ecsv", "votable": ".vot", "fits": ".cat.fits", "csv": ".csv"}


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


def stamp(catalog: QTable, finder: Any, image: CCDData) -> None:
    """Note where a catalogue comes from, in its ``meta``."""
    from astroseg.plugins import package_of

    package, version = package_of(type(finder))
    background = image.meta.get("background")
    beam = image.meta.get("beam")
    provenance = {
        "backend": finder.name,
        "parameters": {key: _plain(value) for key, value in finder.get_params().items()},
        "package": package,
        "package_version": version,
        "astroseg_version": __version__,
        "numpy_version": np.__version__,
        "python_version": platform.python_version(),
        "image": image.meta["name"],
        "image_sha256": checksum(image),
        "image_shape": [int(length) for length in image.shape],
        "image_unit": image.unit.to_string(),
        "frame": sky_frame(image.wcs),
        "beam": None if beam is None else str(beam),
        "background": None if background is None else background.method,
        "median_rms": None if background is None else background.typical_rms(),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
    for key, value in provenance.items():
        catalog.meta.setdefault(key, value)


def _plain(value: Any) -> Any:
    """What JSON and YAML hold; anything else by its repr."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def write_catalog(catalog: QTable, path: str | Path, form: str = "ecsv") -> None:
    """Write a catalogue with units, UCDs and provenance.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
    path : path
        Overwritten.
    form : {"ecsv", "votable", "fits", "csv"}
        ``csv`` is for other programs: it has no place for units and provenance.
    """
    if form not in FORMATS:
        msg = f"There is no table format '{form}'. Choose from {', '.join(FORMATS)}."
        raise UsageError(msg)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        {"ecsv": _write_ecsv, "votable": _write_votable, "fits": _write_fits, "csv": _write_csv}[form](
            catalog, Path(path)
        )


def _write_ecsv(catalog, path):
    catalog.write(path, format="ascii.ecsv", overwrite=True)


def _write_csv(catalog, path):
    Table(catalog, copy=False).write(path, format="ascii.csv", overwrite=True)


def _write_votable(catalog, path):
    from astropy.io.votable.tree import Info, VOTableFile

    plain = Table(catalog, copy=True)
    plain.meta = {}
    for name in plain.colnames:
        plain[name].info.meta = dict(catalog[name].info.meta or {})
    votable = VOTableFile.from_table(plain)
    votable.get_first_table().infos.append(Info(name="astroseg", value=json.dumps(catalog.meta)))
    votable.to_xml(str(path))


def _write_fits(catalog, path):
    plain = Table(catalog, copy=True)
    plain.meta = {}
    hdu = fits.table_to_hdu(plain)
    for number, name in enumerate(catalog.colnames, start=1):
        column_meta = catalog[name].info.meta or {}
        if "ucd" in column_meta:
            hdu.header[f"TUCD{number}"] = column_meta["ucd"]
        if catalog[name].info.description:
            hdu.header[f"TCOMM{number}"] = catalog[name].info.description[:68]
    # Nested values do not fit FITS keywords: one JSON string, continued over as many cards as it needs.
    hdu.header["PROVJSON"] = json.dumps(catalog.meta)
    hdu.writeto(path, overwrite=True)


def read_catalog(path: str | Path) -> QTable:
    """Read a catalogue that `write_catalog` wrote as ECSV, VOTable or FITS, nothing lost."""
    path = Path(path)
    if not path.exists():
        msg = f"There is no file {path}."
        raise AstrosegError(msg)
    form = next((form for form, suffix in FORMATS.items() if path.name.endswith(suffix)), "")
    readers = {"ecsv": _read_ecsv, "votable": _read_votable, "fits": _read_fits, "csv": _read_csv}
    if form not in readers:
        msg = f"Cannot tell the format of {path.name}. Known endings: {', '.join(FORMATS.values())}."
        raise AstrosegError(msg)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return readers[form](path)
    except Exception as error:
        msg = f"Cannot read the catalogue {path}: {str(error).splitlines()[0] if str(error) else type(error).__name__}."
        raise AstrosegError(msg) from error


def _read_ecsv(path):
    return QTable.read(path, format="ascii.ecsv")


def _read_csv(path):
    return QTable.read(path, format="ascii.csv")


def _read_votable(path):
    from astropy.io.votable import parse

    first = parse(str(path)).get_first_table()
    table = first.to_table(use_names_over_ids=True)
    meta: dict[str, Any] = next((json.loads(info.value) for info in first.infos if info.name == "astroseg"), {})
    return _restored(table, meta, {item.name: item.ucd for item in first.fields if item.ucd})


def _read_fits(path):
    header = fits.getheader(path, 1)
    table = Table.read(path, hdu=1)
    table.convert_bytestring_to_unicode()
    meta = json.loads(header.get("PROVJSON", "{}"))
    ucds, texts = {}, {}
    for number, name in enumerate(table.colnames, start=1):
        ucds[name] = header.get(f"TUCD{number}")
        texts[name] = header.get(f"TCOMM{number}")
    for name, text in texts.items():
        table[name].info.description = text
    return _restored(table, meta, ucds)


def _restored(table, meta, ucds):
    result = QTable()
    for name in table.colnames:
        column = table[name]
        values = np.ma.filled(column.data, np.nan) if column.dtype.kind == "f" else np.ma.filled(column.data, 0)
        unit = column.unit
        result[name] = u.Quantity(values, unit) if unit is not None and column.dtype.kind == "f" else values
        result[name].info.description = column.description
        if ucds.get(name):
            result[name].info.meta = {"ucd": ucds[name]}
    result.meta = meta
    return result
