"""Catalogues as files: ECSV, VOTable, FITS and CSV, with units, descriptions, UCDs and provenance."""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable, Table

from astroseg.errors import AstrosegError, UsageError

__all__ = ["FORMATS", "read_catalog", "write_catalog", "write_parts"]

#: Format of a catalogue -> ending of its file.
FORMATS = {"ecsv": ".ecsv", "votable": ".vot", "fits": ".cat.fits", "csv": ".csv"}


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


ROWS = 20_000  # that become text at once: the text of a table takes ten times its memory


def _write_ecsv(catalog, path):
    write_parts((catalog[start : start + ROWS] for start in range(0, max(len(catalog), 1), ROWS)), path)


def write_parts(parts: Iterable[QTable], path: Path) -> None:
    """Write a catalogue that comes in parts, as ECSV; units and provenance are those of the first part.

    Parameters
    ----------
    parts : iterable of `~astropy.table.QTable`
        Of the same columns.
    path : path
    """
    with path.open("w", encoding="utf-8", newline="") as stream:
        for number, part in enumerate(parts):
            text = io.StringIO()
            part.write(text, format="ascii.ecsv")
            # Only the first part says what the columns are: comments, and a line of names.
            stream.write(text.getvalue() if number == 0 else _after_header(text.getvalue()))


def _after_header(lines: str) -> str:
    names = re.search(r"^[^#].*\n", lines, re.MULTILINE)
    return lines[names.end() :] if names else ""


def _write_csv(catalog, path):
    Table(catalog, copy=False).write(path, format="ascii.csv", overwrite=True)


def _write_votable(catalog, path):
    from astropy.io.votable.tree import Info, VOTableFile

    plain = Table(catalog, copy=True)
    plain.meta = {}
    for name in plain.colnames:
        plain[name].info.meta = dict(catalog[name].info.meta or {})
    votable = VOTableFile.from_table(plain)
    votable.get_first_table().infos.extend(
        [
            Info(name="astroseg", value=json.dumps(catalog.meta)),
            Info(name="astroseg_columns", value=_columns_json(catalog)),
        ]
    )
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
            hdu.header[f"TCOMM{number}"] = catalog[name].info.description.encode("ascii", "replace").decode()
    # Nested values do not fit FITS keywords: a JSON string, continued over as many cards as it needs.
    hdu.header["PROVJSON"] = json.dumps(catalog.meta)
    hdu.header["COLSJSON"] = _columns_json(catalog)
    hdu.writeto(path, overwrite=True)


def _columns_json(catalog) -> str:
    """Units and descriptions: FITS and VOTable know few units (no DN, no nmgy), and VOTable breaks lines."""
    columns = {}
    for name in catalog.colnames:
        info = catalog[name].info
        columns[name] = {
            "unit": None if info.unit is None else info.unit.to_string(),
            "description": info.description,
        }
    return json.dumps(columns)


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
    notes = {info.name: info.value for info in first.infos}
    table.meta = json.loads(notes.get("astroseg", "{}"))
    ucds = {item.name: item.ucd for item in first.fields}
    return _restored(table, ucds, json.loads(notes.get("astroseg_columns", "{}")))


def _read_fits(path):
    header = fits.getheader(path, 1)
    table = Table.read(path, hdu=1)
    table.convert_bytestring_to_unicode()
    table.meta = json.loads(header.get("PROVJSON", "{}"))
    ucds = {}
    for number, name in enumerate(table.colnames, start=1):
        ucds[name] = header.get(f"TUCD{number}")
        table[name].description = header.get(f"TCOMM{number}")
    return _restored(table, ucds, json.loads(header.get("COLSJSON", "{}")))


def _restored(table: Table, ucds: dict[str, str | None], notes: dict[str, dict[str, Any]]) -> QTable:
    """Return the table as it was written; what has no notes keeps what the format itself says."""
    result = QTable(meta=table.meta)
    for name in table.colnames:
        column, note = table[name], notes.get(name, {})
        unit = _unit(note["unit"]) if note else column.unit
        values = _native(column.data)
        result[name] = u.Quantity(values, unit) if unit is not None and values.dtype.kind in "iuf" else values
        result[name].info.description = note["description"] if note else column.description
        if ucds.get(name):
            result[name].info.meta = {"ucd": ucds[name]}
    return result


def _unit(text: str | None) -> u.UnitBase | None:
    return None if text is None else u.Unit(text, parse_strict="silent")


def _native(values: np.ndarray) -> np.ndarray:
    """Values without mask, in the byte order of this machine: pandas takes no other."""
    blank: dict[str, Any] = {"f": np.nan, "U": "", "O": ""}
    values = np.ma.filled(values, blank.get(values.dtype.kind, 0))
    return values.astype(values.dtype.newbyteorder("="), copy=False)
